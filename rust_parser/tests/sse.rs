//! How the bytes of a response are cut makes no difference, and no bytes make the decoder panic.

use dovetail_core::sse::{SseDecoder, ToolCall, Usage};
use proptest::prelude::*;

#[derive(Debug, PartialEq)]
struct Outcome {
    text: String,
    finish_reason: Option<String>,
    usage: Option<Usage>,
    done: bool,
    error: Option<String>,
    error_status: Option<u16>,
    calls: Vec<ToolCall>,
}

fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut decoder = SseDecoder::new();
    let mut calls = Vec::new();
    let mut text = String::new();
    for piece in pieces {
        text.push_str(&decoder.feed(piece));
        calls.extend_from_slice(decoder.take_tool_calls());
    }
    text.push_str(&decoder.finish());
    calls.extend_from_slice(decoder.take_tool_calls());
    assert_eq!(decoder.tool_calls(), calls, "each call is taken once");
    assert_eq!(decoder.finish(), "", "a second end adds nothing");
    Outcome {
        text,
        finish_reason: decoder.finish_reason().map(str::to_owned),
        usage: decoder.usage(),
        done: decoder.done(),
        error: decoder.error().map(str::to_owned),
        error_status: decoder.error_status(),
        calls,
    }
}

fn stream(contents: &[String], end: &str, with_bom: bool, last: &str) -> Vec<u8> {
    let mut text = String::new();
    if with_bom {
        text.push('\u{feff}');
    }
    for (place, content) in contents.iter().enumerate() {
        if place % 3 == 1 {
            text.push_str(": keep-alive\n\nevent: message\nid: 7\n");
        }
        let content = serde_json::Value::from(content.as_str());
        let event = if place % 2 == 0 {
            format!("data: {{\"choices\":[{{\"delta\":{{\"content\":{content}}},\"finish_reason\":null}}]}}\n\n")
        } else {
            format!("data: {{\"choices\":\ndata:[{{\"delta\":{{\"content\":{content}}}}}]}}\n\n")
        };
        text.push_str(&event);
    }
    text.push_str(last);
    text.replace('\n', end).into_bytes()
}

const ENDS: [&str; 7] = [
    "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
     data: {\"choices\":[],\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":34}}\n\ndata: [DONE]\n\n",
    "data: {\"error\":{\"message\":\"überlastet\",\"code\":503}}\n\n",
    "event: error\ndata: {\"message\":\"überlastet\"}\n\n",
    "error: {\"message\":\"überlastet\",\"code\":503}\n\n",
    "data: {\"choices\":[{\"delta\":{\"content\":\"cut",
    "data: {oh no}\n\n",
    "data: [DONE]",
];

const CALLS: &str = r#"data: {"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{\"é\""}}]}}]}

data: {"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}},{"index":1,"id":"b","function":{"name":"g","arguments":{}}}]}}]}

data: {"choices":[{"delta":{"tool_calls":[{"index":2,"id":"c","function":{"name":"h","arguments":"{\"cut"}}]}}]}

"#;

const RESPONSES: &str = r#"event: response.output_item.added
data: {"type":"response.output_item.added","output_index":0,"item":{"type":"function_call","call_id":"a","name":"f","arguments":""}}

event: response.function_call_arguments.delta
data: {"type":"response.function_call_arguments.delta","output_index":0,"delta":"{\"é\":1}"}

event: response.output_item.done
data: {"type":"response.output_item.done","output_index":0,"item":{"type":"function_call","call_id":"a","name":"f","arguments":"{\"é\":1}"}}

event: response.custom_tool_call_input.delta
data: {"type":"response.custom_tool_call_input.delta","output_index":1,"delta":"1. f(\"ü\")"}

event: response.completed
data: {"type":"response.completed","response":{"status":"completed","usage":{"input_tokens":1,"output_tokens":2}}}

"#;

#[test]
fn every_cut_at_every_place_gives_the_same() {
    let contents = ["1. search(", "\"Zürich 🏔\"", ")\n", "\u{0}\u{2028}"].map(str::to_owned);
    let whole = "{\"choices\":[{\"message\":{\"content\":\"é\"},\"finish_reason\":\"stop\"}]}";
    let mut bodies: Vec<Vec<u8>> = vec![whole.as_bytes().to_vec(), b"<html>: no\r\n\r\nstream".to_vec()];
    for end in ["\n", "\r\n", "\r"] {
        bodies.extend(ENDS.map(|last| stream(&contents, end, end != "\r", last)));
    }
    bodies.extend([CALLS, RESPONSES].map(|body| body.as_bytes().to_vec()));
    for body in bodies {
        let expected = decode([body.as_slice()]);
        for cut in 0..=body.len() {
            assert_eq!(decode([&body[..cut], &body[cut..]]), expected, "cut at {cut}");
        }
        for size in [1, 2, 3, 7] {
            assert_eq!(decode(body.chunks(size)), expected, "pieces of {size}");
        }
    }
}

fn pieces<'a>(bytes: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let mut rest = bytes;
    let mut list = Vec::new();
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, tail) = rest.split_at((*size).min(rest.len()));
        list.push(piece);
        rest = tail;
    }
    list
}

proptest! {
    #[test]
    fn a_stream_gives_its_text_whatever_the_pieces(
        contents in prop::collection::vec(any::<String>(), 0..8),
        end in prop::sample::select(vec!["\n", "\r\n", "\r"]),
        with_bom in any::<bool>(),
        last in prop::sample::select(ENDS.to_vec()),
        sizes in prop::collection::vec(1_usize..40, 1..12),
    ) {
        let body = stream(&contents, end, with_bom, last);
        let outcome = decode(pieces(&body, &sizes));
        prop_assert_eq!(&outcome, &decode([body.as_slice()]));
        prop_assert_eq!(outcome.text, contents.concat());
    }

    #[test]
    fn any_bytes_give_the_same_outcome_whatever_the_pieces(
        body in prop::collection::vec(
            prop_oneof![
                Just(b"data: ".to_vec()), Just(b"\n".to_vec()), Just(b"\r\n\r\n".to_vec()), Just(b"\r".to_vec()),
                Just(b"[DONE]".to_vec()), Just(b"{\"choices\":[{\"delta\":{\"content\":\"x".to_vec()),
                Just(b"\"}}]}".to_vec()), Just(b"{\"type\":\"response.output_text.delta\",\"delta\":\"x\"}".to_vec()),
                Just(b"{\"choices\":[{\"delta\":{\"tool_calls\":[{\"id\":\"a\",\"function\":{\"arguments\":\"{}\"}}]}}]}".to_vec()), Just(b"\xef\xbb\xbf".to_vec()), Just(b"{\"error\":".to_vec()),
                prop::collection::vec(any::<u8>(), 0..6),
            ],
            0..24,
        ),
        sizes in prop::collection::vec(1_usize..9, 1..12),
    ) {
        let body = body.concat();
        prop_assert_eq!(decode(pieces(&body, &sizes)), decode([body.as_slice()]));
    }
}
