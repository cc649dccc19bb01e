//! Places in the text of a plan.

/// A place in the text of a plan: the line and the character in it, both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line, from 1; 0 where no place can be named.
    pub line: u32,
    /// The character in the line, from 1; 0 where no place can be named.
    pub column: u32,
}

impl Position {
    /// The first character of a plan.
    pub const START: Self = Self { line: 1, column: 1 };
    /// No place: the diagnostic is not about a piece of the text.
    pub const NOWHERE: Self = Self { line: 0, column: 0 };

    /// Moves past `text`.
    pub(crate) fn advance(&mut self, text: &str) {
        let tail = match memchr::memrchr(b'\n', text.as_bytes()) {
            Some(last) => {
                let lines = memchr::memchr_iter(b'\n', text.as_bytes()).count();
                self.line = self.line.saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
                self.column = 1;
                &text[last + 1..]
            }
            None => text,
        };
        let columns = u32::try_from(tail.chars().count()).unwrap_or(u32::MAX);
        self.column = self.column.saturating_add(columns);
    }

    /// Moves past one character.
    pub(crate) fn step(&mut self, character: char) {
        if character == '\n' {
            self.line = self.line.saturating_add(1);
            self.column = 1;
        } else {
            self.column = self.column.saturating_add(1);
        }
    }
}

/// Turns ascending offsets in one text into positions, in time linear in the text.
pub(crate) struct Locator<'t> {
    text: &'t str,
    offset: usize,
    position: Position,
}

impl<'t> Locator<'t> {
    pub(crate) fn new(text: &'t str, position: Position) -> Self {
        Self { text, offset: 0, position }
    }

    /// The position of `offset`; an offset before one asked earlier gives the place of that earlier one.
    pub(crate) fn locate(&mut self, offset: usize) -> Position {
        if let Some(passed) = self.text.get(self.offset..offset) {
            self.position.advance(passed);
            self.offset = offset;
        }
        self.position
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_count_newlines() {
        let mut position = Position::START;
        position.advance("é√\nab");
        assert_eq!(position, Position { line: 2, column: 3 });
        position.step('\n');
        assert_eq!(position, Position { line: 3, column: 1 });
    }

    #[test]
    fn a_locator_moves_only_forward() {
        let mut locator = Locator::new("ab\ncd", Position { line: 4, column: 9 });
        assert_eq!(locator.locate(1), Position { line: 4, column: 10 });
        assert_eq!(locator.locate(4), Position { line: 5, column: 2 });
        assert_eq!(locator.locate(0), Position { line: 5, column: 2 });
    }
}
