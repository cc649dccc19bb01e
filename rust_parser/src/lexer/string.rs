//! The strings inside a call: where each begins and which of its quotes ends it.

use memchr::memchr3;

use super::{Lexer, State, as_byte};
use crate::token::{Kind, Quoting, opens_string};

impl Lexer {
    /// Where the string begins that is still open, quote included.
    pub(crate) fn open_string(&self) -> Option<usize> {
        match self.state {
            State::String { start, quoting, .. } | State::Closing { start, quoting, .. } => {
                let quote = quoting.quote.len_utf8();
                Some(start - if quoting.triple { 3 * quote } else { quote })
            }
            _ => None,
        }
    }

    /// Takes as many bytes of `text` as cannot change anything but the string they stand in; returns how many.
    pub(crate) fn skip(&mut self, text: &str) -> usize {
        let State::String { quoting, escaped: false, .. } = &mut self.state else { return 0 };
        let bytes = text.as_bytes();
        if quoting.is_smart() {
            let plain = |byte: &&u8| byte.is_ascii() && !matches!(byte, b'\\' | b'\n' | b'"' | b'\'');
            let length = bytes.iter().take_while(plain).count();
            self.text.push_str(&text[..length]);
            return length;
        }
        let quote = as_byte(quoting.quote);
        let mut length = 0;
        loop {
            length += memchr3(quote, b'\\', b'\n', &bytes[length..]).unwrap_or(bytes.len() - length);
            match bytes.get(length..length + 2) {
                // A whole escape; one of a line break is left to the scanner, which looks at what begins a line.
                Some([b'\\', escaped]) if escaped.is_ascii() && *escaped != b'\n' => {
                    quoting.escapes = true;
                    length += 2;
                }
                _ => break,
            }
        }
        self.text.push_str(&text[..length]);
        length
    }

    pub(super) fn open_quote(&mut self, character: char, at: usize, quoting: Quoting) {
        self.state = State::String { start: at + character.len_utf8(), quoting, escaped: false };
    }

    pub(super) fn in_string(&mut self, character: char, at: usize, start: usize, mut quoting: Quoting, escaped: bool) {
        let mut next_escaped = false;
        if escaped {
            quoting.newline |= character == '\n' && !quoting.triple;
        } else if character == '\\' {
            quoting.escapes = true;
            next_escaped = true;
        } else if character == '\n' {
            quoting.newline = !quoting.triple;
        } else if quoting.closes(character) {
            self.state = if quoting.triple {
                State::Closing { start, end: at, quoting, seen: 1 }
            } else if start == at && !quoting.is_smart() {
                State::Empty { start, quoting }
            } else {
                State::Quote { start, end: at, quoting, spaced: false }
            };
            return;
        }
        self.state = State::String { start, quoting, escaped: next_escaped };
    }

    pub(super) fn in_quote(
        &mut self,
        character: char,
        at: usize,
        start: usize,
        end: usize,
        quoting: Quoting,
        spaced: bool,
    ) {
        match character {
            _ if character != '\n' && character.is_whitespace() => {
                self.state = State::Quote { start, end, quoting, spaced: true };
            }
            ',' | ')' | ']' | '}' | '\n' | '#' | '+' | '%' | '*' => self.end_string(character, at, start, end, quoting),
            ':' if self.open.last() == Some(&b'{') => self.end_string(character, at, start, end, quoting),
            '/' if spaced && self.begins_comment('/') => self.end_string(character, at, start, end, quoting),
            _ if spaced && opens_string(character) => self.end_string(character, at, start, end, quoting),
            _ => {
                // Nothing that may follow a string follows: the quote belongs to it, as in 'Arthur's Magazine'.
                let quoting = Quoting { inner_quote: true, ..quoting };
                self.in_string(character, at, start, quoting, false);
            }
        }
    }

    fn end_string(&mut self, character: char, at: usize, start: usize, end: usize, quoting: Quoting) {
        self.token(Kind::String(quoting), start, end);
        self.state = State::After;
        self.in_after(character, at);
    }

    pub(super) fn in_closing(
        &mut self,
        character: char,
        at: usize,
        start: usize,
        end: usize,
        quoting: Quoting,
        seen: u8,
    ) {
        if character != quoting.quote {
            self.in_string(character, at, start, quoting, false);
        } else if seen == 2 {
            self.token(Kind::String(quoting), start, end);
            self.state = State::After;
        } else {
            self.state = State::Closing { start, end, quoting, seen: seen + 1 };
        }
    }
}
