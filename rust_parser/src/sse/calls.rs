//! The tool calls of a response, put together from the pieces in which they come.

use serde::de::IgnoredAny;

/// How many calls a response may have.
const MOST: usize = 1024;

/// A call that the model asks for through its provider's own tool calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolCall {
    /// The provider's name of the call, which its result is to name; empty where the provider gave none.
    pub id: String,
    /// The tool.
    pub name: String,
    /// The arguments as the model wrote them: JSON, unless it slipped. `{}` where it wrote none.
    pub arguments: String,
}

/// A piece of a call, with what says which call it belongs to.
#[derive(Debug, Default)]
pub(super) struct Piece<'p> {
    pub(super) index: Option<u64>,
    pub(super) id: &'p str,
    pub(super) name: &'p str,
    pub(super) arguments: &'p str,
}

/// More, or larger, calls than are kept.
#[derive(Debug)]
pub(super) struct TooLarge(pub(super) String);

#[derive(Debug)]
struct Open {
    index: Option<u64>,
    call: ToolCall,
}

/// The calls so far: complete ones, and those that may still grow.
#[derive(Debug, Default)]
pub(super) struct ToolCalls {
    open: Vec<Open>,
    complete: Vec<ToolCall>,
    taken: usize,
    size: usize,
}

impl ToolCalls {
    pub(super) fn complete(&self) -> &[ToolCall] {
        &self.complete
    }

    pub(super) fn take(&mut self) -> &[ToolCall] {
        let from = std::mem::replace(&mut self.taken, self.complete.len());
        &self.complete[from..]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.complete.is_empty()
    }

    /// Takes the next piece of a chat completion. Servers say by an index, by an id, or only by the order, which call it
    /// belongs to; where another call begins, the one before is complete if its arguments are.
    pub(super) fn add(&mut self, piece: &Piece) -> Result<(), TooLarge> {
        if piece.id.is_empty() && piece.name.is_empty() && piece.arguments.is_empty() {
            return Ok(());
        }
        let last = self.open.len().wrapping_sub(1);
        let place = match self.open.iter().rposition(|open| open.is_of(piece)) {
            Some(place) if piece.index.is_some() || !piece.id.is_empty() || place == last => place,
            _ => {
                self.complete_whole(last);
                self.begin(piece.index)?
            }
        };
        let call = &mut self.open[place].call;
        if call.id.is_empty() {
            piece.id.clone_into(&mut call.id);
        }
        // Some servers say the name again with every piece.
        if call.name != piece.name {
            call.name.push_str(piece.name);
        }
        call.arguments.push_str(piece.arguments);
        self.grow(piece.id.len() + piece.name.len() + piece.arguments.len())
    }

    /// Adds to the arguments of the call at `index`.
    pub(super) fn add_arguments(&mut self, index: Option<u64>, arguments: &str) -> Result<(), TooLarge> {
        let place = match self.find(index) {
            Some(place) => place,
            None => self.begin(index)?,
        };
        self.open[place].call.arguments.push_str(arguments);
        self.grow(arguments.len())
    }

    /// What is known of the call at `index`: what is empty is not said, anything else is the whole of it.
    pub(super) fn set(&mut self, piece: &Piece) -> Result<(), TooLarge> {
        let place = match self.find(piece.index) {
            Some(place) => place,
            None => self.begin(piece.index)?,
        };
        let call = &mut self.open[place].call;
        let before = call.id.len() + call.name.len() + call.arguments.len();
        for (known, said) in
            [(&mut call.id, piece.id), (&mut call.name, piece.name), (&mut call.arguments, piece.arguments)]
        {
            if !said.is_empty() {
                said.clone_into(known);
            }
        }
        let after = call.id.len() + call.name.len() + call.arguments.len();
        self.size -= before;
        self.grow(after)
    }

    /// The call at `index` is complete.
    pub(super) fn end_call(&mut self, index: Option<u64>) {
        if let Some(place) = self.find(index) {
            let call = self.open.remove(place).call;
            self.push(call);
        }
    }

    /// No further piece comes. A call in which the response was `cut_off` is complete only if its arguments are.
    pub(super) fn end(&mut self, cut_off: bool) {
        for Open { call, .. } in std::mem::take(&mut self.open) {
            if !cut_off || is_whole(&call.arguments) {
                self.push(call);
            }
        }
    }

    fn find(&self, index: Option<u64>) -> Option<usize> {
        self.open.iter().rposition(|open| index.is_none() || open.index == index)
    }

    fn begin(&mut self, index: Option<u64>) -> Result<usize, TooLarge> {
        if self.open.len() + self.complete.len() >= MOST {
            return Err(TooLarge(format!("the response has more than {MOST} tool calls")));
        }
        self.open.push(Open { index, call: ToolCall::default() });
        Ok(self.open.len() - 1)
    }

