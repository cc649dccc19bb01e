//! A plan in JSON: its members and the tasks in its list, each cut out as soon as it is complete. What is in them is not looked
//! at here.

use super::opening::Opens;
use super::{CallEnd, Item, Mode, Scanner};
use crate::lexer::{Frame, Lexed};
use crate::position::Position;
use crate::step::Code;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Before the first bracket.
    #[default]
    Start,
    /// In the object of the plan, where a member or the closing brace stands.
    Members,
    Member,
    /// In the list of tasks, where a task or the closing bracket stands.
    Tasks,
    Task,
}

/// What stands before the next element.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Before {
    #[default]
    Nothing,
    Comma,
    Element,
}

/// What is skipped between elements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Skips {
    #[default]
    Nothing,
    /// What is no element, which was said.
    Text,
    /// The rest of the line.
    Comment,
}

/// The reader of one plan.
#[derive(Debug, Default)]
pub(super) struct Json {
    place: Place,
    /// Whether the plan is only the list of its tasks.
    is_list: bool,
    /// Whether there was a list of tasks.
    has_tasks: bool,
    before: Before,
    skips: Skips,
}

impl Json {
    pub(super) fn is_lexing(&self) -> bool {
        matches!(self.place, Place::Member | Place::Task)
    }
}

impl Scanner {
    pub(super) fn in_opening(&mut self, character: char) {
        self.held.push(character);
        match self.opening.push(character) {
            Opens::Perhaps => {}
            Opens::Nothing => self.refuse_opening(),
            Opens::Json => {
                self.json = Json::default();
                self.in_thought = false;
                self.hold_no_more(Mode::Json);
            }
        }
    }

    /// It was no plan in JSON: what was held is read again, as lines.
    pub(super) fn refuse_opening(&mut self) {
        self.opening.refuse();
        self.hold_no_more(Mode::Line);
    }

    /// The JSON that was read was no plan: what follows may be one, in lines or in JSON.
    pub(crate) fn resume_lines(&mut self) {
        self.mode = Mode::Rest;
        self.reasoning.is_prose = false;
        self.restart_head();
    }

    /// Whether the JSON plan has a list of tasks.
    pub(crate) fn has_tasks(&self) -> bool {
        self.json.has_tasks
    }

    pub(super) fn in_json(&mut self, character: char, at: Position) -> Option<Item> {
        if !self.json.is_lexing() && self.reasoning.ends(character) {
            return self.end_reasoning();
        }
        if self.json.skips == Skips::Comment {
            if character == '\n' {
                self.json.skips = Skips::Nothing;
            }
            return None;
        }
        match self.json.place {
            Place::Start if character == '[' => {
                self.json.is_list = true;
                self.enter_tasks();
                Some(Item::Slip(Code::JsonShape, at))
            }
            Place::Start => {
                self.json.place = Place::Members;
                None
            }
            Place::Members => self.at_member(character, at),
            Place::Member => self.in_member(character, at),
            Place::Tasks => self.at_task(character, at),
            Place::Task => self.in_task(character, at),
        }
    }

    fn at_member(&mut self, character: char, at: Position) -> Option<Item> {
        match character {
            _ if character.is_whitespace() => None,
            ',' => self.comma(at),
            '}' => self.trailing_comma(character, at).or(Some(Item::EndOfJson(CallEnd::Bracket, at))),
            '#' | '/' => Some(self.comment(at)),
            ']' | ')' => self.ignore(at),
            _ => {
                let slip = self.begin_element(at);
                self.begin_part(Frame::Member, Place::Member, character, at);
                slip
            }
        }
    }

    fn in_member(&mut self, character: char, at: Position) -> Option<Item> {
        if self.lexer.push(character) == Lexed::Ended {
            self.read_again(character, at);
            return Some(self.end_element(Place::Members, CallEnd::Bracket));
        }
        if character == '[' && self.lexer.begins_list() && self.is_list_of_tasks() {
            self.enter_tasks();
        }
        None
    }

    fn is_list_of_tasks(&self) -> bool {
        let key = self.lexer.tokens.first().and_then(|key| self.lexer.text.get(key.start..key.end));
        key.is_some_and(is_tasks_key)
    }

    fn enter_tasks(&mut self) {
        self.json.place = Place::Tasks;
        self.json.has_tasks = true;
        self.json.before = Before::Nothing;
        self.json.skips = Skips::Nothing;
    }

