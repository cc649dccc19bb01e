//! A plan that stands in lines, in its other form: the plan in JSON that is read as the same tasks.

use std::fmt::{self, Write as _};
use std::io;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{Formatter, Serializer};

use crate::machine::Machine;
use crate::position::Position;
use crate::reference::read_string;
use crate::step::{Severity, Step, TaskId};
use crate::template::{Fragment, Reference, Segment, Template, clip};
use crate::token::is_identifier;
use crate::toolset::ToolSet;

/// A plan that has an error, or that cannot be said in JSON: where, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormError {
    is_earlier: bool,
    position: Position,
    what: String,
}

impl fmt::Display for FormError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_earlier {
            formatter.write_str("the earlier plan, ")?;
        }
        if self.position != Position::NOWHERE {
            write!(formatter, "line {}, column {}: ", self.position.line, self.position.column)?;
        }
        formatter.write_str(&self.what)
    }
}

impl std::error::Error for FormError {}

/// A task as it is to be written.
#[derive(Clone, Debug)]
pub(crate) struct KeptTask {
    pub(crate) id: TaskId,
    /// The place of its tool in the tool set.
    pub(crate) tool: usize,
    pub(crate) position: Position,
    pub(crate) arguments: Vec<(String, Template)>,
}

/// The plan in JSON that is read as the tasks of `plan`, which goes on from the tasks of `earlier`. An optional argument, or
/// an optional member of an object, that is not given is null, as the strict schema of plans wants it.
///
/// # Errors
///
/// One of the plans has an error, or holds something that a plan in JSON cannot say.
pub fn plan_in_json(tools: &Arc<ToolSet>, plan: &str, earlier: &str, thought: bool) -> Result<String, FormError> {
    let read = read(tools, plan, earlier)?;
    let complete = write(tools, &read, thought, true)?;
    // A null that is taken for a value may be one too many, as where its presence demands other arguments.
    if self::read(tools, &complete, earlier).is_ok() {
        return Ok(complete);
    }
    write(tools, &read, thought, false)
}

/// What a plan says.
struct Plan {
    thoughts: Vec<String>,
    tasks: Vec<KeptTask>,
    join: Option<Reference>,
}

fn read(tools: &Arc<ToolSet>, plan: &str, earlier: &str) -> Result<Plan, FormError> {
    let mut machine = Machine::new(Arc::clone(tools), None);
    if !earlier.trim().is_empty() {
        let mut steps = machine.feed(earlier.as_bytes());
        steps.extend(machine.finish(false));
        refuse_errors(&steps, true)?;
    }
    machine.keep_tasks();
    let mut steps = machine.feed(plan.as_bytes());
    steps.extend(machine.finish(false));
    refuse_errors(&steps, false)?;
    let thoughts = steps.into_iter().filter_map(|step| match step {
        Step::Thought(thought) => Some(thought),
        _ => None,
    });
    Ok(Plan { thoughts: thoughts.collect(), tasks: machine.take_kept_tasks(), join: machine.joined().cloned() })
}

fn refuse_errors(steps: &[Step], is_earlier: bool) -> Result<(), FormError> {
    let error = steps.iter().find_map(|step| match step {
        Step::Diagnostic(found) if found.code.severity() == Severity::Error => Some(found),
        _ => None,
    });
    error.map_or(Ok(()), |found| {
        let what = format!("{}: {}", found.code, found.message);
        Err(FormError { is_earlier, position: found.position, what })
    })
}

fn write(tools: &ToolSet, plan: &Plan, thought: bool, complete: bool) -> Result<String, FormError> {
    let mut document: Vec<(&str, Written)> = Vec::new();
    if thought && !plan.thoughts.is_empty() {
        document.push(("thought", Written::Scalar(Value::from(plan.thoughts.join("\n")))));
    }
    let tasks: Result<Vec<_>, _> = plan.tasks.iter().map(|task| write_task(tools, task, complete)).collect();
    document.push(("tasks", Written::List(tasks?)));
    let join = match &plan.join {
        None => Value::Null,
        Some(Reference { task_id, path, .. }) if path.is_empty() => Value::from(*task_id),
        Some(reference) => Value::from(written_reference(reference, false)),
    };
    document.push(("join", Written::Scalar(join)));
    Ok(spaced(&Written::object(document)))
}

fn write_task(tools: &ToolSet, task: &KeptTask, complete: bool) -> Result<Written, FormError> {
    let refuse = |what: String| FormError { is_earlier: false, position: task.position, what };
    let Some(tool) = tools.at(task.tool) else { return Err(refuse("its tool is gone".to_owned())) };
    let arguments = tool.complete(task.arguments.clone(), complete);
    Ok(Written::object(vec![
        ("tool", Written::Scalar(Value::from(tool.name.clone()))),
        ("id", Written::Scalar(Value::from(task.id))),
        ("arguments", write_value(Template::Object(arguments)).map_err(refuse)?),
    ]))
}

