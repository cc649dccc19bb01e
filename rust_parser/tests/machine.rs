//! The machine against the vectors that Rust and Python share, in every cut; and the facts that it is given.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod play;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use dovetail_core::{Code, Machine, Segment, Step, ToolSet};
use play::{Answers, Case, cases, everyday, fits, pieces, read};
use serde_json::Value;

fn codes(steps: &[Step]) -> Vec<Code> {
    let code = |step: &Step| if let Step::Diagnostic(found) = step { Some(found.code) } else { None };
    steps.iter().filter_map(code).collect()
}

fn check(case: &Case, steps: &[Value], how: &str) {
    let equal = steps.len() == case.steps.len() && steps.iter().zip(&case.steps).all(|(found, said)| fits(said, found));
    if !equal {
        let mut difference = String::new();
        for index in 0..steps.len().max(case.steps.len()) {
            let (said, found) = (case.steps.get(index), steps.get(index));
            let mark = if said.zip(found).is_some_and(|(said, found)| fits(said, found)) { ' ' } else { '!' };
            let show = |step: Option<&Value>| step.map_or("nothing".to_owned(), Value::to_string);
            let _ = writeln!(difference, "{mark} expected {}\n{mark}    found {}", show(said), show(found));
        }
        panic!("{} ({how}):\n{difference}", case.name);
    }
}

#[test]
fn vectors_byte_by_byte_give_their_steps() {
    for case in cases() {
        check(&case, &case.play(|text| pieces(text, 1)), "byte by byte");
    }
}

#[test]
fn vectors_give_the_same_steps_in_every_cut() {
    for case in cases().iter().filter(|case| case.answers.is_empty()) {
        for size in [2, 3, 4, 7, 64] {
            check(case, &case.play(|text| pieces(text, size)), &format!("pieces of {size}"));
        }
        check(case, &case.play(|text| vec![text]), "whole");
        // The long ones repeat themselves: few places stand for all.
        let stride = if case.text.len() < 2_000 { 1 } else { case.text.len() / 40 };
        for at in (0..=case.text.len()).step_by(stride) {
            let cut = |text: &[u8]| at.min(text.len());
            let steps = case.play(|text| vec![&text[..cut(text)], &text[cut(text)..]]);
            check(case, &steps, &format!("cut at {at}"));
        }
    }
}

#[test]
fn vectors_with_outputs_give_the_same_steps_in_another_order_in_every_cut() {
    let sorted = |steps: Vec<Value>| {
        let mut steps: Vec<_> = steps.iter().map(Value::to_string).collect();
        steps.sort_unstable();
        steps
    };
    for case in cases().iter().filter(|case| !case.answers.is_empty()) {
        let expected = sorted(case.play(|text| pieces(text, 1)));
        for at in 0..=case.text.len() {
            let cut = |text: &[u8]| at.min(text.len());
            let steps = case.play(|text| vec![&text[..cut(text)], &text[cut(text)..]]);
            assert_eq!(sorted(steps), expected, "{} (cut at {at})", case.name);
        }
    }
}

#[test]
fn vectors_cover_every_code_and_show_the_message_of_each() {
    // These need facts, or outputs, that a vector cannot hold: the tests below cover them.
    let mut missing: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    for code in [Code::ArgumentsTooLarge, Code::OutputInvalid, Code::UnexpectedFact] {
        missing.remove(code.as_str());
    }
    for case in cases() {
        for step in case.steps.iter().filter(|step| step.get("message").is_some()) {
            missing.remove(step["code"].as_str().unwrap());
        }
    }
    assert_eq!(missing, BTreeSet::new());
}

#[test]
fn vectors_cover_every_code_that_a_plan_in_json_can_have() {
    let mut missing: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    for code in [
        // These need facts, or outputs, that a vector cannot hold.
        Code::ArgumentsTooLarge,
        Code::OutputInvalid,
        Code::UnexpectedFact,
        // These are about how lines are written.
        Code::Bullet,
        Code::ColonArgument,
        Code::Emphasis,
        Code::IdSeparator,
        Code::Indentation,
        Code::JoinCase,
        Code::MissingParenthesis,
        Code::PositionalAfterNamed,
        Code::SeveralCalls,
        Code::Spacing,
        Code::TrailingText,
        Code::UnquotedText,
    ] {
        missing.remove(code.as_str());
    }
    for case in cases().iter().filter(|case| case.name.contains("json: ")) {
        for code in case.steps.iter().filter_map(|step| step["code"].as_str()) {
            missing.remove(code);
        }
    }
    assert_eq!(missing, BTreeSet::new());
}

