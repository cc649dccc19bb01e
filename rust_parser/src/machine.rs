//! The plan machine: facts in, steps out. The only place that knows what may run now.

mod draft;
mod json;
mod plan;

use std::sync::Arc;

use self::plan::{Join, Plan};
use crate::binding::bind_arguments;
use crate::feed::{Feed, places_of};
use crate::form::KeptTask;
use crate::graph::{Graph, Refused};
use crate::position::Position;
use crate::scanner::{Item, Scanner};
use crate::slips;
use crate::step::{Code, Diagnostic, Step, TaskId};
use crate::template::{Binder, Reference, Template};
use crate::toolset::ToolSet;
use crate::utf8::Utf8Decoder;

/// Takes the facts of one run and returns what follows from each.
///
/// Deterministic: the same facts give the same steps, however the text is cut. Total: every input gives steps; what could not
/// be used comes back as a [`Diagnostic`].
#[derive(Debug)]
pub struct Machine {
    tools: Arc<ToolSet>,
    max_tasks: usize,
    decoder: Utf8Decoder,
    scanner: Scanner,
    graph: Graph,
    next_id: TaskId,
    plan: Plan,
    steps: Vec<Step>,
    /// The tasks as they were written, if they are wanted.
    kept: Option<Vec<KeptTask>>,
}

impl Machine {
    /// A machine for one run. Tasks beyond `max_tasks` are diagnosed and not planned.
    #[must_use]
    pub fn new(tools: Arc<ToolSet>, max_tasks: Option<usize>) -> Self {
        Self {
            tools,
            max_tasks: max_tasks.unwrap_or(usize::MAX),
            decoder: Utf8Decoder::default(),
            scanner: Scanner::new(),
            graph: Graph::default(),
            next_id: 1,
            plan: Plan::default(),
            steps: Vec::new(),
            kept: None,
        }
    }

    /// A piece of model text: UTF-8, cut anywhere. After [`finish`](Self::finish) it begins another plan.
    pub fn feed(&mut self, piece: &[u8]) -> Vec<Step> {
        if piece.is_empty() {
            return Vec::new();
        }
        self.begin_plan();
        // The decoder lends the text to the loop below, which needs the rest of the machine.
        let mut decoder = std::mem::take(&mut self.decoder);
        let read = decoder.decode(piece);
        self.read_decoded(&read.text, &read.replaced);
        self.decoder = decoder;
        std::mem::take(&mut self.steps)
    }

    /// What was finished is left behind: the text that comes now is another plan's.
    fn begin_plan(&mut self) {
        if self.plan.finished {
            self.plan = Plan::default();
            self.scanner = Scanner::new();
        }
    }

    /// The model stopped; with `cut_off`, it was stopped in the middle.
    pub fn finish(&mut self, cut_off: bool) -> Vec<Step> {
        self.begin_plan();
        let decoded = self.decoder.finish();
        self.read_decoded(&decoded.text, &decoded.replaced);
        self.read("", true, cut_off);
        if !self.plan.closed {
            self.end_plan(cut_off);
        }
        self.plan.finished = true;
        std::mem::take(&mut self.steps)
    }

    /// The text ended, and nothing in it closed the plan.
    fn end_plan(&mut self, cut_off: bool) {
        if let Some(Join { answer, .. }) = self.plan.joined.take() {
            return self.close(answer);
        }
        let open_reasoning = self.plan.open_reasoning;
        if let Some(position) = open_reasoning {
            self.say(Code::UnclosedReasoning, position, slips::message(Code::UnclosedReasoning), None);
        }
        if self.plan.tasks > 0 {
            let how = if cut_off { "was cut off" } else { "ended" };
            let message = format!("the plan {how} without join(): closed here");
            self.say(Code::MissingJoin, Position::NOWHERE, message, None);
        } else if open_reasoning.is_none() {
            let message = "the model wrote no task and no join(): there is no plan to run";
            self.say(Code::EmptyPlan, Position::NOWHERE, message, None);
        }
        self.close(None);
    }

    /// A task that was ready has this output, the text of a JSON value.
    pub fn succeed(&mut self, task_id: TaskId, output: &str) -> Vec<Step> {
        match self.graph.succeed(task_id, output) {
            Ok(free) => {
                for index in free {
                    self.bind(index);
                }
            }
            Err(Refused::Unexpected(message)) => self.say(Code::UnexpectedFact, Position::NOWHERE, message, None),
            Err(Refused::NotJson(message)) => {
                let message = format!("the output of task {task_id} is not JSON: {message}");
                self.fault(task_id, Code::OutputInvalid, Position::NOWHERE, message);
            }
        }
        std::mem::take(&mut self.steps)
    }

    /// A task will produce no output.
    pub fn fail(&mut self, task_id: TaskId) -> Vec<Step> {
        match self.graph.fail(task_id) {
            Ok(unreachable) => self.skip(unreachable, task_id),
            Err(Refused::Unexpected(message) | Refused::NotJson(message)) => {
                self.say(Code::UnexpectedFact, Position::NOWHERE, message, None);
            }
        }
        std::mem::take(&mut self.steps)
    }

