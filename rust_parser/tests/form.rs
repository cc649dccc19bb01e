//! A plan in lines, written in JSON: it is read as the same tasks, and is what a strict schema has a model write.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod play;
mod texts;

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock};

use dovetail_core::form::plan_in_json;
use dovetail_core::{Machine, Severity, Step, TaskId, ToolSet};
use play::everyday;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};
use texts::any_plan;

static TOOLS: LazyLock<Arc<ToolSet>> = LazyLock::new(everyday);

fn tools(tools: &Value) -> Arc<ToolSet> {
    Arc::new(ToolSet::from_json(tools.to_string().as_bytes()).unwrap())
}

fn tool(schema: &Value) -> Arc<ToolSet> {
    tools(&json!([{"name": "f", "inputSchema": schema}]))
}

/// The arguments of the first task of a plan in JSON.
fn first_arguments(tools: &Arc<ToolSet>, plan: &str) -> Value {
    let document: Value = serde_json::from_str(&plan_in_json(tools, plan, "", true).unwrap()).unwrap();
    document["tasks"][0]["arguments"].clone()
}

fn output(task_id: TaskId) -> String {
    match task_id % 4 {
        0 => json!({"k": task_id, "name": {"odd key": [1]}}).to_string(),
        1 => json!([{"k": "v"}, 2]).to_string(),
        2 => json!("$1 \"and\" 2").to_string(),
        _ => task_id.to_string(),
    }
}

/// Members that are null are as good as none.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        Value::Object(members) => {
            let members = members.into_iter().filter(|(_, member)| !member.is_null());
            Value::Object(members.map(|(key, member)| (key, without_nulls(member))).collect::<Map<_, _>>())
        }
        other => other,
    }
}

/// What a plan comes to, carried out: its tasks in their order, what each was called with, what could not be, and the answer.
fn carried_out(text: &str, earlier: &str) -> Vec<Value> {
    let mut machine = Machine::new(Arc::clone(&TOOLS), None);
    let mut told = Vec::new();
    for part in [earlier, text] {
        if part.is_empty() {
            continue;
        }
        let mut steps = machine.feed(part.as_bytes());
        steps.extend(machine.finish(false));
        let mut steps = VecDeque::from(steps);
        told.clear();
        while let Some(step) = steps.pop_front() {
            match step {
                Step::Planned { task_id, tool, depends_on, .. } => {
                    told.push(json!(["planned", task_id, tool, depends_on]));
                }
                Step::Ready { task_id, tool, arguments } => {
                    let arguments = without_nulls(serde_json::from_str(&arguments).unwrap());
                    told.push(json!(["ready", task_id, tool, arguments]));
                    steps.extend(machine.succeed(task_id, &output(task_id)));
                }
                Step::Unreachable { task_id, because } => told.push(json!(["unreachable", task_id, because])),
                Step::Diagnostic(found) if found.code.severity() == Severity::Error => {
                    told.push(json!(["error", found.code.as_str(), found.task_id]));
                }
                Step::Closed { answer_task } => told.push(json!(["closed", answer_task])),
                Step::Thought(_) | Step::Diagnostic(_) => {}
            }
        }
        told.push(json!(["answer", machine.answer()]));
    }
    // What becomes ready as soon as it is planned, and what when an output is there, may change places.
    told.sort_by_key(Value::to_string);
    told
}

fn has_error(text: &str) -> bool {
    play::read(&TOOLS, text)
        .iter()
        .any(|step| matches!(step, Step::Diagnostic(found) if found.code.severity() == Severity::Error))
}

/// An argument that is read without an error in the place of any value.
fn argument() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        2 => any::<String>().prop_map(|text| json!(text).to_string()),
        2 => "[$${}1-3.\\[\\]a'_ ]{0,8}".prop_map(|text| json!(text).to_string()),
        1 => any::<f64>().prop_map(|number| json!(number).to_string()),
        3 => select(vec![
            "$1", "$1[0].k", "${2}", "$4.name['odd key']", "\"$1\"", "\"$1[0].k and ${2}0, $$3\"", "\"${4.name}.txt\"",
            "'it''s' \"$1\" 'so'", "\"a\" \"$1\"", "True", "None", "0x1F", "1_000", ".5", "(1, $1)", "12345678901234567890123",
            "r'\\d$'", "{'a': $1, 'a': 2}", "\"\"\"long\n$1\"\"\"", "\"$\" \"$1\"",
        ])
        .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let member = (any::<String>(), inner.clone()).prop_map(|(key, value)| format!("{}: {value}", json!(key)));
        prop_oneof![
            vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(", "))),
            vec(member, 0..4).prop_map(|members| format!("{{{}}}", members.join(", "))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_written_in_json_is_read_as_the_same_tasks(text in any_plan()) {
        match plan_in_json(&TOOLS, &text, "", true) {
            Ok(written) => prop_assert_eq!(carried_out(&written, ""), carried_out(&text, ""), "{}", written),
            Err(error) => prop_assert!(has_error(&text) || error.to_string().contains("write it as one"), "{error}: {text}"),
        }
    }

    #[test]
    fn every_value_is_read_back_as_it_was(values in vec(argument(), 1..4)) {
        let earlier = "1. now()\n2. now()\n3. now()\n4. now()\n5. join()";
        let lines: Vec<_> = (5..).zip(&values).map(|(id, value)| format!("{id}. store({value})")).collect();
        let lines = lines.join("\n");
        match plan_in_json(&TOOLS, &lines, earlier, true) {
            Ok(written) => prop_assert_eq!(carried_out(&written, earlier), carried_out(&lines, earlier), "{}", written),
            Err(error) => prop_assert!(error.to_string().contains("write it as one"), "{error}: {lines}"),
        }
    }
}

