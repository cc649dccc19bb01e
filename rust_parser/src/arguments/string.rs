//! Reads the strings among the arguments: their escapes, and the references in them.

use serde_json::Value;

use super::Reader;
use crate::escape::unescape;
use crate::reference::read_string;
use crate::step::{Code, TaskId};
use crate::template::{Fragment, Template};
use crate::token::{Kind, Quoting, Token};

impl<F: Fn(TaskId) -> bool> Reader<'_, F> {
    /// A string, or several in a row, which are one.
    pub(super) fn strings(&mut self, first: Token, quoting: Quoting) -> Template {
        let template = self.string(first, quoting);
        if !self.peek().is_some_and(|token| matches!(token.kind, Kind::String(_))) {
            return template;
        }
        let mut fragments = fragments_of(template);
        while let Some(token) = self.peek() {
            let Kind::String(quoting) = token.kind else { break };
            self.next += 1;
            let next = self.string(token, quoting);
            fragments.extend(fragments_of(next));
        }
        collect_text(fragments)
    }

    fn string(&mut self, token: Token, quoting: Quoting) -> Template {
        let text = self.decode(token.start, token.end, quoting);
        self.references_in(text, token.start)
    }

    pub(super) fn references_in(&mut self, text: String, offset: usize) -> Template {
        let read = read_string(text, self.is_task);
        if let Some(dollar) = read.stays_text {
            let message = format!("{dollar} names no earlier task: kept as text (write $${} to say so)", &dollar[1..]);
            self.hint(Code::DollarText, offset, message);
        }
        read.template
    }

    pub(super) fn decode(&mut self, start: usize, end: usize, quoting: Quoting) -> String {
        if quoting.is_smart() {
            self.hint(Code::SmartQuotes, start, "smart quotes around a string: read as plain ones");
        }
        if quoting.inner_quote {
            self.hint(
                Code::InnerQuote,
                start,
                format!("a quote inside the string is kept; write it as \\{}", quoting.quote),
            );
        }
        if quoting.newline {
            self.hint(Code::NewlineInString, start, "a line break inside the string is kept; write it as \\n");
        }
        if quoting.odd_prefix {
            self.hint(Code::StringPrefix, start, "nothing is formatted here: the string's prefix is ignored");
        }
        let text = &self.text[start..end];
        if quoting.raw || !quoting.escapes {
            return text.to_owned();
        }
        let (decoded, lone_surrogate) = unescape(text);
        if lone_surrogate {
            self.hint(Code::LoneSurrogate, start, "half of a surrogate pair is no character: replaced by U+FFFD");
        }
        decoded
    }
}

fn collect_text(fragments: Vec<Fragment>) -> Template {
    let mut text = String::new();
    for fragment in &fragments {
        match fragment {
            Fragment::Literal(literal) => text.push_str(literal),
            Fragment::Reference(_) => return Template::Text(fragments),
        }
    }
    Template::Constant(Value::String(text))
}

fn fragments_of(template: Template) -> Vec<Fragment> {
    match template {
        Template::Constant(Value::String(text)) => vec![Fragment::Literal(text)],
        Template::Reference(reference) => vec![Fragment::Reference(reference)],
        Template::Text(fragments) => fragments,
        _ => Vec::new(),
    }
}
