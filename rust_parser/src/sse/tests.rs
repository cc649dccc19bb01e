//! What the decoder makes of each kind of body, whole.

use serde_json::Value;

use super::*;

fn decode(bytes: &[u8]) -> (String, SseDecoder) {
    let mut decoder = SseDecoder::new();
    let mut text = decoder.feed(bytes);
    text.push_str(&decoder.finish());
    (text, decoder)
}

fn chunk(content: &str) -> String {
    let content = Value::from(content);
    format!(
        "data: {{\"id\":\"x\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":{content}}},\
         \"finish_reason\":null}}],\"usage\":null}}\n\n"
    )
}

#[test]
fn a_stream_gives_its_text_its_finish_reason_and_its_usage() {
    let bytes = [
        ": a comment\r\n\r\nevent: x\r\nid: 1\r\n",
        &chunk("1. se"),
        &chunk("arch(\"é\")\n"),
        "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":7.0,",
        "\"prompt_tokens_details\":{\"cached_tokens\":4},",
        "\"completion_tokens_details\":{\"reasoning_tokens\":2}}}\n\ndata: [DONE]\n\n",
        &chunk("after the end"),
    ]
    .concat();
    let (text, decoder) = decode(bytes.as_bytes());
    assert_eq!(text, "1. search(\"é\")\n");
    assert_eq!(decoder.finish_reason(), Some("stop"));
    let usage = Usage { prompt: 10, completion: 7, cached: 4, reasoning: 2 };
    assert_eq!(decoder.usage(), Some(usage));
    assert!(decoder.done());
    assert_eq!(decoder.error(), None);
}

#[test]
fn every_line_end_a_bom_and_data_over_several_lines_are_read() {
    for end in ["\n", "\r\n", "\r"] {
        let text = "\u{feff}data:{\"choices\":[{\"delta\":\ndata:  {\"content\":\"hi\"}}]}\n\ndata:[DONE]\n\n";
        let (text, decoder) = decode(text.replace('\n', end).as_bytes());
        assert_eq!((text.as_str(), decoder.done(), decoder.error()), ("hi", true, None), "{end:?}");
    }
}

#[test]
fn the_legacy_text_parts_and_halves_of_characters_are_read() {
    let (text, decoder) = decode(
        b"data: {\"choices\":[{\"text\":\"old\"}]}\n\n\
          data: {\"choices\":[{\"delta\":{\"content\":[{\"type\":\"text\",\"text\":\" parts\"},{\"type\":\"x\"}]}}]}\n\n\
          data: {\"choices\":[{\"delta\":{\"content\":\" \\ud83d\"}},{\"delta\":{\"content\":\"second\"}}]}\n\n\
          data: {\"choices\":[{\"delta\":{\"content\":\" \xff\"}}]}\n\n",
    );
    assert!(text.starts_with("old parts \u{fffd}"), "{text}");
    assert!(text.ends_with(" \u{fffd}"), "{text}");
    assert_eq!(decoder.error(), None);
}

#[test]
fn null_and_unknown_fields_are_passed_over() {
    let (text, decoder) = decode(
        b"data: {\"choices\":null,\"usage\":null,\"error\":null}\n\ndata: {}\n\ndata:\n\ndata\n\nretry: 3\n\n\
          data: {\"choices\":[{\"delta\":null,\"finish_reason\":\"\"}]}\n\n\
          data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"a\":[1.5e3]}]}}]}\n\n",
    );
    assert_eq!(text, "");
    assert_eq!((decoder.error(), decoder.finish_reason(), decoder.usage()), (None, None, None));
}

