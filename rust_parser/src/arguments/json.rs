//! Reads the parts of a JSON plan from their tokens: a task, and the members beside the list of tasks. Their values are read
//! as those of calls are; what is not JSON in how they are written is said once for each part.

use serde::de::IgnoredAny;
use serde_json::Value;

use super::{Argument, Read, Reader, Remark, fault, unknown_reference};
use crate::reference::read_reference;
use crate::step::{Code, TaskId};
use crate::template::{Template, clip};
use crate::token::{Kind, Token};
use crate::toolset::{Tool, ToolSet};

/// A task as its object says it.
pub(crate) struct ReadTask {
    pub(crate) id: Option<(Template, usize)>,
    /// The name of the tool, and where it stands.
    pub(crate) tool: Option<(String, usize)>,
    /// The arguments, or why they, or another part of the object, cannot be used.
    pub(crate) arguments: Read<Vec<Argument>>,
    pub(crate) hints: Vec<Remark>,
}

/// A member of a plan.
pub(crate) struct ReadMember {
    pub(crate) key: String,
    pub(crate) value: Read<Template>,
    /// Where the value stands.
    pub(crate) offset: usize,
    pub(crate) hints: Vec<Remark>,
}

/// Reads the task in `text`, an object cut into `tokens`. `is_task` knows the tasks that references may name.
pub(crate) fn read_task(text: &str, tokens: &[Token], tools: &ToolSet, is_task: &impl Fn(TaskId) -> bool) -> ReadTask {
    let mut task = ReadTask { id: None, tool: None, arguments: Ok(Vec::new()), hints: looseness(text, tokens) };
    let mut given: Option<&[Token]> = None;
    let mut broken = None;
    for member in members(tokens) {
        let mut reader =
            Reader { text, tokens: member, next: 0, is_task, hints: Vec::new(), tool: None, is_json: true };
        // Behind the last comma there may be only a comment.
        let read = if reader.peek().is_some() { reader.task_member(&mut task) } else { Ok(false) };
        task.hints.append(&mut reader.hints);
        match read {
            Ok(true) => given = member.get(reader.next..),
            Ok(false) => {}
            Err(fault) => broken = broken.or(Some(fault)),
        }
    }
    let tool = task.tool.as_ref().and_then(|(name, _)| tools.get(name)).map(|(_, tool)| tool);
    let mut reader =
        Reader { text, tokens: given.unwrap_or_default(), next: 0, is_task, hints: Vec::new(), tool, is_json: true };
    let arguments = if given.is_some() { reader.task_arguments() } else { Ok(Vec::new()) };
    task.hints.append(&mut reader.hints);
    task.arguments = broken.map_or(arguments, Err);
    if let Err(fault) = &task.arguments {
        // A reference to no task that cannot stay text, either.
        let is_fault = |hint: &Remark| hint.code == Code::DollarText && hint.offset == fault.offset;
        task.hints.retain(|hint| !is_fault(hint));
    }
    task.hints.sort_by_key(|hint| hint.offset);
    task
}

/// Reads the member of a plan in `text`. Of a thought the text is taken as it is, without references.
pub(crate) fn read_member(text: &str, tokens: &[Token], is_task: &impl Fn(TaskId) -> bool) -> ReadMember {
    let hints = looseness(text, tokens);
    let mut reader = Reader { text, tokens, next: 0, is_task, hints, tool: None, is_json: true };
    let mut member =
        ReadMember { key: String::new(), value: Ok(Template::Constant(Value::Null)), offset: 0, hints: Vec::new() };
    member.value = reader.plan_member(&mut member);
    member.hints = reader.hints;
    member
}

