//! Reads `$3`, `${3}` and their paths, and strings with such references in them.

use serde_json::Value;

use crate::step::TaskId;
use crate::template::{Fragment, Given, Reference, Segment, Template};

/// Reads the reference at the beginning of `text`, which begins with `$`; returns it and its length.
pub(crate) fn read_reference(text: &str) -> Option<(Reference, usize)> {
    let inside = text.strip_prefix('$')?;
    let (task_id, mut end, braced) = if let Some(braced) = inside.strip_prefix('{') {
        let (task_id, digits) = read_id(braced)?;
        (task_id, 2 + digits, true)
    } else {
        let (task_id, digits) = read_id(inside)?;
        (task_id, 1 + digits, false)
    };
    let mut path = Vec::new();
    if braced {
        // `${3}.name` and `${3.name}` are the same.
        end += read_path(&text[end..], &mut path);
        if !text[end..].starts_with('}') {
            return None;
        }
        end += 1;
        if path.is_empty() {
            end += read_path(&text[end..], &mut path);
        }
    } else {
        end += read_path(&text[end..], &mut path);
    }
    Some((Reference { task_id, path, given: Given::Value }, end))
}

fn read_id(text: &str) -> Option<(TaskId, usize)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    Some((text[..digits].parse().ok()?, digits))
}

fn read_path(text: &str, path: &mut Vec<Segment>) -> usize {
    let mut end = 0;
    while let Some((segment, length)) = read_segment(&text[end..]) {
        path.push(segment);
        end += length;
    }
    end
}

fn read_segment(text: &str) -> Option<(Segment, usize)> {
    if let Some(rest) = text.strip_prefix('.') {
        let mut characters = rest.chars();
        let first = characters.next().filter(|first| first.is_alphabetic() || *first == '_')?;
        let length = first.len_utf8()
            + characters
                .take_while(|character| character.is_alphanumeric() || *character == '_')
                .map(char::len_utf8)
                .sum::<usize>();
        return Some((Segment::Key(rest[..length].to_owned()), 1 + length));
    }
    let rest = text.strip_prefix('[')?;
    if let Some(quote) = rest.chars().next().filter(|first| matches!(first, '"' | '\'')) {
        let key = &rest[1..];
        let length = key.find(quote)?;
        return key[length + 1..].starts_with(']').then(|| (Segment::Key(key[..length].to_owned()), length + 4));
    }
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let index = rest[..digits].parse().ok()?;
    rest[digits..].starts_with(']').then_some((Segment::Index(index), digits + 2))
}

/// A string that was read, with the references in it.
pub(crate) struct ReadString {
    pub(crate) template: Template,
    /// The first `$n` that names no earlier task and stays text.
    pub(crate) stays_text: Option<String>,
}

/// Finds the references in the text of a string: `$$` is a dollar, `$n` a reference if `is_task` knows the task.
pub(crate) fn read_string(text: String, is_task: &impl Fn(TaskId) -> bool) -> ReadString {
    let Some(first) = memchr::memchr(b'$', text.as_bytes()) else {
        return ReadString { template: Template::Constant(Value::String(text)), stays_text: None };
    };
    let mut fragments = Vec::new();
    let mut literal = text[..first].to_owned();
    let mut stays_text = None;
    let mut rest = &text[first..];
    while !rest.is_empty() {
        let taken = if rest.starts_with("$$") {
            literal.push('$');
            2
        } else if let Some((reference, length)) = read_reference(rest).filter(|(found, _)| is_task(found.task_id)) {
            if !literal.is_empty() {
                fragments.push(Fragment::Literal(std::mem::take(&mut literal)));
            }
            fragments.push(Fragment::Reference(reference));
            length
        } else {
            let digits = rest[1..].trim_start_matches('{').bytes().take_while(u8::is_ascii_digit).count();
            if digits > 0 && stays_text.is_none() {
                stays_text =
                    Some(rest.chars().take(digits.min(12) + 1 + usize::from(rest.starts_with("${"))).collect());
            }
            literal.push('$');
            1
        };
        rest = &rest[taken..];
        let plain = memchr::memchr(b'$', rest.as_bytes()).unwrap_or(rest.len());
        literal.push_str(&rest[..plain]);
        rest = &rest[plain..];
    }
    let template = if fragments.is_empty() {
        Template::Constant(Value::String(literal))
    } else {
        if !literal.is_empty() {
            fragments.push(Fragment::Literal(literal));
        }
        match <[Fragment; 1]>::try_from(fragments) {
            Ok([Fragment::Reference(reference)]) => Template::Reference(reference),
            Ok([fragment]) => Template::Text(vec![fragment]),
            Err(fragments) => Template::Text(fragments),
        }
    };
    ReadString { template, stays_text }
}

#[cfg(test)]
#[allow(clippy::panic, reason = "a test says what it misses")]
mod tests {
    use super::*;

    fn path(text: &str) -> (TaskId, Vec<Segment>, &str) {
        let Some((reference, length)) = read_reference(text) else { panic!("{text} is no reference") };
        (reference.task_id, reference.path, &text[length..])
    }

    #[test]
    fn references_take_the_longest_path_that_is_one() {
        let key = |key: &str| Segment::Key(key.to_owned());
        assert_eq!(path("$3"), (3, vec![], ""));
        assert_eq!(path("$3.name is"), (3, vec![key("name")], " is"));
        assert_eq!(path("$3[0].title."), (3, vec![Segment::Index(0), key("title")], "."));
        assert_eq!(path(r#"$3["odd key"]x"#), (3, vec![key("odd key")], "x"));
        assert_eq!(path("${3}.name"), (3, vec![key("name")], ""));
        assert_eq!(path("${3.name}.txt"), (3, vec![key("name")], ".txt"));
        assert_eq!(path("$3.5"), (3, vec![], ".5"));
        assert_eq!(path("$3[a]"), (3, vec![], "[a]"));
    }

    #[test]
    fn what_is_no_reference_is_none() {
        for text in ["$", "$x", "${3", "$$3", "${}", "$99999999999999999999"] {
            assert!(read_reference(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_dollar_that_names_no_task_stays_text() {
        let read = read_string("$1000 and $1, $$5".to_owned(), &|id| id == 1);
        assert_eq!(read.stays_text.as_deref(), Some("$1000"));
        let Template::Text(fragments) = read.template else { panic!("no text") };
        assert_eq!(fragments[0], Fragment::Literal("$1000 and ".to_owned()));
        assert_eq!(fragments[2], Fragment::Literal(", $5".to_owned()));
    }
}
