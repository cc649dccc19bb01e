//! What the calls of a plan become: its tasks, and its end.

use std::sync::Arc;

use super::Machine;
use super::draft::{Draft, Sketch};
use crate::arguments::{Argument, ReadArguments, Remark, read_arguments};
use crate::binding::{assign, check, dependencies, unknown_tool};
use crate::form::KeptTask;
use crate::graph::Added;
use crate::position::{Locator, Position};
use crate::scanner::CallEnd;
use crate::slips;
use crate::step::{Code, Diagnostic, Step, TaskId};
use crate::template::{Reference, Template, clip};
use crate::toolset::Tool;

/// The largest id that a task may have.
pub(super) const LARGEST_ID: TaskId = 999_999_999;

/// What is known of the plan that is being read.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) tasks: usize,
    pub(super) closed: bool,
    pub(super) finished: bool,
    pub(super) bad_bytes: bool,
    /// Where reasoning begins in which the text ended.
    pub(super) open_reasoning: Option<Position>,
    /// The ids of its tasks, up to the end of a draft.
    pub(super) ids: Vec<TaskId>,
    pub(super) sketches: Vec<Sketch>,
    /// The reasoning before it that was read as a plan.
    pub(super) draft: Option<Draft>,
    /// A join, with what it names, that closes the plan at the end of the text: another plan may follow the reasoning that
    /// it may stand in.
    pub(super) joined: Option<Join>,
    pub(super) answer: Option<Reference>,
    /// What the join of a JSON plan says, which may stand before its tasks.
    pub(super) join: Option<Join>,
}

/// A join that takes effect when its plan is closed.
#[derive(Debug)]
pub(super) struct Join {
    pub(super) answer: Option<Reference>,
    pub(super) position: Position,
}

/// A task as it was written.
pub(super) struct Written {
    pub(super) id: TaskId,
    pub(super) tool: String,
    pub(super) position: Position,
    /// The arguments, or why it cannot be called.
    pub(super) arguments: Result<Vec<(String, Template)>, Remark>,
    pub(super) hints: Vec<Diagnostic>,
}

impl Machine {
    /// A join was read.
    pub(super) fn close_or_wait(&mut self, answer: Option<Reference>) {
        if self.scanner.may_be_reasoning() {
            self.plan.joined = Some(Join { answer, position: Position::NOWHERE });
            self.scanner.close();
        } else {
            self.close(answer);
        }
    }

    pub(super) fn close(&mut self, answer: Option<Reference>) {
        self.plan.closed = true;
        self.plan.joined = None;
        self.steps.push(Step::Closed { answer_task: answer.as_ref().map(|reference| reference.task_id) });
        self.plan.answer = answer;
        self.scanner.close();
    }

    /// A call was read: it is in the scanner.
    pub(super) fn call(&mut self, end: CallEnd) {
        let head = self.scanner.call.head.clone();
        let is_join = head.name.eq_ignore_ascii_case("join");
        let id = if head.digits.is_empty() { Some(self.next_id) } else { head.digits.parse().ok() };
        let Some(id) = id.filter(|id| *id <= LARGEST_ID) else {
            let shown = if head.digits.is_empty() { self.next_id.to_string() } else { clip(&head.digits, 20) };
            let message = format!("{shown} is too large for an id: at most {LARGEST_ID}");
            return self.say(Code::BadId, head.position, message, None);
        };
        let faulty = self.faulty_end(end, "call");
        if is_join {
            self.next_id = self.next_id.max(id + 1);
            return self.join(end, faulty);
        }
        if let Some(id) = self.admits(id, head.position) {
            self.task(id, end, faulty);
        }
    }

    /// Why what is in the scanner cannot be used, if that is because of its end.
    pub(super) fn faulty_end(&self, end: CallEnd, what: &str) -> Option<Remark> {
        match end {
            CallEnd::InString(offset) => Some(Remark {
                code: Code::UnterminatedString,
                offset,
                message: "the string that begins here is not closed".to_owned(),
            }),
            CallEnd::CutOff => Some(Remark {
                code: Code::CutOff,
                offset: self.scanner.lexer.text.len(),
                message: format!("the model was stopped inside this {what}"),
            }),
            CallEnd::Missing | CallEnd::Bracket => None,
        }
    }

    /// The id under which a task may be planned that is written with this one; says why it may not.
    pub(super) fn admits(&mut self, id: TaskId, position: Position) -> Option<TaskId> {
        let Some(id) = self.free_id(id).filter(|id| *id <= LARGEST_ID) else {
            let message =
                format!("another task has the id {id}: this one is not called; give it the id {}", self.next_id);
            self.say(Code::DuplicateId, position, message, None);
            return None;
        };
        if self.graph.len() >= self.max_tasks {
            let message = format!("the run may have {} tasks: this one is not called", self.max_tasks);
            self.say(Code::TooManyTasks, position, message, None);
            return None;
        }
        self.next_id = self.next_id.max(id + 1);
        self.plan.tasks += 1;
        self.plan.joined = None;
        Some(id)
    }

    fn task(&mut self, id: TaskId, end: CallEnd, faulty: Option<Remark>) {
        let tools = Arc::clone(&self.tools);
        let tool = self.scanner.call.head.name.clone();
        let position = self.scanner.call.head.position;
        let (arguments, remarks) = match (faulty, tools.get(&tool)) {
            (Some(faulty), _) => (Err(faulty), Vec::new()),
            (None, None) => (Err(unknown_tool(&tool, &tools)), Vec::new()),
            (None, Some((_, tool))) => {
                let read = self.read_call(tool, end);
                (read.arguments.and_then(|arguments| assign(tool, arguments)), read.hints)
            }
        };
        let hints = self.mended(id, end, remarks);
        self.plan_task(Written { id, tool, position, arguments, hints });
    }

