//! Reads the arguments of a call from its tokens: Python and JSON literals, names, and references.

mod json;
mod number;
mod string;

use serde_json::{Map, Value};

pub(crate) use self::json::{ReadMember, ReadTask, read_member, read_task};
use crate::literal::literal;
use crate::reference::{read_reference, read_string};
use crate::step::{Code, TaskId};
use crate::template::{Template, clip};
use crate::token::{Kind, Token, is_identifier};
use crate::toolset::Tool;

/// How deeply values may be nested.
const DEEPEST: usize = 64;

/// One argument of a call.
#[derive(Debug)]
pub(crate) struct Argument {
    pub(crate) name: Option<String>,
    pub(crate) value: Template,
    pub(crate) offset: usize,
}

/// Something to be said about the call, at an offset of its inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remark {
    pub(crate) code: Code,
    pub(crate) offset: usize,
    pub(crate) message: String,
}

/// The arguments, or why they cannot be used; and what was mended on the way.
pub(crate) struct ReadArguments {
    pub(crate) arguments: Result<Vec<Argument>, Remark>,
    pub(crate) hints: Vec<Remark>,
}

/// Reads the arguments in `text`, cut into `tokens`. `is_task` knows the tasks that references may name.
pub(crate) fn read_arguments(
    text: &str,
    tokens: &[Token],
    tool: Option<&Tool>,
    is_task: &impl Fn(TaskId) -> bool,
) -> ReadArguments {
    let mut reader = Reader { text, tokens, next: 0, is_task, hints: Vec::new(), tool, is_json: false };
    let arguments = match reader.arguments() {
        Err(fault) if matches!(fault.code, Code::UnquotedArgument | Code::BadSyntax) => reader.prose(fault),
        read => read,
    };
    ReadArguments { arguments, hints: reader.hints }
}

struct Reader<'r, F> {
    text: &'r str,
    tokens: &'r [Token],
    next: usize,
    is_task: &'r F,
    tool: Option<&'r Tool>,
    hints: Vec<Remark>,
    is_json: bool,
}

/// A member of an object.
struct Member {
    key: String,
    value: Template,
    offset: usize,
    /// Where the value begins.
    first: Option<Token>,
    /// The task that the value, a string, names though there is none.
    names_no_task: Option<TaskId>,
}

type Read<T> = Result<T, Remark>;

fn fault<T>(code: Code, offset: usize, message: impl Into<String>) -> Read<T> {
    Err(Remark { code, offset, message: message.into() })
}

fn unknown_reference(task_id: TaskId, offset: usize) -> Remark {
    let message = format!(
        "${task_id} names no earlier task; a reference names a task written before it (for the text itself write \"$${task_id}\")"
    );
    Remark { code: Code::UnknownReference, offset, message }
}

