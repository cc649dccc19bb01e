//! The tokens of the inside of a call.

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
    pub(crate) fn new(quote: char) -> Self {
        Self { quote, triple: false, raw: false, odd_prefix: false, escapes: false, inner_quote: false, newline: false }
    }

    pub(crate) fn is_smart(self) -> bool {
        !matches!(self.quote, '"' | '\'')
    }

    pub(crate) fn closes(self, character: char) -> bool {
        match self.quote {
            '"' | '\'' => character == self.quote,
            '‘' | '’' | '‚' => matches!(character, '’' | '‘' | '\''),
            _ => matches!(character, '”' | '“' | '"' | '»'),
        }
    }
}

pub(crate) fn opens_string(character: char) -> bool {
    matches!(character, '"' | '\'' | '“' | '”' | '„' | '‘' | '’' | '‚' | '«')
}

pub(crate) fn is_identifier(word: &str) -> bool {
    let mut characters = word.chars();
    characters.next().is_some_and(|first| first.is_alphabetic() || first == '_')
        && characters.all(|character| character.is_alphanumeric() || matches!(character, '_' | '-'))
}
