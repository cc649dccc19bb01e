//! Cuts model text into thoughts, calls and what is neither, character by character and however the text is cut.
//!
//! Text flows one way: a line begins undecided ([`Head`]); once decided it is a thought, a call, a comment, a fence or prose.
//! A call's inside belongs to the [`Lexer`] up to the parenthesis that ends it; what follows on its line may be another call.

use crate::head::{CallHead, Found, Head};
use crate::lexer::{Lexed, Lexer};
use crate::position::Position;
use crate::step::Code;

/// Something that was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Thought(String),
    /// A call; its head is in [`Scanner::call`] and its inside in [`Scanner::lexer`] until the next item is asked for.
    Call(CallEnd),
    EndOfPlan(Position),
    Slip(Code, Position),
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallEnd {
    Parenthesis,
    /// The next task, or the end of the text, came before its parenthesis.
    Missing,
    /// The same, inside the string that begins at this offset of the call's inside.
    InString(usize),
    /// The model was stopped inside it.
    CutOff,
}

/// The call that is being read or was just read.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) head: CallHead,
    /// Where its inside begins: behind the opening parenthesis.
    pub(crate) inside: Position,
    /// Whether another call stands before it on its line.
    pub(crate) same_line: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Where a line begins.
    Line,
    /// In the rest of a line that carries no meaning.
    Rest,
    Thought,
    /// Inside a call.
    Inside,
    /// Inside a call, where a line begins that may be the next task.
    InsideLine,
    /// Behind a call, on its line, where a word begins.
    Behind,
    /// Behind a call, on its line, inside a word.
    BehindWord,
    /// Behind the close of the plan.
    Closed,
    /// Behind the close of the plan and what was said about it.
    Ignored,
}

/// Reads the text of one plan after the other.
#[derive(Debug)]
pub(crate) struct Scanner {
    pub(crate) call: Call,
    pub(crate) lexer: Lexer,
    mode: Mode,
    position: Position,
    head: Head,
    /// What was read since the line began, while it is undecided.
    held: String,
    held_from: Position,
    /// Held text that turned out to belong to the call around it, and how much of it was taken again.
    replay: String,
    replayed: usize,
    /// What broke an open call.
    breaking: Option<Found>,
    thought: String,
    /// Whether prose would continue a thought.
    in_thought: bool,
    trailing_said: bool,
}

impl Scanner {
    pub(crate) fn new() -> Self {
        let head = Head::default();
        let call = Call { head: head.call().clone(), inside: Position::START, same_line: false };
        Self {
            call,
            lexer: Lexer::default(),
            mode: Mode::Line,
            position: Position::START,
            head,
            held: String::new(),
            held_from: Position::START,
            replay: String::new(),
            replayed: 0,
            breaking: None,
            thought: String::new(),
            in_thought: false,
            trailing_said: false,
        }
    }

    /// The plan is closed: nothing that follows is executed.
    pub(crate) fn close(&mut self) {
        self.mode = Mode::Closed;
        self.breaking = None;
        self.restart_head();
    }

    /// The place of the next character.
    pub(crate) fn position(&self) -> Position {
        self.position
    }

    /// The next item of `text`, of which what was read is cut off; None once all of it is read.
    ///
    /// With `last` the text is complete: what is still open is ended, and the next text begins another plan.
    pub(crate) fn next(&mut self, text: &mut &str, last: bool, is_tool: &impl Fn(&str) -> bool) -> Option<Item> {
        if let Some(found) = self.breaking.take()
            && let Some(item) = self.begin(found, false)
        {
            return Some(item);
        }
        loop {
            self.skip(text);
            let Some(character) = self.take(text) else {
                if !last {
                    return None;
                }
                if self.mode == Mode::InsideLine {
                    self.hold_no_more();
                    continue;
                }
                return self.end_of_text();
            };
            let at = self.position;
            self.position.step(character);
            if let Some(item) = self.push(character, at, is_tool) {
                return Some(item);
            }
        }
    }

    /// Passes over text that can be taken in one piece.
    fn skip(&mut self, text: &mut &str) {
        if self.replayed < self.replay.len() {
            return;
        }
        let length = match self.mode {
            Mode::Inside => self.lexer.skip(text),
            Mode::Rest | Mode::Thought => memchr::memchr(b'\n', text.as_bytes()).unwrap_or(text.len()),
            Mode::Ignored => text.len(),
            _ => 0,
        };
        if length > 0 {
            let (passed, rest) = text.split_at(length);
            if self.mode == Mode::Thought {
                self.thought.push_str(passed);
            }
            self.position.advance(passed);
            *text = rest;
        }
    }

