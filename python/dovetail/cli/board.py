"""What a run looks like from outside: its tasks and how they stand, kept from its events."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING

from dovetail.cli.printable import one_line
from dovetail.v1 import FailureReason, RunState, Severity

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

    from dovetail.v1 import Event, Failure, RunEnded

__all__ = ["Board", "Note", "TaskRow", "TaskState", "failure_text", "state_text", "task_texts"]

_SHOWN = 400
"""How many characters of arguments and outputs are kept: more than any line shows."""


class TaskState(Enum):
    """How a task stands."""

    PLANNED = auto()
    READY = auto()
    RUNNING = auto()
    DONE = auto()
    FAILED = auto()
    SKIPPED = auto()


@dataclass(slots=True)
class TaskRow:
    """A task."""

    task_id: int
    tool: str
    depends_on: tuple[int, ...]
    state: TaskState = TaskState.PLANNED
    arguments: str = ""
    """The bound arguments, short: ``query="Everest", limit=3``."""
    outcome: str = ""
    """The output, or why there is none; short."""
    remark: str = ""
    """What is to be said of it while it is on its way: ``waits for approval``, ``40% downloading``; short."""
    failed_attempts: int = 0
    setback: str = ""
    """What became of the latest attempt, if it failed: ``attempt 1 failed: TIMEOUT: …``; short."""
    reused: int | None = None
    cached: bool = False
    began: float | None = None
    seconds: float | None = None


@dataclass(slots=True)
class Note:
    """A line between the tasks: a thought, the reason for another plan, a diagnostic."""

    kind: str
    text: str


@dataclass
class Board:
    """A run, as its events tell it. What tools and models wrote is made printable and one line, but for the answer."""

    rows: dict[int, TaskRow] = field(default_factory=dict)
    entries: list[TaskRow | Note] = field(default_factory=list)
    """Tasks and notes, in the order in which they came up."""
    question: str = ""
    model: str = ""
    tools: int = 0
    asked: str = ""
    """What is under way besides the tasks: ``plan``, ``join``, ``cancel``, or nothing."""
    plans: int = 0
    calls: int = 0
    streamed: list[str] = field(default_factory=list)
    answer: str | None = None
    incomplete: bool = False
    ended: RunEnded | None = None

    def add(self, event: Event) -> TaskRow | Note | None:
        """Take in an event; returns the task or the note that it changed."""
        name = event.WhichOneof("fact")
        handle = getattr(self, f"_{name}", None)
        # A fact of a later version is passed over.
        changed: TaskRow | Note | None = handle(event) if handle is not None else None
        return changed

    def counts(self) -> dict[TaskState, int]:
        """How many tasks there are in each state."""
        counts = dict.fromkeys(TaskState, 0)
        for row in self.rows.values():
            counts[row.state] += 1
        return counts

    def waits_for(self, row: TaskRow) -> list[int]:
        """The tasks whose outputs a task still lacks."""
        return [
            task_id
            for task_id in row.depends_on
            if task_id in self.rows and self.rows[task_id].state is not TaskState.DONE
        ]

    def summary(self) -> str:
        """The last line: plans, calls, tokens, time."""
        parts = [_counted(self.plans, "plan"), _counted(self.calls, "call")]
        if self.ended is not None:
            parts.append(_counted(self.ended.model_calls, "model call"))
            usage = self.ended.usage
            if tokens := usage.prompt_tokens + usage.completion_tokens:
                cached = f" ({usage.cached_tokens:,} cached)" if usage.cached_tokens else ""
                parts.append(f"{tokens:,} tokens{cached}")
            if self.ended.HasField("cost"):
                parts.append(f"cost ${self.ended.cost:.4g}")
            parts.append(f"{self.ended.duration.ToNanoseconds() / 1e9:.1f} s")
        return " · ".join(parts)

    def _note(self, kind: str, text: str) -> Note:
        note = Note(kind, one_line(text, _SHOWN))
        self.entries.append(note)
        return note

    def _run_started(self, event: Event) -> None:
        self.question = event.run_started.question
        self.model = one_line(event.run_started.model)
        self.tools = len(event.run_started.tools)

    def _plan_started(self, event: Event) -> Note | None:
        self.plans = event.plan_started.plan
        self.model = one_line(event.plan_started.model)
        self.asked = "plan"
        if not (shown := event.plan_started.tools):
            return None
        return self._note("tools", f"{len(shown):,} of {self.tools:,} shown to the planner: {', '.join(shown)}")

    def _thought_written(self, event: Event) -> Note:
        return self._note("thought", event.thought_written.text)

    def _task_planned(self, event: Event) -> TaskRow:
        fact = event.task_planned
        row = TaskRow(fact.task_id, one_line(fact.tool, _SHOWN), tuple(fact.depends_on))
        self.rows[fact.task_id] = row
        self.entries.append(row)
        return row

    def _plan_diagnosed(self, event: Event) -> Note | None:
        fact = event.plan_diagnosed
        if fact.severity == Severity.SEVERITY_ERROR and fact.HasField("task_id"):
            return None  # the task's own failure says the same
        kind = "error" if fact.severity == Severity.SEVERITY_ERROR else "hint"
        place = f" ({fact.line}:{fact.column})" if fact.line else ""
        return self._note(kind, fact.message + place)

    def _plan_closed(self, _: Event) -> None:
        self._model_is_done()

    def _model_is_done(self) -> None:
        if self.asked != "cancel":
            self.asked = ""

    def _task_ready(self, event: Event) -> TaskRow | None:
        if (row := self.rows.get(event.task_ready.task_id)) is not None:
            row.state = TaskState.READY
            row.arguments = _short_arguments(event.task_ready.arguments_json)
        return row

    def _call_started(self, event: Event) -> TaskRow | None:
        self.calls += 1
        if (row := self.rows.get(event.call_started.task_id)) is not None:
            row.state = TaskState.RUNNING
            row.began = _seconds(event.time)
            row.remark = f"called again; {row.setback}" if row.setback else ""
        return row

    def _call_waiting(self, event: Event) -> TaskRow | None:
        ahead = event.call_waiting.ahead
        behind = f", {_counted(ahead, 'call')} before it" if ahead else ""
        return self._remark(event.call_waiting.task_id, f"waits for an executor{behind}", TaskState.READY)

    def _call_progressed(self, event: Event) -> TaskRow | None:
        fact = event.call_progressed
        percent = f"{min(max(fact.fraction, 0.0), 1.0):.0%}" if fact.HasField("fraction") else ""
        remark = " ".join(part for part in (percent, one_line(fact.message, _SHOWN)) if part)
        return self._remark(fact.task_id, remark, TaskState.RUNNING)

    def _call_lost(self, event: Event) -> TaskRow | None:
        fact = event.call_lost
        why = f": {one_line(fact.message, _SHOWN)}" if fact.message else ""
        return self._set_back(fact.task_id, f"lost executor {one_line(fact.executor_id, _SHOWN)}{why}", "")

    def _call_failed(self, event: Event) -> TaskRow | None:
        fact = event.call_failed
        why = one_line(failure_text(fact.failure), _SHOWN)
        return self._set_back(fact.task_id, f"failed: {why}", f"next in {fact.pause.ToNanoseconds() / 1e9:.1f} s; ")

    def _set_back(self, task_id: int, what: str, then: str) -> TaskRow | None:
        """An attempt failed and is not the last. What follows stands first: a line may be cut off behind it."""
        row = self.rows.get(task_id)
        if row is not None:
            row.failed_attempts += 1
            row.setback = f"attempt {row.failed_attempts} {what}"
            row.remark = f"{then}{row.setback}"
            row.state = TaskState.READY
        return row

    def _approval_requested(self, event: Event) -> TaskRow | None:
        fact = event.approval_requested
        why = f": {one_line(fact.reason, _SHOWN)}" if fact.reason else ""
        return self._remark(fact.task_id, f"waits for approval{why}", TaskState.READY)

    def _approval_resolved(self, event: Event) -> TaskRow | None:
        fact = event.approval_resolved
        if (row := self.rows.get(fact.task_id)) is not None and fact.approved and fact.arguments_json:
            row.arguments = _short_arguments(fact.arguments_json)
        why = f": {one_line(fact.reason, _SHOWN)}" if fact.reason else ""
        return self._remark(fact.task_id, f"{'approved' if fact.approved else 'rejected'}{why}", TaskState.READY)

    def _remark(self, task_id: int, remark: str, state: TaskState) -> TaskRow | None:
        row = self.rows.get(task_id)
        if row is not None:
            row.remark = remark
            row.state = state
        return row

    def _task_succeeded(self, event: Event) -> TaskRow | None:
        fact = event.task_succeeded
        if (row := self._settle(fact.task_id, TaskState.DONE, event)) is not None:
            row.outcome = one_line(fact.output_json, _SHOWN)
            row.reused = fact.reused_task_id if fact.HasField("reused_task_id") else None
            row.cached = fact.cached
        return row

    def _task_failed(self, event: Event) -> TaskRow | None:
        if (row := self._settle(event.task_failed.task_id, TaskState.FAILED, event)) is not None:
            row.outcome = one_line(failure_text(event.task_failed.failure), _SHOWN)
        return row

    def _task_skipped(self, event: Event) -> TaskRow | None:
        if (row := self._settle(event.task_skipped.task_id, TaskState.SKIPPED, event)) is not None:
            row.outcome = f"skipped: task {event.task_skipped.because} failed"
        return row

    def _settle(self, task_id: int, state: TaskState, event: Event) -> TaskRow | None:
        row = self.rows.get(task_id)
        if row is not None:
            row.state = state
            row.remark = ""
            if row.began is not None:
                row.seconds = max(0.0, _seconds(event.time) - row.began)
        return row

    def _join_started(self, event: Event) -> None:
        self.asked = "join"
        self.model = one_line(event.join_started.model)
        self.streamed.clear()

    def _answer_text(self, event: Event) -> None:
        self.streamed.append(event.answer_text.text)

    def _replan_requested(self, event: Event) -> Note:
        self.streamed.clear()
        return self._note("replan", event.replan_requested.reason)

    def _model_replaced(self, event: Event) -> Note:
        fact = event.model_replaced
        self.model = one_line(fact.to_model)
        return self._note(
            "model", f"asking {fact.to_model}, for {fact.from_model} failed: {failure_text(fact.failure)}"
        )

    def _model_call_ended(self, event: Event) -> Note | None:
        self._model_is_done()
        fact = event.model_call_ended
        return self._note("error", failure_text(fact.failure)) if fact.HasField("failure") else None

    def _run_answered(self, event: Event) -> None:
        self.answer = event.run_answered.answer
        self.incomplete = event.run_answered.incomplete

    def _cancel_requested(self, _: Event) -> None:
        self.asked = "cancel"

    def _run_ended(self, event: Event) -> None:
        self.asked = ""
        self.ended = event.run_ended

    @property
    def answered(self) -> bool:
        """Whether the run is over, with an answer."""
        return self.ended is not None and self.ended.state == RunState.RUN_STATE_ANSWERED


def failure_text(failure: Failure) -> str:
    """A failure as people read it: ``TIMEOUT: search took longer than …``."""
    try:
        reason = FailureReason.Name(failure.reason).removeprefix("FAILURE_REASON_")
    except ValueError:  # one of a later version
        reason = f"reason {failure.reason}"
    return f"{reason}: {failure.message}"


def state_text(state: RunState) -> str:
    """A state as people read it: ``answered``."""
    try:
        return RunState.Name(state).removeprefix("RUN_STATE_").lower()
    except ValueError:  # one of a later version
        return f"state {state}"


def task_texts(row: TaskRow, board: Board) -> tuple[str, str]:
    """A task's call, ``search(query="Everest")``, and what has become of it."""
    call = f"{row.tool}({row.arguments})" if row.arguments else row.tool
    match row.state:
        case TaskState.PLANNED:
            waits = ", ".join(map(str, board.waits_for(row)[:8]))
            return call, f"waits for {waits}" if waits else "waits"
        case TaskState.READY:
            return call, row.remark or "waits for its turn"
        case TaskState.RUNNING:
            return call, row.remark
        case TaskState.DONE if row.reused is not None:
            return call, f"{row.outcome}  (as task {row.reused})"
        case TaskState.DONE if row.cached:
            return call, f"{row.outcome}  (from the cache)"
    return call, row.outcome


def _short_arguments(arguments_json: str) -> str:
    # What is too long to be shown is not worth parsing.
    if len(arguments_json) > 20 * _SHOWN:
        return one_line(arguments_json, _SHOWN)
    try:
        arguments = json.loads(arguments_json)
        pairs = [f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in arguments.items()]
    except (ValueError, AttributeError, RecursionError):
        return one_line(arguments_json, _SHOWN)
    return one_line(", ".join(pairs), _SHOWN)


def _seconds(time: Timestamp) -> float:
    return time.seconds + time.nanos / 1e9


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
