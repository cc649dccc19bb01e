//! Where a line begins: what it turns out to be, and how far that goes.

use super::opening::Opens;
use super::{Call, Item, Mode, Scanner};
use crate::head::Found;
use crate::lexer::Frame;
use crate::position::Position;
use crate::step::Code;

impl Scanner {
    pub(super) fn at_line(&mut self, character: char, at: Position, is_tool: &impl Fn(&str) -> bool) -> Option<Item> {
        if character == '\n' {
            let item = if self.head.is_blank() { None } else { self.begin(Found::Prose, false) };
            if self.mode == Mode::Thought {
                return self.end_thought();
            }
            self.start_line();
            return item;
        }
        if !self.has_calls && self.head.is_blank() && self.opening.begin(character) == Opens::Perhaps {
            self.held.clear();
            self.held.push(character);
            self.held_from = at;
            self.mode = Mode::Opening;
            return None;
        }
        match self.decide(character, at) {
            Found::Pending => None,
            Found::Call if !self.is_call(is_tool, true) => self.begin(Found::Prose, false),
            found => self.begin(found, false),
        }
    }

    /// What was found begins.
    pub(super) fn begin(&mut self, found: Found, same_line: bool) -> Option<Item> {
        let continues_thought = std::mem::replace(&mut self.in_thought, false);
        let slip = |code| Some(Item::Slip(code, self.held_from));
        self.reasoning.reset();
        self.reasoning.is_prose = false;
        match found {
            Found::Call => {
                self.call = Call { head: self.head.call().clone(), inside: self.position, same_line };
                self.lexer.reset(Frame::Call);
                self.has_calls = true;
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
            Found::Reasoning(name) => {
                self.begin_reasoning(name);
                None
            }
            Found::EndOfReasoning if self.is_end_of_reasoning() => self.end_reasoning(),
            Found::Prose | Found::Pending if continues_thought => {
                self.thought.clear();
                self.thought.push_str(&self.held);
                self.mode = Mode::Thought;
                self.look_for_tags();
                None
            }
            Found::Prose | Found::Pending | Found::EndOfReasoning => {
                self.mode = Mode::Rest;
                let place = self.held_from;
                self.look_for_tags();
                self.reasoning.is_prose = !self.has_calls;
                self.reasoning.count(self.held.len());
                Some(Item::Slip(Code::IgnoredText, place))
            }
        }
    }

    /// The beginning of a tag may be what decided that a line is none of a plan.
    pub(super) fn look_for_tags(&mut self) {
        self.reasoning.reset();
        for character in self.held.chars() {
            self.reasoning.ends(character);
        }
    }

    pub(super) fn end_thought(&mut self) -> Option<Item> {
        self.start_line();
        self.in_thought = true;
        let thought = self.thought.trim_matches(|character: char| character.is_whitespace() || character == '*');
        if thought.is_empty() { None } else { Some(Item::Thought(thought.to_owned())) }
    }
}