    /// Whether the current plan is closed: no further task of it will come.
    #[must_use]
    pub fn closed(&self) -> bool {
        self.plan.closed
    }

    /// How many tasks have neither succeeded nor failed nor become unreachable.
    #[must_use]
    pub fn unsettled(&self) -> usize {
        self.graph.unsettled()
    }

    /// The lowest id that no task and no join has reached yet.
    #[must_use]
    pub fn next_id(&self) -> TaskId {
        self.next_id
    }

    /// Where the whole output of a task goes that has none yet, as far as the plans are read: the places in the arguments of
    /// later tasks that are a reference to it and nothing else, in the order of those tasks.
    #[must_use]
    pub fn feeds(&self, task_id: TaskId) -> Vec<Feed> {
        let mut feeds = Vec::new();
        for (task, arguments) in self.graph.waiting_for(task_id) {
            let Some(tool) = self.tools.at(task.tool) else { continue };
            feeds.extend(places_of(task_id, arguments).into_iter().map(|(path, as_text)| Feed {
                task_id: task.id,
                tool: tool.name.clone(),
                path,
                as_text,
            }));
        }
        feeds
    }

    /// The answer that the latest plan named with `join($n)`, as JSON; None if it named none or has none yet.
    #[must_use]
    pub fn answer(&self) -> Option<String> {
        let reference = self.plan.answer.as_ref()?;
        if reference.path.is_empty() {
            return self.graph.output_json(reference.task_id).map(str::to_owned);
        }
        let value = Binder::new(&self.graph).bind(Template::Reference(reference.clone())).ok()?;
        Some(value.to_string())
    }

    /// From now on, tasks are kept as they are written.
    pub(crate) fn keep_tasks(&mut self) {
        self.kept = Some(Vec::new());
    }

    pub(crate) fn take_kept_tasks(&mut self) -> Vec<KeptTask> {
        self.kept.take().unwrap_or_default()
    }

    /// What the latest plan names as its answer.
    pub(crate) fn joined(&self) -> Option<&Reference> {
        self.plan.answer.as_ref()
    }

    fn say(&mut self, code: Code, position: Position, message: impl Into<String>, task_id: Option<TaskId>) {
        self.steps.push(Step::Diagnostic(Diagnostic { code, message: message.into(), position, task_id }));
    }

    fn read_decoded(&mut self, text: &str, replaced: &[usize]) {
        let mut from = 0;
        for &offset in replaced {
            self.read(&text[from..offset], false, false);
            from = offset;
            if !self.scanner.is_reasoning() && !std::mem::replace(&mut self.plan.bad_bytes, true) {
                let message = "bytes that are not UTF-8 were replaced by U+FFFD, here and after";
                self.say(Code::InvalidUtf8, self.scanner.position(), message, None);
            }
        }
        self.read(&text[from..], false, false);
    }

    fn read(&mut self, mut text: &str, last: bool, cut_off: bool) {
        while let Some(item) = self.scanner.next(&mut text, last, &|name| self.tools.contains(name)) {
            match item {
                Item::Thought(thought) => self.steps.push(Step::Thought(thought)),
                Item::Slip(code, position) => self.say(code, position, slips::message(code), None),
                Item::EndOfPlan(_) if self.plan.closed => {}
                Item::EndOfPlan(position) => {
                    if let Some(Join { answer, .. }) = self.plan.joined.take() {
                        self.close(answer);
                        continue;
                    }
                    self.say(Code::MissingJoin, position, slips::message(Code::MissingJoin), None);
                    self.close(None);
                }
                Item::EndOfReasoning(position) => self.end_of_reasoning(position),
                Item::OpenReasoning(position) => {
                    self.plan.open_reasoning = Some(position);
                }
                Item::Call(end) => self.call(end.of_text(last && cut_off)),
                Item::Task(end) => self.json_task(end.of_text(last && cut_off)),
                Item::Member(end) => self.json_member(end.of_text(last && cut_off)),
                Item::EndOfJson(end, position) => self.end_of_json(end.of_text(last && cut_off), position),
            }
        }
    }

    /// A task waits for nothing any more: its arguments are bound and checked.
    fn bind(&mut self, index: usize) {
        let tools = Arc::clone(&self.tools);
        let Some(task) = self.graph.task(index) else { return };
        let Some(tool) = tools.at(task.tool) else { return };
        let (id, position) = (task.id, task.position);
        let arguments = self.graph.take_arguments(index);
        match bind_arguments(&self.graph, tool, arguments) {
            Ok(arguments) => {
                self.graph.set_ready(index);
                self.steps.push(Step::Ready { task_id: id, tool: tool.name.clone(), arguments });
            }
            Err((code, message)) => self.fault(id, code, position, message),
        }
    }

    /// A task that was planned cannot be called.
    fn fault(&mut self, id: TaskId, code: Code, position: Position, message: String) {
        self.say(code, position, message, Some(id));
        if let Ok(unreachable) = self.graph.fail(id) {
            self.skip(unreachable, id);
        }
    }

    fn skip(&mut self, unreachable: Vec<TaskId>, because: TaskId) {
        self.steps.extend(unreachable.into_iter().map(|task_id| Step::Unreachable { task_id, because }));
    }
}
