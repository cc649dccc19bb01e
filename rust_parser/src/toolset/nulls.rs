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
        is_null(value) && self.is_unwanted_in(&self.records(&self.places(), &[argument]), argument)
    }

    /// Takes such nulls out of the objects inside the value of an argument.
    pub(crate) fn drop_unwanted(&self, argument: &str, value: &mut Template) {
        self.drop_in_template(&member_places(&self.records(&self.places(), &[argument]), argument), value);
    }

    fn drop_in_template(&self, places: &[&Value], template: &mut Template) {
        match template {
            Template::Constant(value) => self.drop_in_value(places, value, 0),
            Template::Reference(_) | Template::Text(_) => {}
            Template::List(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.drop_in_template(&self.item_places(places, index), item);
                }
            }
            Template::Object(members) => {
                let keys: Vec<_> = members.iter().map(|(key, _)| key.clone()).collect();
                let records = self.records(places, &keys.iter().map(String::as_str).collect::<Vec<_>>());
                members.retain(|(key, member)| !is_null(member) || !self.is_unwanted_in(&records, key));
                for (key, member) in members {
                    self.drop_in_template(&member_places(&records, key), member);
                }
            }
        }
    }

    fn drop_in_value(&self, places: &[&Value], value: &mut Value, depth: usize) {
        match value {
            _ if places.is_empty() || depth > DEEPEST => {}
            Value::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.drop_in_value(&self.item_places(places, index), item, depth + 1);
                }
            }
            Value::Object(members) => {
                let keys: Vec<_> = members.keys().cloned().collect();
                let records = self.records(places, &keys.iter().map(String::as_str).collect::<Vec<_>>());
                members.retain(|key, member| !member.is_null() || !self.is_unwanted_in(&records, key));
                for (key, member) in members {
                    self.drop_in_value(&member_places(&records, key), member, depth + 1);
                }
            }
            _ => {}
        }
    }

    fn item_places<'s>(&'s self, places: &[&'s Value], index: usize) -> Vec<&'s Value> {
        self.records(places, &[]).into_iter().filter_map(|place| item_place(place, index)).collect()
    }

    /// All schemas that speak of what stands in `places`. Of several kinds of objects it is the one with these keys.
    pub(super) fn records<'s>(&'s self, places: &[&'s Value], keys: &[&str]) -> Vec<&'s Value> {
        let mut records: Vec<&Value> = Vec::new();
        let mut rest: Vec<&Value> = places.to_vec();
        while let Some(place) = rest.pop().filter(|_| records.len() < MOST_PLACES) {
            let place = self.resolve(place);
            records.push(place);
            rest.extend(place.get("allOf").and_then(Value::as_array).into_iter().flatten());
            let kinds = alternatives(place).into_iter().flatten().map(|one| self.resolve(one));
            rest.extend(kinds.filter(|one| has_keys(one, keys)).take(1));
        }
        records
    }

    pub(super) fn is_unwanted_in(&self, records: &[&Value], key: &str) -> bool {
        let is_required = |record: &&Value| {
            let required = record.get("required").and_then(Value::as_array);
            required.is_some_and(|names| names.iter().any(|name| name == key))
        };
        member_places(records, key).into_iter().any(|place| !self.takes_null(place)) && !records.iter().any(is_required)
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
        if let Some(target) = self.target(place) {
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

fn is_null(template: &Template) -> bool {
    matches!(template, Template::Constant(Value::Null))
}

/// The places of a member in the schemas that speak of its object.
pub(super) fn member_places<'s>(records: &[&'s Value], key: &str) -> Vec<&'s Value> {
    let place = |record: &&'s Value| {
        let known = record.get("properties").and_then(|properties| properties.get(key));
        known.or_else(|| record.get("additionalProperties").filter(|other| other.is_object()))
    };
    records.iter().filter_map(place).collect()
}

/// Whether what a place requires `is_there`.
pub(super) fn has_required(place: &Value, is_there: &impl Fn(&str) -> bool) -> bool {
    let required = place.get("required").and_then(Value::as_array);
    required.into_iter().flatten().filter_map(Value::as_str).all(is_there)
}

fn has_keys(place: &Value, keys: &[&str]) -> bool {
    let properties = place.get("properties").and_then(Value::as_object);
    properties.is_some_and(|own| own.len() == keys.len() && keys.iter().all(|key| own.contains_key(*key)))
}