    fn take(&mut self, text: &mut &str) -> Option<char> {
        if let Some(character) = self.replay[self.replayed..].chars().next() {
            self.replayed += character.len_utf8();
            return Some(character);
        }
        let character = text.chars().next()?;
        *text = &text[character.len_utf8()..];
        Some(character)
    }

    fn push(&mut self, character: char, at: Position, is_tool: &impl Fn(&str) -> bool) -> Option<Item> {
        match self.mode {
            Mode::Line => self.at_line(character, at, is_tool),
            Mode::Rest => {
                if character == '\n' {
                    self.start_line();
                }
                None
            }
            Mode::Thought => {
                if character == '\n' {
                    return self.end_thought();
                }
                self.thought.push(character);
                None
            }
            Mode::Inside => self.inside(character),
            Mode::InsideLine => self.inside_line(character, at, is_tool),
            Mode::Behind => self.behind(character, at, is_tool),
            Mode::BehindWord => {
                if character == '\n' {
                    self.start_line();
                } else if character.is_whitespace() {
                    self.restart_head();
                    self.mode = Mode::Behind;
                }
                None
            }
            Mode::Closed => self.behind_close(character, at),
            Mode::Ignored => None,
        }
    }

    fn start_line(&mut self) {
        self.mode = Mode::Line;
        self.restart_head();
    }

    fn restart_head(&mut self) {
        self.head.reset();
        self.held.clear();
        self.held_from = self.position;
    }

    /// Shows the head a character; keeps it while it is undecided.
    fn decide(&mut self, character: char, at: Position) -> Found {
        if self.head.is_blank() {
            self.held_from = at;
        }
        let found = self.head.push(character, at);
        self.held.push(character);
        found
    }

    /// Whether the call that the head found is one: prose has words and parentheses, too.
    fn is_call(&self, is_tool: &impl Fn(&str) -> bool, line_start: bool) -> bool {
        let call = self.head.call();
        let is_join = call.name.eq_ignore_ascii_case("join");
        if call.digits.is_empty() {
            return is_join || (line_start && is_tool(&call.name));
        }
        !call.slips.space_before_parenthesis || is_join || is_tool(&call.name)
    }

    fn at_line(&mut self, character: char, at: Position, is_tool: &impl Fn(&str) -> bool) -> Option<Item> {
        if character == '\n' {
            let item = if self.head.is_blank() { None } else { self.begin(Found::Prose, false) };
            if self.mode == Mode::Thought {
                return self.end_thought();
            }
            self.start_line();
            return item;
        }
        match self.decide(character, at) {
            Found::Pending => None,
            Found::Call if !self.is_call(is_tool, true) => self.begin(Found::Prose, false),
            found => self.begin(found, false),
        }
    }

    /// What was found begins.
    fn begin(&mut self, found: Found, same_line: bool) -> Option<Item> {
        let continues_thought = std::mem::replace(&mut self.in_thought, false);
        let slip = |code| Some(Item::Slip(code, self.held_from));
        match found {
            Found::Call => {
                self.call = Call { head: self.head.call().clone(), inside: self.position, same_line };
                self.lexer.reset();
                self.trailing_said = false;
                self.mode = Mode::Inside;
                None
            }
            Found::Thought => {
                self.thought.clear();
                self.mode = Mode::Thought;
                let label = self.held.trim_start();
                if label != "Thought:" {
                    return slip(Code::LabelCase);
                }
                if label.len() != self.held.len() && !same_line {
                    return slip(Code::Indentation);
                }
                None
            }
            Found::Fence => {
                self.mode = Mode::Rest;
                slip(Code::CodeFence)
            }
            Found::Comment => {
                self.mode = Mode::Rest;
                slip(Code::Comment)
            }
            Found::EndOfPlan => Some(Item::EndOfPlan(self.held_from)),
            Found::Prose | Found::Pending if continues_thought => {
                self.thought.clear();
                self.thought.push_str(&self.held);
                self.mode = Mode::Thought;
                None
            }
            Found::Prose | Found::Pending => {
                self.mode = Mode::Rest;
                slip(Code::IgnoredText)
            }
        }
    }

    fn end_thought(&mut self) -> Option<Item> {
        self.start_line();
        self.in_thought = true;
        let thought = self.thought.trim_matches(|character: char| character.is_whitespace() || character == '*');
        if thought.is_empty() { None } else { Some(Item::Thought(thought.to_owned())) }
    }

    fn inside(&mut self, character: char) -> Option<Item> {
        if self.lexer.push(character) == Lexed::Ended {
            self.restart_head();
            self.mode = Mode::Behind;
            return Some(Item::Call(CallEnd::Parenthesis));
        }
        if character == '\n' && self.lexer.may_break() {
            self.restart_head();
            self.mode = Mode::InsideLine;
        }
        None
    }

