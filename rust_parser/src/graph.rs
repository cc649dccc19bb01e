//! The tasks of a run and what each waits for: counters and edges, never a scan.

use std::collections::HashMap;
use std::sync::OnceLock;

use serde::de::IgnoredAny;
use serde_json::Value;

use crate::position::Position;
use crate::step::TaskId;
use crate::template::{BindError, Outputs, Template};

/// A task, once planned.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) id: TaskId,
    /// The place of its tool in the tool set.
    pub(crate) tool: usize,
    pub(crate) position: Position,
    /// What it will be called with; taken once it is bound.
    arguments: Vec<(String, Template)>,
    state: State,
    /// How many tasks it still waits for.
    waiting: usize,
    /// The tasks that wait for it.
    dependents: Vec<usize>,
}

#[derive(Debug)]
enum State {
    Waiting,
    Ready,
    Succeeded(Output),
    Failed,
    Unreachable { because: TaskId },
}

#[derive(Debug)]
struct Output {
    json: String,
    value: OnceLock<Result<Value, String>>,
}

/// What became of a task that was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Added {
    Waiting,
    /// It waits for nothing.
    Free,
    Unreachable {
        because: TaskId,
    },
}

/// A fact about a task that is in no state for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Unexpected(String),
    NotJson(String),
}

/// The tasks of a run.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    tasks: Vec<Task>,
    by_id: HashMap<TaskId, usize>,
    unsettled: usize,
}

impl Graph {
    pub(crate) fn len(&self) -> usize {
        self.tasks.len()
    }

    /// How many tasks have neither succeeded nor failed nor become unreachable.
    pub(crate) fn unsettled(&self) -> usize {
        self.unsettled
    }

    pub(crate) fn contains(&self, task_id: TaskId) -> bool {
        self.by_id.contains_key(&task_id)
    }

    pub(crate) fn task(&self, index: usize) -> Option<&Task> {
        self.tasks.get(index)
    }

    /// Adds a task that waits for `depends_on`, each of them a task of the graph, none named twice. Returns its place.
    pub(crate) fn add(
        &mut self,
        id: TaskId,
        tool: usize,
        position: Position,
        arguments: Vec<(String, Template)>,
        depends_on: &[TaskId],
    ) -> (usize, Added) {
        let index = self.tasks.len();
        let mut waiting = 0;
        let mut because = None;
        for dependency in depends_on.iter().filter_map(|id| self.by_id.get(id)) {
            let task = &mut self.tasks[*dependency];
            match &task.state {
                State::Waiting | State::Ready => {
                    waiting += 1;
                    task.dependents.push(index);
                }
                State::Succeeded(_) => {}
                State::Failed => because = because.or(Some(task.id)),
                State::Unreachable { because: root } => because = because.or(Some(*root)),
            }
        }
        let (state, added) = match because {
            Some(because) => (State::Unreachable { because }, Added::Unreachable { because }),
            None if waiting > 0 => (State::Waiting, Added::Waiting),
            None => (State::Waiting, Added::Free),
        };
        self.unsettled += usize::from(because.is_none());
        self.tasks.push(Task { id, tool, position, arguments, state, waiting, dependents: Vec::new() });
        self.by_id.insert(id, index);
        (index, added)
    }

    /// Adds a task that cannot be called.
    pub(crate) fn add_failed(&mut self, id: TaskId, position: Position) {
        let index = self.tasks.len();
        let state = State::Failed;
        self.tasks.push(Task {
            id,
            tool: usize::MAX,
            position,
            arguments: Vec::new(),
            state,
            waiting: 0,
            dependents: Vec::new(),
        });
        self.by_id.insert(id, index);
    }

    /// The tasks that wait for a task, with what they will be called with.
    pub(crate) fn waiting_for(&self, task_id: TaskId) -> impl Iterator<Item = (&Task, &[(String, Template)])> {
        let task = self.by_id.get(&task_id).and_then(|index| self.tasks.get(*index));
        let dependents = task.map(|task| task.dependents.as_slice()).unwrap_or_default();
        dependents.iter().filter_map(|index| self.tasks.get(*index)).map(|task| (task, task.arguments.as_slice()))
    }