impl<F: Fn(TaskId) -> bool> Reader<'_, F> {
    /// Notes a member of a task; tells whether it holds the arguments, which are read once the tool is known.
    fn task_member(&mut self, task: &mut ReadTask) -> Read<bool> {
        let offset = self.tokens.first().map_or(0, |token| token.start);
        let key = self.key_and_colon()?;
        let name = key.to_ascii_lowercase();
        match name.as_str() {
            "arguments" | "args" | "parameters" => {
                if name != "arguments" {
                    self.hint(Code::JsonShape, offset, format!("{key:?} read as \"arguments\""));
                }
                return Ok(true);
            }
            "id" => {
                let at = self.peek().map_or(offset, |token| token.start);
                task.id = Some((self.only_value()?, at));
            }
            "tool" | "name" => {
                if name != "tool" {
                    self.hint(Code::JsonShape, offset, format!("{key:?} read as \"tool\""));
                }
                let at = self.peek().map_or(offset, |token| token.start);
                match self.only_value()? {
                    Template::Constant(Value::String(name)) => task.tool = Some((name, at)),
                    _ => return fault(Code::BadSyntax, at, format!("{key:?} is to be the name of a tool")),
                }
            }
            _ => {
                let message = format!("{:?} is no part of a task: ignored", clip(&key, 40));
                self.hint(Code::IgnoredText, offset, message);
            }
        }
        Ok(false)
    }

    fn task_arguments(&mut self) -> Read<Vec<Argument>> {
        let Some(token) = self.peek() else {
            return fault(Code::BadSyntax, self.text.len(), "expected the arguments, found the end of the task");
        };
        let arguments = match token.kind {
            Kind::Open(b'{') => {
                self.next += 1;
                self.named_arguments()?
            }
            Kind::Open(b'[') => {
                self.hint(Code::JsonShape, token.start, "a list of arguments: read in the order of the parameters");
                self.next += 1;
                let (values, _) = self.list(b']', 0)?;
                values.into_iter().map(|value| Argument { name: None, value, offset: token.start }).collect()
            }
            Kind::Bare if self.slice(token) == "null" => {
                self.next += 1;
                Vec::new()
            }
            _ => return self.unexpected(token, "an object with the arguments"),
        };
        self.expect_end()?;
        Ok(arguments)
    }

    fn named_arguments(&mut self) -> Read<Vec<Argument>> {
        let mut unfit = None;
        let mut arguments = Vec::new();
        let mut numbers = Vec::new();
        for member in self.members(0)? {
            if let Some(task_id) = member.names_no_task
                && self.tool.is_some_and(|tool| tool.takes_no_text(&member.key))
            {
                let offset = member.first.map_or(member.offset, |token| token.start);
                unfit = unfit.or(Some(unknown_reference(task_id, offset)));
            }
            let number = self.plain_number(member.first, &member.value);
            numbers.extend(number.map(|number| (arguments.len(), number)));
            arguments.push(Argument { name: Some(member.key), value: member.value, offset: member.offset });
        }
        if let Some(unfit) = unfit {
            return Err(unfit);
        }
        self.mend_numbers(&mut arguments, numbers);
        Ok(arguments)
    }

    fn plan_member(&mut self, member: &mut ReadMember) -> Read<Template> {
        member.key = self.key_and_colon()?;
        let Some(token) = self.peek() else { return self.value(0) };
        member.offset = token.start;
        if let (true, Kind::String(quoting)) = (member.key.eq_ignore_ascii_case("thought"), token.kind) {
            self.next += 1;
            return Ok(Template::Constant(Value::String(self.decode(token.start, token.end, quoting))));
        }
        self.only_value()
    }

    fn key_and_colon(&mut self) -> Read<String> {
        let key = self.key()?;
        self.expect_colon(&key)?;
        Ok(key)
    }

    fn only_value(&mut self) -> Read<Template> {
        let value = self.value(0)?;
        self.expect_end()?;
        Ok(value)
    }

    fn expect_end(&mut self) -> Read<()> {
        match self.peek() {
            None => Ok(()),
            Some(token) => self.unexpected(token, "a comma or '}'"),
        }
    }

    /// The task that a string names, if it is nothing but a reference to one that is not known.
    pub(super) fn names_no_task(&self, token: Token) -> Option<TaskId> {
        let Kind::String(_) = token.kind else { return None };
        let text = self.slice(token);
        let (reference, length) = text.starts_with('$').then(|| read_reference(text))??;
        (length == text.len() && !(self.is_task)(reference.task_id)).then_some(reference.task_id)
    }
}

/// The members of an object: its tokens between the commas that stand in no inner bracket.
fn members(tokens: &[Token]) -> Vec<&[Token]> {
    let inside = match tokens {
        [Token { kind: Kind::Open(b'{'), .. }, inside @ .., Token { kind: Kind::Close(b'}'), .. }]
            if is_closed(tokens) =>
        {
            inside
        }
        [Token { kind: Kind::Open(b'{'), .. }, inside @ ..] => inside,
        _ => tokens,
    };
    let mut depth = 0_usize;
    let ends = |token: &Token| {
        match token.kind {
            Kind::Open(_) => depth += 1,
            Kind::Close(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && token.kind == Kind::Comma
    };
    inside.split(ends).filter(|member| !member.is_empty()).collect()
}

/// Whether the last token closes the first: every other bracket was closed before.
fn is_closed(tokens: &[Token]) -> bool {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate() {
        match token.kind {
            Kind::Open(_) => depth += 1,
            Kind::Close(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return index + 1 == tokens.len();
        }
    }
    false
}

/// What is not JSON in how something is written: at most one remark of a kind, the first.
fn looseness(text: &str, tokens: &[Token]) -> Vec<Remark> {
    let mut hints: Vec<Remark> = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let next = tokens.get(index + 1).map(|next| next.kind);
        let found = match token.kind {
            Kind::String(quoting) if quoting.quote == '\'' => {
                Some((Code::LooseJson, "single quotes: JSON has double ones"))
            }
            Kind::String(quoting) if quoting.triple || quoting.raw => {
                Some((Code::LooseJson, "a string as Python writes it"))
            }
            Kind::String(_) if matches!(next, Some(Kind::String(_))) => {
                Some((Code::LooseJson, "several strings in a row: read as one"))
            }
            Kind::Open(b'(') => Some((Code::LooseJson, "parentheses: JSON has none")),
            Kind::Bare if serde_json::from_str::<IgnoredAny>(&text[token.start..token.end]).is_err() => {
                Some((Code::LooseJson, "a word without quotes: read as in Python"))
            }
            Kind::Comma if matches!(next, Some(Kind::Comma | Kind::Close(_))) => {
                Some((Code::JsonComma, "a comma too many: ignored"))
            }
            Kind::Close(_) if token.start == token.end => {
                Some((Code::MissingBracket, "a bracket is missing before the one that closes: added"))
            }
            _ => None,
        };
        if let Some((code, message)) = found
            && hints.iter().all(|hint| hint.code != code)
        {
            hints.push(Remark { code, offset: token.start, message: message.to_owned() });
        }
    }
    hints
}

impl Tool {
    /// Whether a parameter can be given no string.
    fn takes_no_text(&self, parameter: &str) -> bool {
        self.has_parameter(parameter) && !self.takes_text(Some(parameter))
    }
}
