//! The inside of `Finish(…)` or `Replan(…)`: where it ends and what of it may be given already.

use super::VerdictKind;

/// What encloses a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bracket {
    Round,
    Square,
    /// As in Chinese.
    Wide,
    /// No bracket: the rest of the line.
    Line,
}

/// A body that is complete.
#[derive(Debug)]
pub(super) struct End {
    pub(super) text: String,
    pub(super) mended: bool,
}

/// A body that is being read.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) kind: VerdictKind,
    /// How much of the text has been given as pieces.
    pub(super) given: usize,
    bracket: Bracket,
    text: String,
    /// The end of the text without trailing white space, kept so that no piece has to look back.
    solid: usize,
    depth: usize,
    quoted: bool,
    /// Where the body would end if the quotes in it turned out to be a part of the answer.
    balanced: Option<usize>,
    /// Of a body that looks like JSON: brackets in its strings close nothing.
    strings: Option<Strings>,
}

/// Where the strings of a body in JSON are.
#[derive(Debug, Default)]
struct Strings {
    inside: bool,
    escaped: bool,
    /// How deep the brackets nest, those in strings among them.
    depth: usize,
}

impl Strings {
    /// Whether a character is a part of a string.
    fn take(&mut self, character: char) -> bool {
        let was_inside = self.inside;
        if was_inside {
            self.inside = self.escaped || character != '"';
            self.escaped = character == '\\' && !self.escaped;
        } else {
            self.inside = character == '"';
        }
        was_inside
    }
}

const QUOTES: [(&str, &str); 6] =
    [("\"\"\"", "\"\"\""), ("'''", "'''"), ("\"", "\""), ("'", "'"), ("“", "”"), ("‘", "’")];

impl Body {
    pub(super) fn new(kind: VerdictKind, bracket: Bracket) -> Self {
        Self {
            kind,
            bracket,
            text: String::new(),
            solid: 0,
            given: 0,
            depth: 0,
            quoted: false,
            balanced: None,
            strings: None,
        }
    }

    /// Reads up to the end of the body, if it is in this text.
    pub(super) fn read(&mut self, text: &str) -> Option<End> {
        let (open, close) = match self.bracket {
            Bracket::Round => ('(', ')'),
            Bracket::Square => ('[', ']'),
            Bracket::Wide => ('（', '）'),
            Bracket::Line => ('\n', '\n'),
        };
        for character in text.chars() {
            let in_string = self.strings.as_mut().is_some_and(|strings| strings.take(character));
            if character == close {
                self.close_loosely();
                if !in_string && let Some(end) = self.close() {
                    return Some(end);
                }
            } else if character == open {
                self.depth += usize::from(!in_string);
                if let Some(strings) = &mut self.strings {
                    strings.depth += 1;
                }
            }
            self.push(character);
        }
        None
    }

    /// The answer that is certain and has not been given yet.
    pub(super) fn piece(&mut self) -> Option<String> {
        // Whether the opening quote belongs to the answer is known only at its end.
        if self.quoted || self.kind == VerdictKind::Replan || self.balanced.is_some() || self.given == self.solid {
            return None;
        }
        let piece = self.text.get(self.given..self.solid)?.to_owned();
        self.given = self.solid;
        Some(piece)
    }

    /// The reply ended before the body did.
    pub(super) fn end(&mut self) -> End {
        let mended = self.bracket != Bracket::Line && self.balanced.is_none();
        self.end_at(self.balanced.unwrap_or(self.solid), mended)
    }

    fn push(&mut self, character: char) {
        let space = character.is_whitespace();
        if self.text.is_empty() {
            if space {
                return;
            }
            self.quoted = self.bracket != Bracket::Line && matches!(character, '"' | '\'' | '“' | '‘');
            if self.bracket != Bracket::Line && matches!(character, '{' | '[') {
                let depth = usize::from(self.depth > 0);
                self.strings = Some(Strings { depth, ..Strings::default() });
            }
        }
        self.text.push(character);
        if !space {
            self.solid = self.text.len();
        }
    }

    /// A bracket closes that may stand in a string, or in what only looks like one.
    fn close_loosely(&mut self) {
        if let Some(strings) = &mut self.strings {
            if strings.depth == 0 {
                self.balanced.get_or_insert(self.solid);
            }
            strings.depth = strings.depth.saturating_sub(1);
        }
    }

    fn close(&mut self) -> Option<End> {
        if self.quoted
            && let Some(inner) = unquote(self.text.get(..self.solid)?)
        {
            return Some(End { text: inner.to_owned(), mended: false });
        }
        if self.depth > 0 {
            self.depth -= 1;
            return None;
        }
        if self.quoted {
            self.balanced.get_or_insert(self.solid);
            return None;
        }
        Some(self.end_at(self.solid, false))
    }

    fn end_at(&mut self, end: usize, mended: bool) -> End {
        self.text.truncate(end);
        let mut text = std::mem::take(&mut self.text);
        if self.bracket == Bracket::Line {
            let reason = text.trim_start_matches(|c: char| c.is_whitespace() || ":：,.-–—".contains(c));
            text = reason.trim_end_matches(['*', '`']).trim_end().to_owned();
        }
        End { text, mended }
    }
}

/// The text between the quotes, if it begins with one and ends with its partner.
fn unquote(text: &str) -> Option<&str> {
    let (rest, close) = QUOTES.iter().find_map(|(open, close)| Some((text.strip_prefix(open)?, close)))?;
    Some(rest.strip_suffix(close)?.trim())
}
