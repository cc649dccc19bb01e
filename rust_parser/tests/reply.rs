//! Whole replies and what is read from them, in one piece and in every cut.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use dovetail_core::reply::{ReplyReader, ReplyStep, VerdictKind};
use proptest::prelude::*;

/// What was read: thoughts, joined answer, verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reading {
    thoughts: Vec<String>,
    answer: String,
    kind: VerdictKind,
    text: String,
    mended: bool,
}

fn read<'a>(pieces: impl IntoIterator<Item = &'a str>) -> Reading {
    let mut reader = ReplyReader::new();
    let mut steps: Vec<ReplyStep> = pieces.into_iter().flat_map(|piece| reader.feed(piece)).collect();
    steps.extend(reader.finish());
    let Some(ReplyStep::Verdict { kind, text, mended }) = steps.pop() else { panic!("the last step is the verdict") };
    let mut reading = Reading { thoughts: Vec::new(), answer: String::new(), kind, text, mended };
    for step in steps {
        match step {
            ReplyStep::Thought(thought) => {
                assert!(reading.answer.is_empty(), "a thought after the answer began");
                reading.thoughts.push(thought);
            }
            ReplyStep::AnswerPiece(piece) => {
                assert!(!piece.is_empty(), "an empty piece");
                reading.answer.push_str(&piece);
            }
            ReplyStep::Verdict { .. } => panic!("two verdicts"),
        }
    }
    reading
}

/// Pieces of at most `size` characters.
fn pieces(text: &str, size: usize) -> Vec<&str> {
    let mut cuts: Vec<usize> = text.char_indices().map(|(at, _)| at).step_by(size).collect();
    cuts.push(text.len());
    cuts.windows(2).map(|cut| &text[cut[0]..cut[1]]).collect()
}

fn check_consistent(reading: &Reading) {
    assert_eq!(reading.text, reading.text.trim());
    match reading.kind {
        VerdictKind::Finish => assert_eq!(reading.answer, reading.text),
        VerdictKind::Replan => assert_eq!(reading.answer, ""),
    }
}

