//! What a joiner writes before its verdict, and what is made of a reply that has none.

use super::VerdictKind;
use super::body::Bracket;
use super::place::{is_emphasis, is_line_markup, place};
use crate::reasoning::{LONGEST_TAG, Reads, Tag, read_tag, tags_in};

/// The length of `finish` and `replan` alike.
const WORD: usize = 6;
/// The text before the verdict, and how far it has been searched for one.
#[derive(Debug, Default)]
pub(super) struct Prose {
    pub(super) text: String,
    searched: usize,
    word: Option<Word>,
    /// Between the fences of an output that is quoted.
    is_fenced: bool,
    /// Between the tags of reasoning.
    is_thinking: bool,
    leniency: Leniency,
}

/// What may be a verdict although it does not look like one that is meant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Leniency {
    #[default]
    None,
    Quotations,
    /// Quotations, and what is only thought of.
    Thoughts,
}

/// Where a verdict opens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opening {
    pub(super) kind: VerdictKind,
    pub(super) bracket: Bracket,
    /// The end of the prose.
    pub(super) prose: usize,
    /// The beginning of the body.
    pub(super) body: usize,
}

/// What a reply without a verdict most likely meant.
#[derive(Debug)]
pub(super) struct Guess {
    pub(super) thoughts: Vec<String>,
    pub(super) kind: VerdictKind,
    pub(super) text: String,
}

/// `Finish` or `Replan` at a place where a verdict may stand; what follows decides.
#[derive(Debug, Clone, Copy)]
struct Word {
    kind: VerdictKind,
    labelled: bool,
    prose: usize,
    end: usize,
    /// How far the space after it has been read.
    looked: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Label {
    None,
    Thought,
    Verdict,
}

impl Prose {
    pub(super) fn of(text: String) -> Self {
        Self { text, ..Self::default() }
    }

    /// Searches on for the opening of a verdict. With `ended`, no more text will come.
    pub(super) fn scan(&mut self, ended: bool) -> Option<Opening> {
        loop {
            let mut word = match self.word.take() {
                Some(word) => word,
                None => self.next_word()?,
            };
            let found = word.look(&self.text, ended);
            match found {
                Look::Opens(bracket, body) => {
                    return Some(Opening { kind: word.kind, bracket, prose: word.prose, body });
                }
                Look::OpensNot => self.searched = word.end,
                Look::Unknown => {
                    self.word = Some(word);
                    return None;
                }
            }
        }
    }

    /// Searches again from the beginning, also in what is quoted, and in what a model thinks that never stops to: there is
    /// no other verdict.
    pub(super) fn scan_leniently(&mut self) -> Option<Opening> {
        self.leniency = if self.is_thinking { Leniency::Thoughts } else { Leniency::Quotations };
        (self.searched, self.word, self.is_fenced, self.is_thinking) = (0, None, false, false);
        self.scan(true)
    }

    /// The thoughts in the text: what stands under each label, and what stands under none.
    pub(super) fn thoughts(&self) -> Vec<String> {
        segments(&self.text).into_iter().map(|(_, text)| text).collect()
    }

    /// Makes the best of a text in which no verdict opens.
    pub(super) fn guess(&self) -> Guess {
        let mut segments = segments(said(&self.text));
        if let Some(place) = segments.iter().rposition(|(label, _)| *label == Label::Verdict) {
            let (_, text) = segments.remove(place);
            let (kind, text) = decide(&text, true);
            if kind == VerdictKind::Replan || !text.is_empty() {
                segments.truncate(place);
                return Guess { thoughts: thoughts(segments), kind, text };
            }
        }
        let texts: Vec<String> = segments.into_iter().map(|(_, text)| text).collect();
        let (kind, text) = decide(&texts.join("\n"), false);
        Guess { thoughts: Vec::new(), kind, text }
    }

    fn next_word(&mut self) -> Option<Word> {
        while let Some(byte) = self.text.as_bytes().get(self.searched) {
            let (kind, name) = match byte {
                b'f' | b'F' => (VerdictKind::Finish, b"finish"),
                b'r' | b'R' => (VerdictKind::Replan, b"replan"),
                _ => {
                    self.searched += 1;
                    self.mark();
                    continue;
                }
            };
            let end = self.searched + WORD;
            let bytes = self.text.as_bytes();
            let read = &bytes[self.searched..end.min(bytes.len())];
            if !name[..read.len()].eq_ignore_ascii_case(read) {
                self.searched += 1;
                continue;
            }
            if read.len() < WORD {
                return None;
            }
            let is_lenient = self.leniency != Leniency::None;
            let is_hidden =
                (self.is_fenced && !is_lenient) || (self.is_thinking && self.leniency != Leniency::Thoughts);
            let place = if is_hidden { None } else { place(&self.text[..self.searched], is_lenient) };
            if let Some((labelled, prose)) = place {
                return Some(Word { kind, labelled, prose, end, looked: end });
            }
            self.searched = end;
        }
        None
    }

