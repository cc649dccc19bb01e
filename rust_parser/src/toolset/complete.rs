//! Arguments with everything that is not given, in the order of the schema: as a strict schema, in which every property is
//! required, has them written.

use serde_json::Value;

use super::Tool;
use super::nulls::{has_required, member_places};
use super::place::{alternatives, item_place};
use crate::template::Template;

/// From this depth on, the strict schema has only what is required.
const DEEP: usize = 4;

impl Tool {
    /// The arguments in the order of the schema. If they are to be complete, nulls are among them for what is optional and not
    /// given: nulls that are taken out again when they are read, or that stand for the default.
    pub(crate) fn complete(&self, arguments: Vec<(String, Template)>, complete: bool) -> Vec<(String, Template)> {
        self.complete_members(&[&self.schema], arguments, 0, complete)
    }

    fn complete_value(&self, places: &[&Value], template: Template, depth: usize, complete: bool) -> Template {
        match template {
            Template::Constant(Value::Array(items)) => {
                let items = items.into_iter().map(Template::Constant).collect();
                self.complete_value(places, Template::List(items), depth, complete)
            }
            Template::Constant(Value::Object(members)) => {
                let members = members.into_iter().map(|(key, member)| (key, Template::Constant(member))).collect();
                self.complete_value(places, Template::Object(members), depth, complete)
            }
            Template::List(items) => {
                let records = self.records(places, &[]);
                let complete_item = |(index, item)| {
                    let own: Vec<_> = records.iter().filter_map(|place| item_place(place, index)).collect();
                    self.complete_value(&own, item, depth + 1, complete)
                };
                Template::List(items.into_iter().enumerate().map(complete_item).collect())
            }
            Template::Object(members) => Template::Object(self.complete_members(places, members, depth, complete)),
            scalar => scalar,
        }
    }

    fn complete_members(
        &self,
        places: &[&Value],
        mut members: Vec<(String, Template)>,
        depth: usize,
        complete: bool,
    ) -> Vec<(String, Template)> {
        let names = self.names(places, &members);
        if complete && depth < DEEP {
            let given = |name: &&str| members.iter().any(|(key, _)| key == *name);
            let absent: Vec<_> = names.iter().copied().filter(|name| !given(name)).collect();
            let all: Vec<_> = members.iter().map(|(key, _)| key.as_str()).chain(absent.iter().copied()).collect();
            let records = self.records(places, &all);
            let values: Option<Vec<_>> = absent.iter().map(|name| self.value_of_absent(&records, name)).collect();
            let added = absent.iter().map(|name| (*name).to_owned()).zip(values.unwrap_or_default());
            let added: Vec<_> = added.map(|(name, value)| (name, Template::Constant(value))).collect();
            members.extend(added);
        }
        let place_of = |key: &String| names.iter().position(|name| name == key).unwrap_or(usize::MAX);
        members.sort_by_key(|(key, _)| place_of(key));
        let keys: Vec<_> = members.iter().map(|(key, _)| key.clone()).collect();
        let records = self.records(places, &keys.iter().map(String::as_str).collect::<Vec<_>>());
        let complete_member = |(key, member): (String, Template)| {
            let own = member_places(&records, &key);
            let member = self.complete_value(&own, member, depth + 1, complete);
            (key, member)
        };
        members.into_iter().map(complete_member).collect()
    }

    /// The names of the properties of an object with these members, in their order.
    fn names<'s>(&'s self, places: &[&'s Value], members: &[(String, Template)]) -> Vec<&'s str> {
        let mut names: Vec<&str> = Vec::new();
        let mut rest: Vec<&Value> = places.iter().rev().copied().collect();
        let mut left = 256_usize;
        while let Some(place) = rest.pop().filter(|_| left > 0) {
            left -= 1;
            let place = self.resolve(place);
            for (name, property) in place.get("properties").and_then(Value::as_object).into_iter().flatten() {
                if !self.takes_nothing(property) && !names.contains(&name.as_str()) {
                    names.push(name);
                }
            }
            let kinds = alternatives(place).into_iter().flatten().map(|one| self.resolve(one));
            rest.extend(kinds.filter(|one| self.is_kind_of(one, members)).take(1));
            rest.extend(place.get("allOf").and_then(Value::as_array).into_iter().flatten().rev());
        }
        names
    }

    fn takes_nothing(&self, place: &Value) -> bool {
        let place = self.resolve(place);
        *place == Value::Bool(false) || place.get("enum").and_then(Value::as_array).is_some_and(Vec::is_empty)
    }

    /// Whether an object with these members is of this kind, as far as its keys and its constants tell.
    fn is_kind_of(&self, kind: &Value, members: &[(String, Template)]) -> bool {
        let Some(properties) = kind.get("properties").and_then(Value::as_object) else { return false };
        let fits = |(key, member): &(String, Template)| {
            properties.get(key).is_some_and(|place| {
                let place = self.resolve(place);
                let Template::Constant(value) = member else { return true };
                place.get("const").is_none_or(|only| only == value)
                    && place.get("enum").and_then(Value::as_array).is_none_or(|values| values.contains(value))
            })
        };
        members.iter().all(fits) && has_required(kind, &|name| members.iter().any(|(key, _)| key == name))
    }

    /// What is written for a member that is not given: null, or, where null is a value like others, its default. None if
    /// nothing can be.
    fn value_of_absent(&self, records: &[&Value], name: &str) -> Option<Value> {
        if self.is_unwanted_in(records, name) {
            return Some(Value::Null);
        }
        let places = member_places(records, name);
        if places.is_empty() || !places.iter().all(|place| self.takes_null(place)) {
            return None;
        }
        let default = places.iter().find_map(|place| place.get("default"));
        Some(default.cloned().unwrap_or(Value::Null))
    }
}
