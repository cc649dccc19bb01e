//! Where null may stand in a tool's schema; and nulls that only say that something optional is not wanted, because the schema
//! that a model wrote under made it write every key.

use serde_json::{Map, Value};

use super::Tool;
use super::place::{alternatives, item_place};
use crate::template::Template;

/// How deep values are nested at most.
const DEEPEST: usize = 64;
/// How many places of a schema are looked at to answer one question: schemas may refer to themselves.
const MOST_PLACES: usize = 256;

impl Tool {
    /// Whether an argument is an optional one, given as a null that it does not take.
    pub(crate) fn is_unwanted(&self, argument: &str, value: &Template) -> bool {
        let is_null = matches!(value, Template::Constant(Value::Null));
        is_null && self.is_unwanted_in(&self.schema, argument)
    }

    /// Takes such nulls out of the objects inside the value of an argument.
    pub(crate) fn drop_unwanted(&self, argument: &str, value: &mut Template) {
        if let Some(place) = self.schema.get("properties").and_then(|properties| properties.get(argument)) {
            self.drop_in_template(place, value);
        }
    }

    fn drop_in_template(&self, place: &Value, template: &mut Template) {
        match template {
            Template::Constant(value) => self.drop_in_value(place, value, 0),
            Template::Reference(_) | Template::Text(_) => {}
            Template::List(items) => {
                let place = self.resolve(place);
                for (index, item) in items.iter_mut().enumerate() {
                    if let Some(inner) = item_place(place, index) {
                        self.drop_in_template(inner, item);
                    }
                }
            }
            Template::Object(members) => {
                let place = self.record(place, members.iter().map(|(key, _)| key.as_str()));
                members.retain(|(key, member)| {
                    !matches!(member, Template::Constant(Value::Null)) || !self.is_unwanted_in(place, key)
                });
                for (key, member) in members {
                    if let Some(inner) = place.get("properties").and_then(|properties| properties.get(key.as_str())) {
                        self.drop_in_template(inner, member);
                    }
                }
            }
        }
    }

    fn drop_in_value(&self, place: &Value, value: &mut Value, depth: usize) {
        match value {
            _ if depth > DEEPEST => {}
            Value::Array(items) => {
                let place = self.resolve(place);
                for (index, item) in items.iter_mut().enumerate() {
                    if let Some(inner) = item_place(place, index) {
                        self.drop_in_value(inner, item, depth + 1);
                    }
                }
            }
            Value::Object(members) => {
                let place = self.record(place, members.keys().map(String::as_str));
                members.retain(|key, member| !member.is_null() || !self.is_unwanted_in(place, key));
                for (key, member) in members {
                    if let Some(inner) = place.get("properties").and_then(|properties| properties.get(key)) {
                        self.drop_in_value(inner, member, depth + 1);
                    }
                }
            }
            _ => {}
        }
    }

    /// Of several kinds of objects that may stand in a place, the one with these keys.
    fn record<'s, 'k>(&'s self, place: &'s Value, keys: impl Iterator<Item = &'k str>) -> &'s Value {
        let place = self.resolve(place);
        let Some(places) = alternatives(place) else { return place };
        let keys: Vec<&str> = keys.collect();
        let has_keys = |one: &&Value| {
            let properties = one.get("properties").and_then(Value::as_object);
            properties.is_some_and(|own| own.len() == keys.len() && keys.iter().all(|key| own.contains_key(*key)))
        };
        places.iter().map(|one| self.resolve(one)).find(has_keys).unwrap_or(place)
    }

    fn is_unwanted_in(&self, record: &Value, key: &str) -> bool {
        let is_required = || {
            let required = record.get("required").and_then(Value::as_array);
            required.is_some_and(|names| names.iter().any(|name| name == key))
        };
        let place = record.get("properties").and_then(|properties| properties.get(key));
        place.is_some_and(|place| !is_required() && !self.takes_null(place))
    }

    /// Whether null may stand in a place.
    pub(super) fn takes_null(&self, place: &Value) -> bool {
        let mut left = MOST_PLACES;
        self.may_take_null(place, &mut left)
    }

    fn may_take_null(&self, place: &Value, left: &mut usize) -> bool {
        let keywords = match place {
            Value::Object(keywords) if *left > 0 => keywords,
            Value::Bool(allowed) => return *allowed,
            _ => return true,
        };
        *left -= 1;
        let target = keywords.get("$ref").and_then(Value::as_str).and_then(|target| target.strip_prefix('#'));
        if let Some(target) = target.and_then(|pointer| self.schema.pointer(pointer)) {
            return self.may_take_null(target, left);
        }
        let lists = |keyword: &str| keywords.get(keyword).and_then(Value::as_array);
        takes_null_here(keywords)
            && ["anyOf", "oneOf"]
                .into_iter()
                .filter_map(lists)
                .all(|places| places.iter().any(|one| self.may_take_null(one, left)))
            && lists("allOf").is_none_or(|places| places.iter().all(|one| self.may_take_null(one, left)))
    }
}

fn takes_null_here(keywords: &Map<String, Value>) -> bool {
    let is_type = match keywords.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "null"),
        Some(kind) => kind == "null",
        None => true,
    };
    let is_listed = keywords.get("enum").and_then(Value::as_array).is_none_or(|values| values.contains(&Value::Null));
    is_type && is_listed && keywords.get("const").is_none_or(Value::is_null)
}
