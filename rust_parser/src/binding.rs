//! What the arguments of a call become: given to parameters and checked when it is planned, bound once it waits for nothing.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::arguments::{Argument, Remark};
use crate::graph::Graph;
use crate::step::{Code, TaskId};
use crate::template::{BindError, Binder, Fragment, Template, clip};
use crate::toolset::{Tool, ToolSet};

pub(crate) fn unknown_tool(name: &str, tools: &ToolSet) -> Remark {
    let nearest = tools
        .names()
        .map(|known| (strsim::damerau_levenshtein(&known.to_lowercase(), &name.to_lowercase()), known))
        .min()
        .filter(|(distance, known)| *distance <= 1 + known.len() / 3);
    let remedy = match nearest {
        Some((_, known)) => format!("did you mean {known}?"),
        None => format!("the tools are {}", clip(&tools.names().collect::<Vec<_>>().join(", "), 200)),
    };
    Remark { code: Code::UnknownTool, offset: 0, message: format!("there is no tool {:?}; {remedy}", clip(name, 60)) }
}

/// Gives each argument the name of its parameter.
pub(crate) fn assign(tool: &Tool, arguments: Vec<Argument>) -> Result<Vec<(String, Template)>, Remark> {
    let remark = |code, offset, message| Err(Remark { code, offset, message });
    let signature = || format!("{}({})", tool.name, tool.parameters().collect::<Vec<_>>().join(", "));
    let mut assigned: Vec<(String, Template)> = Vec::with_capacity(arguments.len());
    let mut taken = HashSet::with_capacity(arguments.len());
    let mut named = false;
    for (index, Argument { name, value, offset }) in arguments.into_iter().enumerate() {
        let name = match name {
            Some(name) if !tool.takes(&name) => {
                let message = format!("there is no argument {:?}: the tool is {}", clip(&name, 60), signature());
                return remark(Code::UnknownArgument, offset, message);
            }
            Some(name) => {
                named = true;
                name
            }
            None if named => {
                let message = "a positional argument follows a named one; give it its name".to_owned();
                return remark(Code::PositionalAfterNamed, offset, message);
            }
            None => {
                let Some(parameter) = tool.parameters().nth(index) else {
                    let message = format!("there is no argument {}: the tool is {}", index + 1, signature());
                    return remark(Code::TooManyArguments, offset, message);
                };
                parameter.to_owned()
            }
        };
        if !taken.insert(name.clone()) {
            return remark(Code::RepeatedArgument, offset, format!("the argument {name:?} is given twice"));
        }
        assigned.push((name, value));
    }
    match tool.required().iter().find(|required| !taken.contains(*required)) {
        Some(missing) => {
            let message = format!("the argument {missing:?} is missing: the tool is {}", signature());
            remark(Code::MissingArgument, 0, message)
        }
        None => Ok(assigned),
    }
}

/// The tasks that the arguments refer to, ascending.
pub(crate) fn dependencies(arguments: &[(String, Template)]) -> Vec<TaskId> {
    fn collect(template: &Template, ids: &mut Vec<TaskId>) {
        match template {
            Template::Constant(_) => {}
            Template::Reference(reference) => ids.push(reference.task_id),
            Template::Text(fragments) => ids.extend(fragments.iter().filter_map(|fragment| match fragment {
                Fragment::Reference(reference) => Some(reference.task_id),
                Fragment::Literal(_) => None,
            })),
            Template::List(items) => items.iter().for_each(|item| collect(item, ids)),
            Template::Object(members) => members.iter().for_each(|(_, member)| collect(member, ids)),
        }
    }
    let mut ids = Vec::new();
    for (_, template) in arguments {
        collect(template, &mut ids);
    }
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// Checks what is known of the arguments when the task is planned. All of them, if they are constant, are checked when they
/// are bound, which is at once.
pub(crate) fn check(
    tool: &Tool,
    mut arguments: Vec<(String, Template)>,
    constant: bool,
) -> Result<Vec<(String, Template)>, Remark> {
    if constant {
        return Ok(arguments);
    }
    let mut known = Map::new();
    for (name, template) in &mut arguments {
        let fits = tool.fit(name, template);
        fits.map_err(|violation| Remark { code: violation.code, offset: 0, message: violation.message })?;
        if let Template::Constant(value) = template {
            known.insert(name.clone(), value.clone());
        }
    }
    if !known.is_empty() {
        let checked = tool.check_known(known);
        checked.map_err(|violation| Remark { code: violation.code, offset: 0, message: violation.message })?;
    }
    Ok(arguments)
}

pub(crate) fn bind_arguments(
    graph: &Graph,
    tool: &Tool,
    arguments: Vec<(String, Template)>,
) -> Result<String, (Code, String)> {
    let mut binder = Binder::new(graph);
    let mut bound = Map::with_capacity(arguments.len());
    for (name, template) in arguments {
        let value = binder.bind(template).map_err(|error| match error {
            BindError::MissingPath(message) => (Code::MissingPath, format!("argument {name:?}: {message}")),
            BindError::TooLarge => {
                (Code::ArgumentsTooLarge, format!("argument {name:?}: the outputs it holds are too large"))
            }
            BindError::Output { task_id, message } => (
                Code::OutputInvalid,
                format!("argument {name:?}: the output of task {task_id} cannot be read: {message}"),
            ),
        })?;
        bound.insert(name, value);
    }
    let bound = Value::Object(bound);
    tool.check(&bound).map_err(|violation| (violation.code, violation.message))?;
    Ok(bound.to_string())
}
