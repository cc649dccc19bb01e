//! What stands inside a call without quotes: numbers, names, references with their paths, and prose.

use super::{Lexer, State, as_byte};
use crate::token::{Kind, Quoting, is_identifier};

/// The longest name that an argument may have, in bytes.
const LONGEST_NAME: usize = 256;

impl Lexer {
    pub(super) fn in_bare(&mut self, character: char, at: usize, start: usize, end: usize) {
        let word = &self.text[start..end];
        let adjacent = end == at;
        match character {
            '[' | '{' if adjacent && word.starts_with('$') && (character == '[' || word == "$") => {
                let close = if character == '[' { b']' } else { b'}' };
                self.state = State::Path { start, close, quote: None };
            }
            ',' | '(' | '[' | '{' | ')' | ']' | '}' => {
                self.token(Kind::Bare, start, end);
                self.state = State::After;
                self.in_after(character, at);
            }
            '=' if self.open.is_empty() && may_be_name(word) => self.end_word(character, at, start, end),
            ':' if self.open.last() == Some(&b'{') || (self.open.is_empty() && may_be_name(word)) => {
                self.end_word(character, at, start, end);
            }
            '#' | '/' if !adjacent && self.begins_comment(character) && is_complete(word) => {
                self.token(Kind::Bare, start, end);
                self.state = State::Comment { start: at };
            }
            '"' | '\'' if adjacent && is_string_prefix(word) => {
                let raw = word.contains(['r', 'R']);
                let odd_prefix = word.contains(['f', 'F', 't', 'T']);
                self.open_quote(character, at, Quoting { raw, odd_prefix, ..Quoting::new(character) });
            }
            _ if character.is_whitespace() => {}
            _ => self.state = State::Bare { start, end: at + character.len_utf8() },
        }
    }

    fn end_word(&mut self, character: char, at: usize, start: usize, end: usize) {
        self.token(Kind::Bare, start, end);
        self.separate(character, at);
    }

    pub(super) fn in_path(&mut self, character: char, at: usize, start: usize, close: u8, quote: Option<u8>) {
        let byte = as_byte(character);
        self.state = match quote {
            _ if character == '\n' => return self.end_path(character, at, start),
            Some(open) if open == byte => State::Path { start, close, quote: None },
            None if byte == close => State::Bare { start, end: at + 1 },
            None if matches!(byte, b'"' | b'\'') => State::Path { start, close, quote: Some(byte) },
            None if matches!(character, ',' | ')') => return self.end_path(character, at, start),
            Some(_) | None => State::Path { start, close, quote },
        };
    }

    /// The path is not closed: it ends with its line, or with its argument.
    fn end_path(&mut self, character: char, at: usize, start: usize) {
        self.token(Kind::Bare, start, at);
        self.state = State::After;
        self.in_after(character, at);
    }
}

/// Whether `word` may be the name of an argument. A long word is none: it is not looked through again at every sign.
fn may_be_name(word: &str) -> bool {
    word.len() <= LONGEST_NAME && is_identifier(word)
}

/// Whether `word` is a number, a reference or a word of Python or JSON, which a comment may follow; in prose `#` is text.
fn is_complete(word: &str) -> bool {
    matches!(word, "true" | "True" | "false" | "False" | "null" | "None")
        || (word.len() <= LONGEST_NAME
            && word.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '$' | '-' | '+' | '.'))
            && !word.contains(char::is_whitespace))
}

fn is_string_prefix(word: &str) -> bool {
    word.len() <= 2 && word.chars().all(|character| "rRbBuUfFtT".contains(character))
}
