"""The calls of a run: so many at a time, each within its time and its size, made again where that is safe.

What a tool's policy says of one run is applied here, above every backend; what it says over all runs, in
`dovetail.calls.gates`.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from dovetail.calls.sequence import Sequence
from dovetail.failure_text import bounded
from dovetail.tools.call import Call, backend_of
from dovetail.tools.large_output import cut_output
from dovetail.tools.policy import PASSING, PLAIN
from dovetail.tools.tool_model_calls import MOST_MODEL_CALLS
from dovetail.v1 import Failure, FailureReason

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from dovetail.calls.call_outcomes import CallOutcomes
    from dovetail.calls.gates import Gates
    from dovetail.models.protocol import Model
    from dovetail.tools.definition import Tool
    from dovetail.v1 import ToolModelCall

__all__ = ["Calls"]

_CANCEL_SECONDS: Final = 1.0
_PROGRESS_SECONDS: Final = 0.1
_LONGEST_PROGRESS: Final = 1_000
# A call that takes its executor with it must not take all of them.
_MOST_LOSSES: Final = 3


class Calls:
    """The calls of one run, as their `CallOwner`.

    Args:
        outcomes: who is told of them; told of each task's outcome exactly once, unless the calls are cancelled.
        run_id: the run.
        max_parallel: how many may be out at the same time; None for no bound.
        gates: what tools' policies share over all runs.
        traceparent: the W3C trace context of whoever created the run.
    """

    __slots__ = (
        "_abandoned",
        "_closed",
        "_gates",
        "_out",
        "_outcomes",
        "_pausing",
        "_places",
        "_run_id",
        "_sequence",
        "_task_timers",
        "_traceparent",
        "_waiting",
    )

    def __init__(
        self, outcomes: CallOutcomes, run_id: str, max_parallel: int | None, gates: Gates, traceparent: str = ""
    ) -> None:
        self._outcomes = outcomes
        self._run_id = run_id
        self._places = max_parallel if max_parallel is not None else float("inf")
        self._gates = gates
        self._traceparent = traceparent
        self._out: dict[int, Call] = {}
        self._closed = False
        # Made when first needed: most runs need none of them, and there may be ten thousand runs.
        self._waiting: deque[Call] | None = None
        self._pausing: dict[int, asyncio.TimerHandle] | None = None
        self._sequence: Sequence | None = None
        self._task_timers: dict[int, asyncio.TimerHandle] | None = None
        self._abandoned: set[asyncio.Task[None]] | None = None

    def expect(self, task_id: int) -> None:
        """A task of a sequential tool was planned: those behind it wait for it."""
        if self._sequence is None:
            self._sequence = Sequence()
        self._sequence.expect(task_id)

    def skip(self, task_id: int) -> None:
        """A task will not be called."""
        if self._sequence is not None and (behind := self._sequence.settled(task_id)):
            self._admit(behind)

    def start(self, task_id: int, tool: Tool, arguments_json: str) -> None:
        """Call a tool for a task: now, or once there is a place."""
        call = Call(self, tool, self._run_id, task_id, arguments_json, traceparent=self._traceparent)
        if tool.policy.task_timeout is not None:
            if self._task_timers is None:
                self._task_timers = {}
            loop = asyncio.get_running_loop()
            self._task_timers[task_id] = loop.call_later(tool.policy.task_timeout, self._task_time_out, task_id, tool)
        if not tool.sequential:
            self._admit(call)
        elif self._sequence is not None and (first := self._sequence.ready(call)):
            self._admit(first)

    async def cancel(self) -> None:
        """Cancel what is out and forget what waits. Tools that do not let themselves be cancelled are left behind."""
        self._waiting = self._sequence = None
        for timer in (*(self._pausing or {}).values(), *(self._task_timers or {}).values()):
            timer.cancel()
        self._pausing = self._task_timers = None
        out = list(self._out.values())
        self._out.clear()
        tasks = set(self._abandoned or ())
        for call in out:
            task = self._withdraw(call)
            if task is not None:
                tasks.add(task)
        if tasks:
            await asyncio.wait(tasks, timeout=_CANCEL_SECONDS)
        self._closed = True

    def _admit(self, call: Call) -> None:
        if len(self._out) < self._places:
            self._begin(call)
        elif self._waiting is None:
            self._waiting = deque((call,))
        else:
            self._waiting.append(call)

    def _begin(self, call: Call) -> None:
        self._out[call.task_id] = call
        if call.tool.policy is PLAIN:
            backend_of(call.tool).begin(call)
        else:
            self._gates.admit(call)

    # What backends say of calls --------------------------------------------------------------------------------

    def waiting(self, call: Call, ahead: int) -> None:
        """There is no place for the call yet."""
        self._outcomes.call_waiting(call, ahead)

    def started(self, call: Call, executor_id: str) -> None:
        """The tool is about to be entered: the call's time begins."""
        tool = call.tool
        if tool.timeout is not None:
            # A timer and not `asyncio.timeout`: a tool that swallows its cancellation must not hold up the run.
            call.timer = asyncio.get_running_loop().call_later(tool.timeout, self._time_out, call)
        if tool.policy.idle_timeout is not None:
            call.heard = time.monotonic()
            self._watch(call, tool.policy.idle_timeout)
        self._outcomes.call_started(call, executor_id)

    def progressed(self, call: Call, fraction: float | None, message: str) -> None:
        """The call is so far; what comes too fast is not recorded."""
        now = call.heard = time.monotonic()
        if now - call.told < _PROGRESS_SECONDS:
            return
        call.told = now
        if fraction is not None:
            fraction = None if math.isnan(fraction) else min(1.0, max(0.0, fraction))
        self._outcomes.call_progressed(call, fraction, bounded(message, _LONGEST_PROGRESS))

    def model_called(self, call: Call, made: ToolModelCall) -> None:
        """The tool made a model call by itself: counted, also if the call is over, until the run is."""
        if not self._closed and call.model_calls < MOST_MODEL_CALLS:
            call.model_calls += 1
            self._outcomes.model_called(call, made)

    def model_for(self, call: Call, model: Model | None) -> Model:
        """A model that the tool may ask, counted."""
        return self._outcomes.model_for(call, model)

    async def wanted(self, call: Call) -> Mapping[str, Any] | None:
        """The JSON schema that later tasks demand of the output."""
        call.is_for_a_place = True
        return await self._outcomes.wanted(call)

    def succeeded(self, call: Call, output_json: str, *, cached: bool) -> None:
        """The call gave an output."""
        most = call.tool.max_output_bytes
        # A character is a byte at the least and four at the most.
        if len(output_json) * 4 > most and (size := len(output_json.encode())) > most:
            if call.tool.policy.large_output == "fail":
                message = f"tool {call.tool.name!r} returned {size:,} bytes of JSON; max_output_bytes is {most:,}"
                call.fail(FailureReason.FAILURE_REASON_OUTPUT_TOO_LARGE, message)
                return
            output_json = cut_output(output_json, most)
        if call.tool.policy is not PLAIN:
            self._gates.succeeded(call, output_json)
        self._settle(call)
        self._outcomes.call_succeeded(call.task_id, output_json, cached=cached)

    def failed(self, call: Call, failure: Failure, *, may_be_repeated: bool) -> None:
        """The call gave no output: another follows, if the policy says so and it is safe."""
        policy = call.tool.policy
        if policy is not PLAIN:
            self._gates.failed(call, failure.reason)
            tries = call.attempt - call.losses
            safe = call.tool.repeatable or may_be_repeated
            if tries <= policy.retries and failure.reason in PASSING and safe:
                self._pause(call, failure, policy.pause(tries))
                return
        self._settle(call)
        self._outcomes.call_failed(call.task_id, failure)

    def lost(self, call: Call, executor_id: str, message: str) -> None:
        """The executor of the call is lost: the call is made again if that is safe."""
        tool = call.tool
        is_poisonous = call.losses + 1 >= _MOST_LOSSES
        if is_poisonous:
            message += f"{'; ' if message else ''}it is executor {_MOST_LOSSES} that was lost to this task"
        self._outcomes.call_lost(call, executor_id, bounded(message))
        if not tool.repeatable:
            message = f"the executor {executor_id} was lost during the call, and {tool.name} must not be called twice"
            call.fail(FailureReason.FAILURE_REASON_OUTCOME_UNKNOWN, message)
        elif is_poisonous:
            message = f"{_MOST_LOSSES} executors were lost during calls of {tool.name}, {executor_id} the last"
            call.fail(FailureReason.FAILURE_REASON_EXECUTOR_LOST, message)
        else:
            if tool.policy is not PLAIN:
                self._gates.failed(call, FailureReason.FAILURE_REASON_EXECUTOR_LOST)
            self._end(call)
            self._begin(self._another(call, losses=call.losses + 1))

    # Time -----------------------------------------------------------------------------------------------------

    def _time_out(self, call: Call) -> None:
        self._cut_short(call, f"{call.tool.name} took longer than its timeout of {call.tool.timeout:g} s")

    def _cut_short(self, call: Call, message: str) -> None:
        if call.over:
            return
        call.ending = backend_of(call.tool).cancel(call)
        self._abandon(call.ending)
        call.fail(FailureReason.FAILURE_REASON_TIMEOUT, message)

    def _watch(self, call: Call, idle: float) -> None:
        """End a call that gives no sign of progress for so many seconds."""
        left = call.heard + idle - time.monotonic()
        if left <= 0:
            self._cut_short(call, f"{call.tool.name} gave no sign of progress for {idle:g} s")
        else:
            call.idle = asyncio.get_running_loop().call_later(left, self._watch, call, idle)

    def _task_time_out(self, task_id: int, tool: Tool) -> None:
        """A task took too long as a whole, wherever its call is by now."""
        call = self._out.get(task_id)
        if call is not None:
            self._abandon(self._withdraw(call))
        elif self._pausing and task_id in self._pausing:
            self._pausing.pop(task_id).cancel()
        for line in self._waiting or ():
            line.over |= line.task_id == task_id
        self._finish(task_id)
        message = f"{tool.name} took longer than its task_timeout of {tool.policy.task_timeout:g} s"
        self._outcomes.call_failed(task_id, Failure(reason=FailureReason.FAILURE_REASON_TIMEOUT, message=message))

    def _pause(self, call: Call, failure: Failure, pause: float) -> None:
        """Make another call after so many seconds."""
        self._end(call)
        if self._pausing is None:
            self._pausing = {}
        again = self._another(call, losses=call.losses)
        self._pausing[call.task_id] = asyncio.get_running_loop().call_later(pause, self._resume, again)
        self._outcomes.call_retried(call, failure, pause)
        self._fill()

    def _resume(self, call: Call) -> None:
        if self._pausing is not None:
            self._pausing.pop(call.task_id, None)
            self._admit(call)

    def _another(self, call: Call, *, losses: int) -> Call:
        return Call(
            self,
            call.tool,
            self._run_id,
            call.task_id,
            call.arguments_json,
            attempt=call.attempt + 1,
            losses=losses,
            traceparent=self._traceparent,
        )

    # Ends -----------------------------------------------------------------------------------------------------

    def _withdraw(self, call: Call) -> asyncio.Task[None] | None:
        """The outcome of a call is not wanted any more, wherever it is: at a gate or at its backend."""
        self._end(call)
        if call.tool.policy is PLAIN:
            return backend_of(call.tool).cancel(call)
        if self._gates.let_through(call):
            call.ending = backend_of(call.tool).cancel(call)
        self._gates.withdraw(call)
        return call.ending

    def _abandon(self, task: asyncio.Task[None] | None) -> None:
        """Leave a tool to itself that was cancelled, until the run ends."""
        if task is not None:
            if self._abandoned is None:
                self._abandoned = set()
            self._abandoned.add(task)
            task.add_done_callback(self._abandoned.discard)

    def _end(self, call: Call) -> None:
        call.over = True
        if call.timer is not None:
            call.timer.cancel()
            call.timer = None
        if call.idle is not None:
            call.idle.cancel()
            call.idle = None
        self._out.pop(call.task_id, None)

    def _settle(self, call: Call) -> None:
        """A task has its outcome: its place goes to the next."""
        self._end(call)
        self._finish(call.task_id)

    def _finish(self, task_id: int) -> None:
        if self._task_timers and (timer := self._task_timers.pop(task_id, None)):
            timer.cancel()
        if self._sequence is not None:
            self.skip(task_id)
        if self._waiting:
            self._fill()

    def _fill(self) -> None:
        while self._waiting and len(self._out) < self._places:
            call = self._waiting.popleft()
            if not call.over:
                self._begin(call)