    /// A task was read; its text is in the scanner.
    pub(super) fn plan_task(&mut self, mut written: Written) {
        if self.settle_draft(&mut written) {
            return;
        }
        let tools = Arc::clone(&self.tools);
        let Written { id, tool: name, position, arguments, hints } = written;
        self.plan.ids.push(id);
        let sketch = arguments.as_ref().ok().and_then(|arguments| self.sketch(id, &name, arguments));
        let depends_on = arguments.as_ref().map_or_else(|_| Vec::new(), |arguments| dependencies(arguments));
        let found = tools.get(&name);
        self.steps.push(Step::Planned { task_id: id, tool: name, depends_on: depends_on.clone(), position });
        self.steps.extend(hints.into_iter().map(Step::Diagnostic));
        if let (Some(kept), Ok(arguments), Some((tool, _))) = (&mut self.kept, &arguments, found) {
            kept.push(KeptTask { id, tool, position, arguments: arguments.clone() });
        }
        let checked = arguments.and_then(|arguments| match found {
            Some((index, tool)) => check(tool, arguments, depends_on.is_empty()).map(|arguments| (index, arguments)),
            None => Err(unknown_tool("", &tools)),
        });
        match checked {
            Err(remark) => {
                let place = Locator::new(&self.scanner.lexer.text, self.scanner.call.inside).locate(remark.offset);
                let place = if remark.code == Code::UnknownTool { position } else { place };
                self.graph.add_failed(id, position);
                self.say(remark.code, place, remark.message, Some(id));
            }
            Ok((index, arguments)) => {
                self.plan.sketches.extend(sketch);
                let (task, added) = self.graph.add(id, index, position, arguments, &depends_on);
                match added {
                    Added::Waiting => {}
                    Added::Free => self.bind(task),
                    Added::Unreachable { because } => self.steps.push(Step::Unreachable { task_id: id, because }),
                }
            }
        }
    }

    /// Reads the arguments of the call in the scanner.
    fn read_call(&mut self, tool: &Tool, end: CallEnd) -> ReadArguments {
        let is_task = |id| self.knows(id);
        let lexer = &self.scanner.lexer;
        let read = read_arguments(&lexer.text, &lexer.tokens, Some(tool), &is_task);
        if end != CallEnd::Missing || read.arguments.is_ok() {
            return read;
        }
        // Lines of prose may stand where the parenthesis is missing.
        let Some(line) = lexer.first_line() else { return read };
        let mut first = read_arguments(line.text, &line.tokens, Some(tool), &is_task);
        if first.arguments.is_err() {
            return read;
        }
        first.hints.push(Remark {
            code: Code::TrailingText,
            offset: line.behind,
            message: slips::message(Code::TrailingText).to_owned(),
        });
        self.scanner.lexer.several_lines = false;
        first
    }

    /// What was mended in the call that was just read.
    fn mended(&self, id: TaskId, end: CallEnd, remarks: Vec<Remark>) -> Vec<Diagnostic> {
        let call = &self.scanner.call;
        let mut codes = slips::of_call(call, &self.scanner.lexer);
        if end == CallEnd::Missing {
            codes.push(Code::MissingParenthesis);
        }
        let slips = codes.into_iter().map(|code| Diagnostic {
            code,
            message: slips::message(code).to_owned(),
            position: call.head.position,
            task_id: Some(id),
        });
        slips.chain(self.located(remarks, Some(id))).collect()
    }

    /// Remarks about the text in the scanner, with their places.
    pub(super) fn located(&self, remarks: Vec<Remark>, task_id: Option<TaskId>) -> Vec<Diagnostic> {
        let mut locator = Locator::new(&self.scanner.lexer.text, self.scanner.call.inside);
        let located = remarks.into_iter().map(|remark| Diagnostic {
            code: remark.code,
            message: remark.message,
            position: locator.locate(remark.offset),
            task_id,
        });
        located.collect()
    }

    fn join(&mut self, end: CallEnd, faulty: Option<Remark>) {
        let lexer = &self.scanner.lexer;
        let position = self.scanner.call.head.position;
        let read = read_arguments(&lexer.text, &lexer.tokens, None, &|id| self.knows(id));
        let faulty = faulty.or_else(|| read.arguments.as_ref().err().cloned());
        let mut answer = None;
        let mut ignored = None;
        match (faulty, read.arguments.as_deref()) {
            (Some(remark), _) if matches!(remark.code, Code::UnknownReference | Code::CutOff) => {
                let place = Locator::new(&lexer.text, self.scanner.call.inside).locate(remark.offset);
                ignored = Some((remark.code, place, remark.message));
            }
            (None, Ok([])) => {}
            (None, Ok([Argument { value: Template::Reference(reference), .. }])) => {
                answer = Some(self.renamed(reference.clone()));
            }
            _ => ignored = Some((Code::JoinArguments, position, slips::message(Code::JoinArguments).to_owned())),
        }
        let mut codes = slips::of_call(&self.scanner.call, lexer);
        if matches!(end, CallEnd::Missing | CallEnd::InString(_)) {
            codes.push(Code::MissingParenthesis);
        }
        for code in codes {
            self.say(code, position, slips::message(code), None);
        }
        if let Some((code, place, message)) = ignored {
            self.say(code, place, message, None);
        }
        if self.plan.tasks == 0 && answer.is_none() {
            self.say(Code::NoTasks, position, slips::message(Code::NoTasks), None);
        }
        self.close_or_wait(answer);
    }
}