#[test]
fn an_error_object_has_its_message_and_its_status() {
    for (error, message, status) in [
        (r#"{"error":{"message":"slow down","code":429}}"#, "slow down", 429),
        (r#"{"error":{"message":"m","type":"rate_limit_exceeded","code":null}}"#, "m", 429),
        (r#"{"error":{"message":"m","code":"401","type":"x"}}"#, "m", 401),
        (r#"{"error":{"message":"m","code":"invalid_api_key"}}"#, "m", 401),
        (r#"{"error":{"message":"m","type":"BadRequestError","code":99999999}}"#, "m", 400),
        (r#"{"error":"it broke"}"#, "it broke", 500),
        (r#"{"error":{"detail":[1]}}"#, r#"{"detail":[1]}"#, 500),
        (r#"{"object":"error","message":"bare","code":404}"#, "bare", 404),
    ] {
        for bytes in [format!("{}data: {error}\n\n{}", chunk("before"), chunk("after")), error.to_owned()] {
            let (text, decoder) = decode(bytes.as_bytes());
            assert_eq!(text, if bytes == error { "" } else { "before" });
            assert_eq!((decoder.error(), decoder.error_status()), (Some(message), Some(status)), "{bytes}");
            assert!(!decoder.done());
        }
    }
}

#[test]
fn an_event_that_is_called_an_error_is_one_whatever_it_holds() {
    for (event, message, status) in [
        ("event: error\ndata: {\"message\": \"out of memory\"}", "out of memory", 500),
        ("event: error\ndata: {\"error\": {\"message\": \"slow down\", \"code\": 429}}", "slow down", 429),
        ("event: error\ndata: {\"error\": null, \"message\": \"m\", \"code\": 400}", "m", 400),
        ("data: \"it broke\"\nevent:error", "it broke", 500),
        ("event: error\ndata: it broke\ndata: twice", "it broke\ntwice", 500),
        ("error: {\"code\":503,\"message\":\"Loading model\",\"type\":\"unavailable_error\"}", "Loading model", 503),
        ("error:{\"error\":{\"message\":\"m\"}}", "m", 500),
    ] {
        for end in ["\n\n", "\n", ""] {
            let after = if end == "\n\n" { "data: [DONE]\n\n" } else { "" };
            let bytes = format!("{}{event}{end}{after}", chunk("before"));
            let (text, decoder) = decode(bytes.as_bytes());
            assert_eq!((text.as_str(), decoder.done()), ("before", false), "{bytes}");
            assert_eq!((decoder.error(), decoder.error_status()), (Some(message), Some(status)), "{bytes}");
        }
    }
    let (text, decoder) =
        decode(b"data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\nerror: {\"message\":\"m\"}\n\n");
    assert_eq!((text.as_str(), decoder.error()), ("x", Some("m")));
}

#[test]
fn what_is_called_an_error_and_says_none_is_passed_over() {
    for event in
        ["event: error\n\n", "event: error\ndata:\n\n", "error: none\n\n", "error\n\n", "event: error\n\nevent: x\n"]
    {
        let (text, decoder) = decode(format!("{}{event}{}data: [DONE]\n\n", chunk("a"), chunk("b")).as_bytes());
        assert_eq!((text.as_str(), decoder.error(), decoder.done()), ("ab", None, true), "{event}");
    }
    for cut in ["event: error\ndata: {\"mess", "error: {\"mess"] {
        let (_, decoder) = decode(format!("{}{cut}", chunk("a")).as_bytes());
        assert_eq!((decoder.error(), decoder.done()), (None, false), "{cut}");
    }
}

#[test]
fn a_refusal_is_text() {
    let (text, decoder) = decode(&events(&[
        r#"{"choices":[{"delta":{"role":"assistant","content":"","refusal":null}}]}"#,
        r#"{"choices":[{"delta":{"refusal":"I cannot"}}]}"#,
        r#"{"choices":[{"delta":{"refusal":" do that."},"finish_reason":"stop"}]}"#,
        "[DONE]",
    ]));
    assert_eq!((text.as_str(), decoder.finish_reason(), decoder.error()), ("I cannot do that.", Some("stop"), None));
    let whole = br#"{"choices":[{"message":{"content":null,"refusal":"No."},"finish_reason":"stop"}]}"#;
    assert_eq!(decode(whole).0, "No.");
}

#[test]
fn of_several_choices_only_the_first_is_read() {
    let (text, decoder) = decode(&events(&[
        r#"{"choices":[{"index":1,"delta":{"content":"B"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":"a"}}]}"#,
        r#"{"choices":[{"index":1,"delta":{"content":"B","refusal":"B"}},{"index":0,"delta":{"content":"b"}}]}"#,
        r#"{"choices":[{"index":1,"delta":{"tool_calls":[{"index":0,"id":"x","function":{"name":"f"}}]},"finish_reason":"length"}]}"#,
        r#"{"choices":[{"delta":{"content":"c"}},{"delta":{"content":"B"}}]}"#,
        r#"{"choices":[{"index":null,"delta":{"content":"d"},"finish_reason":"stop"}]}"#,
        r#"{"choices":[{"index":2,"delta":{},"finish_reason":"length"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#,
        "[DONE]",
    ]));
    assert_eq!((text.as_str(), decoder.finish_reason(), decoder.error()), ("abcd", Some("stop"), None));
    assert_eq!((calls(&decoder), decoder.usage().map(|usage| usage.completion)), (vec![], Some(2)));
    let whole = br#"{"choices":[{"index":1,"message":{"content":"B"}},{"index":0,"message":{"content":"a"}}]}"#;
    assert_eq!(decode(whole).0, "a");
}

fn events(list: &[&str]) -> Vec<u8> {
    list.iter().flat_map(|event| format!("data: {event}\n\n").into_bytes()).collect()
}

fn calls(decoder: &SseDecoder) -> Vec<String> {
    decoder.tool_calls().iter().map(|call| format!("{} {}{}", call.id, call.name, call.arguments)).collect()
}

#[test]
fn what_a_model_reasons_is_no_text() {
    let (text, decoder) = decode(&events(&[
        r#"{"choices":[{"delta":{"content":null,"reasoning_content":"1. delete(\"all\")"}}]}"#,
        r#"{"choices":[{"delta":{"reasoning":"hm"}}]}"#,
        r#"{"choices":[{"delta":{"content":"yes"}}]}"#,
    ]));
    assert_eq!((text.as_str(), decoder.error()), ("yes", None));
    let (text, _) = decode(&events(&[
        r#"{"type":"response.reasoning_text.delta","output_index":0,"delta":"hm"}"#,
        r#"{"type":"response.reasoning_summary_text.delta","output_index":0,"delta":"hm"}"#,
        r#"{"type":"response.output_text.delta","output_index":1,"delta":"yes"}"#,
        r#"{"type":"response.completed","response":{"status":"completed","output":[{"type":"reasoning","content":[{"type":"reasoning_text","text":"hm"}]}]}}"#,
    ]));
    assert_eq!(text, "yes");
}

#[test]
fn tool_calls_are_gathered_from_their_pieces() {
    let (text, mut decoder) = decode(&events(&[
        r#"{"choices":[{"delta":{"content":"so","tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"x\":"}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":" \"\\ud83d\\ude00\"}"}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"id":"b","function":{"name":"g","arguments":{"y":[1.50]}}},{"id":"c","function":{"name":"h"}}]}}]}"#,
        r#"{"choices":[{"delta":{},"finish_reason":"tool_calls"}]}"#,
        "[DONE]",
    ]));
    assert_eq!((text.as_str(), decoder.finish_reason(), decoder.error()), ("so", Some("tool_calls"), None));
    assert_eq!(calls(&decoder), [r#"a f{"x": "\ud83d\ude00"}"#, r#"b g{"y":[1.50]}"#, "c h{}"]);
    assert_eq!(decoder.take_tool_calls().len(), 3);
    assert_eq!(decoder.take_tool_calls().len(), 0);
    let whole = br#"{"choices":[{"message":{"content":null,"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}"#;
    assert_eq!(calls(&decode(whole).1), ["a f{}"]);
}

#[test]
fn the_input_of_a_custom_tool_is_text_on_lines_of_its_own() {
    let (text, decoder) = decode(&events(&[
        r#"{"choices":[{"delta":{"content":"I plan."}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","type":"custom","custom":{"name":"plan","input":""}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"custom":{"input":"1. f()\n"}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"custom":{"input":"2. join()"}}]},"finish_reason":"tool_calls"}]}"#,
    ]));
    assert_eq!(text, "I plan.\n1. f()\n2. join()");
    assert_eq!(calls(&decoder), [""; 0]);
}

#[test]
fn a_call_in_which_the_stream_was_cut_off_is_not_made() {
    let half = r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":1"}}]}}]}"#;
    let rest = r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"}"}}]}}]}"#;
    let length = r#"{"choices":[{"delta":{},"finish_reason":"length"}]}"#;
    let stop = r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#;
    let filter = r#"{"choices":[{"delta":{},"finish_reason":"content_filter"}]}"#;
    for (list, count) in [
        (vec![half], 0),
        (vec![half, length, "[DONE]"], 0),
        (vec![half, filter, "[DONE]"], 0),
        (vec![half, r#"{"error":{"message":"m"}}"#], 0),
        (vec![half, rest], 1),
        (vec![half, rest, length, "[DONE]"], 1),
        (vec![half, stop], 1),
        (vec![half, "[DONE]"], 1),
    ] {
        assert_eq!(calls(&decode(&events(&list)).1).len(), count, "{list:?}");
    }
}

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
        r#"{"type":"response.completed","response":{"status":"completed","error":null,"output":[{"type":"message","content":[{"type":"output_text","text":"On it."}]},{"type":"function_call","name":"g"}],"usage":{"input_tokens":9,"output_tokens":8,"input_tokens_details":{"cached_tokens":7},"output_tokens_details":{"reasoning_tokens":6}}}}"#,
        r#"{"type":"response.output_text.delta","output_index":0,"delta":"after the end"}"#,
    ]));
    assert_eq!(text, "On it.\n1. f()");
    assert_eq!((decoder.finish_reason(), decoder.done(), decoder.error()), (Some("tool_calls"), true, None));
    assert_eq!(decoder.usage(), Some(Usage { prompt: 9, completion: 8, cached: 7, reasoning: 6 }));
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

