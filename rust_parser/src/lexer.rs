//! Cuts the inside of a call, or a part of a JSON plan, into tokens, character by character, and finds where it ends.
//!
//! The text is kept whole and tokens are ranges of it, so that every byte is copied once and looked at once here, and what
//! models leave without quotes can be taken as it stands.

mod frame;
mod string;
mod word;

use self::frame::Brackets;
pub(crate) use self::frame::Frame;
use crate::token::{Kind, Quoting, Token, opens_string};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A value, a comma or a closing bracket may come.
    Value,
    /// A value has ended.
    After,
    /// In a number, a word, a reference or prose. `end` is behind its last character that is not white space.
    Bare {
        start: usize,
        end: usize,
    },
    /// In the brackets of a bare reference's path: `$1["odd key"]`, `${1}`.
    Path {
        start: usize,
        close: u8,
        quote: Option<u8>,
    },
    String {
        start: usize,
        quoting: Quoting,
        escaped: bool,
    },
    /// Behind a quote that ends the string if what follows allows it.
    Quote {
        start: usize,
        end: usize,
        quoting: Quoting,
        spaced: bool,
    },
    /// Behind two quotes: an empty string, or two thirds of a triple quote.
    Empty {
        start: usize,
        quoting: Quoting,
    },
    /// In a triple-quoted string, behind one or two of its closing quotes.
    Closing {
        start: usize,
        end: usize,
        quoting: Quoting,
        seen: u8,
    },
    Comment {
        start: usize,
    },
}

/// What a character did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lexed {
    Inside,
    /// It ended what is being read.
    Ended,
}

/// A line of the inside of a call.
pub(crate) struct Line<'l> {
    pub(crate) text: &'l str,
    pub(crate) tokens: Vec<Token>,
    /// Where the text behind it begins.
    pub(crate) behind: usize,
}

/// The inside of one call, or a part of a JSON plan. Reused from one to the next.
#[derive(Debug)]
pub(crate) struct Lexer {
    frame: Frame,
    pub(crate) text: String,
    pub(crate) tokens: Vec<Token>,
    /// Whether the call goes on behind a line break that stands outside of strings.
    pub(crate) several_lines: bool,
    broken: bool,
    /// The first line break that stands behind a whole argument.
    first_break: Option<usize>,
    state: State,
    open: Vec<u8>,
    brackets: Brackets,
}

impl Default for Lexer {
    fn default() -> Self {
        Self {
            frame: Frame::Call,
            text: String::new(),
            tokens: Vec::new(),
            several_lines: false,
            broken: false,
            first_break: None,
            state: State::Value,
            open: Vec::new(),
            brackets: Brackets::default(),
        }
    }
}

impl Lexer {
    pub(crate) fn reset(&mut self, frame: Frame) {
        self.frame = frame;
        self.text.clear();
        self.tokens.clear();
        self.open.clear();
        self.brackets = Brackets::default();
        if frame == Frame::Member {
            self.open.push(b'{');
            *self.brackets.of(b'{') += 1;
        }
        self.several_lines = false;
        self.broken = false;
        self.first_break = None;
        self.state = State::Value;
    }

    /// Whether a line that begins now may turn out to be the next task.
    pub(crate) fn may_break(&self) -> bool {
        match self.state {
            State::String { quoting, .. } => !quoting.triple,
            State::Closing { .. } | State::Path { .. } => false,
            _ => true,
        }
    }

    /// Takes the next character.
    pub(crate) fn push(&mut self, character: char) -> Lexed {
        let at = self.text.len();
        self.several_lines |= self.broken && !character.is_whitespace();
        if !self.ends(character) {
            self.text.push(character);
            self.lex(character, at);
            return Lexed::Inside;
        }
        self.end();
        if self.frame != Frame::Call {
            self.close_up_to(b'{', at);
        }
        if self.frame == Frame::Object {
            self.text.push(character);
            self.token(Kind::Close(b'}'), at, at + 1);
        }
        Lexed::Ended
    }

    /// The call ends here: what is open is ended.
    pub(crate) fn end(&mut self) {
        let end = self.text.len();
        match self.state {
            State::Value | State::After => {}
            State::Bare { start, end } => self.token(Kind::Bare, start, end),
            State::Path { start, .. } => self.token(Kind::Bare, start, end),
            State::String { start, quoting, .. } => self.token(Kind::String(quoting), start, end),
            State::Quote { start, end, quoting, .. } | State::Closing { start, end, quoting, .. } => {
                self.token(Kind::String(quoting), start, end);
            }
            State::Empty { start, quoting } => self.token(Kind::String(quoting), start, start),
            State::Comment { start } => self.token(Kind::Comment, start, end),
        }
        self.state = State::After;
    }