impl<F: Fn(TaskId) -> bool> Reader<'_, F> {
    fn peek(&mut self) -> Option<Token> {
        while let Some(token) = self.tokens.get(self.next) {
            if token.kind != Kind::Comment {
                return Some(*token);
            }
            self.hint(Code::Comment, token.start, "a comment inside the call: ignored");
            self.next += 1;
        }
        None
    }

    fn take(&mut self) -> Option<Token> {
        let token = self.peek()?;
        self.next += 1;
        Some(token)
    }

    fn take_if(&mut self, kind: Kind) -> bool {
        let found = self.peek().is_some_and(|token| token.kind == kind);
        self.next += usize::from(found);
        found
    }

    fn hint(&mut self, code: Code, offset: usize, message: impl Into<String>) {
        self.hints.push(Remark { code, offset, message: message.into() });
    }

    fn slice(&self, token: Token) -> &str {
        &self.text[token.start..token.end]
    }

    fn arguments(&mut self) -> Read<Vec<Argument>> {
        let mut arguments = Vec::new();
        let mut numbers = Vec::new();
        while let Some(token) = self.peek() {
            let name = self.name(token);
            let first = self.peek();
            let value = self.value(0)?;
            numbers.extend(self.plain_number(first, &value).map(|number| (arguments.len(), number)));
            arguments.push(Argument { name, value, offset: token.start });
            match self.peek() {
                None => break,
                Some(token) if token.kind == Kind::Comma => self.next += 1,
                Some(token) => return self.unexpected(token, "a comma or the closing parenthesis"),
            }
        }
        self.mend_numbers(&mut arguments, numbers);
        Ok(arguments)
    }

    /// `name=` or, where the tool has such a parameter, `name:`.
    fn name(&mut self, token: Token) -> Option<String> {
        let name = self.slice(token).to_owned();
        if token.kind != Kind::Bare || !is_identifier(&name) {
            return None;
        }
        match self.tokens.get(self.next + 1)?.kind {
            Kind::Equals => {}
            Kind::Colon if self.tool.is_some_and(|tool| tool.takes(&name)) => {
                self.hint(Code::ColonArgument, token.start, format!("{name}: … read as {name}=…"));
            }
            _ => return None,
        }
        self.next += 2;
        Some(name)
    }

    fn unexpected<T>(&self, token: Token, expected: &str) -> Read<T> {
        let found = match token.kind {
            Kind::String(_) => "a string".to_owned(),
            Kind::Bare => format!("{:?}", clip(self.slice(token), 40)),
            _ => format!("'{}'", self.slice(token)),
        };
        fault(Code::BadSyntax, token.start, format!("expected {expected}, found {found}"))
    }

    fn value(&mut self, depth: usize) -> Read<Template> {
        let Some(token) = self.take() else {
            return fault(Code::BadSyntax, self.text.len(), "expected a value, found the end of the call");
        };
        if depth > DEEPEST {
            return fault(Code::TooDeep, token.start, format!("values may be nested {DEEPEST} deep, not deeper"));
        }
        match token.kind {
            Kind::String(quoting) => Ok(self.strings(token, quoting)),
            Kind::Bare => self.bare(token),
            Kind::Open(b'[') => self.list(b']', depth).map(|(items, _)| collect_list(items)),
            Kind::Open(b'(') => self.list(b')', depth).map(|(mut items, is_tuple)| {
                // `(1)` is a value in parentheses, `(1,)` a tuple of one.
                if !is_tuple && items.len() == 1 { items.remove(0) } else { collect_list(items) }
            }),
            Kind::Open(_) => self.object(depth),
            _ => self.unexpected(token, "a value"),
        }
    }

    fn list(&mut self, close: u8, depth: usize) -> Read<(Vec<Template>, bool)> {
        let mut items = Vec::new();
        let mut commas = 0;
        loop {
            if self.closes(close)? {
                return Ok((items, commas > 0));
            }
            items.push(self.value(depth + 1)?);
            if self.take_if(Kind::Comma) {
                commas += 1;
            } else if self.closes(close)? {
                return Ok((items, commas > 0));
            } else if let Some(token) = self.peek() {
                return self.unexpected(token, &format!("a comma or '{}'", char::from(close)));
            }
        }
    }

    fn object(&mut self, depth: usize) -> Read<Template> {
        let members = self.members(depth + 1)?;
        Ok(collect_object(members.into_iter().map(|member| (member.key, member.value)).collect()))
    }

    /// The members of an object, behind its opening brace, their values nested `depth` deep.
    fn members(&mut self, depth: usize) -> Read<Vec<Member>> {
        let mut members = Vec::new();
        loop {
            if self.closes(b'}')? {
                return Ok(members);
            }
            let offset = self.peek().map_or(self.text.len(), |token| token.start);
            let key = self.key()?;
            self.expect_colon(&key)?;
            let first = self.peek();
            let names_no_task = first.and_then(|token| self.names_no_task(token));
            let value = self.value(depth)?;
            members.push(Member { key, value, offset, first, names_no_task });
            if !self.take_if(Kind::Comma) {
                if self.closes(b'}')? {
                    return Ok(members);
                }
                if let Some(token) = self.peek() {
                    return self.unexpected(token, "a comma or '}'");
                }
            }
        }
    }

    fn expect_colon(&mut self, key: &str) -> Read<()> {
        if self.take_if(Kind::Colon) {
            return Ok(());
        }
        let offset = self.peek().map_or(self.text.len(), |token| token.start);
        fault(Code::BadSyntax, offset, format!("expected ':' after the key {:?}", clip(key, 40)))
    }

    /// A key holds no references; in lines `$$` is a dollar in it, too, in JSON it is as it is written.
    fn key(&mut self) -> Read<String> {
        match self.take() {
            Some(Token { kind: Kind::String(quoting), start, end }) => {
                let key = self.decode(start, end, quoting);
                if self.is_json {
                    return Ok(key);
                }
                let read = read_string(key, &|_| false);
                if read.stays_text.is_some() {
                    self.hint(Code::DollarText, start, "references in keys are not replaced: kept as text");
                }
                Ok(read.template.into_text())
            }
            Some(token) if token.kind == Kind::Bare => Ok(self.slice(token).to_owned()),
            Some(token) => self.unexpected(token, "a key"),
            None => fault(Code::BadSyntax, self.text.len(), "expected a key, found the end of the call"),
        }
    }

    /// Whether the bracket is closed here; the end of the call closes it, too.
    fn closes(&mut self, close: u8) -> Read<bool> {
        match self.peek() {
            None => {
                let message = format!("'{}' is missing at the end: added", char::from(close));
                self.hint(Code::MissingBracket, self.text.trim_end().len(), message);
                Ok(true)
            }
            Some(token) if token.kind == Kind::Close(close) => {
                self.next += 1;
                Ok(true)
            }
            Some(token) if matches!(token.kind, Kind::Close(_)) => {
                self.unexpected(token, &format!("'{}'", char::from(close)))
            }
            Some(_) => Ok(false),
        }
    }

    fn bare(&mut self, token: Token) -> Read<Template> {
        let word = self.slice(token);
        if word.starts_with('$')
            && let Some((reference, length)) = read_reference(word)
            && length == word.len()
        {
            if (self.is_task)(reference.task_id) {
                return Ok(Template::Reference(reference));
            }
            return Err(unknown_reference(reference.task_id, token.start));
        }
        match literal(word) {
            Some(value) => Ok(Template::Constant(value)),
            None => fault(
                Code::UnquotedArgument,
                token.start,
                format!("{:?} is no value; put text in quotes, and let a tool compute expressions", clip(word, 40)),
            ),
        }
    }

    /// Text without quotes, where it can only be the one string that the tool takes.
    fn prose(&mut self, fault: Remark) -> Read<Vec<Argument>> {
        let Some(tool) = self.tool else { return Err(fault) };
        let (name, from) = match self.tokens {
            [first, second, ..]
                if matches!(second.kind, Kind::Equals | Kind::Colon) && tool.takes(self.slice(*first)) =>
            {
                (Some(self.slice(*first).to_owned()), second.end)
            }
            _ => (None, 0),
        };
        let tokens = || self.tokens.iter().filter(|token| token.start >= from);
        let begins = tokens().next().is_some_and(|token| matches!(token.kind, Kind::Bare | Kind::Open(b'(')));
        let plain = |token: &Token| !matches!(token.kind, Kind::String(_) | Kind::Equals | Kind::Comment);
        if !begins || !tokens().all(plain) || tool.required().len() > 1 || !tool.takes_text(name.as_deref()) {
            return Err(fault);
        }
        let text = self.text[from..].trim().to_owned();
        self.hints.clear();
        self.hint(Code::UnquotedText, from, "text without quotes: read as one string");
        let value = self.references_in(text, from);
        Ok(vec![Argument { name, value, offset: from }])
    }
}

fn collect_list(items: Vec<Template>) -> Template {
    if items.iter().all(|item| matches!(item, Template::Constant(_))) {
        return Template::Constant(Value::Array(items.into_iter().filter_map(constant).collect()));
    }
    Template::List(items)
}

fn collect_object(members: Vec<(String, Template)>) -> Template {
    if members.iter().all(|(_, member)| matches!(member, Template::Constant(_))) {
        let constants = members.into_iter().filter_map(|(key, member)| constant(member).map(|value| (key, value)));
        return Template::Constant(Value::Object(constants.collect::<Map<_, _>>()));
    }
    Template::Object(members)
}

fn constant(template: Template) -> Option<Value> {
    match template {
        Template::Constant(value) => Some(value),
        _ => None,
    }
}
