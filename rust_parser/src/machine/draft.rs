//! The plan behind reasoning that was read as a plan, because nothing told it from one: its tasks have run since they were
//! written, and the plan that is meant may write the same ids.

use std::collections::{HashMap, HashSet};

use super::Machine;
use super::plan::Written;
use crate::position::Position;
use crate::step::{Code, Diagnostic, Step, TaskId};
use crate::template::{Fragment, Reference, Template};

/// A task that may be one of a draft.
#[derive(Debug)]
pub(super) struct Sketch {
    id: TaskId,
    tool: String,
    arguments: Vec<(String, Template)>,
}

/// What the plan behind a draft has to know of it.
#[derive(Debug, Default)]
pub(super) struct Draft {
    sketches: Vec<Sketch>,
    /// Ids that mean nothing to the plan behind the draft, unless it writes them itself.
    hidden: HashSet<TaskId>,
    /// The ids that it has written, and those that its tasks have.
    ids: HashMap<TaskId, TaskId>,
    /// The id that was written of the task that is being read.
    written: Option<TaskId>,
}

impl Machine {
    /// A tag closes reasoning that no tag opened: what follows is the plan.
    pub(super) fn end_of_reasoning(&mut self, position: Position) {
        if self.plan.closed {
            let message = "join() in the reasoning before this tag closed the plan: the plan behind it is not executed; \
                have the server tell reasoning from text, or the model begin it with <think>";
            self.say(Code::DraftJoined, position, message, None);
            return self.scanner.ignore_rest();
        }
        let what = "a closing tag without its opening one: what stands before it was reasoning";
        let message = match self.plan.ids.len() {
            0 => what.to_owned(),
            tasks => format!("{what}; its tasks ({tasks}) run already, and the plan that follows does without them"),
        };
        self.say(Code::UnopenedReasoning, position, message, None);
        self.plan.join = None;
        if !self.plan.ids.is_empty() {
            let sketches = std::mem::take(&mut self.plan.sketches);
            let hidden = std::mem::take(&mut self.plan.ids).into_iter().collect();
            self.plan.draft = Some(Draft { sketches, hidden, ..Draft::default() });
        }
    }

    /// What is to be kept of a task that is being read, as long as it may be one of a draft.
    pub(super) fn sketch(&self, id: TaskId, tool: &str, arguments: &[(String, Template)]) -> Option<Sketch> {
        let is_wanted = self.scanner.may_be_reasoning();
        is_wanted.then(|| Sketch { id, tool: tool.to_owned(), arguments: arguments.to_vec() })
    }

    /// Whether a reference may name this task: one of a draft is none of the plan.
    pub(super) fn knows(&self, id: TaskId) -> bool {
        match &self.plan.draft {
            None => self.graph.contains(id),
            Some(draft) => draft.ids.contains_key(&id) || (self.graph.contains(id) && !draft.hidden.contains(&id)),
        }
    }

    /// The id of a task that is written with this one; None if another task of its plan, or of an earlier one, has it.
    pub(super) fn free_id(&mut self, written: TaskId) -> Option<TaskId> {
        let is_taken = self.graph.contains(written);
        let Some(draft) = &mut self.plan.draft else { return (!is_taken).then_some(written) };
        if draft.ids.contains_key(&written) || (is_taken && !draft.hidden.contains(&written)) {
            return None;
        }
        draft.written = Some(written);
        Some(if is_taken { self.next_id } else { written })
    }

    /// A task was read. Behind a draft its references name the tasks that it means; true if the draft has the same task.
    pub(super) fn settle_draft(&mut self, task: &mut Written) -> bool {
        let Some(draft) = &mut self.plan.draft else { return false };
        let Some(written) = draft.written.take() else { return false };
        let mut same = None;
        if let Ok(arguments) = &mut task.arguments {
            for (_, value) in arguments.iter_mut() {
                draft.rename(value);
            }
            let is_same = |sketch: &&Sketch| sketch.tool == task.tool && sketch.arguments == *arguments;
            same = draft.sketches.iter().find(is_same).map(|sketch| sketch.id);
        }
        draft.ids.insert(written, same.unwrap_or(task.id));
        draft.hidden.insert(task.id);
        let hint =
            |message, id| Diagnostic { code: Code::DraftId, message, position: task.position, task_id: Some(id) };
        if let Some(same) = same {
            let message = format!("the reasoning before it has this call as task {same}: it is not made again");
            self.steps.push(Step::Diagnostic(hint(message, same)));
        } else if written != task.id {
            let message =
                format!("a task in the reasoning before it has the id {written}: this one has the id {}", task.id);
            let hint = hint(message, task.id);
            task.hints.insert(0, hint);
        }
        same.is_some()
    }

    /// What is named, by the id that its task has.
    pub(super) fn renamed(&self, mut reference: Reference) -> Reference {
        if let Some(draft) = &self.plan.draft {
            draft.rename_reference(&mut reference);
        }
        reference
    }
}

impl Draft {
    fn rename(&self, value: &mut Template) {
        match value {
            Template::Constant(_) => {}
            Template::Reference(reference) => self.rename_reference(reference),
            Template::Text(fragments) => {
                for fragment in fragments {
                    if let Fragment::Reference(reference) = fragment {
                        self.rename_reference(reference);
                    }
                }
            }
            Template::List(items) => items.iter_mut().for_each(|item| self.rename(item)),
            Template::Object(members) => members.iter_mut().for_each(|(_, member)| self.rename(member)),
        }
    }

    fn rename_reference(&self, reference: &mut Reference) {
        if let Some(id) = self.ids.get(&reference.task_id) {
            reference.task_id = *id;
        }
    }
}
