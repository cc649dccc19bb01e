//! Recognises, character by character, whether a line begins a plan in JSON: with the bracket of an object or of a list of
//! objects, and a first key that plans, or their tasks, have. Anything else is a line.

use crate::token::opens_string;

/// A longer beginning is none: it bounds what is held back while it is undecided.
const LONGEST: usize = 512;
const KEYS_OF_PLANS: [&str; 4] = ["thought", "tasks", "plan", "join"];
const KEYS_OF_TASKS: [&str; 5] = ["id", "tool", "name", "arguments", "args"];

/// What a beginning is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opens {
    Perhaps,
    Json,
    Nothing,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    List,
    Object,
    Key,
    Colon,
}

/// The automaton.
#[derive(Debug, Default)]
pub(super) struct Opening {
    state: State,
    is_list: bool,
    key: String,
    length: usize,
    /// Whether the rest of the line is a comment.
    is_comment: bool,
    /// The bracket that is read again as a line.
    is_refused: bool,
}

impl Opening {
    pub(super) fn begin(&mut self, character: char) -> Opens {
        if std::mem::take(&mut self.is_refused) || !matches!(character, '{' | '[') {
            return Opens::Nothing;
        }
        self.is_list = character == '[';
        self.state = if self.is_list { State::List } else { State::Object };
        self.key.clear();
        self.length = 0;
        self.is_comment = false;
        Opens::Perhaps
    }

    /// It is none: its first character, which comes again, begins no plan in JSON.
    pub(super) fn refuse(&mut self) {
        self.is_refused = true;
    }

    pub(super) fn push(&mut self, character: char) -> Opens {
        self.length += 1;
        if self.length > LONGEST {
            return Opens::Nothing;
        }
        if self.is_comment {
            self.is_comment = character != '\n';
            return Opens::Perhaps;
        }
        self.state = match self.state {
            State::Key if opens_string(character) => State::Colon,
            State::Key => {
                self.key.push(character);
                State::Key
            }
            state if character.is_whitespace() => state,
            state @ (State::List | State::Object) if matches!(character, '#' | '/') => {
                self.is_comment = true;
                state
            }
            State::List if character == '{' => State::Object,
            State::Object if opens_string(character) => State::Key,
            State::Colon if character == ':' && self.is_key() => return Opens::Json,
            _ => return Opens::Nothing,
        };
        Opens::Perhaps
    }

    fn is_key(&self) -> bool {
        let keys: &[&str] = if self.is_list { &KEYS_OF_TASKS } else { &KEYS_OF_PLANS };
        keys.iter().any(|key| key.eq_ignore_ascii_case(&self.key))
    }
}
