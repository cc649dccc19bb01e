"""Tools of the client itself: their calls come down the stream of a run, and their outcomes go up."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from dovetail.calls.progress_reports import ProgressReports
from dovetail.failure_text import bounded
from dovetail.tools.call_context import CallContext
from dovetail.tools.call_failure import failure_to_wire
from dovetail.tools.live_tools import held_by
from dovetail.tools.tool_model_calls import MOST_MODEL_CALLS
from dovetail.v1 import CallFailure, CallOutcome, ClientToolResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dovetail.tools.tool_set import ToolSet
    from dovetail.v1 import ClientToolCall, ToolModelCall

__all__ = ["ClientTools"]

_CANCEL_SECONDS: Final = 1.0


class ClientTools:
    """Carries out calls, each once, and keeps their results until the run has recorded what became of the task.

    Args:
        run_id: the run that the calls belong to.
        tools: what can be called.
        send: sends a result up the stream, if there is one.
        wake: called when there is progress to send.

    Attributes:
        reports: the progress of the calls.
    """

    def __init__(
        self, run_id: str, tools: ToolSet, send: Callable[[ClientToolResult], None], wake: Callable[[], object]
    ) -> None:
        self.reports = ProgressReports(wake)
        self._run_id = run_id
        self._tools = tools
        self._send = send
        self._loop = asyncio.get_running_loop()
        # Ids are never let go of: a call may come again with every stream.
        self._known: set[str] = set()
        self._out: dict[str, asyncio.Task[None]] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._results: dict[str, ClientToolResult] = {}
        self._of_task: dict[int, list[str]] = {}
        # What the tools of calls that are out have told of their model calls.
        self._model_calls: dict[str, list[ToolModelCall]] = {}
        # Tasks that were told to end and have not yet: a tool may swallow its cancellation.
        self._abandoned: set[asyncio.Task[None]] = set()
        self._held = held_by(tools)
        for one in self._held:
            one.hold()

    def __bool__(self) -> bool:
        return len(self._tools) > 0

    def results(self) -> Iterable[ClientToolResult]:
        """The results that the run may not have: a stream that broke may have lost them."""
        return list(self._results.values())

    def begin(self, call: ClientToolCall) -> None:
        """Carry out a call; if it came before, send its result again if there is one."""
        call_id = call.call_id
        if call_id in self._known:
            if (result := self._results.get(call_id)) is not None:
                self._send(result)
            return
        self._known.add(call_id)
        self._of_task.setdefault(call.task_id, []).append(call_id)
        tool = self._tools.get(call.tool)
        if tool is None:
            message = f"the client serves no tool {call.tool!r}; it serves {', '.join(self._tools.names) or 'none'}"
            self._finish(call_id, _failure(CallFailure.KIND_ERROR, bounded(message)))
            return
        deadline: float | None = None
        if call.HasField("timeout"):
            timeout = max(0.0, call.timeout.seconds + call.timeout.nanos / 1e9)
            deadline = time.monotonic() + timeout
            self._timers[call_id] = self._loop.call_later(timeout, self._time_out, call_id, call.tool, timeout)
        self._out[call_id] = self._loop.create_task(self._carry_out(call, deadline))

    def cancel(self, call_id: str) -> None:
        """Stop a call whose result nobody wants."""
        self._known.add(call_id)
        self._results.pop(call_id, None)
        self._stop(call_id)
        self._model_calls.pop(call_id, None)

    def settle(self, task_id: int) -> None:
        """The run knows what became of a task: results of its calls need not be kept."""
        for call_id in self._of_task.pop(task_id, ()):
            self.cancel(call_id)

    async def aclose(self) -> None:
        """Stop all calls. Tools that do not let themselves be cancelled are left behind."""
        for call_id in list(self._out):
            self._stop(call_id)
        if self._abandoned:
            await asyncio.wait(self._abandoned, timeout=_CANCEL_SECONDS)
        held, self._held = self._held, []
        for one in held:
            await one.release()

    async def _carry_out(self, call: ClientToolCall, deadline: float | None) -> None:
        call_id = call.call_id

        def report(fraction: float | None, message: str) -> None:
            # A thread that was abandoned goes on reporting.
            if call_id in self._out:
                self.reports.add(call_id, fraction, message)

        model_calls = self._model_calls.setdefault(call_id, [])

        def count(made: ToolModelCall) -> None:
            if call_id in self._out and len(model_calls) < MOST_MODEL_CALLS:
                model_calls.append(made)

        context = CallContext(self._run_id, call.task_id, call_id, deadline, report, count)
        try:
            output = await self._tools[call.tool].call(call.arguments_json, context)
            outcome = CallOutcome(output_json=output)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # whatever a tool raises is data, and so is its own CancelledError
            if call_id not in self._out:
                raise
            outcome = CallOutcome(failure=failure_to_wire(error))
        # One that was stopped may have swallowed its cancellation.
        if self._out.pop(call_id, None) is not None:
            self._finish(call_id, outcome)

    def _time_out(self, call_id: str, tool: str, timeout: float) -> None:
        # Settled here and not by the task's end: a tool that swallows its cancellation must not hold up the run.
        self._stop(call_id)
        message = f"{tool} took longer than its timeout of {timeout:g} s"
        self._finish(call_id, _failure(CallFailure.KIND_TIMEOUT, message))

    def _finish(self, call_id: str, outcome: CallOutcome) -> None:
        if (timer := self._timers.pop(call_id, None)) is not None:
            timer.cancel()
        outcome.model_calls.extend(self._model_calls.pop(call_id, ()))
        self._results[call_id] = result = ClientToolResult(call_id=call_id, outcome=outcome)
        self._send(result)

    def _stop(self, call_id: str) -> None:
        if (timer := self._timers.pop(call_id, None)) is not None:
            timer.cancel()
        self.reports.drop(call_id)
        self._abandon(self._out.pop(call_id, None))

    def _abandon(self, task: asyncio.Task[None] | None) -> None:
        if task is not None and not task.done():
            task.cancel()
            self._abandoned.add(task)
            task.add_done_callback(self._let_go)

    def _let_go(self, task: asyncio.Task[None]) -> None:
        self._abandoned.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, or the loop would complain that nobody did


def _failure(kind: CallFailure.Kind, message: str) -> CallOutcome:
    return CallOutcome(failure=CallFailure(kind=kind, message=message))
