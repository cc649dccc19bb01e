//! Values with references in them, and what becomes of them once the outputs exist.
//!
//! References are replaced once, on the tree: what a task produced is copied into its place and never looked at again.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::step::TaskId;

/// A value that may hold references.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Template {
    Constant(Value),
    /// A reference that stands alone: the output with its type.
    Reference(Reference),
    /// A string with references in it.
    Text(Vec<Fragment>),
    List(Vec<Template>),
    Object(Vec<(String, Template)>),
}

impl Template {
    /// The text of a constant string; empty for anything else.
    pub(crate) fn into_text(self) -> String {
        match self {
            Self::Constant(Value::String(text)) => text,
            _ => String::new(),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fragment {
    Literal(String),
    Reference(Reference),
}

/// `$3.name[0]`: an earlier task and the way into its output.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reference {
    pub(crate) task_id: TaskId,
    pub(crate) path: Vec<Segment>,
    pub(crate) given: Given,
}

/// How the schema of a place has a value given to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Given {
    /// With its type.
    #[default]
    Value,
    /// Only a string may stand there: as its text.
    Text,
    /// Only a string or null may stand there.
    TextOrNull,
}

impl Given {
    fn is_text(self, value: &Value) -> bool {
        match self {
            Self::Value => false,
            Self::Text => !value.is_string(),
            Self::TextOrNull => !value.is_string() && !value.is_null(),
        }
    }
}

/// One step of a path into a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// To a member of an object.
    Key(String),
    /// To an item of a list, from 0.
    Index(usize),
}

/// A template that cannot be bound.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BindError {
    MissingPath(String),
    TooLarge,
    Output { task_id: TaskId, message: String },
}

/// The outputs that exist.
pub(crate) trait Outputs {
    /// The output of a task that has succeeded.
    fn output(&self, task_id: TaskId) -> Result<&Value, BindError>;
    /// The length of that output as JSON text, in bytes.
    fn output_size(&self, task_id: TaskId) -> usize;
}

/// The most that the bound arguments of one task may hold, in bytes.
const LARGEST_ARGUMENTS: usize = 64 << 20;

/// Binds templates, and counts what it copies.
pub(crate) struct Binder<'o, O: Outputs> {
    outputs: &'o O,
    size: usize,
}

impl<'o, O: Outputs> Binder<'o, O> {
    pub(crate) fn new(outputs: &'o O) -> Self {
        Self { outputs, size: 0 }
    }

    pub(crate) fn bind(&mut self, template: Template) -> Result<Value, BindError> {
        Ok(match template {
            Template::Constant(value) => value,
            Template::Reference(reference) => {
                let value = self.resolve(&reference)?;
                if reference.given.is_text(value) { Value::String(text_of(value)) } else { value.clone() }
            }
            Template::Text(fragments) => {
                let mut text = String::new();
                for fragment in fragments {
                    match fragment {
                        Fragment::Literal(literal) => text.push_str(&literal),
                        Fragment::Reference(reference) => push_text(&mut text, self.resolve(&reference)?),
                    }
                }
                Value::String(text)
            }
            Template::List(items) => {
                Value::Array(items.into_iter().map(|item| self.bind(item)).collect::<Result<_, _>>()?)
            }
            Template::Object(members) => {
                let mut object = Map::with_capacity(members.len());
                for (key, member) in members {
                    object.insert(key, self.bind(member)?);
                }
                Value::Object(object)
            }
        })
    }

    fn resolve(&mut self, reference: &Reference) -> Result<&'o Value, BindError> {
        let mut value = self.outputs.output(reference.task_id)?;
        for (depth, segment) in reference.path.iter().enumerate() {
            let found = match segment {
                Segment::Key(key) => value.get(key),
                Segment::Index(index) => value.get(index),
            };
            value = found.ok_or_else(|| BindError::MissingPath(missing(reference, depth, value)))?;
        }
        // A part of an output is at most as large as all of it; the bound need not be exact.
        let size =
            if reference.path.is_empty() { self.outputs.output_size(reference.task_id) } else { rough_size(value) };
        self.size = self.size.saturating_add(size);
        if self.size > LARGEST_ARGUMENTS { Err(BindError::TooLarge) } else { Ok(value) }
    }
}

fn rough_size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(rough_size).sum(),
        Value::Object(members) => members.iter().map(|(key, member)| key.len() + rough_size(member)).sum(),
        _ => 8,
    }
}

/// A string as it is, anything else as compact JSON.
pub(crate) fn text_of(value: &Value) -> String {
    let mut text = String::new();
    push_text(&mut text, value);
    text
}

fn push_text(text: &mut String, value: &Value) {
    match value {
        Value::String(string) => text.push_str(string),
        // Writing to a string does not fail.
        other => drop(write!(text, "{other}")),
    }
}

fn missing(reference: &Reference, depth: usize, value: &Value) -> String {
    let path = |end: usize| {
        let mut path = format!("${}", reference.task_id);
        for segment in &reference.path[..end] {
            let _ = match segment {
                Segment::Key(key) if crate::token::is_identifier(key) => write!(path, ".{key}"),
                Segment::Key(key) => write!(path, "[{key:?}]"),
                Segment::Index(index) => write!(path, "[{index}]"),
            };
        }
        path
    };
    let what = match value {
        Value::Object(members) if members.is_empty() => "an empty object".to_owned(),
        Value::Object(members) => {
            let keys: Vec<_> = members.keys().take(8).map(|key| clip(key, 40)).collect();
            let more = if members.len() > 8 { ", …" } else { "" };
            format!("an object with the keys {}{more}", keys.join(", "))
        }
        Value::Array(items) => format!("a list of {}", items.len()),
        Value::String(_) => "a string".to_owned(),
        Value::Number(_) => "a number".to_owned(),
        Value::Bool(_) => "a boolean".to_owned(),
        Value::Null => "null".to_owned(),
    };
    format!("{} does not exist: {} is {what}", clip(&path(depth + 1), 120), clip(&path(depth), 120))
}

/// At most `length` characters of `text`.
pub(crate) fn clip(text: &str, length: usize) -> String {
    match text.char_indices().nth(length) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
