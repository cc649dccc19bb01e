//! Cuts model text into thoughts, calls and what is neither, character by character and however the text is cut.
//!
//! Text flows one way: a line begins undecided ([`Head`]); once decided it is a thought, a call, a comment, a fence or prose.
//! A call's inside belongs to the [`Lexer`] up to the parenthesis that ends it; what follows on its line may be another call.
//! A line before any call may begin a plan in JSON instead: then its parts are cut out, and all of it to its end is JSON.
//! Where a line begins, reasoning may begin: all of it up to its closing tag is passed over.

mod call;
mod end;
mod json;
mod line;
mod opening;
mod reasoning;

pub(crate) use self::call::{Call, CallEnd};
use self::json::Json;
pub(crate) use self::json::is_tasks_key;
use self::opening::Opening;
use self::reasoning::Reasoning;
use crate::head::{Found, Head};
use crate::lexer::Lexer;
use crate::position::Position;
use crate::step::Code;

/// Something that was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Thought(String),
    /// A call; its head is in [`Scanner::call`] and its inside in [`Scanner::lexer`] until the next item is asked for.
    Call(CallEnd),
    EndOfPlan(Position),
    /// A closing tag that nothing opened: what stands before this place was reasoning.
    EndOfReasoning(Position),
    /// The text ends in reasoning, which begins here.
    OpenReasoning(Position),
    /// A task of a JSON plan: its text is in [`Scanner::lexer`], and begins at `inside` of [`Scanner::call`].
    Task(CallEnd),
    /// A member of a JSON plan that is no list of tasks; kept alike.
    Member(CallEnd),
    /// A JSON plan ends here, with its closing bracket or without.
    EndOfJson(CallEnd, Position),
    Slip(Code, Position),
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
    /// In what may be the beginning of a JSON plan.
    Opening,
    /// In a JSON plan.
    Json,
    /// Between the tags of reasoning.
    Reasoning,
    /// Behind its closing tag, on the same line.
    BehindReasoning,
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
    opening: Opening,
    json: Json,
    reasoning: Reasoning,
    has_calls: bool,
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
            opening: Opening::default(),
            json: Json::default(),
            reasoning: Reasoning::default(),
            has_calls: false,
        }
    }

    /// The plan is closed: nothing that follows is executed.
    pub(crate) fn close(&mut self) {
        self.mode = Mode::Closed;
        // That it closed a draft is still to be said.
        self.breaking = self.breaking.filter(|found| *found == Found::EndOfReasoning);
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
                match self.mode {
                    Mode::InsideLine => {
                        self.hold_no_more(Mode::Inside);
                        continue;
                    }
                    Mode::Opening => {
                        self.refuse_opening();
                        continue;
                    }
                    _ => {}
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
            Mode::Json if self.json.is_lexing() => self.lexer.skip(text),
            Mode::Rest | Mode::Thought | Mode::Reasoning | Mode::Ignored if self.reasoning.tags.is_begun() => 0,
            Mode::Rest | Mode::Thought => memchr::memchr2(b'\n', b'<', text.as_bytes()).unwrap_or(text.len()),
            Mode::Reasoning | Mode::Ignored => memchr::memchr(b'<', text.as_bytes()).unwrap_or(text.len()),
            _ => 0,
        };
        if length > 0 {
            let (passed, rest) = text.split_at(length);
            if self.mode == Mode::Thought {
                self.thought.push_str(passed);
            }
            if self.mode == Mode::Rest {
                self.reasoning.count(passed.len());
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
                    return None;
                }
                if self.reasoning.ends(character) {
                    return self.end_reasoning();
                }
                self.reasoning.count(character.len_utf8());
                None
            }
            Mode::Thought => {
                if character == '\n' {
                    return self.end_thought();
                }
                self.thought.push(character);
                if self.reasoning.ends(character) { self.end_reasoning() } else { None }
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
                } else if self.reasoning.ends(character) {
                    return self.end_reasoning();
                }
                None
            }
            Mode::Opening => {
                self.in_opening(character);
                None
            }
            Mode::Json => self.in_json(character, at),
            Mode::Closed => self.behind_close(character, at),
            Mode::Reasoning => {
                self.in_reasoning(character);
                None
            }
            Mode::BehindReasoning => {
                if character.is_whitespace() {
                    if character == '\n' {
                        self.start_line();
                    }
                    return None;
                }
                self.start_line();
                self.at_line(character, at, is_tool)
            }
            Mode::Ignored => {
                if self.reasoning.ends(character) {
                    self.end_reasoning()
                } else {
                    None
                }
            }
        }
    }

    fn start_line(&mut self) {
        self.mode = Mode::Line;
        self.reasoning.reset();
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
}
