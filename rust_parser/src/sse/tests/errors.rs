//! What is an error, and what is told of it.

use super::*;

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
fn an_error_whose_words_break_its_json_is_told_in_them() {
    for (event, words) in [
        (r#"{"error": "no "tokenizer" here"}"#, r#"no "tokenizer" here"#),
        ("{ \"error\" : \"out of memory\nSet DEBUG=1.\n\"}", "out of memory"),
        (r#"{"error": "C:\models is no folder"}"#, r"C:\models is no folder"),
    ] {
        let (text, decoder) = decode(format!("{}data: {event}\n\n", chunk("half")).as_bytes());
        assert_eq!(
            (text.as_str(), decoder.error(), decoder.error_status()),
            ("half", Some(words), Some(500)),
            "{event}"
        );
    }
    let cut = decode(format!("{}data: {}", chunk("half"), r#"{"error": "no "#).as_bytes());
    assert_eq!((cut.1.error(), cut.1.done()), (None, false));
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