    /// Takes what a task is to be called with: it is bound once.
    pub(crate) fn take_arguments(&mut self, index: usize) -> Vec<(String, Template)> {
        self.tasks.get_mut(index).map(|task| std::mem::take(&mut task.arguments)).unwrap_or_default()
    }

    /// The task waits for nothing and its arguments are bound.
    pub(crate) fn set_ready(&mut self, index: usize) {
        if let Some(task) = self.tasks.get_mut(index) {
            task.state = State::Ready;
        }
    }

    /// Records an output; returns the places of the tasks that now wait for nothing.
    pub(crate) fn succeed(&mut self, task_id: TaskId, json: &str) -> Result<Vec<usize>, Refused> {
        let index = self.expect_ready(task_id, "succeed")?;
        serde_json::from_str::<IgnoredAny>(json).map_err(|error| Refused::NotJson(error.to_string()))?;
        let task = &mut self.tasks[index];
        task.state = State::Succeeded(Output { json: json.to_owned(), value: OnceLock::new() });
        let dependents = std::mem::take(&mut task.dependents);
        self.unsettled -= 1;
        Ok(dependents
            .into_iter()
            .filter(|dependent| {
                let dependent = &mut self.tasks[*dependent];
                dependent.waiting -= 1;
                dependent.waiting == 0 && matches!(dependent.state, State::Waiting)
            })
            .collect())
    }

    /// Records that a task will produce no output; returns the tasks that became unreachable by it.
    pub(crate) fn fail(&mut self, task_id: TaskId) -> Result<Vec<TaskId>, Refused> {
        let index = self.find(task_id)?;
        if !matches!(self.tasks[index].state, State::Ready | State::Waiting) {
            return Err(Refused::Unexpected(format!("task {task_id} cannot fail: it is settled")));
        }
        self.tasks[index].state = State::Failed;
        self.unsettled -= 1;
        let mut unreachable = Vec::new();
        let mut reached = std::mem::take(&mut self.tasks[index].dependents);
        let mut next = 0;
        while let Some(&dependent) = reached.get(next) {
            next += 1;
            let task = &mut self.tasks[dependent];
            if matches!(task.state, State::Waiting) {
                task.state = State::Unreachable { because: task_id };
                task.arguments = Vec::new();
                unreachable.push(task.id);
                reached.append(&mut task.dependents);
                self.unsettled -= 1;
            }
        }
        Ok(unreachable)
    }

    /// The output of a task as JSON text, if it has one.
    pub(crate) fn output_json(&self, task_id: TaskId) -> Option<&str> {
        match &self.tasks.get(*self.by_id.get(&task_id)?)?.state {
            State::Succeeded(output) => Some(&output.json),
            _ => None,
        }
    }

    fn find(&self, task_id: TaskId) -> Result<usize, Refused> {
        self.by_id.get(&task_id).copied().ok_or_else(|| Refused::Unexpected(format!("there is no task {task_id}")))
    }

    fn expect_ready(&self, task_id: TaskId, fact: &str) -> Result<usize, Refused> {
        let index = self.find(task_id)?;
        let state = match &self.tasks[index].state {
            State::Ready => return Ok(index),
            State::Waiting => "not ready",
            State::Succeeded(_) | State::Failed | State::Unreachable { .. } => "settled",
        };
        Err(Refused::Unexpected(format!("task {task_id} cannot {fact}: it is {state}")))
    }
}

impl Outputs for Graph {
    fn output(&self, task_id: TaskId) -> Result<&Value, BindError> {
        let missing = |message: String| BindError::Output { task_id, message };
        let task = self.by_id.get(&task_id).and_then(|index| self.tasks.get(*index));
        let Some(State::Succeeded(output)) = task.map(|task| &task.state) else {
            return Err(missing("there is no output".to_owned()));
        };
        let value = output.value.get_or_init(|| serde_json::from_str(&output.json).map_err(|error| error.to_string()));
        value.as_ref().map_err(|message| missing(message.clone()))
    }

    fn output_size(&self, task_id: TaskId) -> usize {
        self.output_json(task_id).map_or(0, str::len)
    }
}
