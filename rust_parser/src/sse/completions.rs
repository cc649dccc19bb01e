//! What the JSON of an event or a body says: a chat completion or a piece of one, an error, or an event of another API.

use serde_json::Value;

use super::calls::{Piece, TooLarge};
use super::chunk::{self, Chunk, Parts, raw_text};
use super::{SseDecoder, Usage, responses};

impl SseDecoder {
    /// Takes what was said; returns whether it was a chat completion or a piece of one.
    pub(super) fn take_json(&mut self, bytes: &[u8], text: &mut String) -> serde_json::Result<bool> {
        let chunk: Chunk = serde_json::from_slice(bytes)?;
        if let Some(error) = chunk.error.filter(chunk::is_error) {
            self.take_error(&error);
            return Ok(false);
        }
        let Some(choices) = chunk.choices else {
            let kind = raw_text(chunk.kind);
            match &*raw_text(chunk.object) {
                // Older vLLM sends the error object bare.
                "error" => self.take_error(&serde_json::from_slice(bytes)?),
                "response" => self.take_response_object(bytes, text)?,
                _ if responses::is_event(&kind) => self.take_event(&kind, bytes, text)?,
                _ => self.take_usage(chunk.usage.as_ref()),
            }
            return Ok(false);
        };
        if let Some(choice) = choices.first {
            self.take_choice(choice.into_parts(), text);
        }
        self.take_usage(chunk.usage.as_ref());
        Ok(true)
    }

    fn take_choice(&mut self, parts: Parts, text: &mut String) {
        for piece in [parts.text, parts.refusal].into_iter().flatten() {
            self.push_text(None, &piece.0, text);
        }
        for call in parts.calls {
            let index = call.index();
            if let Some(input) = call.custom.and_then(|custom| custom.input) {
                self.push_text(Some(index.unwrap_or_default()), &input.0, text);
            }
            if let Some(function) = call.function {
                let piece = Piece {
                    index,
                    id: call.id.as_deref().unwrap_or_default(),
                    name: function.name.as_deref().unwrap_or_default(),
                    arguments: &raw_text(function.arguments),
                };
                let grown = self.calls.add(&piece);
                self.calls_grew(grown);
            }
        }
        self.finish_reason = parts.finish_reason.or(self.finish_reason.take());
    }

    fn take_usage(&mut self, usage: Option<&Value>) {
        self.usage = usage.and_then(Usage::read).or(self.usage);
    }

    /// Adds a piece of the text. What different parts of the output say does not run into one line.
    pub(super) fn push_text(&mut self, part: Option<u64>, piece: &[u8], text: &mut String) {
        if piece.is_empty() {
            return;
        }
        self.silence.broken();
        let source = part.map_or(0, |index| index.saturating_add(1));
        if self.text_source.replace(source).is_some_and(|before| before != source) {
            text.push('\n');
        }
        text.push_str(&String::from_utf8_lossy(piece));
    }

    /// Takes what an event says that is called an error: an object, with its error in it or bare, or the words alone.
    pub(super) fn take_error_event(&mut self, data: &[u8]) {
        let said = serde_json::from_slice(data).unwrap_or_else(|_| Value::from(String::from_utf8_lossy(data)));
        let inner = said.get("error").filter(|error| chunk::is_error(error));
        self.take_error(inner.unwrap_or(&said));
    }

    /// Takes an error whose words break the JSON that they stand in; returns whether it was one.
    pub(super) fn take_raw_error(&mut self, data: &[u8]) -> bool {
        let words = chunk::raw_error(data);
        if let Some(words) = &words {
            self.take_error(&Value::from(words.as_str()));
        }
        words.is_some()
    }

    pub(super) fn take_error(&mut self, error: &Value) {
        self.error = Some(chunk::error_message(error));
        self.error_status = Some(chunk::error_status(error));
    }

    pub(super) fn calls_grew(&mut self, grown: Result<(), TooLarge>) {
        self.silence.broken();
        if let Err(TooLarge(message)) = grown {
            self.error = Some(message);
        }
    }
}
