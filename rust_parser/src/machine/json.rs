//! What the parts of a JSON plan become: tasks like those of lines, a thought, and the end of the plan.

use std::sync::Arc;

use serde_json::Value;

use super::Machine;
use super::plan::{Join, LARGEST_ID, Written};
use crate::arguments::{Argument, ReadMember, ReadTask, Remark, read_member, read_task};
use crate::binding::{assign, unknown_tool};
use crate::position::{Locator, Position};
use crate::scanner::{CallEnd, is_tasks_key};
use crate::slips;
use crate::step::{Code, Step, TaskId};
use crate::template::{Given, Reference, Template, clip, text_of};
use crate::toolset::Tool;

impl Machine {
    /// A task of the list was read: its text is in the scanner.
    pub(super) fn json_task(&mut self, end: CallEnd) {
        let tools = Arc::clone(&self.tools);
        let position = self.scanner.call.inside;
        let lexer = &self.scanner.lexer;
        let read = read_task(&lexer.text, &lexer.tokens, &tools, &|id| self.knows(id));
        let faulty = self.faulty_end(end, "task");
        let ReadTask { id, tool, mut arguments, mut hints } = read;
        // The name may have been cut, too.
        let is_cut = end == CallEnd::CutOff
            && tool.as_ref().is_some_and(|(name, offset)| offset + name.len() >= self.scanner.lexer.text.len());
        let Some((name, _)) = tool.filter(|_| !is_cut) else {
            let remark = faulty.or(arguments.err()).unwrap_or_else(|| Remark {
                code: Code::BadSyntax,
                offset: 0,
                message: "the task names no tool: it is not called; its name stands under \"tool\"".to_owned(),
            });
            let place = self.place(remark.offset);
            return self.say(remark.code, place, remark.message, None);
        };
        if name.eq_ignore_ascii_case("join") {
            return self.join_as_task(faulty, arguments, position);
        }
        let Some(id) = self.json_id(id, &mut hints) else { return };
        let Some(id) = self.admits(id, position) else { return };
        if end == CallEnd::Missing && hints.iter().all(|hint| hint.code != Code::MissingBracket) {
            let message = slips::message(Code::MissingBracket).to_owned();
            hints.push(Remark { code: Code::MissingBracket, offset: self.scanner.lexer.text.len(), message });
        }
        let arguments = match (faulty, tools.get(&name)) {
            (Some(faulty), _) => {
                hints.clear();
                Err(faulty)
            }
            (None, None) => Err(unknown_tool(&name, &tools)),
            (None, Some((_, tool))) => {
                if let Ok(arguments) = &mut arguments {
                    drop_unwanted(tool, arguments);
                }
                arguments.and_then(|arguments| assign(tool, arguments))
            }
        };
        let hints = self.located(hints, Some(id));
        self.plan_task(Written { id, tool: name, position, arguments, hints });
    }

    /// The id of a task: as it says, or the next one.
    fn json_id(&mut self, id: Option<(Template, usize)>, hints: &mut Vec<Remark>) -> Option<TaskId> {
        let Some((value, offset)) = id else {
            let message = slips::message(Code::MissingId).to_owned();
            hints.insert(0, Remark { code: Code::MissingId, offset: 0, message });
            return Some(self.next_id)
                .filter(|id| *id <= LARGEST_ID)
                .or_else(|| self.bad_id(&self.next_id.to_string(), 0));
        };
        let found = match value {
            Template::Constant(Value::Number(number)) => number.to_string(),
            Template::Constant(Value::String(text)) => {
                let message = format!("the id {:?} is a string: read as a number", clip(&text, 20));
                hints.push(Remark { code: Code::LooseJson, offset, message });
                text
            }
            Template::Constant(value) => value.to_string(),
            _ => "a reference".to_owned(),
        };
        found.parse().ok().filter(|id| *id <= LARGEST_ID).or_else(|| self.bad_id(&found, offset))
    }

    fn bad_id(&mut self, found: &str, offset: usize) -> Option<TaskId> {
        let message = format!("{} is no id: a whole number, at most {LARGEST_ID}", clip(found, 20));
        let place = self.place(offset);
        self.say(Code::BadId, place, message, None);
        None
    }

    /// A task of the list that calls `join`.
    fn join_as_task(&mut self, faulty: Option<Remark>, arguments: Result<Vec<Argument>, Remark>, position: Position) {
        let mut answer = None;
        match faulty.map_or(arguments, Err).as_deref() {
            Ok([]) => {}
            Ok([Argument { value: Template::Reference(reference), .. }]) => answer = Some(reference.clone()),
            _ => self.say(Code::JoinArguments, position, slips::message(Code::JoinArguments), None),
        }
        self.say(Code::JsonShape, position, "join among the tasks: read as the plan's \"join\"", None);
        self.plan.join = Some(Join { answer, position });
    }

