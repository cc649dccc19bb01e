//! The call that is being read: its inside, where a line may turn out to be the next task, and what stands behind it on its
//! line.

use super::{Item, Mode, Scanner};
use crate::head::{CallHead, Found};
use crate::lexer::Lexed;
use crate::position::Position;
use crate::step::Code;

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallEnd {
    /// With its closing bracket.
    Bracket,
    /// The next task, or the end of the text, came before its closing bracket.
    Missing,
    /// The same, inside the string that begins at this offset of the call's inside.
    InString(usize),
    /// The model was stopped inside it.
    CutOff,
}

impl CallEnd {
    /// The same where the end of the text may be a cut.
    pub(crate) fn of_text(self, is_cut_off: bool) -> Self {
        if is_cut_off && self != Self::Bracket { Self::CutOff } else { self }
    }
}

/// The call that is being read or was just read.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) head: CallHead,
    /// Where its inside begins: behind the opening parenthesis; or where a part of a JSON plan begins.
    pub(crate) inside: Position,
    /// Whether another call stands before it on its line.
    pub(crate) same_line: bool,
}

impl Scanner {
    pub(super) fn inside(&mut self, character: char) -> Option<Item> {
        if self.lexer.push(character) == Lexed::Ended {
            self.restart_head();
            self.mode = Mode::Behind;
            return Some(Item::Call(CallEnd::Bracket));
        }
        if character == '\n' && self.lexer.may_break() {
            self.restart_head();
            self.mode = Mode::InsideLine;
        }
        None
    }

    pub(super) fn inside_line(
        &mut self,
        character: char,
        at: Position,
        is_tool: &impl Fn(&str) -> bool,
    ) -> Option<Item> {
        if self.held.is_empty() {
            self.held_from = at;
        }
        if character == '\n' {
            self.held.push(character);
            self.hold_no_more(Mode::Inside);
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
            self.hold_no_more(Mode::Inside);
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
            Found::EndOfReasoning => self.is_end_of_reasoning(),
            Found::Pending | Found::Prose | Found::Comment | Found::Reasoning(_) => false,
        }
    }

    /// The held text is read again, in `mode`.
    pub(super) fn hold_no_more(&mut self, mode: Mode) {
        // What was held may itself have been read again.
        self.held.push_str(&self.replay[self.replayed..]);
        self.replay.clear();
        std::mem::swap(&mut self.replay, &mut self.held);
        self.replayed = 0;
        if !self.replay.is_empty() {
            self.position = self.held_from;
        }
        self.mode = mode;
    }

    pub(super) fn behind(&mut self, character: char, at: Position, is_tool: &impl Fn(&str) -> bool) -> Option<Item> {
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
        self.look_for_tags();
        self.mode = if character.is_whitespace() { Mode::Behind } else { Mode::BehindWord };
        self.restart_head();
        item
    }

    pub(super) fn trailing(&mut self) -> Option<Item> {
        let said = std::mem::replace(&mut self.trailing_said, true);
        if said { None } else { Some(Item::Slip(Code::TrailingText, self.held_from)) }
    }
}
