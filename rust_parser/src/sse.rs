//! Decodes the bytes of a model's stream: server-sent events as `OpenAI`'s APIs send them, Chat Completions and Responses.
//!
//! The text is what the model says: messages, refusals and the input of custom tools, which is how a plan under a grammar
//! comes; what it reasons is none. Calls of functions are gathered beside it.
//!
//! Events are read as WHATWG says, however the bytes are cut. Where servers slip the decoder is generous: a body that
//! is one whole JSON response is read too, and an event that the end of the bytes left without its blank line counts
//! if it is complete.

mod calls;
mod chunk;
mod completions;
mod items;
mod responses;
mod silence;
#[cfg(test)]
mod tests;
mod usage;

use memchr::{memchr, memchr2};
use serde::de::IgnoredAny;

pub use self::calls::ToolCall;
use self::calls::ToolCalls;
use self::items::Items;
use self::silence::Silence;
pub use self::usage::Usage;

/// How many bytes of one event, or of one whole JSON response, are kept at most.
const LIMIT: usize = 16 * 1024 * 1024;
/// How much of what could not be read an error message quotes, in characters.
const EXCERPT: usize = 120;
const BOM: [u8; 3] = [0xEF, 0xBB, 0xBF];
const FIELDS: [&[u8]; 4] = [b"data", b"event", b"id", b"retry"];

/// What the bytes turned out to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Body {
    #[default]
    Unknown,
    Events,
    Whole,
}

/// What an event is called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Name {
    #[default]
    Other,
    Error,
}

/// Takes the bytes of a response and gives its text. Never panics; what cannot be read is an [`error`](Self::error).
#[derive(Debug, Default)]
pub struct SseDecoder {
    body: Body,
    /// How many bytes of a byte order mark the body began with.
    bom: usize,
    /// A line whose end has not come yet, or the whole JSON response so far.
    line: Vec<u8>,
    /// The event's data so far: its lines, each with a line feed.
    data: Vec<u8>,
    /// What the event is called so far.
    name: Name,
    after_cr: bool,
    /// Whether any line was one that an event stream has.
    is_stream: bool,
    opening: Option<String>,
    /// Which part of the output the latest text is of.
    text_source: Option<u64>,
    silence: Silence,
    calls: ToolCalls,
    items: Items,
    finish_reason: Option<String>,
    usage: Option<Usage>,
    done: bool,
    error: Option<String>,
    error_status: Option<u16>,
}

impl SseDecoder {
    /// A decoder for one response.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Decodes the bytes of one read, cut anywhere, and returns the text of all their pieces, joined. What follows
    /// `[DONE]` or an error is ignored.
    #[must_use]
    pub fn feed(&mut self, bytes: &[u8]) -> String {
        let mut text = String::new();
        if self.is_over() {
            return text;
        }
        let rest = if self.body == Body::Unknown { self.open(bytes) } else { bytes };
        match self.body {
            Body::Unknown => {}
            Body::Events => self.read_lines(rest, &mut text),
            Body::Whole => self.keep(rest),
        }
        text
    }

    /// The bytes are complete. Returns the text of a body that was one whole JSON response, or of a last event that
    /// was not ended by a blank line.
    ///
    /// Bytes that stop in the middle of an event or response are no error: the text ends, and neither
    /// [`done`](Self::done) nor a [`finish_reason`](Self::finish_reason) says that it was complete.
    #[must_use]
    pub fn finish(&mut self) -> String {
        let mut text = String::new();
        if self.is_over() {
            return text;
        }
        let rest = std::mem::take(&mut self.line);
        match self.body {
            Body::Unknown => {}
            Body::Events => {
                if !rest.is_empty() {
                    self.is_stream |= FIELDS.iter().any(|field| field.starts_with(&rest));
                    self.take_line(&rest, &mut text);
                }
                self.dispatch(true, &mut text);
                if let Some(opening) = self.opening.take().filter(|_| !self.is_stream && !self.is_over()) {
                    self.error =
                        Some(format!("the body is neither an event stream nor JSON, it begins with {opening:?}"));
                }
            }
            Body::Whole => self.take_response(&rest, &mut text),
        }
        if self.error.is_none() {
            self.end_calls();
        }
        text
    }

    /// The calls of functions that are complete, in the order in which they became so. A call in which the stream was cut off
    /// is not among them.
    #[must_use]
    pub fn tool_calls(&self) -> &[ToolCall] {
        self.calls.complete()
    }

    /// Those of the [`tool_calls`](Self::tool_calls) that became complete since they were last taken: while the stream goes
    /// on, a call does as soon as its provider says so or the next one begins.
    #[must_use]
    pub fn take_tool_calls(&mut self) -> &[ToolCall] {
        self.calls.take()
    }

    /// The items of the output of a response, as JSON, in their order, for a next request that is to hold them as they are;
    /// none of a chat completion, and none if they are larger than a MiB.
    pub fn output_items(&self) -> impl Iterator<Item = &str> {
        self.items.in_order()
    }

    /// Why the model stopped, in the words of Chat Completions: `stop`, `length`, `tool_calls`, or the provider's own.
    #[must_use]
    pub fn finish_reason(&self) -> Option<&str> {
        self.finish_reason.as_deref()
    }