    fn at_task(&mut self, character: char, at: Position) -> Option<Item> {
        match character {
            _ if character.is_whitespace() => None,
            ',' => self.comma(at),
            '#' | '/' => Some(self.comment(at)),
            '{' => {
                let slip = self.begin_element(at);
                self.begin_part(Frame::Object, Place::Task, character, at);
                slip
            }
            ']' => {
                let slip = self.trailing_comma(character, at);
                if slip.is_some() {
                    return slip;
                }
                if self.json.is_list {
                    return Some(Item::EndOfJson(CallEnd::Bracket, at));
                }
                self.leave_tasks();
                None
            }
            // The list was not closed: a key of the plan's object follows, or its end.
            '"' | '}' if !self.json.is_list => {
                self.leave_tasks();
                if character == '"' {
                    self.json.before = Before::Comma;
                }
                self.read_again(character, at);
                Some(Item::Slip(Code::MissingBracket, at))
            }
            _ => self.ignore(at),
        }
    }

    fn leave_tasks(&mut self) {
        self.json.place = Place::Members;
        self.json.before = Before::Element;
        self.json.skips = Skips::Nothing;
    }

    fn in_task(&mut self, character: char, at: Position) -> Option<Item> {
        if self.lexer.is_left_open_before(character) {
            self.lexer.end();
            self.read_again(character, at);
            if character == '{' {
                let item = self.end_element(Place::Tasks, CallEnd::Missing);
                self.json.before = Before::Comma;
                return Some(item);
            }
            return Some(self.end_element(Place::Tasks, CallEnd::Missing));
        }
        match self.lexer.push(character) {
            Lexed::Inside => None,
            Lexed::Ended => Some(self.end_element(Place::Tasks, CallEnd::Bracket)),
        }
    }

    fn begin_part(&mut self, frame: Frame, place: Place, character: char, at: Position) {
        self.call.inside = at;
        self.lexer.reset(frame);
        self.lexer.push(character);
        self.json.place = place;
        self.json.skips = Skips::Nothing;
    }

    fn end_element(&mut self, place: Place, end: CallEnd) -> Item {
        let item = if self.json.place == Place::Task { Item::Task(end) } else { Item::Member(end) };
        self.json.place = place;
        self.json.before = Before::Element;
        item
    }

    fn comma(&mut self, at: Position) -> Option<Item> {
        self.json.skips = Skips::Nothing;
        let is_too_many = self.json.before != Before::Element;
        self.json.before = Before::Comma;
        is_too_many.then_some(Item::Slip(Code::JsonComma, at))
    }

    fn begin_element(&mut self, at: Position) -> Option<Item> {
        let is_missing = self.json.before == Before::Element;
        is_missing.then_some(Item::Slip(Code::JsonComma, at))
    }

    /// Says that a comma stands before the bracket that closes, which is then read again.
    fn trailing_comma(&mut self, character: char, at: Position) -> Option<Item> {
        if self.json.before != Before::Comma {
            return None;
        }
        self.json.before = Before::Element;
        self.read_again(character, at);
        Some(Item::Slip(Code::JsonComma, at))
    }

    fn comment(&mut self, at: Position) -> Item {
        self.json.skips = Skips::Comment;
        Item::Slip(Code::Comment, at)
    }

    fn ignore(&mut self, at: Position) -> Option<Item> {
        self.json.before = Before::Element;
        let skipped = std::mem::replace(&mut self.json.skips, Skips::Text);
        (skipped != Skips::Text).then_some(Item::Slip(Code::IgnoredText, at))
    }

    fn read_again(&mut self, character: char, at: Position) {
        self.held.clear();
        self.held.push(character);
        self.held_from = at;
        self.hold_no_more(Mode::Json);
    }

    /// What is open at the end of the text, one part after the other.
    pub(super) fn end_of_json(&mut self) -> Item {
        match self.json.place {
            Place::Task | Place::Member => {
                let end = self.lexer.open_string().map_or(CallEnd::Missing, CallEnd::InString);
                self.lexer.end();
                let place = if self.json.place == Place::Task { Place::Tasks } else { Place::Members };
                self.end_element(place, end)
            }
            Place::Start | Place::Members | Place::Tasks => {
                self.mode = Mode::Line;
                Item::EndOfJson(CallEnd::Missing, self.position)
            }
        }
    }
}

/// Whether the tasks of a plan stand under `key`.
pub(crate) fn is_tasks_key(key: &str) -> bool {
    key.eq_ignore_ascii_case("tasks") || key.eq_ignore_ascii_case("plan")
}
