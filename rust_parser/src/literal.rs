//! Reads numbers and the words of Python and JSON.

use serde_json::{Number, Value};

/// A number or a word of Python or JSON.
pub(crate) fn literal(word: &str) -> Option<Value> {
    match word {
        "true" | "True" => Some(Value::Bool(true)),
        "false" | "False" => Some(Value::Bool(false)),
        "null" | "None" => Some(Value::Null),
        _ => number(word).map(Value::Number),
    }
}

fn number(word: &str) -> Option<Number> {
    if !word.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '-' | '+' | '.')) {
        return None;
    }
    let unsigned = word.trim_start_matches(['-', '+']);
    if word.len() - unsigned.len() > 1 || unsigned.contains("__") || unsigned.ends_with('_') {
        return None;
    }
    let digits = unsigned.replace('_', "");
    let radix = match digits.get(..2) {
        Some("0x" | "0X") => 16,
        Some("0o" | "0O") => 8,
        Some("0b" | "0B") => 2,
        _ => 10,
    };
    let plain =
        if radix == 10 { decimal(&digits)? } else { u128::from_str_radix(&digits[2..], radix).ok()?.to_string() };
    let sign = if word.starts_with('-') { "-" } else { "" };
    serde_json::from_str(&format!("{sign}{plain}")).ok()
}

/// Python's way of writing a decimal number, as JSON's: `.5` is `0.5`, `5.` is `5.0`.
fn decimal(digits: &str) -> Option<String> {
    let (mantissa, exponent) = match digits.find(['e', 'E']) {
        Some(at) => (&digits[..at], &digits[at..]),
        None => (digits, ""),
    };
    if !mantissa.bytes().any(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(match mantissa.split_once('.') {
        Some((whole, fraction)) => {
            let whole = if whole.is_empty() { "0" } else { whole };
            let fraction = if fraction.is_empty() { "0" } else { fraction };
            format!("{whole}.{fraction}{exponent}")
        }
        None => format!("{mantissa}{exponent}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_python_and_json_write_them() {
        for (word, json) in [
            ("1", "1"),
            ("-2.50", "-2.50"),
            ("+3", "3"),
            (".5", "0.5"),
            ("5.", "5.0"),
            ("1_000", "1000"),
            ("0x1F", "31"),
            ("1e5", "1e+5"),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
        ] {
            assert_eq!(number(word).map(|number| number.to_string().to_lowercase()).as_deref(), Some(json), "{word}");
        }
        for word in ["", "-", "1.2.3", "1__0", "007", "--1", "0x", "1e", "e5", "."] {
            assert_eq!(number(word), None, "{word}");
        }
    }
}