type Vector = (&'static str, &'static [&'static str], VerdictKind, &'static str, bool);
const FINISH: VerdictKind = VerdictKind::Finish;
const REPLAN: VerdictKind = VerdictKind::Replan;

#[rustfmt::skip] // one vector, one line
const VECTORS: &[Vector] = &[
    // The format.
    ("Thought: both known.\nAction: Finish(42)", &["both known."], FINISH, "42", false),
    ("Thought: a\nsecond line\n\nAction: Finish(42)", &["a\nsecond line"], FINISH, "42", false),
    ("Thought: a\nThought: b\nAction: Finish(42)", &["a", "b"], FINISH, "42", false),
    ("Thought: no height.\nAction: Replan(search for K2)", &["no height."], REPLAN, "search for K2", false),
    ("Action: Finish()", &[], FINISH, "", false),
    ("Action: Replan()", &[], REPLAN, "", false),
    // Brackets, quotes, lines.
    ("Finish(First for Women (magazine))", &[], FINISH, "First for Women (magazine)", false),
    ("Finish(Replan the trip)", &[], FINISH, "Replan the trip", false),
    ("Action: Replan(Finish (the) search)", &[], REPLAN, "Finish (the) search", false),
    ("Action: Finish[Paris (France)]", &[], FINISH, "Paris (France)", false),
    ("Action: Finish(\n one\n two \n)", &[], FINISH, "one\n two", false),
    ("Finish(\"a :) b\")", &[], FINISH, "a :) b", false),
    ("Finish( 'Arthur's Magazine' \n)", &[], FINISH, "Arthur's Magazine", false),
    ("Finish(“smart (”)", &[], FINISH, "smart (", false),
    ("Finish(‘smart’)", &[], FINISH, "smart", false),
    ("Finish(\"\"\"say \"hi\" (twice)\"\"\")", &[], FINISH, "say \"hi\" (twice)", false),
    ("Finish(\"\")", &[], FINISH, "", false),
    ("Finish['x]']", &[], FINISH, "x]", false),
    ("Action: Replan(\"more (data)\")", &[], REPLAN, "more (data)", false),
    ("Finish(\"Jaws\" is a film (1975)) and so on", &[], FINISH, "\"Jaws\" is a film (1975)", false),
    ("Finish('Tis the season)\nAnd more.", &[], FINISH, "'Tis the season", false),
    ("Action: Finish(naïve café)", &[], FINISH, "naïve café", false),
    ("Finish(5) Finish(6)\nAction: Replan(x)", &[], FINISH, "5", false),
    // Case, markup, place.
    ("THOUGHT: x\nACTION: FINISH(y)", &["x"], FINISH, "y", false),
    ("**Thought:** x\n**Action:** Finish(y)", &["x"], FINISH, "y", false),
    ("**Thought: x**\n**Action: Finish(y)**", &["x"], FINISH, "y", false),
    ("### Thought\nx\n### Action\n`Finish(y)`", &["x"], FINISH, "y", false),
    ("```\nThought: x\nAction: Finish(y)\n```", &["x"], FINISH, "y", false),
    ("- Thought 1: x\r\n- Action 1: Finish(y)\r\n", &["x"], FINISH, "y", false),
    ("Thought: use **bold** Action: Finish (y)", &["use **bold**"], FINISH, "y", false),
    ("Thought: we finish (soon)\nAction: Finish(y)", &["we finish (soon)"], FINISH, "y", false),
    ("Thought: Finished(1) it\nAction:\nFinish\n(y)", &["Finished(1) it"], FINISH, "y", false),
    ("I know it.\nFinish(y)", &["I know it."], FINISH, "y", false),
    ("In reaction: Finish(y)", &[], FINISH, "In reaction: Finish(y)", true),
    ("Thought: Finish(y)", &[], FINISH, "Finish(y)", true),
    // Labels in other words and languages, alone in their line.
    ("Reaction: Finish(y)", &[], FINISH, "y", false),
    ("思考：x\n行动：Finish（y（z））", &["思考：x"], FINISH, "y（z）", false),
    ("Final Answer: Finish(y)", &[], FINISH, "y", false),
    // What is quoted is none, if there is another verdict.
    ("Thought: \"x\"; \"Action: Finish(a)\"\nAction: Finish(y)", &["\"x\"; \"Action: Finish(a)\""], FINISH, "y", false),
    ("Thought: x\n> Action: Replan(a)\nAction: Finish(y)", &["x", "Replan(a)"], FINISH, "y", false),
    ("Thought: <<<\nFinish(a)>>>\nAction: Finish(y)", &["<<<\nFinish(a)>>>"], FINISH, "y", false),
    ("Thought: “Action: Finish(a)”, `Action: **Finish**(b)`.\nAction: Finish(y)", &["“Action: Finish(a)”, `Action: **Finish**(b)`."], FINISH, "y", false),
    ("> Action: Finish(y)", &[], FINISH, "y", false),
    ("Thought: I say \"Action: Finish(y)\"", &["I say \""], FINISH, "y", false),
    ("`Action: Finish(y)`", &[], FINISH, "y", false),
    ("<<<Action: Finish(y)", &["<<<"], FINISH, "y", false),
    // What a model thinks about first is no verdict.
    ("<think>\nAction: Finish(a)\n</think>\ny", &[], FINISH, "y", true),
    ("<think>a</think>{\"action\": \"finish\", \"answer\": \"y\"}", &[], FINISH, "y", false),
    ("<think>a</think>\n```json\n{\"thought\": \"b\", \"action\": \"finish\", \"answer\": \"y\"}\n```", &["b"], FINISH, "y", false),
    ("<think>Replan?</think>\nThought: x\nAction: Finish(y)", &["<think>Replan?</think>", "x"], FINISH, "y", false),
    ("<think>\nAction: Finish(y)", &["<think>"], FINISH, "y", false),
    ("<Thinking>\nAction: Finish(a)\n</think>\n</thinking>\ny", &[], FINISH, "y", true),
    (" <REASONING>a</Reasoning>{\"action\": \"finish\", \"answer\": \"y\"}", &[], FINISH, "y", false),
    // Replan without brackets.
    ("Thought: x\nAction: Replan", &["x"], REPLAN, "", false),
    ("Thought: x\nAction: Replan\nignored", &["x"], REPLAN, "", false),
    ("**Action: Replan: need K2**\nignored", &[], REPLAN, "need K2", false),
    ("Thought: x. Action: replan because y", &["x."], REPLAN, "because y", false),
    ("Replan", &[], REPLAN, "", true),
    ("Thought: x\n## Action\nReplan", &["x"], REPLAN, "", true),
    // JSON.
    (r#"{"thought": "both \"known\".", "action": "finish", "answer": "It's 4\u00b2 \ud83d\ude00.\n"}"#, &["both \"known\"."], FINISH, "It's 4² 😀.", false),
    ("```json\n{\n  \"action\": \"finish\",\n  \"answer\": {\"a\": [1, \"} \\\" ]\"]}\n}\n```", &[], FINISH, "{\"a\": [1, \"} \\\" ]\"]}", false),
    (r#" {"Thought" : null, "action" : "Replan", "answer": null, "reason": "need $K2"} Finish(5)"#, &[], REPLAN, "need $K2", false),
    (r#"{"action": "finish", "answer": 4.50, "thought": "late"}"#, &[], FINISH, "4.50", false),
    (r#"{"thought": "", "answer": "first", "action": "finish"}"#, &[], FINISH, "first", false),
    (r#"{"action": "finish", "answer": ""}"#, &[], FINISH, "", false),
    (r#"{"action": "finish", "answer": "it is 4"#, &[], FINISH, "it is 4", true),
    (r#"{"action": "finish", "answer": "half \ud83d"}"#, &[], FINISH, "half \u{fffd}", true),
    (r#"{"action": "finish", "answer": "half \ud83d\n."}"#, &[], FINISH, "half \u{fffd}\n.", true),
    (r#"{"thought": "x", "answer": "4"}"#, &["x"], FINISH, "4", true),
    (r#"{"thought": "x", "reason": "y"}"#, &["x"], REPLAN, "y", true),
    (r#"{"action": "replan"}"#, &[], REPLAN, "", true),
    (r#"{"answer": 5, "unit": "m"}"#, &[], FINISH, r#"{"answer": 5, "unit": "m"}"#, true),
    (r#"{"action": "look further"} Finish(5)"#, &[], FINISH, r#"{"action": "look further"} Finish(5)"#, true),
    ("{thought} Finish(5)", &[], FINISH, "{thought} Finish(5)", true),
    ("{thought}\nFinish(5)", &["{thought}"], FINISH, "5", false),
    // Mended.
    ("", &[], FINISH, "", true),
    (" \n ", &[], FINISH, "", true),
    ("Finish(Mount (Everest", &[], FINISH, "Mount (Everest", true),
    ("Finish(\"Mount", &[], FINISH, "\"Mount", true),
    ("Action: Finish(", &[], FINISH, "", true),
    ("Replan(no end ", &[], REPLAN, "no end", true),
    (" It is 42. \n", &[], FINISH, "It is 42.", true),
    ("Thought: It is 42.", &[], FINISH, "It is 42.", true),
    ("**Answer:** 42", &[], FINISH, "42", true),
    ("Thought: x\nAnswer: 42\n", &["x"], FINISH, "42", true),
    ("Thought: x\nAction: 42", &["x"], FINISH, "42", true),
    ("Thought: x\nAction: Finish 42", &["x"], FINISH, "42", true),
    ("Thought: It is 42.\nAction: Finish", &[], FINISH, "It is 42.", true),
    ("Answer: -", &[], FINISH, "-", true),
    ("?", &[], FINISH, "?", true),
];

#[test]
fn every_vector_reads_as_written_in_every_cut() {
    for &(text, thoughts, kind, verdict, mended) in VECTORS {
        let whole = read([text]);
        let wanted = Reading {
            thoughts: thoughts.iter().map(ToString::to_string).collect(),
            answer: if kind == FINISH { verdict.to_owned() } else { String::new() },
            kind,
            text: verdict.to_owned(),
            mended,
        };
        assert_eq!(whole, wanted, "{text:?}");
        for size in [1, 2, 3, 4, 7] {
            assert_eq!(read(pieces(text, size)), wanted, "{text:?} in pieces of {size}");
        }
        for (first, _) in text.char_indices() {
            for (second, _) in text[first..].char_indices() {
                let (rest, tail) = text.split_at(first + second);
                let (head, middle) = rest.split_at(first);
                assert_eq!(read([head, middle, tail]), wanted, "{head:?} {middle:?} {tail:?}");
            }
        }
    }
}

#[test]
fn the_verdict_comes_with_its_closing_bracket() {
    let json = r#"{"action": "finish", "answer": "a) b"}"#;
    for text in ["Thought: x\nAction: Finish(a (b) c)", "Finish(\"a) b\")", "Action: Replan[x]", json] {
        let mut reader = ReplyReader::new();
        let steps: Vec<ReplyStep> = pieces(text, 1).into_iter().flat_map(|piece| reader.feed(piece)).collect();
        assert!(matches!(steps.last(), Some(ReplyStep::Verdict { mended: false, .. })), "{text:?}");
        assert_eq!(reader.finish(), []);
    }
}

#[test]
fn an_answer_without_quotes_comes_character_by_character() {
    let mut reader = ReplyReader::new();
    assert_eq!(reader.feed("Action: Finish("), []);
    for piece in ["a", "b", "c"] {
        assert_eq!(reader.feed(piece), [ReplyStep::AnswerPiece(piece.to_owned())]);
    }
    let mut reader = ReplyReader::new();
    assert_eq!(reader.feed(r#"{"action": "finish", "answer": ""#), []);
    for piece in ["a", "b", "c"] {
        assert_eq!(reader.feed(piece), [ReplyStep::AnswerPiece(piece.to_owned())]);
    }
}

#[test]
fn a_long_reply_in_single_characters_takes_linear_time() {
    const LENGTH: usize = 100_000;
    const JSON: &str = r#"{"action": "finish", "answer": ""#;
    for unit in [
        "finish ",
        "Action: ",
        " ",
        "1",
        "*",
        "\n",
        ":",
        "Thought: x\n",
        "r",
        "Finish( ) ",
        "\"",
        "“)",
        "Action: finish ",
        "<think>",
    ] {
        for opening in ["", "Action: Finish", "Finish(", "Finish(\"", "Action: Replan ", JSON] {
            let text = format!("{opening}{}", unit.repeat(LENGTH / unit.len()));
            let started = std::time::Instant::now();
            check_consistent(&read(pieces(&text, 1)));
            // Anything quadratic needs minutes for this.
            assert!(started.elapsed().as_secs() < 10, "{opening:?} then {unit:?}");
        }
    }
}

/// Texts in which every part of the format turns up often.
fn likely_text() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "Thought",
        "thought:",
        "Action",
        "Action:",
        "ACTION :",
        "Answer:",
        "Finish",
        "finish(",
        "Finish[",
        "Replan",
        "Replan(",
        "(",
        ")",
        "[",
        "]",
        "\"",
        "'",
        "\"\"\"",
        "“",
        "”",
        "‘",
        "’",
        "**",
        "`",
        "```",
        "#",
        "- ",
        "1. ",
        "{\"thought\": \"",
        "<think>",
        "</think>",
        "<<<",
        ">>>",
        "> ",
        "行动：",
        "{\"action\": \"finish\", \"answer\": ",
        "\", \"",
        "action\": \"finish\"",
        "answer\": \"",
        "reason\": ",
        "{",
        "}",
        "\\",
        "\\ud83d",
        "\\u00e9",
        ", ",
        "null",
        " ",
        "\n",
        "\r\n",
        ":",
        "：",
        "x",
        "é",
        "42",
        "\u{0}",
        "\u{2003}",
        "😀",
    ]);
    prop::collection::vec(word, 0..24).prop_map(|words| words.concat())
}

fn check_cuts(text: &str, mut cuts: Vec<prop::sample::Index>) {
    let whole = read([text]);
    check_consistent(&whole);
    assert_eq!(read(pieces(text, 1)), whole);
    let places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    if places.is_empty() {
        return;
    }
    let mut at: Vec<usize> = cuts.drain(..).map(|cut| places[cut.index(places.len())]).collect();
    at.extend([0, text.len()]);
    at.sort_unstable();
    assert_eq!(read(at.windows(2).map(|cut| &text[cut[0]..cut[1]])), whole);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn likely_text_reads_the_same_in_any_cuts(
        text in likely_text(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        check_cuts(&text, cuts);
    }

    #[test]
    fn any_text_reads_the_same_in_any_cuts(
        text in any::<String>(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        check_cuts(&text, cuts);
    }

    #[test]
    fn any_answer_in_brackets_is_its_own_verdict(answer in "[^()\"'“‘]{0,40}") {
        let reading = read([format!("Thought: x\nAction: Finish({answer})").as_str()]);
        prop_assert_eq!(reading.text, answer.trim());
        prop_assert!(!reading.mended);
    }

    #[test]
    fn any_answer_in_json_is_its_own_verdict(
        answer in any::<String>(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let text = serde_json::json!({"thought": "x", "action": "finish", "answer": answer}).to_string();
        let reading = read([text.as_str()]);
        prop_assert_eq!(&reading.text, answer.trim());
        prop_assert!(!reading.mended);
        check_cuts(&text, cuts);
    }
}
