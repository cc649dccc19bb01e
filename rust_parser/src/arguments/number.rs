//! Numbers that stand where only a string fits, as in `search(2012)`: read as strings.

use serde_json::{Number, Value};

use super::{Argument, Reader};
use crate::step::{Code, TaskId};
use crate::template::{Template, clip};
use crate::token::{Kind, Token};

/// A number that is an argument: the place of the argument among the others, and where it is written.
pub(super) type Numbers = Vec<(usize, Token)>;

impl<F: Fn(TaskId) -> bool> Reader<'_, F> {
    /// The token of a value that is a number and nothing else, written as JSON writes it, too.
    pub(super) fn plain_number(&self, first: Option<Token>, value: &Template) -> Option<Token> {
        let token = first.filter(|token| token.kind == Kind::Bare)?;
        let is_number = matches!(value, Template::Constant(Value::Number(_)));
        (is_number && serde_json::from_str::<Number>(self.slice(token)).is_ok()).then_some(token)
    }

    /// Makes strings of the numbers where only strings fit. As they are written: what a number is worth may be said otherwise.
    pub(super) fn mend_numbers(&mut self, arguments: &mut [Argument], numbers: Numbers) {
        let Some(tool) = self.tool else { return };
        for (index, token) in numbers {
            let Some(argument) = arguments.get_mut(index) else { continue };
            let name = argument.name.as_deref().or_else(|| tool.parameters().nth(index));
            let Some(name) = name.filter(|name| tool.takes_only_text(name)) else { continue };
            let written = self.slice(token).to_owned();
            let message = format!("argument {:?}: the number {} read as a string", clip(name, 60), clip(&written, 40));
            self.hint(Code::UnquotedNumber, token.start, message);
            argument.value = Template::Constant(Value::String(written));
        }
        // Their places are found going forward.
        self.hints.sort_by_key(|hint| hint.offset);
    }
}
