//! Recognises, character by character, what a stretch of text begins: a task, a thought, a fence, the end of the plan or
//! nothing of these. Used where a line begins, after a call on the same line, and where a line begins inside an open call.

#[cfg(test)]
mod tests;

use crate::position::Position;
use crate::reasoning::{Reads, Tag, read_tag};

/// The mark with which models end a plan.
pub(crate) const END_OF_PLAN: &str = "<END_OF_PLAN>";

/// A longer beginning is prose: it bounds what is held back while it is undecided.
const LONGEST: usize = 256;

/// What was found so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Undecided: more characters are needed.
    Pending,
    /// None of the others.
    Prose,
    /// A call up to and with its opening parenthesis; see [`Head::call`].
    Call,
    /// `Thought:`, up to its colon.
    Thought,
    /// Three backticks.
    Fence,
    /// `#`.
    Comment,
    /// The mark that ends a plan.
    EndOfPlan,
    /// `<think>`, or the tag of another name.
    Reasoning(usize),
    /// `</think>`.
    EndOfReasoning,
}

/// The beginning of a call: `1. search(`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CallHead {
    /// The digits before the call; empty if there were none.
    pub(crate) digits: String,
    pub(crate) name: String,
    pub(crate) position: Position,
    pub(crate) slips: Slips,
}

/// How a beginning departs from the letter of the plan language.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "independent slips, each its own diagnostic")]
pub(crate) struct Slips {
    pub(crate) indentation: bool,
    pub(crate) bullet: bool,
    pub(crate) emphasis: bool,
    pub(crate) separator: bool,
    pub(crate) no_space: bool,
    pub(crate) space_before_parenthesis: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Marks,
    Digits,
    /// After digits, in marks that may precede the separator.
    DigitsEnd,
    Separator,
    Name,
    /// After a name, in white space or marks that may precede the parenthesis.
    NameEnd,
    /// A word without an id: a label, or a call that lacks its id.
    Word,
    WordEnd,
    Tag,
}

/// The automaton. One per scanner, reset for each beginning.
#[derive(Debug)]
pub(crate) struct Head {
    state: State,
    length: usize,
    backticks: usize,
    tag: String,
    call: CallHead,
}

impl Default for Head {
    fn default() -> Self {
        Self {
            state: State::Marks,
            length: 0,
            backticks: 0,
            tag: String::new(),
            call: CallHead {
                digits: String::new(),
                name: String::new(),
                position: Position::START,
                slips: Slips::default(),
            },
        }
    }
}

/// Whether `character` may stand in the name of a tool.
pub(crate) fn is_name_character(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '-' | '.' | '/' | ':')
}

/// Whether `character` may begin the name of a tool.
pub(crate) fn is_name_start(character: char) -> bool {
    character.is_alphabetic() || character == '_'
}

fn is_mark(character: char) -> bool {
    matches!(character, '*' | '_' | '`')
}

fn is_blank(character: char) -> bool {
    (character.is_whitespace() && character != '\n') || character == '\u{feff}'
}

impl Head {
    pub(crate) fn reset(&mut self) {
        self.state = State::Marks;
        self.length = 0;
        self.backticks = 0;
        self.call.digits.clear();
        self.call.name.clear();
        self.call.slips = Slips::default();
    }

    /// The call that was found.
    pub(crate) fn call(&self) -> &CallHead {
        &self.call
    }

    /// Whether only white space was seen.
    pub(crate) fn is_blank(&self) -> bool {
        self.is_only_marks() && !self.call.slips.bullet && !self.call.slips.emphasis
    }

    /// Whether only white space, bullets and emphasis were seen.
    pub(crate) fn is_only_marks(&self) -> bool {
        self.state == State::Marks
    }

    /// Whether a word without an id was begun.
    pub(crate) fn is_word(&self) -> bool {
        matches!(self.state, State::Word | State::WordEnd)
    }

    /// Takes the next character, which stands at `position` and is no newline.
    pub(crate) fn push(&mut self, character: char, position: Position) -> Found {
        self.length += 1;
        if self.length > LONGEST && !(self.state == State::Marks && is_blank(character)) {
            return Found::Prose;
        }
        match self.state {
            State::Marks => self.in_marks(character, position),
            State::Digits | State::DigitsEnd => self.in_digits(character),
            State::Separator => self.in_separator(character),
            State::Name | State::NameEnd => self.in_name(character),
            State::Word | State::WordEnd => self.in_word(character),
            State::Tag => self.in_tag(character),
        }
    }

