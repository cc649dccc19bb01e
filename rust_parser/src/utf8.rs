//! Bytes to text, however the bytes are cut.

use std::borrow::Cow;

/// Decodes UTF-8 that arrives in pieces; a character cut in two waits for its rest.
#[derive(Debug, Default)]
pub(crate) struct Utf8Decoder {
    rest: Vec<u8>,
}

/// A decoded piece.
pub(crate) struct Decoded<'b> {
    pub(crate) text: Cow<'b, str>,
    /// Where, in `text`, characters stand for bytes that are not UTF-8.
    pub(crate) replaced: Vec<usize>,
}

impl Utf8Decoder {
    pub(crate) fn decode<'b>(&mut self, bytes: &'b [u8]) -> Decoded<'b> {
        if self.rest.is_empty()
            && let Ok(text) = std::str::from_utf8(bytes)
        {
            return Decoded { text: Cow::Borrowed(text), replaced: Vec::new() };
        }
        let mut joined = std::mem::take(&mut self.rest);
        joined.extend_from_slice(bytes);
        let kept = joined.len() - incomplete_tail(&joined);
        self.rest = joined.split_off(kept);
        Self::lossy(&joined)
    }

    /// The bytes are complete: what waits for its rest will not get it.
    pub(crate) fn finish(&mut self) -> Decoded<'static> {
        Self::lossy(&std::mem::take(&mut self.rest))
    }

    fn lossy(bytes: &[u8]) -> Decoded<'static> {
        let mut text = String::with_capacity(bytes.len());
        let mut replaced = Vec::new();
        for chunk in bytes.utf8_chunks() {
            text.push_str(chunk.valid());
            if !chunk.invalid().is_empty() {
                replaced.push(text.len());
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        Decoded { text: Cow::Owned(text), replaced }
    }
}

/// How many bytes at the end begin a character that is not complete yet.
fn incomplete_tail(bytes: &[u8]) -> usize {
    match bytes.utf8_chunks().last() {
        Some(chunk) if !chunk.invalid().is_empty() => {
            let invalid = chunk.invalid();
            match std::str::from_utf8(invalid) {
                Err(error) if error.error_len().is_none() => invalid.len(),
                _ => 0,
            }
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_pieces(bytes: &[u8], size: usize) -> (String, usize) {
        let mut decoder = Utf8Decoder::default();
        let mut text = String::new();
        let mut replaced = 0;
        for piece in bytes.chunks(size) {
            let read = decoder.decode(piece);
            replaced += read.replaced.len();
            text.push_str(&read.text);
        }
        let read = decoder.finish();
        text.push_str(&read.text);
        (text, replaced + read.replaced.len())
    }

    #[test]
    fn characters_survive_every_cut() {
        for size in 1..8 {
            assert_eq!(in_pieces("aé√😀b".as_bytes(), size), ("aé√😀b".to_owned(), 0));
        }
    }

    #[test]
    fn bad_bytes_are_replaced_alike_however_they_are_cut() {
        let bytes = b"a\xff\xe2\x82b\xf0\x9f\x98";
        let whole = in_pieces(bytes, bytes.len());
        for size in 1..bytes.len() {
            assert_eq!(in_pieces(bytes, size), whole);
        }
        assert_eq!(whole, ("a\u{fffd}\u{fffd}b\u{fffd}".to_owned(), 3));
    }
}