    /// What stands before the first line break behind a whole argument, if the call goes on behind it with a word.
    pub(crate) fn first_line(&self) -> Option<Line<'_>> {
        let end = self.first_break?;
        let rest = self.text[end..].trim_start();
        if !rest.starts_with(char::is_alphabetic) {
            return None;
        }
        let behind = self.text.len() - rest.len();
        let text = self.text[..end].trim_end();
        let tokens = self.tokens.iter().take_while(|token| token.start < end);
        let tokens = tokens.map(|token| Token { end: token.end.min(text.len()), ..*token }).collect();
        Some(Line { text, tokens, behind })
    }

    fn token(&mut self, kind: Kind, start: usize, end: usize) {
        self.tokens.push(Token { kind, start, end });
    }

    fn lex(&mut self, character: char, at: usize) {
        if character == '\n' && !matches!(self.state, State::String { .. } | State::Closing { .. }) {
            self.broken = true;
            let is_value_over =
                matches!(self.state, State::After | State::Bare { .. } | State::Quote { .. } | State::Empty { .. });
            if is_value_over && self.open.is_empty() {
                self.first_break = self.first_break.or(Some(at));
            }
        }
        match self.state {
            State::Value => self.in_value(character, at),
            State::After => self.in_after(character, at),
            State::Bare { start, end } => self.in_bare(character, at, start, end),
            State::Path { start, close, quote } => self.in_path(character, at, start, close, quote),
            State::String { start, quoting, escaped } => self.in_string(character, at, start, quoting, escaped),
            State::Quote { start, end, quoting, spaced } => self.in_quote(character, at, start, end, quoting, spaced),
            State::Empty { start, quoting } => {
                if character == quoting.quote {
                    let quoting = Quoting { triple: true, ..quoting };
                    self.state = State::String { start: at + character.len_utf8(), quoting, escaped: false };
                } else {
                    self.in_quote(character, at, start, start, quoting, false);
                }
            }
            State::Closing { start, end, quoting, seen } => self.in_closing(character, at, start, end, quoting, seen),
            State::Comment { start } => {
                if character == '\n' {
                    self.token(Kind::Comment, start, at);
                    self.state = State::After;
                }
            }
        }
    }

    fn in_value(&mut self, character: char, at: usize) {
        match character {
            _ if character.is_whitespace() => {}
            '(' | '[' | '{' => self.open(character, at),
            ')' | ']' | '}' => self.close(character, at),
            ',' => self.token(Kind::Comma, at, at + 1),
            _ if self.begins_comment(character) => self.state = State::Comment { start: at },
            _ if opens_string(character) => self.open_quote(character, at, Quoting::new(character)),
            _ => self.state = State::Bare { start: at, end: at + character.len_utf8() },
        }
    }

    fn in_after(&mut self, character: char, at: usize) {
        match character {
            ',' | ':' | '=' => self.separate(character, at),
            _ => self.in_value(character, at),
        }
    }

    fn separate(&mut self, character: char, at: usize) {
        let kind = match character {
            ',' => Kind::Comma,
            ':' => Kind::Colon,
            _ => Kind::Equals,
        };
        self.token(kind, at, at + 1);
        self.state = State::Value;
    }
}

fn as_byte(character: char) -> u8 {
    u8::try_from(character).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(inside: &str) -> Vec<String> {
        let mut lexer = Lexer::default();
        let mut ended = false;
        for character in inside.chars().chain([')']) {
            ended = lexer.push(character) == Lexed::Ended;
        }
        assert!(ended, "{inside} does not end");
        lexer.tokens.iter().map(|token| lexer.text[token.start..token.end].to_owned()).collect()
    }

    #[test]
    fn a_quote_ends_a_string_only_where_a_string_may_end() {
        assert_eq!(tokens("'Arthur's Magazine'"), ["Arthur's Magazine"]);
        assert_eq!(tokens("'the dogs' house', 3"), ["the dogs' house", ",", "3"]);
        assert_eq!(tokens(r#""say "hi" to", "b""#), [r#"say "hi" to"#, ",", "b"]);
        assert_eq!(tokens(r#""a" "b""#), ["a", "b"]);
        assert_eq!(tokens(r#""""#), [""]);
        assert_eq!(tokens(r#""""a "b" ) c""""#), ["a \"b\" ) c"]);
        assert_eq!(tokens("“a (b) c”"), ["a (b) c"]);
    }

    #[test]
    fn parentheses_of_prose_and_of_paths_do_not_end_the_call() {
        assert_eq!(tokens("First for Women (magazine)"), ["First for Women", "(", "magazine", ")"]);
        assert_eq!(tokens(r#"$1["a)b"].c, ${2}"#), [r#"$1["a)b"].c"#, ",", "${2}"]);
    }

    #[test]
    fn brackets_left_open_end_with_the_call() {
        assert_eq!(tokens(r#""speed?", ["$1""#), ["speed?", ",", "[", "$1"]);
    }
}
