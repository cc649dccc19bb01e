//! Where a verdict may stand in a reply: behind a label, or at the start of a line, but not in what is quoted.

/// How long a label in another language may be, in characters.
const LABEL: usize = 20;
/// How far is looked back in a line, in bytes.
const NEAR: usize = 256;
/// What a line may begin with that says what it is, and is no place for a verdict.
const NO_LABELS: [&str; 4] = ["thought", "observation", "question", "note"];
const QUOTES: &str = "\"'`“”„‘’«»「『";

/// Whether a verdict may stand after this text: behind `Action:` (true), or at the start of a line (false), if that is no
/// quotation, or anyhow. With it, where the prose ends.
pub(super) fn place(before: &str, is_lenient: bool) -> Option<(bool, usize)> {
    if let Some((head, label)) = label(before) {
        let is_action = label.eq_ignore_ascii_case("action");
        if is_action && (is_lenient || !is_quoted(head)) {
            let prose = line_start(head).unwrap_or_else(|| head.trim_end_matches(is_emphasis).len());
            return Some((true, prose));
        }
        let is_answer = label.eq_ignore_ascii_case("answer");
        let head = if is_answer { without_final(head) } else { head };
        // In other words, or in another language: alone at the start of its line.
        if !is_action && !NO_LABELS.iter().any(|name| label.eq_ignore_ascii_case(name)) {
            return line_start(head).map(|prose| (false, prose));
        }
        return None;
    }
    line_start(before).filter(|_| is_lenient || !is_quoted(before)).map(|prose| (false, prose))
}

/// The word before the colon at the end of a text, and what stands before it.
fn label(before: &str) -> Option<(&str, &str)> {
    let head = before
        .trim_end_matches(|c: char| c.is_whitespace() || is_emphasis(c) || "\"'$".contains(c))
        .strip_suffix([':', '：'])?
        .trim_end_matches(|c: char| c.is_whitespace() || is_emphasis(c) || c.is_ascii_digit());
    let rest = head.char_indices().rev().take(LABEL + 1).take_while(|(_, character)| character.is_alphabetic());
    let (at, _) = rest.last()?;
    let (head, label) = head.split_at_checked(at)?;
    (label.chars().count() <= LABEL && !head.ends_with(char::is_alphanumeric)).then_some((head, label))
}

fn without_final(head: &str) -> &str {
    let (before, word) =
        head.trim_end().split_at_checked(head.trim_end().len().saturating_sub("final".len())).unwrap_or((head, ""));
    if word.eq_ignore_ascii_case("final") { before } else { head }
}

/// Whether what follows a text is quoted: by a quotation mark inside of the line, or as a line that begins with `>`.
fn is_quoted(before: &str) -> bool {
    // Of a very long line, only its end: no place may have to look back far.
    let near = before.len().saturating_sub(NEAR);
    let near = (near..=before.len()).find(|at| before.is_char_boundary(*at)).unwrap_or_default();
    let (line, is_whole) = match before[near..].rsplit_once('\n') {
        Some((_, line)) => (line, true),
        None => (&before[near..], near == 0),
    };
    let begun = line.trim_end_matches(|character: char| character.is_whitespace() || matches!(character, '*' | '_'));
    let opens = begun.strip_suffix(|character| QUOTES.contains(character));
    let is_quotation = is_whole && line.trim_start().starts_with('>') && !line.trim_start().starts_with(">>>");
    opens.is_some_and(|rest| line_start(rest).is_none()) || is_quotation
}

/// Where the line begins, if nothing but white space, bullets, numbering and markup stands in it.
fn line_start(text: &str) -> Option<usize> {
    let head = text.trim_end_matches(is_line_markup);
    (head.is_empty() || head.ends_with('\n')).then_some(head.len())
}

pub(super) fn is_emphasis(character: char) -> bool {
    matches!(character, '*' | '_' | '`')
}

pub(super) fn is_line_markup(character: char) -> bool {
    (character.is_whitespace() && character != '\n')
        || is_emphasis(character)
        || character.is_ascii_digit()
        || "#>-+~•.)".contains(character)
}
