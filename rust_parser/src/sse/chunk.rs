//! The JSON inside the events of a chat completion stream: only what is read of it; and what an error of any kind says.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// The parts of a chunk, or of a whole response, that are read.
#[derive(Deserialize)]
pub(super) struct Chunk<'a> {
    #[serde(borrow)]
    pub(super) choices: Option<Choices<'a>>,
    pub(super) usage: Option<Value>,
    pub(super) error: Option<Value>,
    /// The kind of an event of the Responses API.
    #[serde(rename = "type", borrow)]
    pub(super) kind: Option<&'a RawValue>,
    /// The kind of a whole response.
    #[serde(borrow)]
    pub(super) object: Option<&'a RawValue>,
}

/// A piece of a stream (`delta`), a whole response (`message`), or either of the legacy kind (`text`).
#[derive(Deserialize)]
pub(super) struct Choice<'a> {
    index: Option<Value>,
    #[serde(borrow)]
    delta: Option<Message<'a>>,
    #[serde(borrow)]
    message: Option<Message<'a>>,
    #[serde(borrow)]
    text: Option<Text<'a>>,
    finish_reason: Option<String>,
}

/// What is read of a choice.
pub(super) struct Parts<'a> {
    pub(super) text: Option<Text<'a>>,
    pub(super) refusal: Option<Text<'a>>,
    pub(super) calls: Vec<Call<'a>>,
    pub(super) finish_reason: Option<String>,
}

impl<'a> Choice<'a> {
    /// Whether it is the one that was asked for; the others are of answers beside it.
    fn is_first(&self) -> bool {
        self.index.as_ref().and_then(Value::as_u64).is_none_or(|index| index == 0)
    }

    pub(super) fn into_parts(self) -> Parts<'a> {
        let delta = self.delta.unwrap_or_default();
        let whole = self.message.unwrap_or_default();
        Parts {
            text: delta.content.or(whole.content).or(self.text),
            refusal: delta.refusal.or(whole.refusal),
            calls: delta.tool_calls.or(whole.tool_calls).unwrap_or_default(),
            finish_reason: self.finish_reason.filter(|reason| !reason.is_empty()),
        }
    }
}

#[derive(Default, Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    content: Option<Text<'a>>,
    #[serde(borrow)]
    refusal: Option<Text<'a>>,
    #[serde(borrow)]
    tool_calls: Option<Vec<Call<'a>>>,
}

/// A tool call, or a piece of one: of a function, or of a custom tool, whose input is text.
#[derive(Deserialize)]
pub(super) struct Call<'a> {
    index: Option<Value>,
    #[serde(borrow)]
    pub(super) id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) function: Option<Function<'a>>,
    #[serde(borrow)]
    pub(super) custom: Option<Custom<'a>>,
}

impl Call<'_> {
    pub(super) fn index(&self) -> Option<u64> {
        self.index.as_ref().and_then(Value::as_u64)
    }
}

#[derive(Deserialize)]
pub(super) struct Function<'a> {
    #[serde(borrow)]
    pub(super) name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) arguments: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Custom<'a> {
    #[serde(borrow)]
    pub(super) input: Option<Text<'a>>,
}

/// The text of a string; of arguments also where servers slip and send the JSON itself.
pub(super) fn raw_text(raw: Option<&RawValue>) -> Cow<'_, str> {
    match raw.map(RawValue::get) {
        None | Some("null") => Cow::Borrowed(""),
        Some(text) if text.starts_with('"') => match serde_json::from_str::<Text>(text) {
            Ok(Text(Cow::Borrowed(bytes))) => String::from_utf8_lossy(bytes),
            Ok(Text(Cow::Owned(bytes))) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
            Err(_) => Cow::Borrowed(""),
        },
        Some(text) => Cow::Borrowed(text),
    }
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow)]
    text: Option<Text<'a>>,
}

/// The first of a list of choices, by its index where it has one; only one is ever asked for.
pub(super) struct Choices<'a> {
    pub(super) first: Option<Choice<'a>>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Choices<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct First;
        impl<'de> Visitor<'de> for First {
            type Value = Choices<'de>;
            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("a list of choices")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Choices<'de>, A::Error> {
                let mut first: Option<Choice> = list.next_element()?;
                while first.as_ref().is_some_and(|choice| !choice.is_first()) {
                    first = list.next_element()?;
                }
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Choices { first })
            }
        }
        deserializer.deserialize_seq(First)
    }
}

/// A string, or the joined texts of a list of parts. As bytes, because a server may cut a character into two halves
/// of a surrogate pair, which is no `str`.
pub(super) struct Text<'a>(pub(super) Cow<'a, [u8]>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl<'de> Visitor<'de> for Bytes {
            type Value = Text<'de>;
            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("a text")
            }
            fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(bytes)))
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(bytes.to_vec())))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Text<'de>, A::Error> {
                let mut joined = Vec::new();
                while let Some(part) = list.next_element::<Part>()? {
                    joined.extend_from_slice(part.text.as_ref().map_or(b"", |text| &text.0));
                }
                Ok(Text(Cow::Owned(joined)))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

/// Whether an `error` field says that there is one.
pub(super) fn is_error(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(message) => !message.is_empty(),
        _ => true,
    }
}

/// What an error object or text says.
pub(super) fn error_message(error: &Value) -> String {
    match error {
        Value::String(message) => message.clone(),
        other => other["message"].as_str().map_or_else(|| other.to_string(), str::to_owned),
    }
}

/// The words of an error that a server put between quotation marks as they were, with marks and ends of lines of their
/// own: the event is no JSON then.
pub(super) fn raw_error(data: &[u8]) -> Option<String> {
    let rest = data.strip_prefix(b"{")?.trim_ascii_start().strip_prefix(br#""error""#)?.trim_ascii_start();
    let words = String::from_utf8_lossy(rest.strip_prefix(b":")?.trim_ascii()).into_owned();
    let words = words.strip_prefix('"')?;
    let words = words.strip_suffix('}').map_or(words, str::trim_end);
    Some(words.strip_suffix('"').unwrap_or(words).to_owned())
}

/// The status that an error object names, or that its name stands for; 500 where it says neither.
pub(super) fn error_status(error: &Value) -> u16 {
    let named = [&error["code"], &error["status"], &error["status_code"], &error["type"]];
    let number = |value: &&Value| match value {
        Value::Number(number) => number.as_u64().and_then(|number| u16::try_from(number).ok()),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    let name = |value: &&Value| value.as_str().and_then(status_of_name);
    named.iter().find_map(number).or_else(|| named.iter().find_map(name)).unwrap_or(500)
}

/// The status that the name of an error stands for, as providers spell them (`rate_limit_exceeded`,
/// `RateLimitError`).
fn status_of_name(name: &str) -> Option<u16> {
    const NAMES: [(&str, u16); 14] = [
        ("ratelimit", 429),
        ("quota", 429),
        ("toomanyrequests", 429),
        ("apikey", 401),
        ("authentication", 401),
        ("unauthorized", 401),
        ("permission", 403),
        ("forbidden", 403),
        ("notfound", 404),
        ("invalidrequest", 400),
        ("invalidprompt", 400),
        ("badrequest", 400),
        ("contextlength", 400),
        ("overloaded", 503),
    ];
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    NAMES.iter().find(|(part, _)| plain.contains(part)).map(|&(_, status)| status)
}