    /// The tokens used, as far as the provider told.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// Whether `[DONE]`, the event that ends a response, or a whole JSON response was read.
    #[must_use]
    pub fn done(&self) -> bool {
        self.done
    }

    /// The message of an error object, or what was malformed.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// The HTTP status or numeric code that an error object named, or the status its name stands for; 500 where it
    /// says neither. None where the data was malformed: no server spoke of an error.
    #[must_use]
    pub fn error_status(&self) -> Option<u16> {
        self.error_status
    }

    fn is_over(&self) -> bool {
        self.done || self.error.is_some()
    }

    /// Finds out what the body is, from its first byte that is no space.
    fn open<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        for (place, &byte) in bytes.iter().enumerate() {
            if self.bom < BOM.len() && byte == BOM[self.bom] {
                self.bom += 1;
                continue;
            }
            if byte.is_ascii_whitespace() {
                continue;
            }
            self.body = if byte == b'{' { Body::Whole } else { Body::Events };
            return &bytes[place..];
        }
        &[]
    }

    fn read_lines(&mut self, mut bytes: &[u8], text: &mut String) {
        while !self.is_over() {
            if self.after_cr
                && let Some(&byte) = bytes.first()
            {
                self.after_cr = false;
                bytes = &bytes[usize::from(byte == b'\n')..];
            }
            let Some(end) = memchr2(b'\n', b'\r', bytes) else {
                self.keep(bytes);
                return;
            };
            if self.line.is_empty() {
                self.take_line(&bytes[..end], text);
            } else {
                self.keep(&bytes[..end]);
                let mut line = std::mem::take(&mut self.line);
                self.take_line(&line, text);
                line.clear();
                self.line = line;
            }
            self.after_cr = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.line.len() + bytes.len() > LIMIT {
            self.refuse_size();
        } else {
            self.line.extend_from_slice(bytes);
        }
    }

    fn take_line(&mut self, line: &[u8], text: &mut String) {
        if line.len() + self.data.len() > LIMIT {
            return self.refuse_size();
        }
        if matches!(line.first(), None | Some(b':')) {
            self.error = self.silence.goes_on();
            if self.is_over() {
                return;
            }
        }
        if line.is_empty() {
            return self.dispatch(false, text);
        }
        let (field, value) = match memchr(b':', line) {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &line[line.len()..]),
        };
        self.is_stream |= field.is_empty() || FIELDS.contains(&field);
        if field == b"data" {
            self.data.extend_from_slice(value.strip_prefix(b" ").unwrap_or(value));
            self.data.push(b'\n');
        } else if field == b"event" {
            self.name = if value.trim_ascii() == b"error" { Name::Error } else { Name::Other };
        } else if field == b"error" && is_object(value) {
            // llama.cpp once named the line itself so.
            self.is_stream = true;
            self.dispatch(false, text);
            if !self.is_over() {
                self.take_error_event(value);
            }
        } else if !self.is_stream && self.opening.is_none() {
            self.opening = Some(excerpt(line));
        }
    }

    /// The event is complete, or (`is_last`) the bytes are.
    fn dispatch(&mut self, is_last: bool, text: &mut String) {
        let mut data = std::mem::take(&mut self.data);
        let is_error = std::mem::take(&mut self.name) == Name::Error;
        match data.trim_ascii() {
            b"" => {}
            b"[DONE]" => self.end(),
            event if is_error && !(is_last && event[0] == b'{' && !is_object(event)) => self.take_error_event(event),
            event => match self.take_json(event, text) {
                Ok(_) => {}
                // As WHATWG has it, an event without its end does not count.
                Err(_) if is_last => {}
                Err(_) if self.take_raw_error(event) => {}
                Err(problem) => self.refuse(&problem, event),
            },
        }
        data.clear();
        self.data = data;
    }

    /// The response is complete.
    fn end(&mut self) {
        self.done = true;
        self.end_calls();
    }

    fn end_calls(&mut self) {
        let is_cut_off = match self.finish_reason.as_deref() {
            None => !self.done,
            Some(reason) => matches!(reason, "length" | "content_filter"),
        };
        self.calls.end(is_cut_off);
    }

    fn take_response(&mut self, bytes: &[u8], text: &mut String) {
        match self.take_json(bytes, text) {
            Ok(_) if self.is_over() => {}
            Ok(true) => self.end(),
            Ok(false) => self.error = Some(format!("the JSON response has no choices: {}", excerpt(bytes))),
            Err(problem) if problem.is_eof() => {}
            Err(problem) => self.refuse(&problem, bytes),
        }
    }

    fn refuse(&mut self, problem: &serde_json::Error, bytes: &[u8]) {
        self.error = Some(format!("malformed JSON ({problem}): {}", excerpt(bytes)));
    }

    fn refuse_size(&mut self) {
        self.error = Some(format!("an event is larger than {} MiB", LIMIT / (1024 * 1024)));
        self.line = Vec::new();
        self.data = Vec::new();
    }
}

fn is_object(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().first() == Some(&b'{') && serde_json::from_slice::<IgnoredAny>(bytes).is_ok()
}

fn excerpt(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(EXCERPT * 4)]);
    let mut short: String = text.trim().chars().take(EXCERPT).collect();
    if short.len() < bytes.trim_ascii().len() {
        short.push('…');
    }
    short
}
