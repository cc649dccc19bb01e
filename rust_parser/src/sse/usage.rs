//! The tokens of a model call.

use serde_json::Value;

/// Tokens of one model call, as the provider counted them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens read, the cached ones included.
    pub prompt: u64,
    /// Tokens written, the reasoning ones included.
    pub completion: u64,
    /// Tokens read from the provider's prefix cache.
    pub cached: u64,
    /// Tokens spent on reasoning that is not shown.
    pub reasoning: u64,
    /// Tokens written to the provider's prefix cache, which are among those read.
    pub cache_written: u64,
}

impl Usage {
    /// The tokens of a `usage` object, if it is one.
    pub(super) fn read(usage: &Value) -> Option<Self> {
        let (read, written) = match &usage["input_tokens"] {
            Value::Number(_) => ("input_tokens", "output_tokens"),
            _ => ("prompt_tokens", "completion_tokens"),
        };
        let detail = |of: &str, what: &str| count(&usage[format!("{of}_details")][what]);
        (usage[read].is_number() || usage[written].is_number()).then(|| Self {
            prompt: count(&usage[read]),
            completion: count(&usage[written]),
            cached: detail(read, "cached_tokens"),
            reasoning: detail(written, "reasoning_tokens"),
            // As OpenAI and OpenRouter say it, and as LiteLLM does.
            cache_written: detail(read, "cache_write_tokens").max(detail(read, "cache_creation_tokens")),
        })
    }
}

/// A number of tokens, also where it was written as a fraction (`12.0`).
fn count(value: &Value) -> u64 {
    let rounded = || value.as_f64().and_then(|number| format!("{number:.0}").parse().ok());
    value.as_u64().or_else(rounded).unwrap_or(0)
}