#[test]
fn malformed_data_is_an_error_without_a_status() {
    let deep = format!("data: {}\n\n", "[".repeat(100_000));
    for bytes in ["data: {nope}\n\n", "data: [1]\n\n", "data: \0\n\n", "{\"a\": nope}", "{\"a\": 1}", &deep] {
        let (text, decoder) = decode(bytes.as_bytes());
        assert_eq!(text, "");
        assert!(decoder.error().is_some_and(|message| message.len() < 400), "{bytes}");
        assert_eq!(decoder.error_status(), None);
    }
}

#[test]
fn a_body_that_is_neither_events_nor_json_is_an_error() {
    let (_, decoder) = decode(b"<html>\n<body>502: Bad gateway</body>\n</html>");
    assert!(decoder.error().is_some_and(|message| message.contains("<html>")));
    for bytes in ["", "\n \n", "dat", ": comment only", ":"] {
        assert_eq!(decode(bytes.as_bytes()).1.error(), None, "{bytes:?}");
    }
}

#[test]
fn a_whole_json_response_is_read_at_the_end() {
    let bytes = br#" {"object":"chat.completion","choices":[{"message":{"role":"assistant","content":"a\nb"},
        "finish_reason":"length"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
    let (text, decoder) = decode(bytes);
    assert_eq!((text.as_str(), decoder.finish_reason(), decoder.done()), ("a\nb", Some("length"), true));
    assert_eq!(decoder.usage(), Some(Usage { prompt: 1, completion: 2, ..Usage::default() }));
    for cut in 1..bytes.len() {
        let (text, decoder) = decode(&bytes[..cut]);
        assert_eq!((text.as_str(), decoder.done(), decoder.error()), ("", false, None), "{cut}");
    }
}

