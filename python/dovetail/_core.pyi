"""The plan machine and the stream readers, in Rust. Text and JSON in, small frozen objects out."""

from typing import Literal, TypeAlias, final

__all__ = [
    "AnswerPiece",
    "Closed",
    "Diagnostic",
    "Feed",
    "Machine",
    "Planned",
    "Ready",
    "ReplyReader",
    "SseDecoder",
    "Thought",
    "ToolCall",
    "ToolSet",
    "Unreachable",
    "Verdict",
    "declared_arguments",
    "plan_in_json",
]

@final
class ToolSet:
    """The tools that a plan may call, their schemas compiled. Frozen; shared by any number of machines.

    Args:
        tools_json: a JSON list of tools in MCP's shape (``name``, ``description``, ``inputSchema``, …), or an object
            with such a list under ``tools``.

    Raises:
        ValueError: the text is no such JSON, a name is missing or used twice, or a schema does not compile; the message
            names the tool and the field.
    """

    def __new__(cls, tools_json: str | bytes) -> ToolSet: ...
    @property
    def names(self) -> list[str]:
        """The names of the tools, in their order."""

    def check(self, tool: str, arguments_json: str | bytes) -> None:
        """Check all arguments of a call against its tool's schema.

        Raises:
            ValueError: there is no such tool, the text is no JSON object, or an argument does not fit, which the
                message names.
        """

@final
class Machine:
    """Takes the facts of one run and returns what follows from each. The only place that knows what may run now.

    Deterministic: the same facts give the same steps, however the text is cut. Total: every input gives steps; what
    could not be used comes back as a `Diagnostic`.

    Args:
        tools: the tools that plans may call.
        max_tasks: how many tasks the run may plan; tasks beyond it are diagnosed and not planned.
    """

    def __new__(cls, tools: ToolSet, *, max_tasks: int | None = None) -> Machine: ...
    def feed(self, text: str | bytes) -> list[Step]:
        """A piece of model text, cut anywhere; bytes are UTF-8 and may be cut inside a character."""

    def finish(self, *, cut_off: bool = False) -> list[Step]:
        """The model stopped. With ``cut_off`` it was stopped in the middle, so that an unclosed call is not mended.

        The next piece fed begins another plan, whose tasks may refer to all earlier ones.
        """

    def succeed(self, task_id: int, output_json: str | bytes) -> list[Step]:
        """A task that was ready has this output, a JSON value."""

    def fail(self, task_id: int) -> list[Step]:
        """A task will produce no output."""

    @property
    def closed(self) -> bool:
        """Whether the current plan is closed: no further task of it will come."""

    @property
    def unsettled(self) -> int:
        """How many tasks have neither succeeded nor failed nor become unreachable."""

    @property
    def next_id(self) -> int:
        """The lowest id that no task and no join has reached yet."""

    def feeds(self, task_id: int) -> list[Feed]:
        """Where the whole output of a task goes that has none yet, as far as the plans are read.

        These are the places in the arguments of later tasks that are a reference to it and nothing else, in the order
        of those tasks. None is left once the task has its output.
        """

    def answer(self) -> str | None:
        """The answer that the latest plan named with ``join($n)``, as JSON; None if it named none or has none yet."""

@final
class Feed:
    """A place that the output of a task is given to as it is."""

    @property
    def task_id(self) -> int:
        """The task that it is given to."""

    @property
    def tool(self) -> str:
        """The tool that this task calls."""

    @property
    def path(self) -> list[str | int]:
        """The way to the place in its arguments, the name of the argument first."""

    @property
    def as_text(self) -> bool:
        """Whether only a string may stand there, so that any output is given as its text."""

def declared_arguments(input_schema_json: str | bytes) -> str:
    """The arguments that the input schema of a tool declares, wherever in it, as JSON.

    It is the schema of an object without alternatives: its properties, which of them are required, and whether there
    may be others.

    Raises:
        ValueError: the text is no JSON.
    """

def plan_in_json(tools: ToolSet, plan: str, *, earlier: str = "", thought: bool = True) -> str:
    """A plan that stands in lines, as the plan in JSON that the machine reads as the same tasks, on one line.

    Keys come in the order of the strict schema of plans. What is optional and not given is null there, as that schema
    demands; where null is a value like others, it is the default.

    Args:
        tools: the tools that the plan calls.
        plan: the plan in lines.
        earlier: calls of an earlier plan, in lines, from which the ids go on and to which the plan may refer. They are
            not in the result.
        thought: whether the plan's thought, if it has one, is in the result.

    Raises:
        ValueError: one of the plans has an error, or holds something that JSON cannot say; the message names line and
            column.
    """

@final
class Thought:
    """The model wrote down a thought."""

    @property
    def text(self) -> str: ...

