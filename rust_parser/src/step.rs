//! What the plan machine says in reply to a fact.

use std::fmt;

use crate::position::Position;

/// The name of a task: the number that the model wrote before it, unique in the run.
pub type TaskId = u32;

/// One thing the plan machine says in reply to a fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The model wrote down a thought.
    Thought(String),
    /// A task was read from the plan.
    Planned {
        /// The task.
        task_id: TaskId,
        /// The tool it calls, as the model wrote it.
        tool: String,
        /// The tasks whose outputs its arguments need, ascending.
        depends_on: Vec<TaskId>,
        /// Where it begins.
        position: Position,
    },
    /// All inputs of a task exist: it may be called now.
    Ready {
        /// The task.
        task_id: TaskId,
        /// The tool to call.
        tool: String,
        /// The bound arguments: the text of a JSON object.
        arguments: String,
    },
    /// A task will never be ready.
    Unreachable {
        /// The task.
        task_id: TaskId,
        /// The failed task at the root.
        because: TaskId,
    },
    /// Something was mended or could not be used.
    Diagnostic(Diagnostic),
    /// The plan is complete.
    Closed {
        /// The task whose output is the answer, if the plan named one.
        answer_task: Option<TaskId>,
    },
}

/// Something was mended (a hint) or could not be used (an error).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// What was found, for programs.
    pub code: Code,
    /// What was found and what was done or is to be done, for people.
    pub message: String,
    /// Where.
    pub position: Position,
    /// The task it is about. If the code is an error, that task has failed.
    pub task_id: Option<TaskId>,
}

/// How bad a diagnostic is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// A slip that was mended: nothing is lost.
    Hint,
    /// A part of the plan cannot be used.
    Error,
}

impl Severity {
    /// The severity's name, in lower case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hint => "hint",
            Self::Error => "error",
        }
    }
}

macro_rules! codes {
    ($($severity:ident { $($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+ })+) => {
        /// What a diagnostic found.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code {
            $($($(#[doc = $doc])+ $variant,)+)+
        }

        impl Code {
            /// All codes.
            pub const ALL: &'static [Self] = &[$($(Self::$variant,)+)+];

            /// The code's stable name, in lower case.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $($(Self::$variant => $name,)+)+ }
            }

            /// How bad it is.
            #[must_use]
            pub fn severity(self) -> Severity {
                match self { $($(Self::$variant => Severity::$severity,)+)+ }
            }
        }
    };
}

codes! {
    Hint {
        /// Text after the plan was closed; it is not executed.
        AfterClose = "after_close",
        /// A bullet before a task.
        Bullet = "bullet",
        /// A line of a code fence.
        CodeFence = "code_fence",
        /// `name: value` read as `name=value`.
        ColonArgument = "colon_argument",
        /// A comment, ignored.
        Comment = "comment",
        /// A task behind reasoning whose id, or whose call, a task in that reasoning has already.
        DraftId = "draft_id",
        /// A `$n` in a string that names no earlier task; it stays text.
        DollarText = "dollar_text",
        /// Markdown emphasis or code marks around a task.
        Emphasis = "emphasis",
        /// `1)` or `1:` read as `1.`.
        IdSeparator = "id_separator",
        /// A line that is neither a task nor a thought; it is ignored.
        IgnoredText = "ignored_text",
        /// A task or thought that is indented.
        Indentation = "indentation",
        /// An unescaped quote inside a string.
        InnerQuote = "inner_quote",
        /// Bytes that are not UTF-8, replaced by U+FFFD.
        InvalidUtf8 = "invalid_utf8",
        /// Arguments of `join` that are no reference; they are ignored.
        JoinArguments = "join_arguments",
        /// A comma that is missing or one too many in a JSON plan.
        JsonComma = "json_comma",
        /// A JSON plan that is only the list of its tasks, or has other keys.
        JsonShape = "json_shape",
        /// `Join()` read as `join()`.
        JoinCase = "join_case",
        /// `THOUGHT:` read as `Thought:`.
        LabelCase = "label_case",
        /// Half of a surrogate pair in an escape, replaced by U+FFFD.
        LoneSurrogate = "lone_surrogate",
        /// Something in a JSON plan that is not JSON: single quotes, words without quotes.
        LooseJson = "loose_json",
        /// A list or an object that was not closed.
        MissingBracket = "missing_bracket",
        /// A call without an id; it was given the next one.
        MissingId = "missing_id",
        /// A plan that ended without `join()`.
        MissingJoin = "missing_join",
        /// A call without its closing parenthesis.
        MissingParenthesis = "missing_parenthesis",
        /// A line break inside a string in plain quotes.
        NewlineInString = "newline_in_string",
        /// A plan that calls no tool.
        NoTasks = "no_tasks",
        /// Several calls on a line.
        SeveralCalls = "several_calls",
        /// A call over several lines.
        SeveralLines = "several_lines",
        /// Smart quotes around a string.
        SmartQuotes = "smart_quotes",
        /// A task written without the space after its id, or with one before its parenthesis.
        Spacing = "spacing",
        /// A Python string prefix that has no meaning here, as in `f"…"`.
        StringPrefix = "string_prefix",
        /// Text after a call, ignored.
        TrailingText = "trailing_text",
        /// A closing tag of reasoning that nothing opened: what stands before it was reasoning.
        UnopenedReasoning = "unopened_reasoning",
        /// A number where only a string fits; it is read as one.
        UnquotedNumber = "unquoted_number",
        /// Text without quotes as the only argument.
        UnquotedText = "unquoted_text",
    }
    Error {
        /// Bound arguments that are too large.
        ArgumentsTooLarge = "arguments_too_large",
        /// An id that is too large to be one.
        BadId = "bad_id",
        /// Arguments that cannot be read.
        BadSyntax = "bad_syntax",
        /// A call in which the model was stopped.
        CutOff = "cut_off",
        /// A `join()` in reasoning closed the plan, so that the plan behind the reasoning is not read.
        DraftJoined = "draft_joined",
        /// An id that another task has.
        DuplicateId = "duplicate_id",
        /// Model text without any task or `join()`.
        EmptyPlan = "empty_plan",
        /// A value that its schema does not allow.
        InvalidArgument = "invalid_argument",
        /// An argument that the tool needs is not given.
        MissingArgument = "missing_argument",
        /// A path that the output of a task does not have.
        MissingPath = "missing_path",
        /// An output that is not JSON, or nested too deeply.
        OutputInvalid = "output_invalid",
        /// A positional argument after a named one.
        PositionalAfterNamed = "positional_after_named",
        /// An argument that is given twice.
        RepeatedArgument = "repeated_argument",
        /// Values nested too deeply.
        TooDeep = "too_deep",
        /// More positional arguments than the tool takes.
        TooManyArguments = "too_many_arguments",
        /// More tasks than the run may have.
        TooManyTasks = "too_many_tasks",
        /// Reasoning that goes on to the end of the text.
        UnclosedReasoning = "unclosed_reasoning",
        /// A fact about a task that is not waiting for it.
        UnexpectedFact = "unexpected_fact",
        /// An argument that the tool does not take.
        UnknownArgument = "unknown_argument",
        /// A bare reference that names no earlier task.
        UnknownReference = "unknown_reference",
        /// A tool that is not among the tools.
        UnknownTool = "unknown_tool",
        /// Text without quotes where it cannot be an argument.
        UnquotedArgument = "unquoted_argument",
        /// A string without its closing quote.
        UnterminatedString = "unterminated_string",
        /// A value of a type that its schema does not allow.
        WrongType = "wrong_type",
    }
}

impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
