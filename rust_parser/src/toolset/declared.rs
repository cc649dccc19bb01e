//! The arguments that the schema of a tool declares: its own properties, and those of what it refers to, is made of or has to
//! be one of.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::place::target_in;

/// How many places of a schema are looked at: schemas may refer to themselves.
const MOST_PLACES: usize = 256;

/// The arguments of a tool.
#[derive(Debug)]
pub(super) struct Declared {
    /// An object with them, as a schema without alternatives. Positional arguments are given in the order of its properties.
    pub(super) schema: Value,
    /// Those that have to be given, whichever alternative of the tool's schema they are to fit.
    pub(super) required: Vec<String>,
    /// Whether others are allowed.
    pub(super) open: bool,
}

impl Declared {
    /// The arguments that a schema declares. Where several of its parts that hold together speak of one, the first that does
    /// tells its schema; what the others demand is left to whoever checks a call by the whole.
    pub(super) fn by(schema: &Value) -> Self {
        let Part { properties, required, open } =
            Reader { root: schema, left: MOST_PLACES }.of(schema).unwrap_or_default();
        let open = open == Some(true);
        let schema = json!({
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": open,
        });
        Self { schema, required, open }
    }

    pub(super) fn properties(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.schema.get("properties").and_then(Value::as_object).into_iter().flatten()
    }

    pub(super) fn property(&self, name: &str) -> Option<&Value> {
        self.schema.get("properties")?.get(name)
    }
}

/// What a part of the schema declares.
#[derive(Default)]
struct Part {
    properties: Map<String, Value>,
    required: Vec<String>,
    /// Where that is said.
    open: Option<bool>,
}

impl Part {
    fn own(place: &Map<String, Value>) -> Self {
        let properties = place.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
        let required = place.get("required").and_then(Value::as_array).into_iter().flatten();
        let open = match place.get("additionalProperties") {
            Some(Value::Bool(allowed)) => Some(*allowed),
            Some(_) => Some(true),
            None => place.contains_key("patternProperties").then_some(true),
        };
        Self { properties, required: required.filter_map(Value::as_str).map(str::to_owned).collect(), open }
    }

    /// What fits this fits the other, too.
    fn and(&mut self, other: Self) {
        for (name, place) in other.properties {
            self.properties.entry(name).or_insert(place);
        }
        let known: HashSet<_> = self.required.iter().cloned().collect();
        self.required.extend(other.required.into_iter().filter(|name| !known.contains(name)));
        self.open = match (self.open, other.open) {
            (Some(one), Some(two)) => Some(one && two),
            (one, two) => one.or(two),
        };
    }

    /// What fits this may fit the other instead.
    fn or(&mut self, other: Self) {
        for (name, place) in other.properties {
            match self.properties.get_mut(&name) {
                Some(known) if *known == place => {}
                Some(known) => *known = either(known.take(), place),
                None => {
                    self.properties.insert(name, place);
                }
            }
        }
        let required: HashSet<_> = other.required.into_iter().collect();
        self.required.retain(|name| required.contains(name));
        self.open = (self.open == Some(true) || other.open == Some(true)).then_some(true);
    }
}

/// A schema of what fits one of two.
fn either(one: Value, other: Value) -> Value {
    match one {
        // Of alternatives in alternatives readers tire.
        Value::Object(mut keywords) if keywords.len() == 1 && keywords.contains_key("anyOf") => {
            if let Some(Value::Array(alternatives)) = keywords.get_mut("anyOf")
                && !alternatives.contains(&other)
            {
                alternatives.push(other);
            }
            Value::Object(keywords)
        }
        one => json!({ "anyOf": [one, other] }),
    }
}

struct Reader<'s> {
    root: &'s Value,
    left: usize,
}

impl Reader<'_> {
    /// What a place of the schema declares; None if no object fits there.
    fn of(&mut self, place: &Value) -> Option<Part> {
        let keywords = match place {
            Value::Object(keywords) if self.left > 0 => keywords,
            Value::Bool(false) => return None,
            _ => return Some(Part::default()),
        };
        self.left -= 1;
        let is_object = match keywords.get("type") {
            Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "object"),
            Some(kind) => kind == "object",
            None => true,
        };
        if !is_object {
            return None;
        }
        let mut declared = Part::own(keywords);
        let target = target_in(self.root, place);
        for part in target.into_iter().chain(list(keywords, "allOf")) {
            declared.and(self.of(part).unwrap_or_default());
        }
        for alternatives in ["anyOf", "oneOf"] {
            let alternatives: Vec<_> = list(keywords, alternatives).filter_map(|one| self.of(one)).collect();
            let either = alternatives.into_iter().reduce(|mut either, other| {
                either.or(other);
                either
            });
            declared.and(either.unwrap_or_default());
        }
        Some(declared)
    }
}

fn list<'s>(keywords: &'s Map<String, Value>, keyword: &str) -> impl Iterator<Item = &'s Value> + use<'s> {
    keywords.get(keyword).and_then(Value::as_array).into_iter().flatten()
}