#[test]
fn a_plan_is_written_on_one_line_in_the_order_in_which_it_is_read() {
    let lines = "Thought: both\nThought: heights\n1. search(\"Everest\", limit=2)\n2. math('$1.height * 2', context=[$1])\n3. join($2)";
    assert_eq!(
        plan_in_json(&TOOLS, lines, "", true).unwrap(),
        concat!(
            "{\"thought\": \"both\\nheights\", \"tasks\": [",
            "{\"tool\": \"search\", \"id\": 1, \"arguments\": {\"query\": \"Everest\", \"limit\": 2}}, ",
            "{\"tool\": \"math\", \"id\": 2, \"arguments\": {\"problem\": \"$1.height * 2\", \"context\": [\"$1\"]}}",
            "], \"join\": 2}"
        )
    );
    assert!(plan_in_json(&TOOLS, lines, "", false).unwrap().starts_with("{\"tasks\": ["));
    assert_eq!(
        plan_in_json(&TOOLS, "1. now()\n2. join()<END_OF_PLAN>", "", true).unwrap(),
        "{\"tasks\": [{\"tool\": \"now\", \"id\": 1, \"arguments\": {}}], \"join\": null}"
    );
    let part = plan_in_json(&TOOLS, "1. now()\n2. join($1.year)", "", true).unwrap();
    assert!(part.ends_with("\"join\": \"$1.year\"}"), "{part}");
}

#[test]
fn what_is_not_given_is_null_in_the_order_of_the_schema() {
    assert_eq!(
        first_arguments(&TOOLS, "1. search(query=\"x\")\n2. join()").to_string(),
        "{\"query\":\"x\",\"limit\":null}"
    );
    let one = tool(&json!({
        "type": "object",
        "properties": {
            "first": {"type": "string"},
            "place": {"$ref": "#/$defs/Place"},
            "kinds": {"type": "array", "items": {"oneOf": [
                {"type": "object", "properties": {"kind": {"const": "a"}, "size": {"type": "integer"}}, "required": ["kind"]},
                {"type": "object", "properties": {"kind": {"const": "b"}, "name": {"type": "string"}, "no": {"type": "null"}}, "required": ["kind"]},
            ]}},
            "many": {"type": ["integer", "null"], "default": 5},
            "never": false,
        },
        "required": ["place"],
        "$defs": {"Place": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "height": {"type": "number"}},
            "required": ["name"],
        }},
    }));
    assert_eq!(
        first_arguments(&one, "1. f(kinds=[{'kind': 'b'}, {'kind': 'a'}], place={'name': 'x'})\n2. join()").to_string(),
        concat!(
            "{\"first\":null,\"place\":{\"name\":\"x\",\"height\":null},",
            "\"kinds\":[{\"kind\":\"b\",\"name\":null,\"no\":null},{\"kind\":\"a\",\"size\":null}],\"many\":5}"
        )
    );
}

#[test]
fn a_null_that_would_demand_another_argument_is_not_written() {
    let one = tool(&json!({
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": ["string", "null"]}, "c": {"type": "integer"}},
        "dependentRequired": {"b": ["c"]},
    }));
    assert_eq!(first_arguments(&one, "1. f(1)\n2. join()"), json!({"a": 1}));
}

#[test]
fn ids_go_on_from_an_earlier_plan() {
    let earlier = "1. search(\"x\")\n2. now()\n";
    let written = plan_in_json(&TOOLS, "3. store($2)\n4. join($1)", earlier, true).unwrap();
    assert_eq!(
        written,
        "{\"tasks\": [{\"tool\": \"store\", \"id\": 3, \"arguments\": {\"value\": \"$2\"}}], \"join\": 1}"
    );
}

#[test]
fn an_error_is_told_with_its_place() {
    let told = |plan: &str, earlier: &str| plan_in_json(&TOOLS, plan, earlier, true).unwrap_err().to_string();
    assert_eq!(
        told("1. now()\n2. search(\"x\", limit=\"many\")\n", ""),
        "line 2, column 1: wrong_type: argument limit: \"many\" is not of type \"integer\""
    );
    assert!(told("1. nosuch()", "").starts_with("line 1, column 1: unknown_tool: "));
    assert!(told("2. store($9)", "1. now()").starts_with("line 1, column 10: unknown_reference: "));
    assert!(told("", "").starts_with("empty_plan: "));
    assert!(told("2. now()", "1. nosuch()").starts_with("the earlier plan, line 1, column 1: unknown_tool: "));
    assert!(told("1. now()\n2. store('' '$1')", "").contains("write it as one"));
}
