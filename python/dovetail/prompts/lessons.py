"""Examples as planners are taught with them: each read by the plan machine first, so that none teaches a mistake."""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pydantic_core import from_json

from dovetail import _core
from dovetail.errors import UsageError
from dovetail.prompts.observations import Observation
from dovetail.prompts.replan_prompt import ReplanContext

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dovetail.prompts.examples import Example, ExamplePlace
    from dovetail.prompts.replan_prompt import PlanForm
    from dovetail.tools.definition import Tool
    from dovetail.tools.tool_set import ToolSet

__all__ = ["END_OF_PLAN", "ExampleError", "Lesson", "Lessons", "read_earlier"]

END_OF_PLAN: Final = "<END_OF_PLAN>"
"""Where a model stops when its plan is complete."""

_OUTPUT: Final = "-> "
_FAILED: Final = "failed: "

_logger = logging.getLogger("dovetail.examples")


class ExampleError(UsageError):
    """An example that cannot be taught with.

    Attributes:
        number: which of the examples it is, from 1.
        part: in which part the mistake stands: ``question``, ``plan``, ``earlier`` or ``missing``.
        line: the line of that part, from 1.
        column: the character of that line, from 1.
        what: the mistake.
    """

    def __init__(self, number: int, place: ExamplePlace | None, mistake: _MistakeError) -> None:
        self.number = number
        self.part = mistake.part
        self.line = mistake.line
        self.column = mistake.column
        self.what = mistake.what
        if place is None:
            where = f"example {number}, {self.part}, line {self.line}, column {self.column}"
        else:
            first = place.plan_line if self.part == "plan" else place.earlier_line
            where = f"{place.source}:{first + self.line - 1}:{self.column}: example {number}"
        super().__init__(f"{where}: {self.what}")


@dataclass(frozen=True, slots=True)
class Lesson:
    """An example that the machine has read."""

    example: Example
    replan: ReplanContext | None = None
    """What is known when its plan is wanted, if it goes on from earlier tasks."""
    in_json: str | None = None
    """The plan in JSON; None if that cannot say all that stands in its lines."""

    def plan(self, form: PlanForm) -> str | None:
        """The plan as a model is to write it; None if it cannot be written in this form."""
        return self.in_json if form == "json" else _bare(self.example.plan)


class Lessons:
    """The examples of an engine, or of one run.

    Args:
        examples: the examples.
        tools: the tools that their plans call. Examples that call tools which were left out of this set (`allow`,
            `deny`) are not shown.
        awaits_tools: whether tools that these sets do not have may still come, with executors. Examples that call them
            are looked at once they are there.

    Raises:
        ExampleError: a plan has an error or something to mend.
    """

    def __init__(self, examples: Iterable[Example], tools: ToolSet, *, awaits_tools: bool = False) -> None:
        self._entries: list[_Entry] = []
        for number, example in enumerate(examples, start=1):
            entry = _Entry(example)
            absent = {name for name in entry.names if name not in tools}
            try:
                if not example.question.strip():
                    raise _MistakeError("question", 1, 1, "it is empty")
                if not absent or not (awaits_tools or absent <= tools.left_out):
                    entry.check(tools)
            except _MistakeError as mistake:
                raise ExampleError(number, example.place, mistake) from None
            self._entries.append(entry)

    def __len__(self) -> int:
        return len(self._entries)

    def of(self, tools: ToolSet, *, again: bool = False) -> Sequence[Lesson]:
        """What can be taught with these tools: examples all of whose calls fit them, in their order.

        Args:
            tools: the tools of the run.
            again: whether another plan is wanted: then the examples that go on from earlier tasks, if there are any.
        """
        known = [lesson for entry in self._entries if (lesson := entry.of(tools)) is not None]
        following = [lesson for lesson in known if lesson.replan is not None]
        if again and following:
            return following
        return [lesson for lesson in known if lesson.replan is None]


def read_earlier(text: str, missing: str, tools: ToolSet, *, source: str = "<earlier>") -> ReplanContext:
    """What a run knows that has made some calls, and needs another plan.

    Args:
        text: the calls, with what became of each: see `Example.earlier`.
        missing: what was missing after them.
        tools: the tools that they call.
        source: what to call the text in errors.

    Raises:
        UsageError: the text has a mistake; the message names the source, line and column.
    """
    machine = _core.Machine(tools.core)
    try:
        known = _earlier_tasks(machine, *_taken_apart(text))
    except _MistakeError as mistake:
        raise UsageError(f"{source}:{mistake.line}:{mistake.column}: {mistake.what}") from None
    return ReplanContext(known, missing, machine.next_id)


class _MistakeError(Exception):
    def __init__(self, part: str, line: int, column: int, what: str) -> None:
        super().__init__(what)
        self.part, self.line, self.column, self.what = part, line, column, what


