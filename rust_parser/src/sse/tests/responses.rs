//! Streams and bodies of the API Responses.

use super::*;

#[test]
fn a_responses_stream_gives_its_text_its_calls_and_its_usage() {
    let (text, mut decoder) = decode(&events(&[
        r#"{"type":"response.created","response":{"status":"in_progress","error":null,"output":[],"usage":null}}"#,
        r#"{"type":"response.output_item.added","output_index":0,"item":{"type":"message","content":[]}}"#,
        r#"{"type":"response.output_text.delta","output_index":0,"delta":"On it"}"#,
        r#"{"type":"response.output_text.delta","output_index":0,"delta":"."}"#,
        r#"{"type":"response.output_text.done","output_index":0,"text":"On it."}"#,
        r#"{"type":"response.output_item.added","output_index":1,"item":{"type":"custom_tool_call","name":"plan","input":""}}"#,
        r#"{"type":"response.custom_tool_call_input.delta","output_index":1,"delta":"1. f()"}"#,
        r#"{"type":"response.custom_tool_call_input.done","output_index":1,"input":"1. f()"}"#,
        r#"{"type":"response.output_item.added","output_index":2,"item":{"type":"function_call","call_id":"a","name":"f","arguments":""}}"#,
        r#"{"type":"response.output_item.added","output_index":3,"item":{"type":"function_call","call_id":"b","name":"g","arguments":""}}"#,
        r#"{"type":"response.function_call_arguments.delta","output_index":2,"delta":"{\"x\""}"#,
        r#"{"type":"response.function_call_arguments.delta","output_index":3,"delta":"{\"y\":2}"}"#,
        r#"{"type":"response.function_call_arguments.delta","output_index":2,"delta":":1}"}"#,
        r#"{"type":"response.function_call_arguments.done","output_index":3,"arguments":"{\"y\":2}"}"#,
        r#"{"type":"response.output_item.done","output_index":3,"item":{"type":"function_call","call_id":"b","name":"g","arguments":"{\"y\":2}"}}"#,
        r#"{"type":"response.output_item.done","output_index":2,"item":{"type":"function_call","call_id":"a","name":"f","arguments":"{\"x\":1}"}}"#,
        r#"{"type":"response.completed","response":{"status":"completed","error":null,"output":[{"type":"message","content":[{"type":"output_text","text":"On it."}]},{"type":"function_call","name":"g"}],"usage":{"input_tokens":9,"output_tokens":8,"input_tokens_details":{"cached_tokens":7,"cache_write_tokens":1},"output_tokens_details":{"reasoning_tokens":6}}}}"#,
        r#"{"type":"response.output_text.delta","output_index":0,"delta":"after the end"}"#,
    ]));
    assert_eq!(text, "On it.\n1. f()");
    assert_eq!((decoder.finish_reason(), decoder.done(), decoder.error()), (Some("tool_calls"), true, None));
    assert_eq!(decoder.usage(), Some(Usage { prompt: 9, completion: 8, cached: 7, reasoning: 6, cache_written: 1 }));
    assert_eq!(calls(&decoder), [r#"b g{"y":2}"#, r#"a f{"x":1}"#]);
    assert_eq!(decoder.take_tool_calls().len(), 2);
}

#[test]
fn the_items_of_a_response_are_kept_as_the_provider_wrote_them() {
    let reasoning = r#"{"type":"reasoning", "id":"rs_1","summary":[],"encrypted_content":"gAAA"}"#;
    let call = r#"{"type":"function_call","id":"fc_1","call_id":"a","name":"f","arguments":"{\"x\": 1.50}"}"#;
    let odd = r#"{"type":"odd","content":7,"name":[]}"#;
    let item =
        |kind, index, json| format!(r#"{{"type":"response.output_item.{kind}","output_index":{index},"item":{json}}}"#);
    let end = r#"{"type":"response.completed","response":{"status":"completed","output":[{"type":"odd"}]}}"#;
    let (_, decoder) = decode(&events(&[
        &item("added", 0, r#"{"type":"reasoning","id":"rs_1","encrypted_content":"g"}"#),
        &item("done", 2, odd),
        &item("done", 1, call),
        &item("done", 0, reasoning),
        end,
    ]));
    assert_eq!(decoder.output_items().collect::<Vec<_>>(), [reasoning, call, odd]);
    assert_eq!((calls(&decoder), decoder.error()), (vec![r#"a f{"x": 1.50}"#.to_owned()], None));
    let half = r#"{"type":"message","status":"incomplete"}"#;
    let whole = format!(r#"{{"object":"response","status":"completed","output":[{reasoning},{call},{half}]}}"#);
    assert_eq!(decode(whole.as_bytes()).1.output_items().collect::<Vec<_>>(), [reasoning, call]);
    assert_eq!(decode(&events(&[r#"{"choices":[{"delta":{"content":"x"}}]}"#])).1.output_items().count(), 0);
}

#[test]
fn a_call_in_which_a_response_ended_early_is_not_made() {
    let added = r#"{"type":"response.output_item.added","output_index":0,"item":{"type":"function_call","call_id":"a","name":"f","arguments":""}}"#;
    let delta = r#"{"type":"response.function_call_arguments.delta","output_index":0,"delta":"{\"x\":"}"#;
    let rest = r#"{"type":"response.function_call_arguments.delta","output_index":0,"delta":"1}"}"#;
    let done = r#"{"type":"response.output_item.done","output_index":0,"item":{"type":"function_call","status":"incomplete","call_id":"a","name":"f","arguments":"{\"x\":"}}"#;
    for response in [
        r#"{"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"}}"#,
        r#"{"status":"incomplete","incomplete_details":{"reason":"content_filter"}}"#,
        r#"{"status":"incomplete","incomplete_details":{"reason":"another"}}"#,
        r#"{"status":"cancelled"}"#,
        r#"{"status":"failed"}"#,
    ] {
        let end = format!(r#"{{"type":"response.incomplete","response":{response}}}"#);
        for list in [vec![added, delta, &end], vec![added, delta, done, &end]] {
            let (_, decoder) = decode(&events(&list));
            assert_eq!(calls(&decoder), [""; 0], "{list:?}");
            assert_eq!(decoder.output_items().count(), 0, "{list:?}");
        }
        let is_whole = usize::from(!response.contains("failed"));
        assert_eq!(calls(&decode(&events(&[added, delta, rest, &end])).1).len(), is_whole, "{response}");
    }
}

#[test]
fn a_response_ends_with_the_reason_that_a_chat_completion_would_give() {
    for (response, reason) in [
        (r#"{"status":"completed"}"#, "stop"),
        (r#"{"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"}}"#, "length"),
        (r#"{"status":"incomplete","incomplete_details":{"reason":"content_filter"}}"#, "content_filter"),
        (r#"{"status":"incomplete"}"#, "length"),
        (r#"{"status":"cancelled"}"#, "cancelled"),
    ] {
        let (_, decoder) = decode(&events(&[&format!(r#"{{"type":"response.incomplete","response":{response}}}"#)]));
        assert_eq!((decoder.finish_reason(), decoder.done()), (Some(reason), true), "{response}");
    }
    for (event, message, status) in [
        (
            r#"{"type":"response.failed","response":{"status":"failed","error":{"code":"rate_limit_exceeded","message":"m"}}}"#,
            "m",
            429,
        ),
        (
            r#"{"type":"response.failed","response":{"status":"failed","error":{"code":"server_error","message":"m"}}}"#,
            "m",
            500,
        ),
        (r#"{"type":"response.failed","response":{}}"#, "the provider says that the response failed", 500),
        (r#"{"type":"error","code":"invalid_prompt","message":"m","param":null,"sequence_number":1}"#, "m", 400),
        (r#"{"type":"error","error":{"type":"invalid_request_error","code":null,"message":"m"}}"#, "m", 400),
    ] {
        let (_, decoder) = decode(&events(&[event]));
        assert_eq!((decoder.error(), decoder.error_status()), (Some(message), Some(status)), "{event}");
    }
}

#[test]
fn a_response_that_comes_without_pieces_is_read_as_a_whole() {
    let response = r#"{"object":"response","status":"completed","error":null,"output":[{"type":"reasoning","summary":[]},{"type":"odd","content":7},
        {"type":"message","content":[{"type":"output_text","text":"a"},{"type":"refusal","refusal":"b"}]},
        {"type":"custom_tool_call","input":"1. f()"},{"type":"function_call","call_id":"x","name":"f","arguments":"{}"}],
        "usage":{"input_tokens":1,"output_tokens":2}}"#;
    let event = format!(r#"{{"type":"response.completed","response":{}}}"#, response.replace('\n', " "));
    for body in [response.as_bytes().to_vec(), events(&[&event])] {
        let (text, decoder) = decode(&body);
        assert_eq!((text.as_str(), decoder.done(), decoder.error()), ("ab\n1. f()", true, None));
        assert_eq!(calls(&decoder), ["x f{}"]);
        assert_eq!(decoder.usage().map(|usage| usage.completion), Some(2));
    }
}
