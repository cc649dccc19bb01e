//! What may stand in a place of a tool's schema: strings or something else.

use std::borrow::Cow;

use serde_json::Value;

use super::Tool;
use crate::template::{Given, Template};

impl Tool {
    pub(super) fn fit_at(&self, place: &Value, template: &mut Template) -> Result<(), ()> {
        match template {
            Template::Reference(reference) => {
                reference.given = match self.strings(place, 0) {
                    Strings::Only if self.takes_null(place) => Given::TextOrNull,
                    Strings::Only => Given::Text,
                    Strings::Perhaps | Strings::Never => Given::Value,
                };
                Ok(())
            }
            Template::Text(_) if self.strings(place, 0) == Strings::Never => Err(()),
            Template::Constant(_) | Template::Text(_) => Ok(()),
            Template::List(items) => {
                let place = self.resolve(place);
                for (index, item) in items.iter_mut().enumerate() {
                    if let Some(inner) = item_place(place, index) {
                        self.fit_at(inner, item)?;
                    }
                }
                Ok(())
            }
            Template::Object(members) => {
                let place = self.resolve(place);
                for (key, member) in members {
                    let inner = place
                        .get("properties")
                        .and_then(|properties| properties.get(key.as_str()))
                        .or_else(|| place.get("additionalProperties"));
                    if let Some(inner) = inner {
                        self.fit_at(inner, member)?;
                    }
                }
                Ok(())
            }
        }
    }

    /// Follows references inside the schema; a schema with one alternative beside null is that alternative.
    pub(super) fn resolve<'s>(&'s self, place: &'s Value) -> &'s Value {
        let mut place = place;
        for _ in 0..16 {
            if place.get("$ref").is_some() {
                match self.target(place) {
                    Some(target) => place = target,
                    None => return place,
                }
            } else if let Some(alternatives) = alternatives(place) {
                let mut others = alternatives.iter().filter(|one| one.get("type").is_none_or(|kind| kind != "null"));
                match (others.next(), others.next()) {
                    (Some(only), None) => place = only,
                    _ => return place,
                }
            } else {
                return place;
            }
        }
        place
    }

    /// What a place refers to inside the schema, if it is a reference.
    pub(super) fn target(&self, place: &Value) -> Option<&Value> {
        target_in(&self.schema, place)
    }

    pub(super) fn strings(&self, place: &Value, depth: usize) -> Strings {
        if depth > 16 {
            return Strings::Perhaps;
        }
        let place = self.resolve(place);
        if let Some(kind) = place.get("type") {
            return match kind {
                Value::String(kind) if kind == "string" => Strings::Only,
                Value::String(_) => Strings::Never,
                Value::Array(kinds) => {
                    let mut kinds = kinds.iter().filter(|&kind| kind != "null");
                    match (kinds.next(), kinds.next()) {
                        (Some(only), None) if only == "string" => Strings::Only,
                        (first, second)
                            if first.into_iter().chain(second).chain(kinds).all(|kind| kind != "string") =>
                        {
                            Strings::Never
                        }
                        _ => Strings::Perhaps,
                    }
                }
                _ => Strings::Perhaps,
            };
        }
        if let Some(values) = place.get("enum").and_then(Value::as_array) {
            return Strings::of_all(
                values.iter().map(|value| if value.is_string() { Strings::Only } else { Strings::Never }),
            );
        }
        match alternatives(place) {
            Some(places) => Strings::of_all(places.iter().map(|one| self.strings(one, depth + 1))),
            None => Strings::Perhaps,
        }
    }
}

/// Whether strings may stand in a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strings {
    Only,
    Perhaps,
    Never,
}

impl Strings {
    fn of_all(all: impl Iterator<Item = Self>) -> Self {
        all.reduce(|one, other| if one == other { one } else { Self::Perhaps }).unwrap_or(Self::Perhaps)
    }
}

/// What a place refers to inside its schema, if it is a reference.
pub(super) fn target_in<'s>(schema: &'s Value, place: &Value) -> Option<&'s Value> {
    let pointer = place.get("$ref").and_then(Value::as_str)?.strip_prefix('#')?;
    schema.pointer(&percent_decoded(pointer))
}

pub(super) fn alternatives(place: &Value) -> Option<&Vec<Value>> {
    ["anyOf", "oneOf"].iter().find_map(|keyword| place.get(keyword)).and_then(Value::as_array)
}

/// The place of an item in a list.
pub(super) fn item_place(list: &Value, index: usize) -> Option<&Value> {
    let prefix = list.get("prefixItems").and_then(Value::as_array);
    prefix.and_then(|places| places.get(index)).or_else(|| list.get("items"))
}

/// The text of a URI's fragment.
fn percent_decoded(fragment: &str) -> Cow<'_, str> {
    if !fragment.contains('%') {
        return Cow::Borrowed(fragment);
    }
    let mut bytes = Vec::with_capacity(fragment.len());
    let mut rest = fragment;
    while let Some(at) = rest.find('%') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let code = rest.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(code.unwrap_or(b'%'));
        rest = &rest[at + if code.is_some() { 3 } else { 1 }..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}