class _Entry:
    """An example, and the tools that it was read with last."""

    def __init__(self, example: Example) -> None:
        self._example = example
        self._calls, self._outcomes = _taken_apart(example.earlier)
        self.names = _called(self._calls) | _called(_bare(example.plan))
        self._tools: tuple[Tool, ...] | None = None
        self._lesson: Lesson | None = None

    def of(self, tools: ToolSet) -> Lesson | None:
        """The lesson, or None if the tools lack one, or have another than it was written for."""
        own = tuple(one for name in self.names if (one := tools.get(name)) is not None)
        if len(own) < len(self.names):
            return None
        if self._tools is None or any(one is not other for one, other in zip(own, self._tools, strict=True)):
            try:
                self.check(tools)
            except _MistakeError as mistake:
                # A server of tools may change them at any time: that is no fault of the run.
                _logger.warning("the example %r is not shown: %s", self._example.question[:80], mistake.what)
                self._tools, self._lesson = own, None
        return self._lesson

    def check(self, tools: ToolSet) -> None:
        """Have the machine read it.

        Raises:
            _MistakeError: it is mistaken.
        """
        machine = _core.Machine(tools.core)
        replan = None
        if self._calls or self._outcomes:
            known = _earlier_tasks(machine, self._calls, self._outcomes)
            if not self._example.missing.strip():
                raise _MistakeError("missing", 1, 1, "earlier tasks need what was missing after them")
            replan = ReplanContext(known, self._example.missing, machine.next_id)
        elif self._example.missing:
            raise _MistakeError("missing", 1, 1, "something is missing, but there are no earlier tasks")
        plan = _bare(self._example.plan)
        _read(machine, plan + END_OF_PLAN, "plan", len(plan.splitlines()))
        self._tools = tuple(tools[name] for name in self.names if name in tools)
        try:
            in_json = _core.plan_in_json(tools.core, plan, earlier=self._calls, thought=False)
        except ValueError:
            in_json = None
        self._lesson = Lesson(self._example, replan, in_json)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What became of an earlier task."""

    line: int
    below: int
    """The line above it that is no outcome and not empty: the call, or its end."""
    output: str | None = None
    failure: str | None = None


def _earlier_tasks(machine: _core.Machine, calls: str, outcomes: Iterable[_Outcome]) -> list[Observation]:
    last = calls.count("\n") + 1
    # It has no join(), and is not told that it ends: the plan of the example follows.
    steps = _read(machine, calls + "\n", "earlier", last, ends=False)
    planned = [step for step in steps if isinstance(step, _core.Planned)]
    if not planned:
        raise _MistakeError("earlier", 1, 1, "there is no call in it: write the earlier calls as a plan has them")
    bounds = [*(step.line for step in planned[1:]), last + 1]
    waiting, ready = deque(outcomes), _ready(steps)
    known = []
    for call, bound in zip(planned, bounds, strict=True):
        if waiting and waiting[0].below < call.line:
            break
        if not waiting or waiting[0].below >= bound:
            told = f"what became of task {call.task_id} is not told: below it stands '-> OUTPUT' or 'failed: REASON'"
            raise _MistakeError("earlier", call.line, call.column, told)
        if call.task_id not in ready:
            said = f"task {call.task_id} cannot have been called: what it needs has failed"
            raise _MistakeError("earlier", call.line, call.column, said)
        outcome = waiting.popleft()
        more = _settle(machine, call.task_id, outcome)
        _complain(more, "earlier", last)
        observed = Observation(call.task_id, call.tool, ready[call.task_id], outcome.output, outcome.failure)
        known.append(observed)
        ready |= _ready(more)
    if waiting:
        raise _MistakeError("earlier", waiting[0].line, 1, "this stands below no call of its own")
    machine.finish()
    return known


def _taken_apart(earlier: str) -> tuple[str, list[_Outcome]]:
    """The calls, with empty lines where outcomes stood; and the outcomes."""
    calls: list[str] = []
    outcomes: list[_Outcome] = []
    below = 0
    # JSON may hold any other separator of lines inside a string.
    for number, line in enumerate(earlier.split("\n"), start=1):
        if line.startswith(_OUTPUT):
            outcomes.append(_Outcome(number, below, output=line.removeprefix(_OUTPUT).strip()))
        elif line.startswith(_FAILED):
            outcomes.append(_Outcome(number, below, failure=line.removeprefix(_FAILED).strip()))
        else:
            below = number if line.strip() else below
            calls.append(line)
            continue
        calls.append("")
    return "\n".join(calls).rstrip(), outcomes


def _settle(machine: _core.Machine, task_id: int, outcome: _Outcome) -> Sequence[_core.Step]:
    if outcome.output is None:
        return machine.fail(task_id)
    try:
        from_json(outcome.output, allow_inf_nan=False)
    except ValueError as error:
        told = f"the output of task {task_id} is no JSON: {error}"
        raise _MistakeError("earlier", outcome.line, len(_OUTPUT) + 1, told) from None
    return machine.succeed(task_id, outcome.output)


def _called(plan: str) -> frozenset[str]:
    machine = _core.Machine(_core.ToolSet("[]"))
    steps = [*machine.feed(plan), *machine.finish()]
    return frozenset(step.tool for step in steps if isinstance(step, _core.Planned))


def _ready(steps: Iterable[_core.Step]) -> dict[int, str]:
    return {step.task_id: step.arguments for step in steps if isinstance(step, _core.Ready)}


def _read(machine: _core.Machine, text: str, part: str, last: int, *, ends: bool = True) -> list[_core.Step]:
    steps = machine.feed(text)
    if ends:
        steps = [*steps, *machine.finish()]
    _complain(steps, part, last)
    return steps


def _complain(steps: Iterable[_core.Step], part: str, last: int) -> None:
    """Say what the first diagnostic says; one without a place is about the end."""
    planned: dict[int, _core.Planned] = {}
    for step in steps:
        if isinstance(step, _core.Planned):
            planned[step.task_id] = step
        elif isinstance(step, _core.Diagnostic):
            line, column = (step.line, step.column) if step.line else (max(1, last), 1)
            raise _MistakeError(part, line, column, f"{step.code}: {step.message}")
        elif isinstance(step, _core.Unreachable) and step.task_id in planned:
            at = planned[step.task_id]
            needed = f"task {step.task_id} needs the output of task {step.because}, which failed"
            raise _MistakeError(part, at.line, at.column, needed)


def _bare(plan: str) -> str:
    return plan.strip().removesuffix(END_OF_PLAN).rstrip()
