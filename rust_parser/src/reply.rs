//! Reads a joiner's reply piece by piece, so that an answer can be shown while it is being written.
//!
//! The reply is prose until its verdict opens (`Action: Finish(`), and a body from there to the closing bracket; or it is an
//! object in JSON. What comes out depends on the text alone, never on how it was cut.

mod body;
mod json;
mod place;
mod prose;

use body::{Body, End};
use json::{Beginning, JsonReply};
use prose::{Opening, Prose};

/// One thing read from a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplyStep {
    /// What the joiner wrote before its verdict, without the label.
    Thought(String),
    /// A piece of the answer, never empty. The pieces, joined, are the text of the verdict.
    AnswerPiece(String),
    /// What the joiner decided. Always the last step, and given once.
    Verdict {
        /// To answer or to plan again.
        kind: VerdictKind,
        /// The whole answer, or the reason to replan; trimmed.
        text: String,
        /// Whether the reply did not follow its format, so that the verdict is a guess.
        mended: bool,
    },
}

/// What a joiner can decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerdictKind {
    /// `Finish(answer)`.
    Finish,
    /// `Replan(reason)`.
    Replan,
}

impl VerdictKind {
    /// The name of the kind in lower case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Finish => "finish",
            Self::Replan => "replan",
        }
    }
}

/// Takes the pieces of one reply and returns what was read.
///
/// Total: every text ends in exactly one verdict. Linear in the length of the text.
#[derive(Debug, Default)]
pub struct ReplyReader {
    state: State,
    /// Whether it is known that the reply is no JSON.
    is_prose: bool,
    /// How much has been searched for the end of what the model thinks about first.
    looked: usize,
}

#[derive(Debug)]
enum State {
    Prose(Prose),
    Body(Body),
    /// With the text that was read, which is prose after all if it gives no verdict.
    Json(JsonReply, String),
    Done,
}

impl Default for State {
    fn default() -> Self {
        Self::Prose(Prose::default())
    }
}

impl ReplyReader {
    /// A reader that has read nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A piece of the reply, cut anywhere. What follows the verdict is ignored.
    pub fn feed(&mut self, text: &str) -> Vec<ReplyStep> {
        let mut steps = Vec::new();
        match &mut self.state {
            State::Prose(prose) => {
                prose.text.push_str(text);
                self.look(false, &mut steps);
            }
            State::Body(_) => self.read(text, &mut steps),
            State::Json(..) => self.read_json(text, &mut steps),
            State::Done => {}
        }
        steps
    }

    /// The reply is complete. The last step is the verdict, unless it was given before.
    pub fn finish(&mut self) -> Vec<ReplyStep> {
        let mut steps = Vec::new();
        self.look(true, &mut steps);
        if let State::Json(json, text) = &mut self.state {
            let text = std::mem::take(text);
            match json.end(false) {
                Some((kind, given, end)) => self.conclude(kind, given, end, &mut steps),
                None => self.state = State::Prose(Prose::of(text)),
            }
        }
        if let State::Prose(prose) = &mut self.state {
            if let Some(opening) = prose.scan(true).or_else(|| prose.scan_leniently()) {
                self.open(&opening, &mut steps);
            } else {
                let guess = prose.guess();
                steps.extend(guess.thoughts.into_iter().map(ReplyStep::Thought));
                let end = End { text: guess.text, mended: true };
                self.conclude(guess.kind, 0, end, &mut steps);
            }
        }
        if let State::Body(body) = &mut self.state {
            let (kind, given, end) = (body.kind, body.given, body.end());
            self.conclude(kind, given, end, &mut steps);
        }
        steps
    }

    /// Finds out what the reply is, and where its verdict opens in prose.
    fn look(&mut self, is_last: bool, steps: &mut Vec<ReplyStep>) {
        let State::Prose(prose) = &mut self.state else { return };
        if !self.is_prose {
            let begin = prose::beginning(&prose.text, &mut self.looked);
            match begin.map_or(Beginning::Open, |begin| json::beginning(&prose.text[begin..])) {
                Beginning::Json(start) => {
                    let text = prose.text.split_off(begin.unwrap_or_default() + start);
                    self.state = State::Json(JsonReply::new(), std::mem::take(&mut prose.text));
                    return self.read_json(&text, steps);
                }
                Beginning::Open if !is_last => return,
                Beginning::Open | Beginning::Prose => self.is_prose = true,
            }
        }
        if let Some(opening) = prose.scan(false) {
            self.open(&opening, steps);
        }
    }

