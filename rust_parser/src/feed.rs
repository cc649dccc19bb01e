//! Where the whole output of a task goes: the places in the arguments of later tasks that are a reference to it and nothing
//! else.

use crate::step::TaskId;
use crate::template::{Given, Segment, Template};

/// A place that the output of a task is given to as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feed {
    /// The task that the output is given to.
    pub task_id: TaskId,
    /// The tool that it calls.
    pub tool: String,
    /// The way to the place in its arguments, the name of the argument first.
    pub path: Vec<Segment>,
    /// Whether only a string may stand there, so that any output is given as its text.
    pub as_text: bool,
}

/// The places in `arguments` that are a reference to the whole output of `task_id`: their paths, and whether only strings may
/// stand there.
pub(crate) fn places_of(task_id: TaskId, arguments: &[(String, Template)]) -> Vec<(Vec<Segment>, bool)> {
    let mut places = Vec::new();
    for (name, template) in arguments {
        collect(task_id, template, &mut vec![Segment::Key(name.clone())], &mut places);
    }
    places
}

fn collect(task_id: TaskId, template: &Template, path: &mut Vec<Segment>, places: &mut Vec<(Vec<Segment>, bool)>) {
    match template {
        Template::Reference(reference) if reference.task_id == task_id && reference.path.is_empty() => {
            places.push((path.clone(), reference.given != Given::Value));
        }
        Template::Constant(_) | Template::Reference(_) | Template::Text(_) => {}
        Template::List(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push(Segment::Index(index));
                collect(task_id, item, path, places);
                path.pop();
            }
        }
        Template::Object(members) => {
            for (key, member) in members {
                path.push(Segment::Key(key.clone()));
                collect(task_id, member, path, places);
                path.pop();
            }
        }
    }
}
