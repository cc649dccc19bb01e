"""The calls of a run: so many at a time, each within its time and its size, made again where that is safe.

What a tool's policy says is applied here, above every backend.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from typing import TYPE_CHECKING, Protocol

from dovetail.call import IN_PROCESS, Call
from dovetail.failure_text import bounded
from dovetail.v1 import Failure, FailureReason

if TYPE_CHECKING:
    from dovetail.tools import Tool

__all__ = ["CallOutcomes", "Calls"]

_CANCEL_SECONDS = 1.0
_PROGRESS_SECONDS = 0.1
_LONGEST_PROGRESS = 1_000
# A call that takes its executor with it must not take all of them.
_MOST_ATTEMPTS = 3


class CallOutcomes(Protocol):
    """Whoever is told of the calls of a run."""

    def call_waiting(self, call: Call, ahead: int) -> None:
        """There is no place for the call yet."""

    def call_started(self, call: Call, executor_id: str) -> None:
        """The tool is about to be entered."""

    def call_progressed(self, call: Call, fraction: float | None, message: str) -> None:
        """The call is so far."""

    def call_lost(self, call: Call, executor_id: str) -> None:
        """The executor of the call is lost; what becomes of the task is told next."""

    def call_succeeded(self, task_id: int, output_json: str) -> None:
        """A task has its output."""

    def call_failed(self, task_id: int, failure: Failure) -> None:
        """A task will have no output."""


class Calls:
    """The calls of one run, as their `CallOwner`.

    Args:
        outcomes: who is told of them; told of each task's outcome exactly once, unless the calls are cancelled.
        run_id: the run.
        max_parallel: how many may be out at the same time; None for no bound.
        traceparent: the W3C trace context of whoever created the run.
    """

    __slots__ = (
        "_abandoned",
        "_in_sequence",
        "_out",
        "_outcomes",
        "_places",
        "_run_id",
        "_sequence",
        "_traceparent",
        "_waiting",
    )

    def __init__(self, outcomes: CallOutcomes, run_id: str, max_parallel: int | None, traceparent: str = "") -> None:
        self._outcomes = outcomes
        self._run_id = run_id
        self._places = max_parallel if max_parallel is not None else float("inf")
        self._traceparent = traceparent
        self._out: dict[int, Call] = {}
        # Made when first needed: most runs need none of them, and there may be ten thousand runs.
        self._waiting: deque[Call] | None = None
        # Calls of sequential tools behind the one that is out.
        self._sequence: deque[Call] | None = None
        self._in_sequence: int | None = None
        self._abandoned: set[asyncio.Task[None]] | None = None

    def start(self, task_id: int, tool: Tool, arguments_json: str) -> None:
        """Call a tool for a task: now, or once there is a place."""
        call = Call(self, tool, self._run_id, task_id, arguments_json, traceparent=self._traceparent)
        if tool.sequential:
            if self._in_sequence is not None:
                if self._sequence is None:
                    self._sequence = deque()
                self._sequence.append(call)
                return
            self._in_sequence = task_id
        self._admit(call)

    async def cancel(self) -> None:
        """Cancel what is out and forget what waits. Tools that do not let themselves be cancelled are left behind."""
        self._waiting = self._sequence = None
        out = list(self._out.values())
        self._out.clear()
        tasks = set(self._abandoned or ())
        for call in out:
            task = self._stop(call)
            if task is not None:
                tasks.add(task)
        if tasks:
            await asyncio.wait(tasks, timeout=_CANCEL_SECONDS)

    def _admit(self, call: Call) -> None:
        if len(self._out) < self._places:
            self._begin(call)
        elif self._waiting is None:
            self._waiting = deque((call,))
        else:
            self._waiting.append(call)

    def _begin(self, call: Call) -> None:
        self._out[call.task_id] = call
        (call.tool.backend or IN_PROCESS).begin(call)

    def _stop(self, call: Call) -> asyncio.Task[None] | None:
        call.over = True
        if call.timer is not None:
            call.timer.cancel()
        return (call.tool.backend or IN_PROCESS).cancel(call)

    # What backends say of calls --------------------------------------------------------------------------------

    def waiting(self, call: Call, ahead: int) -> None:
        """There is no place for the call yet."""
        self._outcomes.call_waiting(call, ahead)

    def started(self, call: Call, executor_id: str) -> None:
        """The tool is about to be entered: the call's time begins."""
        timeout = call.tool.timeout
        if timeout is not None:
            # A timer and not `asyncio.timeout`: a tool that swallows its cancellation must not hold up the run.
            call.timer = asyncio.get_running_loop().call_later(timeout, self._time_out, call)
        self._outcomes.call_started(call, executor_id)

    def progressed(self, call: Call, fraction: float | None, message: str) -> None:
        """The call is so far; what comes too fast is dropped."""
        now = time.monotonic()
        if now - call.heard < _PROGRESS_SECONDS:
            return
        call.heard = now
        if fraction is not None:
            fraction = None if math.isnan(fraction) else min(1.0, max(0.0, fraction))
        self._outcomes.call_progressed(call, fraction, bounded(message, _LONGEST_PROGRESS))

    def succeeded(self, call: Call, output_json: str) -> None:
        """The call gave an output."""
        most = call.tool.max_output_bytes
        # A character is a byte at the least and four at the most.
        if len(output_json) * 4 > most and (size := len(output_json.encode())) > most:
            message = f"tool {call.tool.name!r} returned {size:,} bytes of JSON; max_output_bytes is {most:,}"
            self.failed(call, Failure(reason=FailureReason.FAILURE_REASON_OUTPUT_TOO_LARGE, message=message))
            return
        self._retire(call)
        self._outcomes.call_succeeded(call.task_id, output_json)

    def failed(self, call: Call, failure: Failure) -> None:
        """The call gave no output."""
        self._retire(call)
        self._outcomes.call_failed(call.task_id, failure)

    def lost(self, call: Call, executor_id: str) -> None:
        """The executor of the call is lost: the call is made again if that is safe."""
        self._outcomes.call_lost(call, executor_id)
        if not call.tool.repeatable:
            reason = FailureReason.FAILURE_REASON_OUTCOME_UNKNOWN
            message = (
                f"the executor {executor_id} was lost during the call, and {call.tool.name} must not be called twice"
            )
            self.failed(call, Failure(reason=reason, message=message))
        elif call.attempt >= _MOST_ATTEMPTS:
            reason = FailureReason.FAILURE_REASON_EXECUTOR_LOST
            message = f"{call.attempt} executors were lost during calls of {call.tool.name}, {executor_id} the last"
            self.failed(call, Failure(reason=reason, message=message))
        else:
            call.over = True
            if call.timer is not None:
                call.timer.cancel()
            again = Call(
                self,
                call.tool,
                self._run_id,
                call.task_id,
                call.arguments_json,
                attempt=call.attempt + 1,
                traceparent=self._traceparent,
            )
            self._begin(again)

    def _time_out(self, call: Call) -> None:
        if call.over:
            return
        task = self._stop(call)
        if task is not None:
            if self._abandoned is None:
                self._abandoned = set()
            self._abandoned.add(task)
            task.add_done_callback(self._abandoned.discard)
        message = f"{call.tool.name} took longer than its timeout of {call.tool.timeout:g} s"
        self.failed(call, Failure(reason=FailureReason.FAILURE_REASON_TIMEOUT, message=message))

    def _retire(self, call: Call) -> None:
        """A call has its outcome: its place goes to the next."""
        call.over = True
        if call.timer is not None:
            call.timer.cancel()
            call.timer = None
        self._out.pop(call.task_id, None)
        if call.task_id == self._in_sequence:
            self._in_sequence = None
            if self._sequence:
                behind = self._sequence.popleft()
                self._in_sequence = behind.task_id
                self._admit(behind)
        if self._waiting and len(self._out) < self._places:
            self._begin(self._waiting.popleft())