@final
class Planned:
    """A task was read from the plan."""

    @property
    def task_id(self) -> int: ...
    @property
    def tool(self) -> str: ...
    @property
    def depends_on(self) -> list[int]:
        """The tasks whose outputs the arguments need, ascending."""

    @property
    def line(self) -> int: ...
    @property
    def column(self) -> int: ...

@final
class Ready:
    """All inputs of a task exist: it may be called now."""

    @property
    def task_id(self) -> int: ...
    @property
    def tool(self) -> str: ...
    @property
    def arguments(self) -> str:
        """The bound arguments: a JSON object."""

@final
class Unreachable:
    """A task will never be ready."""

    @property
    def task_id(self) -> int: ...
    @property
    def because(self) -> int:
        """The failed task at the root."""

@final
class Diagnostic:
    """Something was mended (``hint``) or could not be used (``error``)."""

    @property
    def severity(self) -> Literal["hint", "error"]: ...
    @property
    def code(self) -> str: ...
    @property
    def message(self) -> str: ...
    @property
    def line(self) -> int:
        """From 1; 0 if no place in the plan can be named."""

    @property
    def column(self) -> int:
        """Characters, from 1; 0 if no place in the plan can be named."""

    @property
    def task_id(self) -> int | None:
        """The task it is about. With severity ``error`` that task has failed: it will not be ready."""

@final
class Closed:
    """The plan is complete."""

    @property
    def answer_task(self) -> int | None:
        """The task whose output is the answer (``join($5)``)."""

Step: TypeAlias = Thought | Planned | Ready | Unreachable | Diagnostic | Closed

@final
class ReplyReader:
    """Reads a joiner's reply piece by piece: ``Thought: … / Action: Finish(…)`` or ``Replan(…)``.

    Or, told by its first key, in JSON: ``{"thought": "…", "action": "finish", "answer": …}``, or ``"replan"`` with a
    ``"reason"``. An answer that is no string is given as its JSON.
    """

    def __new__(cls) -> ReplyReader: ...
    def feed(self, text: str) -> list[ReplyStep]:
        """A piece of the reply, cut anywhere."""

    def finish(self) -> list[ReplyStep]:
        """The reply is complete. Always ends with a `Verdict`, unless one was given before."""

@final
class AnswerPiece:
    """A piece of the answer, as it is read."""

    @property
    def text(self) -> str: ...

@final
class Verdict:
    """What the joiner decided."""

    @property
    def kind(self) -> Literal["finish", "replan"]: ...
    @property
    def text(self) -> str:
        """The whole answer, or the reason to replan."""

    @property
    def mended(self) -> bool:
        """Whether the reply did not follow its format and the verdict was guessed."""

ReplyStep: TypeAlias = Thought | AnswerPiece | Verdict

@final
class ToolCall:
    """A call that the model asks for through its provider's own tool calls."""

    @property
    def id(self) -> str:
        """The provider's name of the call, which its result is to name; empty where the provider gave none."""

    @property
    def name(self) -> str: ...
    @property
    def arguments(self) -> str:
        """The arguments as the model wrote them: JSON, unless it slipped; ``{}`` where it wrote none."""

@final
class SseDecoder:
    """Decodes the bytes of a model's stream: server-sent events of OpenAI's Chat Completions or Responses API.

    The text is what the model says: messages, refusals and the input of custom tools; what it reasons is none.
    """

    def __new__(cls) -> SseDecoder: ...
    def feed(self, data: bytes) -> str:
        """Decode the bytes of one read, cut anywhere; returns the text of all their pieces, joined."""

    def finish(self) -> str:
        """The bytes are complete. Returns the text of a body that was no event stream but one whole JSON response."""

    @property
    def tool_calls(self) -> list[ToolCall]:
        """The calls of functions that are complete, in the order in which they became so.

        A call in which the stream was cut off is not among them.
        """

    def take_tool_calls(self) -> list[ToolCall]:
        """Those of the `tool_calls` that became complete since they were last taken.

        While the stream goes on, a call is complete as soon as its provider says so or the next one begins.
        """

    @property
    def output_items(self) -> list[str]:
        """The items of the output of a response, as JSON, in their order, for a next request to hold as they are.

        None of a chat completion, and none if they are larger than a MiB.
        """

    @property
    def finish_reason(self) -> str | None:
        """``stop``, ``length``, ``tool_calls``, or the provider's own word."""

    @property
    def usage(self) -> tuple[int, int, int, int, int] | None:
        """Prompt, completion, cached and reasoning tokens, and those written to a cache."""

    @property
    def done(self) -> bool:
        """Whether ``[DONE]``, the event that ends a response, or a whole JSON response was read."""

    @property
    def error(self) -> str | None:
        """The message of an error object inside the stream, or of malformed data."""

    @property
    def error_status(self) -> int | None:
        """The HTTP status or numeric code that an error object named."""