    /// Notes what begins or ends with the character that was read last.
    fn mark(&mut self) {
        let read = &self.text.as_bytes()[..self.searched];
        match read.last() {
            Some(b'<') if read.ends_with(b"<<<") => self.is_fenced = true,
            Some(b'>') if read.ends_with(b">>>") => self.is_fenced = false,
            Some(b'>') => {
                let near = &read[read.len().saturating_sub(LONGEST_TAG)..];
                let begin = memchr::memrchr(b'<', near).unwrap_or_default();
                if let Reads::Tag(tag) = read_tag(&near[begin..]) {
                    self.is_thinking = matches!(tag, Tag::Opening(_));
                }
            }
            _ => {}
        }
    }
}

enum Look {
    Opens(Bracket, usize),
    OpensNot,
    Unknown,
}

impl Word {
    fn look(&mut self, text: &str, ended: bool) -> Look {
        let line = self.labelled && self.kind == VerdictKind::Replan;
        for (offset, character) in text[self.looked..].char_indices() {
            let at = self.looked + offset;
            match character {
                '(' => return Look::Opens(Bracket::Round, at + 1),
                '[' => return Look::Opens(Bracket::Square, at + 1),
                '（' => return Look::Opens(Bracket::Wide, at + character.len_utf8()),
                '\n' if line => return Look::Opens(Bracket::Line, at),
                _ if character.is_whitespace() || is_emphasis(character) => {}
                _ if line && (at > self.end || !character.is_alphanumeric()) => {
                    return Look::Opens(Bracket::Line, at);
                }
                _ => return Look::OpensNot,
            }
        }
        self.looked = text.len();
        match (ended, line) {
            (false, _) => Look::Unknown,
            (true, true) => Look::Opens(Bracket::Line, self.looked),
            (true, false) => Look::OpensNot,
        }
    }
}

/// How much space may stand before a thought, in bytes.
const SPACE: usize = 256;

/// Where a reply begins that a model may have thought about first; None while that is not known. What was looked at is
/// remembered, so that no piece has to look back.
pub(super) fn beginning(text: &str, looked: &mut usize) -> Option<usize> {
    let end = (0..=SPACE.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    let space = end - text[..end].trim_start().len();
    let rest = &text[space..];
    let near = &rest.as_bytes()[..rest.len().min(LONGEST_TAG)];
    let end = memchr::memchr(b'>', near).map_or(near.len(), |last| last + 1);
    let name = match read_tag(&near[..end]) {
        Reads::Tag(Tag::Opening(name)) => name,
        Reads::Begun => return None,
        _ => return (text.len() > SPACE || !rest.is_empty()).then_some(space),
    };
    let from = (0..=*looked).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    let closing = tags_in(&text[from..]).find(|(tag, _)| *tag == Tag::Closing(name));
    let end = closing.map(|(_, end)| from + end);
    *looked = end.unwrap_or(text.len()).saturating_sub(LONGEST_TAG);
    end
}

/// What a reply says, without what its model thought about first.
fn said(text: &str) -> &str {
    let last = tags_in(text).rev().find(|(tag, _)| matches!(tag, Tag::Closing(_)));
    let said = last.map_or(text, |(_, end)| &text[end..]);
    if said.trim().is_empty() { text } else { said }
}

/// The text under each label, cleaned, without what is empty.
fn segments(text: &str) -> Vec<(Label, String)> {
    let mut found = Vec::new();
    let (mut label, mut start, mut line_start) = (Label::None, 0, 0);
    let mut keep = |label: Label, text: &str| {
        let text = clean(text);
        if !text.is_empty() {
            found.push((label, text.to_owned()));
        }
    };
    for line in text.split_inclusive('\n') {
        if let Some((next, content)) = labelled(line) {
            keep(label, &text[start..line_start]);
            (label, start) = (next, line_start + content);
        }
        line_start += line.len();
    }
    keep(label, &text[start..]);
    found
}

/// The texts of segments, without those that are nothing but markup.
fn thoughts(segments: Vec<(Label, String)>) -> Vec<String> {
    let texts = segments.into_iter().map(|(_, text)| text);
    texts.filter(|text| text.contains(char::is_alphanumeric)).collect()
}

/// The label at the start of a line, and where the text after it begins.
fn labelled(line: &str) -> Option<(Label, usize)> {
    const LABELS: [(&str, Label); 4] = [
        ("thought", Label::Thought),
        ("action", Label::Verdict),
        ("answer", Label::Verdict),
        ("final answer", Label::Verdict),
    ];
    let rest = line.trim_start_matches(is_line_markup);
    let (label, rest) = LABELS.iter().find_map(|(name, label)| {
        let (head, rest) = rest.split_at_checked(name.len())?;
        head.eq_ignore_ascii_case(name).then_some((*label, rest))
    })?;
    let rest = rest.trim_start_matches(|c: char| c.is_whitespace() || is_emphasis(c) || c.is_ascii_digit());
    let content = match rest.strip_prefix([':', '：']) {
        Some(content) => content.trim_start_matches(is_emphasis),
        // A heading: the label is the whole line.
        None if rest.is_empty() => rest,
        None => return None,
    };
    Some((label, line.len() - content.len()))
}

/// Without the white space, the code fence and the half of a bold mark that a label left behind.
fn clean(text: &str) -> &str {
    let mut text = text.trim();
    if text.starts_with("```") {
        text = text.split_once('\n').map_or("", |(_, rest)| rest);
    }
    text = text.trim_end().trim_end_matches("```").trim();
    if text.ends_with("**") && text.matches("**").count() % 2 == 1 {
        text = text.trim_end_matches("**").trim_end();
    }
    text
}

/// Reads `Finish` or `Replan` at the start of a text that has no brackets; behind a label, a colon is not needed.
fn decide(text: &str, labelled: bool) -> (VerdictKind, String) {
    for kind in [VerdictKind::Finish, VerdictKind::Replan] {
        let Some((head, rest)) = text.split_at_checked(WORD) else {
            continue;
        };
        let rest = rest.trim_start_matches(is_emphasis);
        let colon = rest.is_empty() || rest.starts_with([':', '：']);
        if head.eq_ignore_ascii_case(kind.as_str()) && (colon || (labelled && !rest.starts_with(char::is_alphanumeric)))
        {
            return (kind, rest.trim_start_matches([':', '：']).trim().to_owned());
        }
    }
    (VerdictKind::Finish, text.trim().to_owned())
}
