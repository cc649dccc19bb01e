"""Calls that an executor carries out: each a task of the event loop, within its time, its outcome in the outbox."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from dovetail.executor.state import logger
from dovetail.failure_text import bounded
from dovetail.tools.call_context import CallContext
from dovetail.tools.call_failure import failure_to_wire
from dovetail.tools.tool_model_calls import MOST_MODEL_CALLS
from dovetail.v1 import CallFailure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dovetail.executor.outbox import Outbox
    from dovetail.tools.definition import Tool
    from dovetail.tools.tool_set import ToolSet
    from dovetail.v1 import ExecutorCall, ToolModelCall

__all__ = ["Calls"]

_CANCEL_SECONDS: Final = 1.0


class _Call:
    """A call that is being carried out."""

    __slots__ = ("call_id", "fencing_number", "model_calls", "over", "task", "timer", "tool")

    def __init__(self, call_id: str, fencing_number: int, tool: Tool) -> None:
        self.call_id = call_id
        self.fencing_number = fencing_number
        self.tool = tool
        self.model_calls: list[ToolModelCall] = []
        self.over = False
        self.task: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None


class Calls:
    """The calls of one executor, over all its streams.

    Args:
        tools: what can be called.
        max_parallel: how many calls of a session are carried out at the same time.
        outbox: where their outcomes go.

    Attributes:
        settled: set while no call is out and no result is kept.
    """

    def __init__(self, tools: ToolSet, max_parallel: int, outbox: Outbox) -> None:
        self.settled = asyncio.Event()
        self.settled.set()
        self._tools = tools
        self._max_parallel = max_parallel
        self._outbox = outbox
        self._loop = asyncio.get_running_loop()
        self._session = 0
        self._taken = 0
        self._out: dict[str, _Call] = {}
        # Tasks that were told to end and have not yet: a tool may swallow its cancellation.
        self._abandoned: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._out)

    def known(self) -> Iterator[str]:
        """The calls that are out, and those whose results are kept."""
        yield from self._out
        yield from self._outbox

    def enter_session(self, fencing_number: int, *, resumed: bool) -> None:
        """Go on in this session.

        In a new one, calls of an older one that can be repeated are stopped: the server makes them again. The others go
        on, since the server may still wait for what they did; they take no places of the new session.
        """
        if not resumed:
            for call in list(self._out.values()):
                if call.tool.read_only or call.tool.idempotent:
                    self._stop(call)
        self._session = fencing_number
        self._taken = sum(call.fencing_number == fencing_number for call in self._out.values())
        self._note_settled()
        self._outbox.send_again()

    def begin(self, given: ExecutorCall) -> None:
        """Carry out a call, unless it is known already."""
        call_id = given.call_id
        if call_id in self._out or call_id in self._outbox:
            return
        self.settled.clear()
        tool = self._tools.get(given.tool)
        if tool is None:
            message = f"the executor serves no tool {given.tool!r}; it serves {', '.join(self._tools.names)}"
            self._refuse(given, bounded(message))
            return
        if self._taken >= self._max_parallel:
            limit = f"{self._max_parallel:,} calls at the same time"
            self._refuse(given, f"the executor carries out {limit} at most, and has as many")
            return
        call = _Call(call_id, given.fencing_number, tool)
        self._out[call_id] = call
        if call.fencing_number == self._session:
            self._taken += 1
        timeout: float | None = None
        if given.HasField("timeout"):
            timeout = max(0.0, given.timeout.seconds + given.timeout.nanos / 1e9)
            call.timer = self._loop.call_later(timeout, self._time_out, call, timeout)
        context = None if tool.context_parameter is None else self._context(call, given, timeout)
        call.task = self._loop.create_task(self._carry_out(call, given.arguments_json, context))

    def cancel(self, call_id: str) -> None:
        """Stop a call whose result nobody wants."""
        if (call := self._out.get(call_id)) is not None:
            self._stop(call)
        self.forget(call_id)

    def forget(self, call_id: str) -> None:
        """Let go of a result that the server has, or does not want."""
        self._outbox.forget(call_id)
        self._note_settled()

    def interrupt(self) -> None:
        """Stop what is out because the executor ends.

        Calls that can be repeated are left without an outcome: at the goodbye the server makes them again elsewhere.
        """
        for call in list(self._out.values()):
            tool = call.tool
            self._stop(call)
            if not (tool.read_only or tool.idempotent):
                message = f"{tool.name} was cancelled: its executor was shut down while it was running"
                failure = CallFailure(kind=CallFailure.KIND_CANCELLED, message=message)
                self._outbox.add(call.call_id, call.fencing_number, failure, call.model_calls)
        self._note_settled()

    async def stop(self) -> None:
        """Stop everything. Tools that do not let themselves be cancelled are left behind."""
        for call in list(self._out.values()):
            self._stop(call)
        if self._abandoned:
            await asyncio.wait(self._abandoned, timeout=_CANCEL_SECONDS)

    async def _carry_out(self, call: _Call, arguments_json: str, context: CallContext | None) -> None:
        outcome: str | CallFailure
        try:
            outcome = await call.tool.call(arguments_json, context)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # whatever a tool raises is data, and so is its own CancelledError
            if call.over:
                raise
            logger.debug("call %s: %s raised", call.call_id, call.tool.name, exc_info=True)
            outcome = failure_to_wire(error)
        if not call.over:
            self._leave(call)
            self._outbox.add(call.call_id, call.fencing_number, outcome, call.model_calls)

    def _time_out(self, call: _Call, timeout: float) -> None:
        # Settled here and not by the task's end: a tool that swallows its cancellation must not hold up the run.
        if call.over:
            return
        self._stop(call)
        message = f"{call.tool.name} took longer than its timeout of {timeout:g} s"
        failure = CallFailure(kind=CallFailure.KIND_TIMEOUT, message=message)
        self._outbox.add(call.call_id, call.fencing_number, failure, call.model_calls)

    def _refuse(self, given: ExecutorCall, message: str) -> None:
        failure = CallFailure(kind=CallFailure.KIND_ERROR, message=message)
        self._outbox.add(given.call_id, given.fencing_number, failure)

    def _stop(self, call: _Call) -> None:
        self._leave(call)
        self._outbox.reports.drop(call.call_id)
        task = call.task
        if task is not None and not task.done():
            task.cancel()
            self._abandoned.add(task)
            task.add_done_callback(self._let_go)

    def _leave(self, call: _Call) -> None:
        call.over = True
        if call.timer is not None:
            call.timer.cancel()
        del self._out[call.call_id]
        if call.fencing_number == self._session:
            self._taken -= 1

    def _let_go(self, task: asyncio.Task[None]) -> None:
        self._abandoned.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, or the loop would complain that nobody did

    def _note_settled(self) -> None:
        if not self._out and not self._outbox:
            self.settled.set()

    def _context(self, call: _Call, given: ExecutorCall, timeout: float | None) -> CallContext:
        def report(fraction: float | None, message: str) -> None:
            # A thread that was abandoned goes on reporting.
            if not call.over:
                self._outbox.reports.add(call.call_id, fraction, message)

        def count(made: ToolModelCall) -> None:
            if not call.over and len(call.model_calls) < MOST_MODEL_CALLS:
                call.model_calls.append(made)

        deadline = None if timeout is None else time.monotonic() + timeout
        return CallContext(given.run_id, given.task_id, given.call_id, deadline, report, count)