    /// A member of the plan was read that is no list of tasks.
    pub(super) fn json_member(&mut self, end: CallEnd) {
        let lexer = &self.scanner.lexer;
        // Whether the join names a task is known when the plan is closed.
        let ReadMember { key, value, offset, hints } = read_member(&lexer.text, &lexer.tokens, &|_| true);
        let name = key.to_ascii_lowercase();
        let hints = self.located(hints, None);
        let place = self.place(offset);
        let is_thought = name == "thought";
        match (self.faulty_end(end, "plan"), value) {
            (None, Err(remark)) => {
                self.steps.extend(hints.into_iter().map(Step::Diagnostic));
                let place = self.place(remark.offset);
                self.say(remark.code, place, remark.message, None);
            }
            (Some(remark), Err(_)) => self.half_member(remark),
            (Some(remark), Ok(_)) if !is_thought => self.half_member(remark),
            (_, Ok(value)) => {
                self.steps.extend(hints.into_iter().map(Step::Diagnostic));
                if is_thought {
                    self.json_thought(value, place);
                } else if name == "join" {
                    self.json_join(value, place);
                } else if is_tasks_key(&name) {
                    self.say(Code::BadSyntax, place, format!("{key:?} is to be a list of tasks"), None);
                } else {
                    let message = format!("{:?} is no part of a plan: ignored", clip(&key, 40));
                    self.say(Code::IgnoredText, place, message, None);
                }
            }
        }
    }

    fn half_member(&mut self, remark: Remark) {
        // That the model was stopped is said at the end of the plan; half a join names nothing.
        if remark.code != Code::CutOff {
            let place = self.place(remark.offset);
            self.say(remark.code, place, remark.message, None);
        }
    }

    fn json_thought(&mut self, value: Template, place: Position) {
        match value {
            Template::Constant(Value::Null) => {}
            Template::Constant(Value::String(text)) => {
                let thought = text.trim();
                if !thought.is_empty() {
                    self.steps.push(Step::Thought(thought.to_owned()));
                }
            }
            _ => self.say(Code::IgnoredText, place, "a thought is a string: ignored", None),
        }
    }

    fn json_join(&mut self, value: Template, position: Position) {
        let answer = match value {
            Template::Constant(Value::Null) => Ok(None),
            Template::Reference(reference) => Ok(Some(reference)),
            Template::Constant(value) => named(&text_of(&value)).map(Some).ok_or(()),
            _ => Err(()),
        };
        if answer.is_err() {
            self.say(Code::JoinArguments, position, slips::message(Code::JoinArguments), None);
        }
        self.plan.join = Some(Join { answer: answer.unwrap_or_default(), position });
    }

    /// The plan ends here.
    pub(super) fn end_of_json(&mut self, end: CallEnd, position: Position) {
        if end == CallEnd::CutOff {
            return;
        }
        if end == CallEnd::Missing {
            self.say(Code::MissingBracket, position, slips::message(Code::MissingBracket), None);
        }
        let is_plan = self.scanner.has_tasks() || self.plan.join.is_some();
        if !is_plan {
            return self.scanner.resume_lines();
        }
        let mut answer = None;
        if let Some(Join { answer: Some(reference), position }) = self.plan.join.take() {
            if self.knows(reference.task_id) {
                answer = Some(self.renamed(reference));
            } else {
                let message = format!("join names task {}, which does not exist: ignored", reference.task_id);
                self.say(Code::UnknownReference, position, message, None);
            }
        }
        if self.plan.tasks == 0 && answer.is_none() {
            self.say(Code::NoTasks, position, slips::message(Code::NoTasks), None);
        }
        self.close_or_wait(answer);
    }

    /// Where `offset` of the text in the scanner is in the plan.
    fn place(&self, offset: usize) -> Position {
        Locator::new(&self.scanner.lexer.text, self.scanner.call.inside).locate(offset)
    }
}

/// The task that a join names by its number.
fn named(text: &str) -> Option<Reference> {
    let task_id = text.parse().ok()?;
    Some(Reference { task_id, path: Vec::new(), given: Given::Value })
}

/// Takes out the nulls by which a model says that it does not want something optional.
fn drop_unwanted(tool: &Tool, arguments: &mut Vec<Argument>) {
    arguments.retain_mut(|argument| {
        let Some(name) = &argument.name else { return true };
        if tool.is_unwanted(name, &argument.value) {
            return false;
        }
        tool.drop_unwanted(name, &mut argument.value);
        true
    });
}
