//! The events of `OpenAI`'s Responses API: each names its kind, and the last holds the whole response.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Result, Value};

use super::calls::Piece;
use super::chunk::{self, Text, raw_text};
use super::{SseDecoder, Usage};

/// What an item is that calls a function.
const CALL: &str = "function_call";

/// A piece of text, or of a call's arguments.
#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow)]
    delta: Option<Text<'a>>,
    output_index: Option<u64>,
}

/// A call's arguments, whole.
#[derive(Deserialize)]
struct Done<'a> {
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    output_index: Option<u64>,
}

/// An item of the output, as it begins or ends.
#[derive(Deserialize)]
struct ItemEvent<'a> {
    #[serde(borrow)]
    item: Option<&'a RawValue>,
    output_index: Option<u64>,
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    status: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    call_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<Text<'a>>,
    #[serde(borrow)]
    content: Option<Vec<Content<'a>>>,
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    text: Option<Text<'a>>,
    #[serde(borrow)]
    refusal: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct ResponseEvent<'a> {
    #[serde(borrow)]
    response: Option<Response<'a>>,
}

/// A response, as an event or a body that is no event stream holds it.
#[derive(Deserialize)]
struct Response<'a> {
    #[serde(borrow)]
    status: Option<Cow<'a, str>>,
    #[serde(borrow)]
    output: Option<Vec<&'a RawValue>>,
    incomplete_details: Option<Value>,
    usage: Option<Value>,
    error: Option<Value>,
}

/// Whether an event of this kind is one of the Responses API.
pub(super) fn is_event(kind: &str) -> bool {
    kind == "error" || kind.starts_with("response.")
}

impl SseDecoder {
    pub(super) fn take_event(&mut self, kind: &str, bytes: &[u8], text: &mut String) -> Result<()> {
        match kind {
            "response.output_text.delta" | "response.refusal.delta" | "response.custom_tool_call_input.delta" => {
                let event: Delta = serde_json::from_slice(bytes)?;
                if let Some(delta) = &event.delta {
                    self.push_text(event.output_index, &delta.0, text);
                }
            }
            "response.function_call_arguments.delta" => {
                let event: Delta = serde_json::from_slice(bytes)?;
                if let Some(delta) = &event.delta {
                    let grown = self.calls.add_arguments(event.output_index, &String::from_utf8_lossy(&delta.0));
                    self.calls_grew(grown);
                }
            }
            "response.function_call_arguments.done" => {
                let event: Done = serde_json::from_slice(bytes)?;
                let (name, arguments) = (event.name.unwrap_or_default(), raw_text(event.arguments));
                let piece = Piece { index: event.output_index, id: "", name: &name, arguments: &arguments };
                let grown = self.calls.set(&piece);
                self.calls_grew(grown);
            }
            "response.output_item.added" | "response.output_item.done" => {
                let event: ItemEvent = serde_json::from_slice(bytes)?;
                if let Some(item) = event.item {
                    self.take_item(item.get(), event.output_index, kind.ends_with("done"))?;
                }
            }
            "response.completed" | "response.incomplete" | "response.failed" | "response.cancelled" => {
                let event: ResponseEvent = serde_json::from_slice(bytes)?;
                if let Some(response) = event.response {
                    self.take_whole(response, kind, text);
                }
            }
            "error" => self.take_error(&serde_json::from_slice(bytes)?),
            _ => {}
        }
        Ok(())
    }

    /// Reads a body that is one whole response.
    pub(super) fn take_response_object(&mut self, bytes: &[u8], text: &mut String) -> Result<()> {
        let response = serde_json::from_slice(bytes)?;
        self.take_whole(response, "response.completed", text);
        Ok(())
    }

    /// The response is over. What its output holds was said before, piece by piece, unless the server sends no pieces.
    fn take_whole(&mut self, response: Response, kind: &str, text: &mut String) {
        if let Some(usage) = &response.usage {
            self.usage = Usage::read(usage).or(self.usage);
        }
        if let Some(error) = response.error.filter(chunk::is_error) {
            return self.take_error(&error);
        }
        let (needs_text, needs_calls) = (self.text_source.is_none(), self.calls.is_empty());
        let needs_items = self.items.is_empty();
        for (index, item) in (0..).zip(response.output.unwrap_or_default()) {
            let head = serde_json::from_str::<Head>(item.get());
            if needs_items && head.is_ok_and(|head| head.is_complete()) {
                self.items.keep(Some(index), item.get());
            }
            // Items of other kinds may have any shape.
            let Ok(item) = serde_json::from_str::<Item>(item.get()) else { continue };
            if item.is_call() && needs_calls {
                self.take_call(&item, Some(index));
            } else if needs_text {
                for piece in item.texts() {
                    self.push_text(Some(index), &piece.0, text);
                }
            }
        }
        let status = response.status.unwrap_or_else(|| kind.trim_start_matches("response.").into());
        let reason = match &*status {
            "failed" => return self.take_error(&Value::from("the provider says that the response failed")),
            "incomplete" => match response.incomplete_details.as_ref().and_then(|details| details["reason"].as_str()) {
                Some("max_output_tokens") | None => "length".to_owned(),
                Some(reason) => reason.to_owned(),
            },
            "completed" if self.calls.is_empty() => "stop".to_owned(),
            "completed" => "tool_calls".to_owned(),
            other => other.to_owned(),
        };
        if status != "completed" {
            self.calls.end(true);
        }
        self.finish_reason = Some(reason);
        self.end();
    }

    fn take_item(&mut self, json: &str, index: Option<u64>, is_done: bool) -> Result<()> {
        // Items of other kinds may have any shape.
        let Ok(head) = serde_json::from_str::<Head>(json) else { return Ok(()) };
        let is_complete = is_done && head.is_complete();
        if head.kind.as_deref() == Some(CALL) {
            self.take_call(&serde_json::from_str(json)?, index);
            if is_complete {
                self.calls.end_call(index);
            }
        }
        if is_complete {
            self.items.keep(index, json);
        }
        Ok(())
    }

    fn take_call(&mut self, item: &Item, index: Option<u64>) {
        let known = |text: &Option<Cow<str>>| text.as_deref().unwrap_or_default().to_owned();
        let (id, name, arguments) = (known(&item.call_id), known(&item.name), raw_text(item.arguments));
        let grown = self.calls.set(&Piece { index, id: &id, name: &name, arguments: &arguments });
        self.calls_grew(grown);
    }
}

impl Head<'_> {
    /// An item is done too where the response ended in the middle of it.
    fn is_complete(&self) -> bool {
        self.status.as_deref() != Some("incomplete")
    }
}

impl<'a> Item<'a> {
    fn is_call(&self) -> bool {
        self.kind.as_deref() == Some(CALL)
    }

    /// What the item says: a message, or the input of a custom tool; not how the model reasoned.
    fn texts(self) -> impl Iterator<Item = Text<'a>> {
        let is_message = self.kind.as_deref() == Some("message");
        let content = self.content.filter(|_| is_message).unwrap_or_default().into_iter();
        let said = content.filter_map(|content| match content.kind.as_deref() {
            Some("refusal") => content.refusal,
            _ => content.text,
        });
        said.chain(self.input.filter(|_| self.kind.as_deref() == Some("custom_tool_call")))
    }
}
