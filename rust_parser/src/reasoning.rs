//! The tags between which a model reasons whose server does not tell its reasoning from its text.

const NAMES: [&str; 3] = ["think", "thinking", "reasoning"];

/// A tag, with its name's place among the names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tag {
    /// `<think>`.
    Opening(usize),
    /// `</think>`.
    Closing(usize),
}

/// What a text is that begins with `<`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reads {
    Nothing,
    /// The beginning of a tag.
    Begun,
    Tag(Tag),
}

/// The most that a tag has, in bytes.
pub(crate) const LONGEST_TAG: usize = "</reasoning>".len();

/// Reads a tag, in any case.
pub(crate) fn read_tag(text: &[u8]) -> Reads {
    let Some(rest) = text.strip_prefix(b"<") else { return Reads::Nothing };
    let (is_closing, rest) = rest.strip_prefix(b"/").map_or((false, rest), |rest| (true, rest));
    let (name, is_whole) = rest.strip_suffix(b">").map_or((rest, false), |name| (name, true));
    let begins = |known: &str| known.as_bytes().get(..name.len()).is_some_and(|part| part.eq_ignore_ascii_case(name));
    if !is_whole {
        return if NAMES.iter().any(|known| begins(known)) { Reads::Begun } else { Reads::Nothing };
    }
    match NAMES.iter().position(|known| known.as_bytes().eq_ignore_ascii_case(name)) {
        Some(at) if is_closing => Reads::Tag(Tag::Closing(at)),
        Some(at) => Reads::Tag(Tag::Opening(at)),
        None => Reads::Nothing,
    }
}

/// The tags in a whole text, each with its end.
pub(crate) fn tags_in(text: &str) -> impl DoubleEndedIterator<Item = (Tag, usize)> {
    let text = text.as_bytes();
    memchr::memchr_iter(b'>', text).filter_map(move |last| {
        let near = &text[(last + 1).saturating_sub(LONGEST_TAG)..=last];
        let begin = memchr::memrchr(b'<', near)?;
        if let Reads::Tag(tag) = read_tag(&near[begin..]) { Some((tag, last + 1)) } else { None }
    })
}

/// Finds tags in a text, character by character.
#[derive(Debug, Default)]
pub(crate) struct Tags {
    begun: String,
}

impl Tags {
    pub(crate) fn reset(&mut self) {
        self.begun.clear();
    }

    /// Whether a tag may have begun: else text up to the next `<` holds none.
    pub(crate) fn is_begun(&self) -> bool {
        !self.begun.is_empty()
    }

    /// The tag that ends with this character.
    pub(crate) fn push(&mut self, character: char) -> Option<Tag> {
        if character == '<' {
            self.begun.clear();
        } else if self.begun.is_empty() {
            return None;
        }
        self.begun.push(character);
        match read_tag(self.begun.as_bytes()) {
            Reads::Begun => None,
            Reads::Nothing => {
                self.begun.clear();
                None
            }
            Reads::Tag(tag) => {
                self.begun.clear();
                Some(tag)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(text: &str) -> Vec<Tag> {
        let mut tags = Tags::default();
        let found: Vec<_> = text.chars().filter_map(|character| tags.push(character)).collect();
        assert_eq!(tags_in(text).map(|(tag, _)| tag).collect::<Vec<_>>(), found);
        found
    }

    #[test]
    fn tags_are_found_in_any_case_and_nothing_else_is() {
        assert_eq!(tags("<think>a<</THINK>"), [Tag::Opening(0), Tag::Closing(0)]);
        assert_eq!(
            tags("<Thinking> </thinking></reasoning><th<reasoning>"),
            [Tag::Opening(1), Tag::Closing(1), Tag::Closing(2), Tag::Opening(2)]
        );
        assert_eq!(tags("<thinker> <think > < think> </ think> <//think> <> </> <é> think>"), []);
    }
}
