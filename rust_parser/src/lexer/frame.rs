//! What the text that is cut into tokens is the inside of, and so what ends it.

use super::{Lexer, State, as_byte};
use crate::token::Kind;

/// What is being read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Frame {
    /// The inside of a call; its closing parenthesis ends it.
    #[default]
    Call,
    /// An object of a JSON plan, both braces included.
    Object,
    /// A member of an object of a JSON plan, up to the comma or the brace behind it.
    Member,
}

/// How many brackets of each kind are open.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Brackets {
    parentheses: usize,
    squares: usize,
    braces: usize,
}

impl Brackets {
    pub(super) fn of(&mut self, opening: u8) -> &mut usize {
        match opening {
            b'(' => &mut self.parentheses,
            b'[' => &mut self.squares,
            _ => &mut self.braces,
        }
    }
}

impl Lexer {
    /// Whether `character` ends what is being read, rather than something inside it.
    pub(super) fn ends(&self, character: char) -> bool {
        let ends = match self.frame {
            Frame::Call => character == ')' && self.brackets.parentheses == 0,
            Frame::Object => character == '}' && self.brackets.braces == 1,
            Frame::Member => match character {
                ',' => self.open.len() == 1,
                '}' => self.brackets.braces == 1,
                _ => false,
            },
        };
        ends && self.is_outside()
    }

    /// Whether `character` shows that the object which is being read ended before it, without its closing brace: the end of
    /// the list around it, or another object where a key would stand.
    pub(crate) fn is_left_open_before(&self, character: char) -> bool {
        let is_left = match character {
            ']' => self.brackets.squares == 0,
            '{' => {
                let last = self.tokens.last().map(|token| token.kind);
                self.open.len() == 1
                    && matches!(self.state, State::Value | State::After)
                    && matches!(last, Some(Kind::Comma | Kind::Close(_)))
            }
            _ => false,
        };
        is_left && self.is_outside()
    }

    /// Whether a comment begins, outside of strings: as Python has them, in JSON as JavaScript does, too.
    pub(super) fn begins_comment(&self, character: char) -> bool {
        character == '#' || (character == '/' && self.frame != Frame::Call)
    }

    /// Whether a list has just begun that is the value of the member which is being read.
    pub(crate) fn begins_list(&self) -> bool {
        self.frame == Frame::Member
            && matches!(self.tokens[..], [_, colon, list] if colon.kind == Kind::Colon && list.kind == Kind::Open(b'['))
    }

    fn is_outside(&self) -> bool {
        !matches!(self.state, State::String { .. } | State::Closing { .. } | State::Path { .. } | State::Comment { .. })
    }

    pub(super) fn open(&mut self, character: char, at: usize) {
        let bracket = as_byte(character);
        *self.brackets.of(bracket) += 1;
        self.open.push(bracket);
        self.token(Kind::Open(bracket), at, at + 1);
        self.state = State::Value;
    }

    pub(super) fn close(&mut self, character: char, at: usize) {
        let opening = match character {
            ')' => b'(',
            ']' => b'[',
            _ => b'{',
        };
        if self.frame != Frame::Call {
            if *self.brackets.of(opening) > 0 {
                self.close_up_to(opening, at);
                self.pop();
            }
        } else if opening == b'(' {
            // Brackets left open inside the parenthesis end with it; the arguments' parser mends or reports them.
            while self.pop().is_some_and(|bracket| bracket != b'(') {}
        } else if self.open.last() == Some(&opening) {
            self.pop();
        }
        self.token(Kind::Close(as_byte(character)), at, at + 1);
        self.state = State::After;
    }

    /// Closes the brackets that were left open inside the latest `opening`: each with a token without text.
    pub(super) fn close_up_to(&mut self, opening: u8, at: usize) {
        while let Some(bracket) = self.open.last().copied().filter(|bracket| *bracket != opening) {
            self.pop();
            let closing = match bracket {
                b'(' => b')',
                b'[' => b']',
                _ => b'}',
            };
            self.token(Kind::Close(closing), at, at);
        }
    }

    fn pop(&mut self) -> Option<u8> {
        let bracket = self.open.pop()?;
        *self.brackets.of(bracket) -= 1;
        Some(bracket)
    }
}
