//! What the decoder makes of each kind of body, whole.

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
