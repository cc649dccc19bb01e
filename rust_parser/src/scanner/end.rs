//! What stands behind the close of a plan, and what the end of the text ends.

use super::{CallEnd, Item, Mode, Scanner};
use crate::head::Found;
use crate::position::Position;
use crate::step::Code;

impl Scanner {
    pub(super) fn behind_close(&mut self, character: char, at: Position) -> Option<Item> {
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
            Found::EndOfPlan => {
                let place = self.held_from;
                self.restart_head();
                Some(Item::EndOfPlan(place))
            }
            Found::Fence => {
                self.restart_head();
                None
            }
            Found::EndOfReasoning if self.is_end_of_reasoning() => self.end_reasoning(),
            found => {
                // Reasoning behind the plan is none before it.
                self.reasoning.is_over |= matches!(found, Found::Reasoning(_));
                self.mode = Mode::Ignored;
                self.look_for_tags();
                Some(Item::Slip(Code::AfterClose, self.held_from))
            }
        }
    }

    pub(super) fn end_of_text(&mut self) -> Option<Item> {
        if self.mode == Mode::Json {
            return Some(self.end_of_json());
        }
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
            Mode::Reasoning => self.open_reasoning(),
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
