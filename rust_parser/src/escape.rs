//! The escapes of Python's and JSON's strings.

use memchr::memchr;

/// Resolves the escapes in the text of a string; tells whether half of a surrogate pair had to be replaced.
///
/// An escape that neither language knows stays as it is, as in Python, but for `\$`, with which models mean a plain dollar.
pub(crate) fn unescape(text: &str) -> (String, bool) {
    let mut decoded = String::with_capacity(text.len());
    let mut lone_surrogate = false;
    let mut rest = text;
    while let Some(at) = memchr(b'\\', rest.as_bytes()) {
        decoded.push_str(&rest[..at]);
        let escape = &rest[at + 1..];
        rest = &escape[resolve(escape, &mut decoded, &mut lone_surrogate)..];
    }
    decoded.push_str(rest);
    (decoded, lone_surrogate)
}

/// Writes what the escape at the beginning of `escape`, behind its backslash, stands for; returns its length.
fn resolve(escape: &str, decoded: &mut String, lone_surrogate: &mut bool) -> usize {
    let Some(first) = escape.chars().next() else {
        decoded.push('\\');
        return 0;
    };
    let plain = match first {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'a' => '\u{7}',
        'v' => '\u{b}',
        '\\' | '"' | '\'' | '/' | '“' | '”' | '‘' | '’' => first,
        '$' => {
            decoded.push_str("$$");
            return 1;
        }
        '\n' => return 1,
        'x' | 'u' | 'U' | '0'..='7' => return resolve_code(escape, decoded, lone_surrogate),
        _ => {
            decoded.push('\\');
            decoded.push(first);
            return first.len_utf8();
        }
    };
    decoded.push(plain);
    first.len_utf8()
}

fn resolve_code(escape: &str, decoded: &mut String, lone_surrogate: &mut bool) -> usize {
    let (digits_from, code, end) = match escape.as_bytes()[0] {
        b'x' => (1, hex(escape, 1, 2), 3),
        b'u' => (1, hex(escape, 1, 4), 5),
        b'U' => (1, hex(escape, 1, 8), 9),
        _ => {
            let length = escape.bytes().take(3).take_while(|byte| (b'0'..=b'7').contains(byte)).count();
            (0, u32::from_str_radix(&escape[..length], 8).ok(), length)
        }
    };
    let Some(code) = code else {
        decoded.push('\\');
        decoded.push_str(&escape[..digits_from]);
        return digits_from;
    };
    if (0xD800..0xDC00).contains(&code)
        && escape[end..].starts_with("\\u")
        && let Some(low) = hex(escape, end + 2, 4).filter(|low| (0xDC00..0xE000).contains(low))
        && let Some(character) = char::from_u32(0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00))
    {
        decoded.push(character);
        return end + 6;
    }
    let character = char::from_u32(code).unwrap_or_else(|| {
        *lone_surrogate = true;
        char::REPLACEMENT_CHARACTER
    });
    decoded.push(character);
    end
}

fn hex(text: &str, from: usize, length: usize) -> Option<u32> {
    let digits = text.get(from..from + length)?;
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_of_both_languages_are_resolved() {
        for (text, decoded) in [
            (r#"a\nb\t\"\'\\\/"#, "a\nb\t\"'\\/"),
            (r"\x41\u00e9\U0001F600\101\0", "Aé😀A\0"),
            (r"\ud83d\ude00", "😀"),
            (r"\d\w \N{DASH}", r"\d\w \N{DASH}"),
            ("a\\\nb", "ab"),
            (r"\$5", "$$5"),
            (r"\xZZ\u12\", r"\xZZ\u12\"),
        ] {
            assert_eq!(unescape(text), (decoded.to_owned(), false), "{text}");
        }
    }

    #[test]
    fn half_a_surrogate_pair_is_replaced() {
        assert_eq!(unescape(r"\ud83dx"), ("\u{fffd}x".to_owned(), true));
    }
}
