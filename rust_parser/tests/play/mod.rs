//! Plays plans to a machine: the cases of `tests/vectors`, and texts of the tests' own.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dovetail_core::{Machine, Step, TaskId, ToolSet};
use serde_json::{Map, Value, json};

/// One case of a vector file.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) tools: Arc<ToolSet>,
    pub(crate) text: Vec<u8>,
    /// The text of a second plan of the same run.
    pub(crate) replan: Option<Vec<u8>>,
    pub(crate) answers: Answers,
    pub(crate) cut_off: bool,
    pub(crate) max_tasks: Option<usize>,
    pub(crate) steps: Vec<Value>,
}

/// What is answered to tasks as soon as they are ready.
#[derive(Default)]
pub(crate) struct Answers {
    pub(crate) outputs: BTreeMap<TaskId, String>,
    pub(crate) failures: BTreeSet<TaskId>,
}

impl Answers {
    pub(crate) fn is_empty(&self) -> bool {
        self.outputs.is_empty() && self.failures.is_empty()
    }

    /// Takes steps, and those of the answers that they call for.
    pub(crate) fn take(&self, machine: &mut Machine, steps: Vec<Step>, taken: &mut Vec<Step>) {
        for step in steps {
            let ready = if let Step::Ready { task_id, .. } = &step { Some(*task_id) } else { None };
            taken.push(step);
            let Some(task_id) = ready else { continue };
            if let Some(output) = self.outputs.get(&task_id) {
                let steps = machine.succeed(task_id, output);
                self.take(machine, steps, taken);
            } else if self.failures.contains(&task_id) {
                let steps = machine.fail(task_id);
                self.take(machine, steps, taken);
            }
        }
    }
}

impl Case {
    /// The steps of the case, its text cut by `cut`.
    pub(crate) fn play(&self, cut: impl Fn(&[u8]) -> Vec<&[u8]>) -> Vec<Value> {
        let mut machine = Machine::new(Arc::clone(&self.tools), self.max_tasks);
        let mut taken = Vec::new();
        for text in [Some(&self.text), self.replan.as_ref()].into_iter().flatten() {
            for piece in cut(text) {
                let steps = machine.feed(piece);
                self.answers.take(&mut machine, steps, &mut taken);
            }
            let steps = machine.finish(self.cut_off);
            self.answers.take(&mut machine, steps, &mut taken);
        }
        taken.iter().map(to_json).collect()
    }
}

/// Pieces of `size` bytes.
pub(crate) fn pieces(text: &[u8], size: usize) -> Vec<&[u8]> {
    text.chunks(size).collect()
}

/// The steps of a text in one piece, and of its end.
pub(crate) fn read(tools: &Arc<ToolSet>, text: &str) -> Vec<Step> {
    let mut machine = Machine::new(Arc::clone(tools), None);
    let mut steps = machine.feed(text.as_bytes());
    steps.extend(machine.finish(false));
    steps
}

/// The tools that most vectors use.
pub(crate) fn everyday() -> Arc<ToolSet> {
    let text = fs::read(folder().join("tools/everyday.json")).unwrap();
    Arc::new(ToolSet::from_json(&text).unwrap())
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors")
}

/// All cases of all vector files.
pub(crate) fn cases() -> Vec<Case> {
    let mut files: Vec<_> = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let mut cases = Vec::new();
    for file in files {
        let document: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        let topic = file.file_stem().unwrap().to_string_lossy().into_owned();
        for case in document["cases"].as_array().unwrap() {
            cases.push(read_case(&topic, &document["tools"], case));
        }
    }
    cases
}

fn read_case(topic: &str, shared_tools: &Value, case: &Value) -> Case {
    let tools = match case.get("tools").unwrap_or(shared_tools) {
        Value::String(file) => fs::read(folder().join("tools").join(file)).unwrap(),
        list => list.to_string().into_bytes(),
    };
    let outputs = case["outputs"].as_object().cloned().unwrap_or_default();
    Case {
        name: format!("{topic}: {}", case["name"].as_str().unwrap()),
        tools: Arc::new(ToolSet::from_json(&tools).unwrap()),
        text: read_text(&case["text"]),
        replan: case.get("replan").map(read_text),
        answers: Answers {
            outputs: outputs.iter().map(|(id, output)| (id.parse().unwrap(), output.to_string())).collect(),
            failures: ids(&case["failures"]),
        },
        cut_off: case["cut_off"] == true,
        max_tasks: case["max_tasks"].as_u64().map(|max_tasks| usize::try_from(max_tasks).unwrap()),
        steps: case["steps"].as_array().unwrap().clone(),
    }
}

fn ids(list: &Value) -> BTreeSet<TaskId> {
    let ids = list.as_array().map(Vec::as_slice).unwrap_or_default().iter();
    ids.map(|id| id.to_string().parse().unwrap()).collect()
}

/// A text, or its parts: text, a repeated text, bytes that are no text.
fn read_text(text: &Value) -> Vec<u8> {
    match text {
        Value::String(text) => text.clone().into_bytes(),
        Value::Array(parts) => parts.iter().flat_map(read_text).collect(),
        Value::Object(part) => {
            if let Some(Value::String(digits)) = part.get("hex") {
                let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
                return (0..digits.len()).step_by(2).map(byte).collect();
            }
            let times = usize::try_from(part["times"].as_u64().unwrap()).unwrap();
            part["repeat"].as_str().unwrap().repeat(times).into_bytes()
        }
        _ => panic!("{text} is no text"),
    }
}

/// A step as `dovetail plan` prints it.
pub(crate) fn to_json(step: &Step) -> Value {
    match step {
        Step::Thought(text) => json!({"step": "thought", "text": text}),
        Step::Planned { task_id, tool, depends_on, position } => json!({
            "step": "planned", "task_id": task_id, "tool": tool, "depends_on": depends_on,
            "line": position.line, "column": position.column,
        }),
        Step::Ready { task_id, tool, arguments } => {
            let arguments: Value = serde_json::from_str(arguments).unwrap();
            json!({"step": "ready", "task_id": task_id, "tool": tool, "arguments": arguments})
        }
        Step::Unreachable { task_id, because } => {
            json!({"step": "unreachable", "task_id": task_id, "because": because})
        }
        Step::Diagnostic(found) => json!({
            "step": "diagnostic", "severity": found.code.severity().as_str(), "code": found.code.as_str(),
            "message": found.message, "line": found.position.line, "column": found.position.column,
        }),
        Step::Closed { answer_task } => json!({"step": "closed", "answer_task": answer_task}),
    }
}

/// Whether `found` is what a vector says; a vector may leave messages out.
pub(crate) fn fits(expected: &Value, found: &Value) -> bool {
    let (Value::Object(expected), Value::Object(found)) = (expected, found) else { return false };
    let found: Map<_, _> = found
        .iter()
        .filter(|(key, _)| *key != "message" || expected.contains_key("message"))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    same(&Value::Object(expected.clone()), &Value::Object(found))
}

/// Whether two values are equal; `5.0` and `5.00` are, though they are written differently.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, value)| other.get(key).is_some_and(|other| same(value, other)))
        }
        (Value::Number(one), Value::Number(other)) => {
            let text = |number: &serde_json::Number| number.to_string();
            let is_float = |text: &str| text.contains(['.', 'e', 'E']);
            text(one) == text(other)
                || (is_float(&text(one)) && is_float(&text(other)) && one.as_f64() == other.as_f64())
        }
        _ => one == other,
    }
}