    fn in_marks(&mut self, character: char, position: Position) -> Found {
        if character == '`' {
            self.backticks += 1;
            if self.backticks == 3 {
                return Found::Fence;
            }
        } else {
            self.backticks = 0;
        }
        match character {
            '#' => return Found::Comment,
            '<' => {
                self.tag.clear();
                self.tag.push(character);
                self.state = State::Tag;
            }
            '-' | '+' | '•' | '–' | '—' | '>' | '·' => self.call.slips.bullet = true,
            _ if is_mark(character) => self.call.slips.emphasis = true,
            _ if is_blank(character) => {
                if self.length == 1 {
                    self.call.slips.indentation = true;
                } else if self.call.slips.emphasis && !self.call.slips.bullet {
                    // `* 1. …` is a bullet; `**1.** …` is emphasis.
                    self.call.slips.bullet = true;
                    self.call.slips.emphasis = false;
                }
            }
            '0'..='9' => {
                self.call.position = position;
                self.call.digits.push(character);
                self.state = State::Digits;
            }
            _ if is_name_start(character) => {
                self.call.position = position;
                self.call.name.push(character);
                self.state = State::Word;
            }
            _ => return Found::Prose,
        }
        Found::Pending
    }

    fn in_digits(&mut self, character: char) -> Found {
        match character {
            '0'..='9' if self.state == State::Digits => self.call.digits.push(character),
            '.' => self.state = State::Separator,
            ')' | ':' => {
                self.call.slips.separator = true;
                self.state = State::Separator;
            }
            _ if is_mark(character) => {
                self.call.slips.emphasis = true;
                self.state = State::DigitsEnd;
            }
            _ => return Found::Prose,
        }
        self.call.slips.no_space = true;
        Found::Pending
    }

    fn in_separator(&mut self, character: char) -> Found {
        if is_blank(character) {
            self.call.slips.no_space = false;
        } else if is_name_start(character) && character != '_' {
            self.call.name.push(character);
            self.state = State::Name;
        } else if is_mark(character) {
            self.call.slips.emphasis |= character != '_';
            if character == '_' {
                // Either emphasis or the beginning of a name: a name with underscores is the likelier one.
                self.call.name.push(character);
                self.state = State::Name;
            }
        } else if character == ')' && !self.call.slips.separator {
            self.call.slips.separator = true;
        } else {
            return Found::Prose;
        }
        Found::Pending
    }

    fn in_name(&mut self, character: char) -> Found {
        if character == '(' {
            return Found::Call;
        }
        if self.state == State::Name && is_name_character(character) {
            self.call.name.push(character);
        } else if matches!(character, '*' | '`') {
            self.call.slips.emphasis = true;
            self.state = State::NameEnd;
        } else if is_blank(character) {
            self.call.slips.space_before_parenthesis = true;
            self.state = State::NameEnd;
        } else {
            return Found::Prose;
        }
        Found::Pending
    }

    fn in_word(&mut self, character: char) -> Found {
        let is_label = || self.call.name.eq_ignore_ascii_case("thought");
        match character {
            '(' => return Found::Call,
            ':' if is_label() => return Found::Thought,
            '*' | '`' => {
                self.call.slips.emphasis = true;
                self.state = State::WordEnd;
            }
            ' ' | '\t' if is_label() => self.state = State::WordEnd,
            _ if self.state == State::Word && is_name_character(character) => self.call.name.push(character),
            _ => return Found::Prose,
        }
        Found::Pending
    }

    fn in_tag(&mut self, character: char) -> Found {
        self.tag.push(character);
        match read_tag(self.tag.as_bytes()) {
            Reads::Tag(Tag::Opening(name)) => Found::Reasoning(name),
            Reads::Tag(Tag::Closing(_)) => Found::EndOfReasoning,
            Reads::Begun => Found::Pending,
            Reads::Nothing if self.tag == END_OF_PLAN => Found::EndOfPlan,
            Reads::Nothing if END_OF_PLAN.starts_with(&self.tag) => Found::Pending,
            Reads::Nothing => Found::Prose,
        }
    }
}