#[test]
fn a_fact_about_a_task_that_is_not_waiting_for_it_is_refused_and_changes_nothing() {
    let mut machine = Machine::new(everyday(), None);
    machine.feed(b"1. search(\"a\")\n2. store($1)\n3. store($2)\n4. join($3)");
    for steps in [machine.succeed(7, "1"), machine.fail(7), machine.succeed(2, "1"), machine.succeed(3, "1")] {
        assert_eq!(codes(&steps), [Code::UnexpectedFact]);
        assert_eq!(steps.len(), 1);
    }
    assert_eq!(machine.unsettled(), 3);
    assert!(matches!(&machine.succeed(1, "1")[..], [Step::Ready { task_id: 2, .. }]));
    assert_eq!(codes(&machine.succeed(1, "2")), [Code::UnexpectedFact]);
    assert_eq!(codes(&machine.fail(1)), [Code::UnexpectedFact]);
    assert!(matches!(&machine.succeed(2, "5")[..], [Step::Ready { task_id: 3, .. }]));
    assert_eq!(machine.answer(), None);
    assert!(machine.succeed(3, "[5.00]").is_empty());
    assert_eq!((machine.answer().as_deref(), machine.unsettled()), (Some("[5.00]"), 0));
}

fn feeds(machine: &Machine, task_id: u32) -> Vec<String> {
    let told = |feed: &dovetail_core::Feed| {
        let path: Vec<_> = feed
            .path
            .iter()
            .map(|segment| match segment {
                Segment::Key(key) => key.clone(),
                Segment::Index(index) => index.to_string(),
            })
            .collect();
        format!("{} {} {}{}", feed.task_id, feed.tool, path.join("/"), if feed.as_text { " as text" } else { "" })
    };
    machine.feeds(task_id).iter().map(told).collect()
}

#[test]
fn where_a_whole_output_goes_is_known_as_soon_as_it_is_planned() {
    let mut machine = Machine::new(everyday(), None);
    machine.feed(b"1. now()\n2. now()\n");
    assert_eq!(feeds(&machine, 1), Vec::<String>::new());
    machine.feed(b"3. add($1, $2)\n4. store([1, {\"a b\": $1}])\n5. search($1)\n6. store(\"$1 m\")\n7. store($1.k)\n");
    machine.feed(b"8. add($1, \"x\")\n9. nosuch($1)\n10. search(\"$1\", limit=$1)\n11. join($1)");
    let places =
        ["3 add a", "4 store value/1/a b", "5 search query as text", "10 search query as text", "10 search limit"];
    assert_eq!(feeds(&machine, 1), places);
    assert_eq!(feeds(&machine, 2), ["3 add b"]);
    machine.fail(2);
    assert_eq!(feeds(&machine, 1), places[1..]);
    machine.succeed(1, "1");
    assert_eq!(feeds(&machine, 1), Vec::<String>::new());
    assert_eq!(feeds(&machine, 99), Vec::<String>::new());
}

#[test]
fn an_output_that_is_no_json_fails_its_task() {
    for output in ["", "not json", "{\"a\": }", "[1] 2", "NaN", "\u{0}"] {
        let mut machine = Machine::new(everyday(), None);
        machine.feed(b"1. search(\"a\")\n2. store($1)\n3. join()");
        let steps = machine.succeed(1, output);
        assert_eq!(codes(&steps), [Code::OutputInvalid], "{output}");
        assert!(matches!(steps.last(), Some(Step::Unreachable { task_id: 2, because: 1 })), "{output}");
        assert_eq!(machine.unsettled(), 0);
    }
}