    fn complete_whole(&mut self, place: usize) {
        if self.open.get(place).is_some_and(|open| is_whole(&open.call.arguments)) {
            let call = self.open.remove(place).call;
            self.push(call);
        }
    }

    fn push(&mut self, mut call: ToolCall) {
        if call.arguments.trim().is_empty() {
            "{}".clone_into(&mut call.arguments);
        }
        self.complete.push(call);
    }

    fn grow(&mut self, by: usize) -> Result<(), TooLarge> {
        self.size += by;
        if self.size <= super::LIMIT {
            return Ok(());
        }
        Err(TooLarge(format!("the tool calls are larger than {} MiB", super::LIMIT / (1024 * 1024))))
    }
}

impl Open {
    fn is_of(&self, piece: &Piece) -> bool {
        let same_id = piece.id.is_empty() || self.call.id.is_empty() || self.call.id == piece.id;
        match (self.index, piece.index) {
            (Some(index), Some(other)) => index == other && same_id,
            _ if !piece.id.is_empty() => self.call.id == piece.id,
            // Only the order is left: a name begins a call, unless this one waits for its first argument.
            _ => piece.name.is_empty() || self.call.arguments.is_empty(),
        }
    }
}

/// Whether the arguments are a whole JSON object, to which nothing can be added.
fn is_whole(arguments: &str) -> bool {
    arguments.trim_start().starts_with('{') && serde_json::from_str::<IgnoredAny>(arguments).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gather(pieces: &[(Option<u64>, &str, &str, &str)]) -> Vec<String> {
        let mut calls = ToolCalls::default();
        for &(index, id, name, arguments) in pieces {
            assert!(calls.add(&Piece { index, id, name, arguments }).is_ok());
        }
        calls.end(false);
        calls.complete.iter().map(|call| format!("{} {}{}", call.id, call.name, call.arguments)).collect()
    }

    #[test]
    fn a_piece_finds_its_call_by_index_by_id_or_by_order() {
        let expected = ["a f{\"x\":1}", "b g{}"];
        for pieces in [
            vec![
                (Some(0), "a", "f", ""),
                (Some(0), "", "", "{\"x\""),
                (Some(0), "", "", ":1}"),
                (Some(1), "b", "g", ""),
            ],
            vec![(None, "a", "f", ""), (None, "", "", "{\"x\""), (None, "", "", ":1}"), (None, "b", "g", "{}")],
            vec![(None, "a", "f", "{\"x\""), (None, "a", "f", ":1}"), (None, "b", "g", "{}")],
            // All under one index, each with an id of its own.
            vec![(Some(0), "a", "f", "{\"x\":1}"), (Some(0), "b", "g", "{}")],
            // One in the middle of the other.
            vec![
                (Some(0), "a", "f", "{\"x\""),
                (Some(1), "b", "g", ""),
                (Some(0), "", "", ":1}"),
                (Some(1), "", "", "{}"),
            ],
            // The id comes late, the name in two parts or again and again.
            vec![(Some(0), "", "f", "{"), (Some(0), "a", "f", "\"x\":1}"), (Some(1), "b", "g", "{}")],
        ] {
            assert_eq!(gather(&pieces), expected, "{pieces:?}");
        }
        assert_eq!(gather(&[(None, "", "f", "{}"), (None, "", "g", "{}")]), [" f{}", " g{}"]);
        assert_eq!(gather(&[(Some(0), "a", "sea", ""), (Some(0), "", "rch", "{}")]), ["a search{}"]);
    }

    #[test]
    fn a_call_is_complete_as_soon_as_the_next_begins() {
        let mut calls = ToolCalls::default();
        let mut add = |index, name, arguments| {
            assert!(calls.add(&Piece { index: Some(index), id: "", name, arguments }).is_ok());
            calls.take().len()
        };
        assert_eq!(add(0, "f", "{}"), 0);
        assert_eq!(add(1, "g", "{\"half"), 1);
        assert_eq!(add(2, "h", "{\"half"), 0);
        calls.end(true);
        assert_eq!(calls.complete().len(), 1);
    }

    #[test]
    fn calls_are_bounded_in_number_and_in_size() {
        let mut calls = ToolCalls::default();
        let mut add = |index, arguments: &str| calls.add(&Piece { index: Some(index), id: "", name: "f", arguments });
        for index in 0..MOST as u64 {
            assert!(add(index, "{}").is_ok());
        }
        assert!(add(MOST as u64, "{}").is_err_and(|found| found.0.contains("1024")));
        let mut calls = ToolCalls::default();
        let piece = "x".repeat(super::super::LIMIT / 4);
        let results: Vec<_> = (0..5).map(|_| calls.add_arguments(Some(0), &piece).is_ok()).collect();
        assert_eq!(results, [true, true, true, true, false]);
    }
}
