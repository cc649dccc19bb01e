//! Cuts the inside of a call into tokens, character by character, and finds the parenthesis that ends the call.
//!
//! The text is kept whole and tokens are ranges of it, so that every byte is copied once and looked at once here, and what
//! models leave without quotes can be taken as it stands.

use memchr::memchr3;

/// The longest name that an argument may have, in bytes.
const LONGEST_NAME: usize = 256;

/// A range of the text between the parentheses of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    /// Where it begins; for a string, behind its opening quote.
    pub(crate) start: usize,
    /// Where it ends; for a string, before its closing quote.
    pub(crate) end: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `(`, `[` or `{`.
    Open(u8),
    /// `)`, `]` or `}`.
    Close(u8),
    Comma,
    Colon,
    Equals,
    String(Quoting),
    /// A number, a word, a reference or prose.
    Bare,
    Comment,
}

/// How a string is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "independent properties of a literal")]
pub(crate) struct Quoting {
    pub(crate) quote: char,
    pub(crate) triple: bool,
    /// `r"…"`: backslashes stand for themselves.
    pub(crate) raw: bool,
    /// A prefix other than `r`, `u` or `b`.
    pub(crate) odd_prefix: bool,
    pub(crate) escapes: bool,
    pub(crate) inner_quote: bool,
    pub(crate) newline: bool,
}

impl Quoting {
    fn new(quote: char) -> Self {
        Self { quote, triple: false, raw: false, odd_prefix: false, escapes: false, inner_quote: false, newline: false }
    }

    pub(crate) fn is_smart(self) -> bool {
        !matches!(self.quote, '"' | '\'')
    }

    fn closes(self, character: char) -> bool {
        match self.quote {
            '"' | '\'' => character == self.quote,
            '‘' | '’' | '‚' => matches!(character, '’' | '‘' | '\''),
            _ => matches!(character, '”' | '“' | '"' | '»'),
        }
    }
}

fn opens_string(character: char) -> bool {
    matches!(character, '"' | '\'' | '“' | '”' | '„' | '‘' | '’' | '‚' | '«')
}

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
    /// It was the parenthesis that ends the call.
    Ended,
}

/// A line of the inside of a call.
pub(crate) struct Line<'l> {
    pub(crate) text: &'l str,
    pub(crate) tokens: Vec<Token>,
    /// Where the text behind it begins.
    pub(crate) behind: usize,
}

/// The inside of one call. Reused from call to call.
#[derive(Debug)]
pub(crate) struct Lexer {
    pub(crate) text: String,
    pub(crate) tokens: Vec<Token>,
    /// Whether the call goes on behind a line break that stands outside of strings.
    pub(crate) several_lines: bool,
    broken: bool,
    /// The first line break that stands behind a whole argument.
    first_break: Option<usize>,
    state: State,
    open: Vec<u8>,
    parentheses: usize,
}

impl Default for Lexer {
    fn default() -> Self {
        Self {
            text: String::new(),
            tokens: Vec::new(),
            several_lines: false,
            broken: false,
            first_break: None,
            state: State::Value,
            open: Vec::new(),
            parentheses: 0,
        }
    }
}

impl Lexer {
    pub(crate) fn reset(&mut self) {
        self.text.clear();
        self.tokens.clear();
        self.open.clear();
        self.parentheses = 0;
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

    /// Takes the next character.
    pub(crate) fn push(&mut self, character: char) -> Lexed {
        let at = self.text.len();
        self.several_lines |= self.broken && !character.is_whitespace();
        if character != ')' || !self.ends_call() {
            self.text.push(character);
            self.lex(character, at);
            return Lexed::Inside;
        }
        self.end();
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

    /// Whether a closing parenthesis would end the call, rather than something inside it.
    fn ends_call(&self) -> bool {
        self.parentheses == 0
            && !matches!(
                self.state,
                State::String { .. } | State::Closing { .. } | State::Path { .. } | State::Comment { .. }
            )
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
            '#' => self.state = State::Comment { start: at },
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

    fn open(&mut self, character: char, at: usize) {
        let bracket = as_byte(character);
        self.parentheses += usize::from(bracket == b'(');
        self.open.push(bracket);
        self.token(Kind::Open(bracket), at, at + 1);
        self.state = State::Value;
    }

    fn close(&mut self, character: char, at: usize) {
        let opening = match character {
            ')' => b'(',
            ']' => b'[',
            _ => b'{',
        };
        if opening == b'(' {
            // Brackets left open inside the parenthesis end with it; the arguments' parser mends or reports them.
            while self.open.pop().is_some_and(|bracket| bracket != b'(') {}
            self.parentheses = self.parentheses.saturating_sub(1);
        } else if self.open.last() == Some(&opening) {
            self.open.pop();
        }
        self.token(Kind::Close(as_byte(character)), at, at + 1);
        self.state = State::After;
    }

    fn in_bare(&mut self, character: char, at: usize, start: usize, end: usize) {
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
            '#' if !adjacent && is_complete(word) => {
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

    fn in_path(&mut self, character: char, at: usize, start: usize, close: u8, quote: Option<u8>) {
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

    fn open_quote(&mut self, character: char, at: usize, quoting: Quoting) {
        self.state = State::String { start: at + character.len_utf8(), quoting, escaped: false };
    }

    fn in_string(&mut self, character: char, at: usize, start: usize, mut quoting: Quoting, escaped: bool) {
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

    fn in_quote(&mut self, character: char, at: usize, start: usize, end: usize, quoting: Quoting, spaced: bool) {
        match character {
            _ if character != '\n' && character.is_whitespace() => {
                self.state = State::Quote { start, end, quoting, spaced: true };
            }
            ',' | ')' | ']' | '}' | '\n' | '#' | '+' | '%' | '*' => self.end_string(character, at, start, end, quoting),
            ':' if self.open.last() == Some(&b'{') => self.end_string(character, at, start, end, quoting),
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

    fn in_closing(&mut self, character: char, at: usize, start: usize, end: usize, quoting: Quoting, seen: u8) {
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

fn as_byte(character: char) -> u8 {
    u8::try_from(character).unwrap_or(0)
}

pub(crate) fn is_identifier(word: &str) -> bool {
    let mut characters = word.chars();
    characters.next().is_some_and(|first| first.is_alphabetic() || first == '_')
        && characters.all(|character| character.is_alphanumeric() || matches!(character, '_' | '-'))
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