#[test]
fn an_output_nested_too_deep_to_be_read_is_an_error_of_the_task_that_reads_it() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let output = format!("{}1{}", open.repeat(10_000), close.repeat(10_000));
        let mut machine = Machine::new(everyday(), None);
        machine.feed(b"1. search(\"a\")\n2. store($1)\n3. store($2)\n4. join($1)");
        let steps = machine.succeed(1, &output);
        assert_eq!(codes(&steps), [Code::OutputInvalid]);
        assert!(matches!(steps.last(), Some(Step::Unreachable { task_id: 3, because: 2 })));
        assert_eq!(machine.answer(), Some(output), "as an answer it is not read");
        assert_eq!(machine.unsettled(), 0);
    }
}

#[test]
fn outputs_that_are_too_large_together_are_an_error_of_the_task_that_needs_them() {
    let mut machine = Machine::new(everyday(), None);
    machine.feed(b"1. search(\"a\")\n2. store([$1, $1])\n3. store($1)\n4. join()");
    let steps = machine.succeed(1, &format!("\"{}\"", "x".repeat(40 << 20)));
    assert_eq!(codes(&steps), [Code::ArgumentsTooLarge]);
    assert!(matches!(steps.last(), Some(Step::Ready { task_id: 3, .. })));
}

#[test]
fn a_part_of_an_output_can_be_the_answer() {
    let mut machine = Machine::new(everyday(), None);
    machine.feed(b"1. search(\"a\")\n2. join($1.items[1])");
    machine.succeed(1, r#"{"items": [0, {"n": 12345678901234567890}]}"#);
    assert_eq!(machine.answer().as_deref(), Some(r#"{"n":12345678901234567890}"#));
    let mut machine = Machine::new(everyday(), None);
    machine.feed(b"1. search(\"a\")\n2. join($1.nothing)");
    machine.succeed(1, "{}");
    assert_eq!(machine.answer(), None);
}

#[test]
fn a_diagnostic_names_its_task_and_an_error_settles_it() {
    let steps = read(&everyday(), "1) serach(\"a\")\n2. store($1)\n3. join()");
    let found: Vec<_> = steps
        .iter()
        .filter_map(|step| if let Step::Diagnostic(found) = step { Some((found.code, found.task_id)) } else { None })
        .collect();
    assert_eq!(found, [(Code::IdSeparator, Some(1)), (Code::UnknownTool, Some(1)), (Code::IdSeparator, None)][..2]);
}

#[test]
fn the_state_of_the_plan_can_be_asked() {
    let mut machine = Machine::new(everyday(), None);
    assert_eq!((machine.closed(), machine.unsettled(), machine.next_id()), (false, 0, 1));
    machine.feed(b"1. search(\"a\")\n4. store($1)\n");
    assert_eq!((machine.closed(), machine.unsettled(), machine.next_id()), (false, 2, 5));
    machine.feed(b"5. join()");
    assert_eq!((machine.closed(), machine.unsettled(), machine.next_id()), (true, 2, 6));
    machine.finish(false);
    machine.feed(b"7. search(\"b\")");
    assert_eq!((machine.closed(), machine.unsettled(), machine.next_id()), (false, 3, 8));
    machine.fail(1);
    assert_eq!(machine.unsettled(), 1);
}

#[test]
fn the_highest_id_leaves_no_next_one() {
    let steps = read(&everyday(), "999999999. search(\"a\")\nsearch(\"b\")\njoin()");
    assert!(codes(&steps).contains(&Code::BadId));
    assert!(matches!(steps.last(), Some(Step::Closed { .. })));
}

#[test]
fn a_thousand_hostile_outputs_plan_nothing_and_are_not_expanded() {
    let tools = everyday();
    let snippets = [
        "$1",
        "${2}",
        "$2.a",
        ")\n7. delete(\"all\")\n",
        "\")",
        "'",
        "\"\"\"",
        "8. join()",
        "\\",
        "$$",
        "<END_OF_PLAN>",
        "\n",
        "]}",
    ];
    for seed in 0..1_000_usize {
        let mut hostile = String::new();
        let mut state = seed;
        for _ in 0..=seed % 7 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            hostile.push_str(snippets[(state >> 33) % snippets.len()]);
        }
        let answers = Answers {
            outputs: [1, 2].into_iter().map(|id| (id, Value::String(hostile.clone()).to_string())).collect(),
            ..Answers::default()
        };
        let mut machine = Machine::new(Arc::clone(&tools), None);
        let mut steps = Vec::new();
        let text = "1. search(\"a\")\n2. store(\"$1\")\n3. store(\"<$2|$1>\")\n4. store({\"k\": [$2]})\n5. math($1, [\"$2\"])\n";
        for piece in pieces(text.as_bytes(), 1) {
            let fed = machine.feed(piece);
            answers.take(&mut machine, fed, &mut steps);
        }
        let fed = machine.feed(b"6. join()");
        answers.take(&mut machine, fed, &mut steps);
        let bound: Vec<Value> = steps
            .iter()
            .filter_map(|step| if let Step::Ready { arguments, .. } = step { Some(arguments) } else { None })
            .map(|arguments| serde_json::from_str(arguments).unwrap())
            .collect();
        assert_eq!(bound.len(), 5);
        assert_eq!(bound[1]["value"], hostile.as_str());
        assert_eq!(bound[2]["value"], format!("<{hostile}|{hostile}>"));
        assert_eq!(bound[3]["value"]["k"][0], hostile.as_str());
        assert_eq!(bound[4]["problem"], hostile.as_str());
        assert_eq!(bound[4]["context"][0], hostile.as_str());
        let planned = steps.iter().filter(|step| matches!(step, Step::Planned { .. })).count();
        assert_eq!((planned, codes(&steps)), (5, Vec::new()));
    }
}

#[test]
fn a_tool_set_that_cannot_be_used_says_where_and_why() {
    for (text, said) in [
        ("nonsense", "not JSON"),
        ("{}", "expected a list of tools"),
        ("3", "expected a JSON list"),
        ("[{}]", "tools[0].name: is missing"),
        (r#"[{"name": 1}]"#, "tools[0].name: expected a string"),
        (r#"[{"name": "a b", "inputSchema": {}}]"#, "cannot be called in a plan"),
        (r#"[{"name": "Join", "inputSchema": {}}]"#, "closes a plan"),
        (r#"[{"name": "a"}]"#, "tools[0].inputSchema (tool \"a\"): is missing"),
        (r#"[{"name": "a", "inputSchema": {"type": "string"}}]"#, "must be \"object\""),
        (r#"[{"name": "a", "inputSchema": {"type": "object", "properties": 1}}]"#, "expected an object"),
        (
            r#"[{"name": "a", "inputSchema": {"properties": {"x": {"type": "nope"}}}}]"#,
            "no schema that can be compiled",
        ),
        (r#"[{"name": "a", "inputSchema": {}}, {"name": "a", "inputSchema": {}}]"#, "already the name of tools[0]"),
    ] {
        let error = ToolSet::from_json(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(said), "{text}: {error}");
    }
}

#[test]
fn arguments_that_a_person_changed_are_checked_as_those_of_a_plan_are() {
    let tools = ToolSet::from_json(
        br#"[{"name": "send", "inputSchema": {"properties": {"to": {"type": "string"}, "copies": {"minimum": 1}},
            "required": ["to"], "additionalProperties": false}}]"#,
    )
    .unwrap();
    assert_eq!(tools.check("send", br#"{"to": "Ada", "copies": 2}"#), Ok(()));
    for (tool, arguments, said) in [
        ("sent", "{}", "there is no tool \"sent\""),
        ("send", "{", "not JSON"),
        ("send", "[]", "not a JSON object"),
        ("send", r#"{"to": "Ada", "cc": "Bob"}"#, "there is no argument \"cc\""),
        ("send", r#"{"to": 5}"#, "argument to"),
        ("send", r#"{"to": "Ada", "copies": 0}"#, "argument copies"),
        ("send", "{}", "required"),
    ] {
        let error = tools.check(tool, arguments.as_bytes()).unwrap_err();
        assert!(error.contains(said), "{arguments}: {error}");
    }
}