    fn read_json(&mut self, text: &str, steps: &mut Vec<ReplyStep>) {
        let State::Json(json, read) = &mut self.state else { return };
        read.push_str(text);
        if !json.read(text, steps) {
            steps.extend(json.piece().map(ReplyStep::AnswerPiece));
        } else if let Some((kind, given, end)) = json.end(true) {
            self.conclude(kind, given, end, steps);
        } else {
            // An object that decides nothing: a text like any other.
            let text = std::mem::take(read);
            self.is_prose = true;
            self.state = State::Prose(Prose::of(text));
            self.look(false, steps);
        }
    }

    fn open(&mut self, opening: &Opening, steps: &mut Vec<ReplyStep>) {
        let State::Prose(prose) = &mut self.state else {
            return;
        };
        let rest = prose.text.split_off(opening.body);
        prose.text.truncate(opening.prose);
        steps.extend(prose.thoughts().into_iter().map(ReplyStep::Thought));
        self.state = State::Body(Body::new(opening.kind, opening.bracket));
        self.read(&rest, steps);
    }

    fn read(&mut self, text: &str, steps: &mut Vec<ReplyStep>) {
        let State::Body(body) = &mut self.state else {
            return;
        };
        if let Some(end) = body.read(text) {
            let (kind, given) = (body.kind, body.given);
            self.conclude(kind, given, end, steps);
        } else if let Some(piece) = body.piece() {
            steps.push(ReplyStep::AnswerPiece(piece));
        }
    }

    fn conclude(&mut self, kind: VerdictKind, given: usize, end: End, steps: &mut Vec<ReplyStep>) {
        let End { text, mended } = end;
        if let (VerdictKind::Finish, Some(rest)) = (kind, text.get(given..).filter(|rest| !rest.is_empty())) {
            steps.push(ReplyStep::AnswerPiece(rest.to_owned()));
        }
        steps.push(ReplyStep::Verdict { kind, text, mended });
        self.state = State::Done;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(text: &str, mended: bool) -> ReplyStep {
        ReplyStep::Verdict { kind: VerdictKind::Finish, text: text.to_owned(), mended }
    }

    #[test]
    fn an_answer_is_given_as_it_is_read() {
        let mut reader = ReplyReader::new();
        assert_eq!(reader.feed("Thought: known.\nAction: Fin"), []);
        assert_eq!(
            reader.feed("ish( Mount "),
            [ReplyStep::Thought("known.".to_owned()), ReplyStep::AnswerPiece("Mount".to_owned())]
        );
        assert_eq!(reader.feed("Everest"), [ReplyStep::AnswerPiece(" Everest".to_owned())]);
        assert_eq!(reader.feed(" ) and more"), [verdict("Mount Everest", false)]);
        assert_eq!(reader.feed("Action: Finish(5)"), []);
        assert_eq!(reader.finish(), []);
    }

    #[test]
    fn a_quoted_answer_is_given_when_its_end_is_known() {
        let mut reader = ReplyReader::new();
        assert_eq!(reader.feed("Finish(\"a) b"), []);
        assert_eq!(reader.feed("\" )"), [ReplyStep::AnswerPiece("a) b".to_owned()), verdict("a) b", false)]);
    }

    #[test]
    fn brackets_in_the_strings_of_an_answer_in_json_close_nothing() {
        for answer in [
            r#"{"a": "x) y", "(": ["\")", ":)"], "b": [1]}"#,
            r#"["(", {"a": "rose (2020"}]"#,
            r#"{"quoted": "he said \"so :)\" (twice"}"#,
            r#"{"path": "C:\\", "b": ")"}"#,
        ] {
            for brackets in [("(", ")"), ("[", "]")] {
                let mut reader = ReplyReader::new();
                let mut steps = reader.feed(&format!("Action: Finish{}{answer}{} and more", brackets.0, brackets.1));
                steps.extend(reader.finish());
                assert_eq!(steps.last(), Some(&verdict(answer, false)));
            }
        }
    }

    #[test]
    fn what_only_begins_as_json_ends_at_its_bracket() {
        let mut reader = ReplyReader::new();
        let mut steps = reader.feed("Action: Finish([1] a pipe of 6\" (or more))\nObservation: none");
        steps.extend(reader.finish());
        assert_eq!(steps.last(), Some(&verdict("[1] a pipe of 6\" (or more)", false)));
    }

    #[test]
    fn the_end_gives_one_verdict() {
        let mut reader = ReplyReader::new();
        assert_eq!(reader.finish(), [verdict("", true)]);
        assert_eq!(reader.finish(), []);
    }

    #[test]
    fn a_bracket_of_the_other_kind_closes_nothing() {
        let mut reader = ReplyReader::new();
        assert_eq!(reader.feed("Finish[a) b]").last(), Some(&verdict("a) b", false)));
    }
}
