//! What the decoder makes of each kind of body, whole.

mod errors;
mod responses;

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

fn events(list: &[&str]) -> Vec<u8> {
    list.iter().flat_map(|event| format!("data: {event}\n\n").into_bytes()).collect()
}

fn calls(decoder: &SseDecoder) -> Vec<String> {
    decoder.tool_calls().iter().map(|call| format!("{} {}{}", call.id, call.name, call.arguments)).collect()
}

#[test]
fn a_stream_gives_its_text_its_finish_reason_and_its_usage() {
    let bytes = [
        ": a comment\r\n\r\nevent: x\r\nid: 1\r\n",
        &chunk("1. se"),
        &chunk("arch(\"é\")\n"),
        "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":7.0,",
        "\"prompt_tokens_details\":{\"cached_tokens\":4,\"cache_write_tokens\":5},",
        "\"completion_tokens_details\":{\"reasoning_tokens\":2}}}\n\ndata: [DONE]\n\n",
        &chunk("after the end"),
    ]
    .concat();
    let (text, decoder) = decode(bytes.as_bytes());
    assert_eq!(text, "1. search(\"é\")\n");
    assert_eq!(decoder.finish_reason(), Some("stop"));
    let usage = Usage { prompt: 10, completion: 7, cached: 4, reasoning: 2, cache_written: 5 };
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