    fn inside_line(&mut self, character: char, at: Position, is_tool: &impl Fn(&str) -> bool) -> Option<Item> {
        if self.held.is_empty() {
            self.held_from = at;
        }
        if character == '\n' {
            self.held.push(character);
            self.hold_no_more();
            return None;
        }
        // The whole held text is given back if the line goes on inside the call, so its first place is kept.
        let from = self.held_from;
        let found = self.decide(character, at);
        let first = std::mem::replace(&mut self.held_from, from);
        let is_text = self.head.is_word() && self.lexer.open_string().is_some();
        if found == Found::Pending && !is_text {
            return None;
        }
        if !self.breaks(found, is_tool) {
            self.hold_no_more();
            return None;
        }
        self.held_from = first;
        let end = self.lexer.open_string().map_or(CallEnd::Missing, CallEnd::InString);
        self.lexer.end();
        self.breaking = Some(found);
        Some(Item::Call(end))
    }

    /// Whether what begins on a line ends the call that is open around it. In a string only a later task with a known tool
    /// does, since strings may hold anything.
    fn breaks(&self, found: Found, is_tool: &impl Fn(&str) -> bool) -> bool {
        let in_string = self.lexer.open_string().is_some();
        match found {
            Found::Call if in_string => {
                let id = |digits: &str| digits.parse::<u64>().ok();
                let next = self.head.call();
                let follows = id(&self.call.head.digits).zip(id(&next.digits)).is_some_and(|(this, next)| this < next);
                follows && (next.name.eq_ignore_ascii_case("join") || is_tool(&next.name))
            }
            Found::Call => self.is_call(is_tool, false),
            Found::EndOfPlan => true,
            Found::Thought | Found::Fence => !in_string,
            Found::Pending | Found::Prose | Found::Comment => false,
        }
    }

    /// The held text belongs to the call: it is read again, as its inside.
    fn hold_no_more(&mut self) {
        self.replay.clear();
        std::mem::swap(&mut self.replay, &mut self.held);
        self.replayed = 0;
        if !self.replay.is_empty() {
            self.position = self.held_from;
        }
        self.mode = Mode::Inside;
    }

    fn behind(&mut self, character: char, at: Position, is_tool: &impl Fn(&str) -> bool) -> Option<Item> {
        if character == '\n' {
            let item = if self.head.is_only_marks() { None } else { self.trailing() };
            self.start_line();
            return item;
        }
        match self.decide(character, at) {
            Found::Pending => None,
            Found::Call if !self.is_call(is_tool, false) => self.trailing_word(character),
            Found::Prose => self.trailing_word(character),
            found => self.begin(found, true),
        }
    }

    fn trailing_word(&mut self, character: char) -> Option<Item> {
        let item = self.trailing();
        self.mode = if character.is_whitespace() { Mode::Behind } else { Mode::BehindWord };
        self.restart_head();
        item
    }

    fn trailing(&mut self) -> Option<Item> {
        let said = std::mem::replace(&mut self.trailing_said, true);
        if said { None } else { Some(Item::Slip(Code::TrailingText, self.held_from)) }
    }

    fn behind_close(&mut self, character: char, at: Position) -> Option<Item> {
        if character == '\n' {
            if !self.head.is_only_marks() {
                self.mode = Mode::Ignored;
                return Some(Item::Slip(Code::AfterClose, self.held_from));
            }
            self.restart_head();
            return None;
        }
        match self.decide(character, at) {
            Found::Pending => None,
            Found::EndOfPlan | Found::Fence => {
                self.restart_head();
                None
            }
            _ => {
                self.mode = Mode::Ignored;
                Some(Item::Slip(Code::AfterClose, self.held_from))
            }
        }
    }

    fn end_of_text(&mut self) -> Option<Item> {
        let item = match self.mode {
            Mode::Line if self.head.is_blank() => None,
            Mode::Line => {
                let item = self.begin(Found::Prose, false);
                if self.mode == Mode::Thought { self.end_thought() } else { item }
            }
            Mode::Thought => self.end_thought(),
            Mode::Inside | Mode::InsideLine => {
                let end = self.lexer.open_string().map_or(CallEnd::Missing, CallEnd::InString);
                self.lexer.end();
                Some(Item::Call(end))
            }
            Mode::Behind if !self.head.is_only_marks() => self.trailing(),
            Mode::Closed if !self.head.is_only_marks() => Some(Item::Slip(Code::AfterClose, self.held_from)),
            _ => None,
        };
        self.mode = Mode::Line;
        self.position = Position::START;
        self.in_thought = false;
        self.replay.clear();
        self.replayed = 0;
        self.restart_head();
        item
    }
}
