//! What a model reasons before its plan: between tags, or, where the opening tag stood in the prompt, up to a closing tag
//! that stands alone.

use super::{Item, Mode, Scanner};
use crate::position::Position;
use crate::reasoning::{Tag, Tags};

/// From how many bytes on, prose before the first task may be reasoning of which the end has not come.
const LONG: usize = 200;

/// What is known of the reasoning in a text.
#[derive(Debug, Default)]
pub(super) struct Reasoning {
    pub(super) tags: Tags,
    /// Whether a tag was opened in the middle of this line.
    is_opened: bool,
    /// The name of the tag that is open.
    name: usize,
    from: Option<Position>,
    /// Whether some has ended, so that a further closing tag behind calls ends nothing.
    pub(super) is_over: bool,
    /// Whether the rest of the line is prose before the first call.
    pub(super) is_prose: bool,
    /// How much of it there was, in bytes.
    prose: usize,
}

impl Reasoning {
    /// In the text of a line that is no line of a plan: whether a closing tag ends here that nothing opened.
    pub(super) fn ends(&mut self, character: char) -> bool {
        match self.tags.push(character) {
            Some(Tag::Opening(_)) => self.is_opened = true,
            Some(Tag::Closing(_)) => return !std::mem::take(&mut self.is_opened),
            None if character == '\n' => self.is_opened = false,
            None => {}
        }
        false
    }

    /// A line ended, or began to mean something.
    pub(super) fn reset(&mut self) {
        self.tags.reset();
        self.is_opened = false;
    }

    /// Text of the line was read.
    pub(super) fn count(&mut self, length: usize) {
        if self.is_prose {
            self.prose = self.prose.saturating_add(length);
        }
    }
}

impl Scanner {
    pub(super) fn begin_reasoning(&mut self, name: usize) {
        self.reasoning.reset();
        self.reasoning.name = name;
        self.reasoning.from = Some(self.held_from);
        self.mode = Mode::Reasoning;
    }

    pub(super) fn in_reasoning(&mut self, character: char) {
        if self.reasoning.tags.push(character) == Some(Tag::Closing(self.reasoning.name)) {
            self.leave_reasoning();
        }
    }

    fn leave_reasoning(&mut self) {
        self.reasoning.from = None;
        self.reasoning.is_over = true;
        self.start_line();
        self.mode = Mode::BehindReasoning;
    }

    /// Whether a closing tag that nothing opened ends reasoning, and is not only one too many.
    pub(super) fn is_end_of_reasoning(&self) -> bool {
        let is_plan = self.has_calls || matches!(self.mode, Mode::Json | Mode::Closed | Mode::Ignored);
        !(self.reasoning.is_over && is_plan)
    }

    /// The text up to here was reasoning, if the closing tag means anything.
    pub(super) fn end_reasoning(&mut self) -> Option<Item> {
        if !self.is_end_of_reasoning() {
            return None;
        }
        self.leave_reasoning();
        self.has_calls = false;
        self.in_thought = false;
        self.reasoning.prose = 0;
        Some(Item::EndOfReasoning(self.position))
    }

    /// Whether what is read may be a draft in reasoning whose closing tag is still to come.
    pub(crate) fn may_be_reasoning(&self) -> bool {
        !self.reasoning.is_over && self.reasoning.prose >= LONG
    }

    /// Whether the next character is one of reasoning.
    pub(crate) fn is_reasoning(&self) -> bool {
        self.mode == Mode::Reasoning
    }

    /// At the end of the text: where reasoning begins that has no end.
    pub(super) fn open_reasoning(&mut self) -> Option<Item> {
        self.reasoning.from.take().map(Item::OpenReasoning)
    }

    /// The plan is closed for good: a closing tag makes no difference any more.
    pub(crate) fn ignore_rest(&mut self) {
        self.reasoning.is_over = true;
        self.mode = Mode::Ignored;
    }
}
