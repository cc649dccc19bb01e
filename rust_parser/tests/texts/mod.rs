//! Texts much like plans, for properties that hold for every text.
#![allow(dead_code, reason = "each test binary uses its part")]

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// What a model may write that reasons before its plan.
const LONG_PROSE: &str = "\nOkay, the user asks how much higher the mountain is than the tower. I have a search and a way to do \
    sums, so I look both of them up at once, and subtract the one from the other in the end. A draft of that could be:\n";

/// Text much like a plan: whole lines and their parts, put together at random.
fn plan_like() -> impl Strategy<Value = String> {
    let argument = select(vec![
        "\"a\"",
        "'it's'",
        "$1",
        "$2.k",
        "\"$1\"",
        "\"see $3 and $$4\"",
        "[$1, \"b\"]",
        "{\"k\": $2}",
        "7",
        "-1.5e3",
        "None",
        "query=\"q\"",
        "limit=3",
        "a=$1",
        "b=2",
        "value={}",
        "text without quotes",
        "“smart”",
        "\"\"\"long\n\"\"\"",
        "r\"\\d\"",
        "\"a\nb\"",
        "${2}",
        "(1, 2)",
        "\"\"",
        "$9",
        "[",
        "\"open",
    ]);
    let tool = select(vec!["search", "math", "add", "store", "now", "tag", "nosuch", "join", "Join"]);
    let head = select(vec!["", "1. ", "2. ", "3. ", "4) ", "5: ", "6.", "- 7. ", "**8.** ", "  9. ", "12. "]);
    let end = select(vec!["\n", "\n", "\n", "", " ", " # comment\n", " then\n", "\r\n", "\n\n"]);
    let call =
        (head, tool, vec(argument, 0..4), any::<bool>(), end).prop_map(|(head, tool, arguments, closed, end)| {
            let close = if closed { ")" } else { "" };
            format!("{head}{tool}({}{close}{end}", arguments.join(", "))
        });
    let good = (1..12_u32, 1..12_u32).prop_map(|(id, other)| format!("{id}. store([\"x\", ${other}])\n"));
    let scrap = select(vec![
        "Thought: so.\n",
        "thought: so",
        "prose\n",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "\"",
        "'",
        "\n",
        "\\",
        "$",
        "$1",
        ",",
        "=",
        ":",
        "#",
        "```\n",
        "<END_OF_PLAN>",
        "<think>",
        "</think>",
        "\n</Thinking>\n",
        "\n<reasoning>\n",
        "</reasoning>",
        LONG_PROSE,
        "é𝄞",
        "\0",
        "\u{feff}",
        "`",
        "*",
        "1",
        ". ",
        "join()",
        "9. join($1)\n",
    ]);
    let part = prop_oneof![4 => call, 3 => good, 1 => scrap.prop_map(str::to_owned)];
    (vec(part, 0..14), vec((any::<Index>(), "[\"'()\\[\\]{}\n$1,#a]{0,2}", 0..4_usize), 0..4)).prop_map(
        |(parts, mutations)| {
            let mut text: Vec<char> = parts.concat().chars().collect();
            for (place, inserted, deleted) in mutations {
                let at = place.index(text.len() + 1);
                let end = (at + deleted).min(text.len());
                text.splice(at..end, inserted.chars());
            }
            text.into_iter().collect()
        },
    )
}

/// Text much like a plan in JSON: its parts put together at random.
fn json_like() -> impl Strategy<Value = String> {
    let value = select(vec![
        "\"a\"",
        "'it'",
        "\"$1\"",
        "\"$2.k\"",
        "\"see $3 and $$4\"",
        "[\"$1\", \"b\"]",
        "{\"k\": \"$2\"}",
        "7",
        "-1.5e3",
        "null",
        "None",
        "$1",
        "\"\\ud83d\\\"\"",
        "\"a\nb\"",
        "\"open",
        "[1",
        "{\"k\": ",
        "\"\"",
        "(1, 2)",
        "“smart”",
        "7 // seven\n",
        "\"a\" # b\n",
        "f\"a\"",
        "Mount Everest",
    ]);
    let name = select(vec!["query", "limit", "a", "b", "value", "context", "problem", "x"]);
    let tool = select(vec!["search", "math", "add", "store", "now", "tag", "nosuch", "join"]);
    let tool_key = select(vec!["tool", "tool", "tool", "name", "type"]);
    let end =
        select(vec!["}},\n", "}},\n", "}}, ", "}},", "}", "},", "}}", "]", "}}]", "}},,", "}} ,\r\n", "}}, // x }\n"]);
    let task = (0..9_u32, tool_key, tool, vec((name, value), 0..3), end).prop_map(|(id, key, tool, given, end)| {
        let given: Vec<_> = given.into_iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
        let id = if id == 0 { String::new() } else { format!("\"id\": {id}, ") };
        format!("{{{id}\"{key}\": \"{tool}\", \"arguments\": {{{}{end}", given.join(", "))
    });
    let begin = select(vec![
        "{\"thought\": \"so\", \"tasks\": [",
        "{\"tasks\": [",
        "```json\n{\n \"tasks\": [\n",
        "Thought: x\n{ \"join\": 2, \"tasks\": [",
        "[",
        "<think>\n{\"tasks\": [",
        LONG_PROSE,
        "{'tasks': [",
        "{\n[\n",
        "{ // x\n\"tasks\": [ # {y\n",
        "",
    ]);
    let end = select(vec![
        "], \"join\": 1}",
        "]}",
        "}",
        "]",
        "",
        "], \"join\": \"$2.k\"}\n```\n",
        ", \"join\": null}",
        "]}\n9. now()",
        "]}\n</think>\n",
        "</think>",
    ]);
    (begin, vec(task, 0..6), end, vec((any::<Index>(), "[\"'()\\[\\]{}\n$1,#a:]{0,2}", 0..4_usize), 0..3)).prop_map(
        |(begin, tasks, end, mutations)| {
            let mut text: Vec<char> = format!("{begin}{}{end}", tasks.concat()).chars().collect();
            for (place, inserted, deleted) in mutations {
                let at = place.index(text.len() + 1);
                let end = (at + deleted).min(text.len());
                text.splice(at..end, inserted.chars());
            }
            text.into_iter().collect()
        },
    )
}

/// Text much like a plan of either kind.
pub(crate) fn any_plan() -> impl Strategy<Value = String> {
    let draft = (plan_like(), prop_oneof![plan_like(), json_like()])
        .prop_map(|(draft, plan)| format!("{LONG_PROSE}{draft}\n</think>\n{plan}"));
    let both = (json_like(), plan_like()).prop_map(|(json, lines)| json + "\n" + &lines);
    prop_oneof![plan_like(), json_like(), both, draft]
}

/// Text in which no tag closes reasoning.
pub(crate) fn without_tags(text: &str) -> String {
    let mut text = text.to_owned();
    while let Some(at) = text.find("</") {
        text.replace_range(at..at + 2, "< /");
    }
    text
}