#[test]
fn a_stream_that_is_cut_anywhere_is_neither_done_nor_malformed() {
    let bytes = [chunk("one"), chunk("two"), "data: [DONE]".to_owned()].concat();
    for cut in 0..bytes.len() {
        let (text, decoder) = decode(&bytes.as_bytes()[..cut]);
        assert!("onetwo".starts_with(&text));
        assert_eq!((decoder.done(), decoder.error()), (false, None), "{cut}");
    }
    assert!(decode(bytes.as_bytes()).1.done());
}

#[test]
fn an_event_larger_than_the_limit_is_an_error_however_it_comes() {
    let line = vec![b'x'; LIMIT / 4];
    let whole = [b"data: ".as_slice(), &line.repeat(5)].concat();
    let many = [b"data: ".as_slice(), &line, b"\n"].concat().repeat(5);
    let json = [b"{".as_slice(), &line.repeat(5)].concat();
    for bytes in [&whole, &many, &json] {
        for size in [bytes.len(), 1 << 20] {
            let mut decoder = SseDecoder::new();
            for piece in bytes.chunks(size) {
                assert_eq!(decoder.feed(piece), "");
            }
            let _ = decoder.finish();
            assert!(decoder.error().is_some_and(|message| message.contains("16 MiB")));
        }
    }
}

#[test]
fn a_server_that_goes_on_for_ever_without_a_word_is_an_error() {
    let call = "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"function\":{\"name\":\"f\"}}]}}]}\n\n";
    for (said, nothing) in [(chunk("word").as_str(), ": still here\n"), (call, "data: {}\n\n")] {
        let mut decoder = SseDecoder::new();
        let _ = decoder.feed(nothing.repeat(400_000).as_bytes());
        let _ = decoder.feed(said.as_bytes());
        assert_eq!(decoder.feed(nothing.repeat(400_000).as_bytes()), "");
        assert_eq!(decoder.error(), None, "after {nothing:?}");
        let _ = decoder.feed(nothing.repeat(101_000).as_bytes());
        assert_eq!(decoder.error(), Some("500000 events in a row held neither text nor a call"));
    }
}
