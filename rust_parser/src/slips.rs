//! What is said about the ways in which models depart from the letter of the plan language.

use crate::lexer::Lexer;
use crate::scanner::Call;
use crate::step::Code;

/// The slips of a call that was just read, in the order in which they stand.
pub(crate) fn of_call(call: &Call, lexer: &Lexer) -> Vec<Code> {
    let slips = call.head.slips;
    let is_join = call.head.name.eq_ignore_ascii_case("join");
    [
        (call.same_line, Code::SeveralCalls),
        (slips.indentation && !call.same_line, Code::Indentation),
        (slips.bullet, Code::Bullet),
        (slips.emphasis, Code::Emphasis),
        (call.head.digits.is_empty(), Code::MissingId),
        (slips.separator, Code::IdSeparator),
        (slips.no_space || slips.space_before_parenthesis, Code::Spacing),
        (is_join && call.head.name != "join", Code::JoinCase),
        (lexer.several_lines, Code::SeveralLines),
    ]
    .into_iter()
    .filter_map(|(found, code)| found.then_some(code))
    .collect()
}

/// What was done about a slip.
pub(crate) fn message(code: Code) -> &'static str {
    match code {
        Code::AfterClose => "the plan is closed: what follows is not executed",
        Code::Bullet => "a bullet before the task: ignored",
        Code::CodeFence => "a line of a code fence: ignored",
        Code::Comment => "a comment: ignored",
        Code::Emphasis => "emphasis around the task: ignored",
        Code::IdSeparator => "the id is followed by ')' or ':': read as '.'",
        Code::IgnoredText => "neither a task nor a thought: ignored",
        Code::Indentation => "the line is indented: ignored",
        Code::JoinArguments => "join takes nothing, or one reference: its arguments are ignored",
        Code::JoinCase => "read as join",
        Code::JsonComma => "a comma is missing or one too many",
        Code::JsonShape => "only the list of the tasks: read as {\"tasks\": [...]}",
        Code::LabelCase => "read as the label 'Thought:'",
        Code::MissingBracket => "a bracket is missing: added",
        Code::MissingId => "the call has no id: it was given the next one",
        Code::MissingJoin => "the plan ends without join(): closed here",
        Code::MissingParenthesis => "the closing parenthesis is missing: added at the end of the line",
        Code::NoTasks => "the plan calls no tool",
        Code::SeveralCalls => "several calls on a line: each is read",
        Code::SeveralLines => "the call goes over several lines: read as one",
        Code::Spacing => "a space is missing or one too many: ignored",
        Code::UnclosedReasoning => {
            "the model reasoned to the end of its text, and wrote no plan behind that: \
                raise max_tokens, or turn its reasoning off"
        }
        Code::TrailingText => "text after the call: ignored",
        _ => "mended",
    }
}
