//! The same plan written in lines and in JSON gives the same steps, but for their places.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod play;

use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use dovetail_core::{Code, Machine, Position, Step, ToolSet};
use play::{everyday, read};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

static TOOLS: LazyLock<Arc<ToolSet>> = LazyLock::new(everyday);

/// One task: its tool and its arguments.
#[derive(Clone, Debug)]
struct Task {
    tool: String,
    arguments: Vec<(String, Value)>,
}

const REFERENCES: [&str; 5] = ["$1", "$2.k", "${3}", "$4[0]", "$100"];

const TEXTS: [&str; 8] =
    ["$$5", "high: $1 m, $2.k", "it's \"so\"", "a\nb", "\\", "\u{feff}\0", "1. now()\n2. now()", "}]"];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => any::<String>(),
        1 => select(REFERENCES.to_vec()).prop_map(str::to_owned),
        1 => select(TEXTS.to_vec()).prop_map(str::to_owned),
    ]
}

/// Without dollars: `$$` in a key is one in lines, and two in JSON, where schemas fix keys.
fn key() -> impl Strategy<Value = String> {
    text().prop_map(|text| text.replace('$', ""))
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        4 => text().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((key(), inner), 0..4).prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn task() -> impl Strategy<Value = Task> {
    let tool = select(vec!["search", "math", "add", "store", "now", "tag", "nosuch"]);
    let name = select(vec!["query", "limit", "problem", "context", "a", "b", "value", "x"]);
    (tool, vec((name, value()), 0..3)).prop_map(|(tool, arguments)| Task {
        tool: tool.to_owned(),
        arguments: arguments.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
    })
}

/// The plan as lines. References where no string may stand are bare: in JSON they have no other form than a string.
fn as_lines(tasks: &[(u32, Task)], join: Option<u32>) -> String {
    let mut lines = String::new();
    for (id, task) in tasks {
        let argument = |(name, value): &(String, Value)| {
            let is_bare = matches!(
                (task.tool.as_str(), name.as_str()),
                ("search", "limit") | ("math", "context") | ("add", "a" | "b")
            );
            match value.as_str() {
                Some(text) if is_bare && REFERENCES.contains(&text) => format!("{name}={text}"),
                _ => format!("{name}={value}"),
            }
        };
        let arguments: Vec<_> = task.arguments.iter().map(argument).collect();
        let _ = writeln!(lines, "{id}. {}({})", task.tool, arguments.join(", "));
    }
    let end = tasks.iter().map(|(id, _)| id).max().unwrap_or(&0) + 1;
    let _ = write!(lines, "{end}. join({})", join.map_or(String::new(), |id| format!("${id}")));
    lines
}

fn as_json(tasks: &[(u32, Task)], join: Option<u32>, pretty: bool) -> String {
    let task = |(id, task): &(u32, Task)| {
        let arguments: Vec<_> =
            task.arguments.iter().map(|(name, value)| format!("{}: {value}", Value::from(name.as_str()))).collect();
        let separator = if pretty { ",\n      " } else { "," };
        let (id, tool, arguments) = (format!("\"id\":{id}"), json!(task.tool), arguments.join(separator));
        let (first, second) = if pretty { (id, format!("\"tool\":{tool}")) } else { (format!("\"tool\":{tool}"), id) };
        format!("{{{first},{second},\"arguments\":{{{arguments}}}}}")
    };
    let tasks: Vec<_> = tasks.iter().map(task).collect();
    let (open, separator) = if pretty { ("{\n  \"tasks\" : [\n    ", ",\n    ") } else { ("{\"tasks\":[", ",") };
    format!("{open}{}], \"join\": {}}}", tasks.join(separator), json!(join))
}

/// The steps without their places and messages.
fn told(steps: Vec<Step>) -> Vec<Step> {
    let mut told: Vec<Step> = Vec::new();
    for mut step in steps {
        match &mut step {
            Step::Planned { position, .. } => *position = Position::NOWHERE,
            Step::Diagnostic(found) => {
                found.position = Position::NOWHERE;
                found.message.clear();
                if matches!(found.code, Code::DollarText | Code::SeveralLines) {
                    continue;
                }
            }
            _ => {}
        }
        told.push(step);
    }
    told
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_in_json_gives_the_steps_of_the_same_plan_in_lines(
        tasks in vec((1..12_u32, task()), 0..8), join in proptest::option::of(1..12_u32), pretty in any::<bool>(),
    ) {
        let lines = read(&TOOLS, &as_lines(&tasks, join));
        let json = read(&TOOLS, &as_json(&tasks, join, pretty));
        prop_assert_eq!(told(json), told(lines));
    }

    #[test]
    fn a_plan_in_json_is_read_without_a_diagnostic(
        tasks in vec(vec(value(), 0..3), 0..8), pretty in any::<bool>(), size in 1..9_usize,
    ) {
        let tasks: Vec<_> = (1..)
            .zip(tasks)
            .map(|(id, values)| (id, Task { tool: "store".to_owned(), arguments: vec![("value".to_owned(), plain(json!(values)))] }))
            .collect();
        let text = as_json(&tasks, None, pretty);
        let mut machine = Machine::new(Arc::clone(&TOOLS), None);
        let mut steps: Vec<_> = text.as_bytes().chunks(size).flat_map(|piece| machine.feed(piece)).collect();
        steps.extend(machine.finish(false));
        let mut ready = tasks.iter();
        for step in steps {
            match step {
                Step::Ready { arguments, .. } => {
                    let (_, task) = ready.next().unwrap();
                    let expected = json!({"value": task.arguments[0].1});
                    prop_assert_eq!(serde_json::from_str::<Value>(&arguments).unwrap(), expected);
                }
                Step::Diagnostic(found) => prop_assert_eq!(found.code, Code::NoTasks),
                Step::Planned { .. } | Step::Closed { .. } => {}
                other => prop_assert!(false, "{other:?}"),
            }
        }
        prop_assert!(ready.next().is_none());
    }
}

/// The same value without dollars.
fn plain(value: Value) -> Value {
    match value {
        Value::String(text) => Value::from(text.replace('$', "")),
        Value::Array(items) => items.into_iter().map(plain).collect(),
        Value::Object(members) => {
            members.into_iter().map(|(key, member)| (key.replace('$', ""), plain(member))).collect()
        }
        other => other,
    }
}
