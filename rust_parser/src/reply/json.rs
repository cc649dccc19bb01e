//! A reply in JSON, `{"thought": "…", "action": "finish", "answer": …}` or `"replan"` with a `"reason"`, for joiners that are held
//! to a JSON schema. An answer that is a string is given as it is read; of any other value, its JSON is the answer.

use super::body::End;
use super::{ReplyStep, VerdictKind};
use crate::escape::unescape;

/// What may stand before the first key, at most, in bytes.
const LONGEST: usize = 256;
/// The keys that may come first, the longest of them first.
const KEYS: [&str; 2] = ["thought\":", "action\":"];

/// What a reply begins as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beginning {
    /// Undecided: more text is needed.
    Open,
    Prose,
    /// In JSON, from here on.
    Json(usize),
}

/// What a text begins as. However much of it is there, only its first part decides.
pub(super) fn beginning(text: &str) -> Beginning {
    let open = if text.len() > LONGEST { Beginning::Prose } else { Beginning::Open };
    let end = (0..=LONGEST.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    let text = &text[..end.unwrap_or_default()];
    let mut rest = text.trim_start();
    if rest.starts_with('`') || rest.is_empty() {
        // A code fence, with the name of a language or without.
        let Some((fence, inside)) = rest.split_once('\n') else { return open };
        if !matches!(fence.trim_end(), "```" | "```json" | "```JSON") {
            return Beginning::Prose;
        }
        rest = inside.trim_start();
    }
    let start = text.len() - rest.len();
    let mut characters = rest.chars().filter(|character| !character.is_whitespace());
    for wanted in ['{', '"'] {
        match characters.next() {
            Some(found) if found == wanted => {}
            Some(_) => return Beginning::Prose,
            None => return open,
        }
    }
    let key: String = characters.take(KEYS[0].len()).collect::<String>().to_ascii_lowercase();
    if KEYS.iter().any(|whole| key.starts_with(whole)) {
        return Beginning::Json(start);
    }
    if KEYS.iter().any(|whole| whole.starts_with(&key)) { open } else { Beginning::Prose }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Outside of keys and values: before a key, or (`is_value`) before a value.
    Between {
        is_value: bool,
    },
    Key,
    /// In a string that is a value.
    Text,
    /// In any other value, in so many brackets.
    Raw {
        depth: usize,
        in_string: bool,
        is_escaped: bool,
    },
}

/// A reply in JSON that is being read.
#[derive(Debug)]
pub(super) struct JsonReply {
    state: State,
    key: String,
    value: String,
    /// The end of the value without trailing white space, kept so that no piece has to look back.
    solid: usize,
    /// An escape that is not complete yet.
    escape: String,
    kind: Option<VerdictKind>,
    answer: Option<String>,
    reason: Option<String>,
    /// How much of the answer has been given.
    given: usize,
    is_odd: bool,
}

impl JsonReply {
    pub(super) fn new() -> Self {
        Self {
            state: State::Between { is_value: false },
            key: String::new(),
            value: String::new(),
            solid: 0,
            escape: String::new(),
            kind: None,
            answer: None,
            reason: None,
            given: 0,
            is_odd: false,
        }
    }

    /// Reads up to the end of the object, if it is in this text; its first brace may be in it.
    pub(super) fn read(&mut self, text: &str, steps: &mut Vec<ReplyStep>) -> bool {
        text.chars().any(|character| self.push(character, steps))
    }

    /// The answer that is certain and has not been given yet.
    pub(super) fn piece(&mut self) -> Option<String> {
        if self.kind != Some(VerdictKind::Finish) || self.state != State::Text || !self.is_answer() {
            return None;
        }
        let piece = self.value.get(self.given..self.solid).filter(|piece| !piece.is_empty())?.to_owned();
        self.given = self.solid;
        Some(piece)
    }

    /// The verdict, how much of its answer was given, and its text; None if the object says neither what to do nor an answer.
    pub(super) fn end(&mut self, is_complete: bool) -> Option<(VerdictKind, usize, End)> {
        if !is_complete {
            self.flush_escape();
            self.end_value(&mut Vec::new());
        }
        let kind = match (self.kind, &self.answer, &self.reason) {
            (Some(kind), ..) => kind,
            (None, Some(_), _) => VerdictKind::Finish,
            (None, None, Some(_)) => VerdictKind::Replan,
            (None, None, None) => return None,
        };
        let (said, other) = match kind {
            VerdictKind::Finish => (self.answer.take(), self.reason.take()),
            VerdictKind::Replan => (self.reason.take(), self.answer.take()),
        };
        let mended = !is_complete || self.is_odd || self.kind.is_none() || said.is_none();
        let text = said.or(other).unwrap_or_default();
        Some((kind, self.given, End { text: text.trim().to_owned(), mended }))
    }

    fn is_answer(&self) -> bool {
        self.key.eq_ignore_ascii_case("answer") && self.answer.is_none()
    }

    /// Takes the next character; tells whether it ended the object.
    fn push(&mut self, character: char, steps: &mut Vec<ReplyStep>) -> bool {
        match self.state {
            State::Between { is_value } => return self.between(character, is_value),
            State::Key if character == '"' => self.state = State::Between { is_value: false },
            State::Key => self.key.push(character),
            State::Text => self.in_text(character, steps),
            State::Raw { depth, in_string, is_escaped } => {
                return self.in_raw(character, depth, in_string, is_escaped, steps);
            }
        }
        false
    }

    fn between(&mut self, character: char, is_value: bool) -> bool {
        match character {
            '"' => {
                let begun = if is_value { &mut self.value } else { &mut self.key };
                begun.clear();
                self.solid = 0;
                self.state = if is_value { State::Text } else { State::Key };
            }
            ':' => self.state = State::Between { is_value: true },
            '{' | ',' if !is_value => {}
            '}' if !is_value => return true,
            _ if character.is_whitespace() => {}
            _ if is_value => {
                self.value.clear();
                self.value.push(character);
                let depth = usize::from(matches!(character, '[' | '{'));
                self.state = State::Raw { depth, in_string: false, is_escaped: false };
            }
            _ => self.is_odd = true,
        }
        false
    }

    fn in_text(&mut self, character: char, steps: &mut Vec<ReplyStep>) {
        if !self.escape.is_empty() {
            self.escape.push(character);
            if is_whole(&self.escape) {
                self.flush_escape();
                return;
            }
            // Half of a pair without the other half: what follows is read for itself.
            if self.escape.len() > ESCAPE && !self.escape[ESCAPE..].starts_with('\\') {
                self.escape.pop();
                self.flush_escape();
                self.in_text(character, steps);
            }
            return;
        }
        match character {
            '\\' => self.escape.push(character),
            '"' => {
                self.end_value(steps);
                self.state = State::Between { is_value: false };
            }
            _ => self.push_text(character),
        }
    }

    /// White space before an answer is none of it.
    fn push_text(&mut self, character: char) {
        if !(self.value.is_empty() && character.is_whitespace()) {
            self.value.push(character);
            if !character.is_whitespace() {
                self.solid = self.value.len();
            }
        }
    }

    fn flush_escape(&mut self) {
        let escape = std::mem::take(&mut self.escape);
        // What means a dollar in plans is one here.
        let (text, is_odd) = if escape == "\\$" { ("$".to_owned(), true) } else { unescape(&escape) };
        self.is_odd |= is_odd;
        for character in text.chars() {
            self.push_text(character);
        }
    }

    fn in_raw(
        &mut self,
        character: char,
        mut depth: usize,
        mut in_string: bool,
        is_escaped: bool,
        steps: &mut Vec<ReplyStep>,
    ) -> bool {
        let is_quote = character == '"' && !is_escaped;
        if !in_string && depth == 0 && matches!(character, ',' | '}') {
            self.end_value(steps);
            self.state = State::Between { is_value: false };
            return character == '}';
        }
        if is_quote {
            in_string = !in_string;
        } else if !in_string && matches!(character, '[' | '{') {
            depth += 1;
        } else if !in_string && matches!(character, ']' | '}') {
            depth = depth.saturating_sub(1);
        }
        self.value.push(character);
        let is_escaped = in_string && character == '\\' && !is_escaped;
        self.state = State::Raw { depth, in_string, is_escaped };
        false
    }

    fn end_value(&mut self, steps: &mut Vec<ReplyStep>) {
        let is_text = match self.state {
            State::Text => true,
            State::Raw { .. } => false,
            State::Between { .. } | State::Key => return,
        };
        let value = std::mem::take(&mut self.value);
        let text = value.trim();
        let is_null = !is_text && text == "null";
        match self.key.to_ascii_lowercase().as_str() {
            "thought" if is_text && !text.is_empty() && self.answer.is_none() => {
                steps.push(ReplyStep::Thought(text.to_owned()));
            }
            "action" if self.kind.is_none() => {
                self.kind = [VerdictKind::Finish, VerdictKind::Replan]
                    .into_iter()
                    .find(|kind| kind.as_str().eq_ignore_ascii_case(text));
            }
            "answer" if !is_null && self.answer.is_none() => self.answer = Some(text.to_owned()),
            "reason" if !is_null => self.reason = Some(text.to_owned()),
            _ => {}
        }
    }
}

/// The length of `\u` and its digits.
const ESCAPE: usize = 6;

/// Whether an escape is complete: of a character in two halves, both.
fn is_whole(escape: &str) -> bool {
    let Some(digits) = escape.strip_prefix("\\u") else { return escape.chars().count() == 2 };
    let is_first_half = || {
        let code = digits.get(..4).and_then(|digits| u32::from_str_radix(digits, 16).ok());
        code.is_some_and(|code| (0xD800..0xDC00).contains(&code))
    };
    match escape.chars().count() {
        ESCAPE => !is_first_half(),
        count if count > ESCAPE + 1 => {
            count == 2 * ESCAPE || !escape.get(ESCAPE..).is_some_and(|next| next.starts_with("\\u"))
        }
        _ => false,
    }
}