/// A value as it is written. An object may have a key twice, as the plan has.
enum Written {
    Scalar(Value),
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
}

impl Written {
    fn object(members: Vec<(&str, Self)>) -> Self {
        Self::Object(members.into_iter().map(|(key, member)| (key.to_owned(), member)).collect())
    }
}

impl Serialize for Written {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Scalar(value) => value.serialize(serializer),
            Self::List(items) => serializer.collect_seq(items),
            Self::Object(members) => serializer.collect_map(members.iter().map(|(key, member)| (key, member))),
        }
    }
}

fn write_value(template: Template) -> Result<Written, String> {
    Ok(match template {
        Template::Constant(Value::String(text)) => Written::Scalar(Value::from(plain_dollars(&text, false))),
        Template::Constant(value) => Written::Scalar(value),
        Template::Reference(reference) => Written::Scalar(Value::from(written_reference(&reference, false))),
        Template::Text(fragments) => Written::Scalar(Value::from(write_text(&fragments)?)),
        Template::List(items) => Written::List(items.into_iter().map(write_value).collect::<Result<_, _>>()?),
        Template::Object(members) => {
            let write_member = |(key, member)| Ok((key, write_value(member)?));
            Written::Object(members.into_iter().map(write_member).collect::<Result<_, String>>()?)
        }
    })
}

/// The text of a string in which these fragments are found when it is read.
fn write_text(fragments: &[Fragment]) -> Result<String, String> {
    let mut text = String::new();
    for (index, fragment) in fragments.iter().enumerate() {
        match fragment {
            Fragment::Literal(literal) => text.push_str(&plain_dollars(literal, index + 1 < fragments.len())),
            Fragment::Reference(reference) => {
                let goes_on = matches!(
                    fragments.get(index + 1),
                    Some(Fragment::Literal(next)) if next.starts_with(may_be_of_a_path)
                );
                text.push_str(&written_reference(reference, goes_on));
            }
        }
    }
    if read_string(text.clone(), &|_| true).template == Template::Text(joined(fragments)) {
        return Ok(text);
    }
    Err(format!("{:?}, put together of several strings, cannot be written as one: write it as one", clip(&text, 40)))
}

fn may_be_of_a_path(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '.' | '[')
}

/// The same fragments with literals that follow one another in one.
fn joined(fragments: &[Fragment]) -> Vec<Fragment> {
    let mut joined: Vec<Fragment> = Vec::new();
    for fragment in fragments {
        match (joined.last_mut(), fragment) {
            (Some(Fragment::Literal(text)), Fragment::Literal(more)) => text.push_str(more),
            (_, Fragment::Literal(text)) if text.is_empty() && fragments.len() > 1 => {}
            _ => joined.push(fragment.clone()),
        }
    }
    joined
}

/// Doubles the dollars that would begin a reference, the last one, too, where a reference follows.
fn plain_dollars(text: &str, reference_follows: bool) -> String {
    let mut written = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        written.push(character);
        let is_live = match characters.peek() {
            Some(next) => next.is_ascii_digit() || matches!(next, '$' | '{'),
            None => reference_follows,
        };
        if character == '$' && is_live {
            written.push('$');
        }
    }
    written
}

fn written_reference(reference: &Reference, braced: bool) -> String {
    let mut path = String::new();
    for segment in &reference.path {
        match segment {
            Segment::Key(key) if is_path_word(key) => path.extend([".", key]),
            Segment::Key(key) => {
                let quote = if key.contains('\'') { "\"" } else { "'" };
                path.extend(["[", quote, key, quote, "]"]);
            }
            // Writing to a string does not fail.
            Segment::Index(index) => drop(write!(path, "[{index}]")),
        }
    }
    let task_id = reference.task_id;
    if braced { format!("${{{task_id}{path}}}") } else { format!("${task_id}{path}") }
}

/// Whether a key can stand behind a point.
fn is_path_word(key: &str) -> bool {
    is_identifier(key) && key.chars().all(|character| character == '_' || character.is_alphanumeric())
}

/// JSON on one line, with a space after each comma and colon.
fn spaced(value: &Written) -> String {
    let mut written = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut written, Spaced);
    // Writing a value to memory does not fail.
    drop(value.serialize(&mut serializer));
    String::from_utf8_lossy(&written).into_owned()
}

struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}
