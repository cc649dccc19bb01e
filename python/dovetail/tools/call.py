"""A call: one attempt at a task, and the seam between those who want it made and those who make it."""

from __future__ import annotations

import asyncio
import functools
import json
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from dovetail.failure_text import failure_text, message_of
from dovetail.processes.backend import IN_PROCESSES
from dovetail.tools.call_context import CallContext
from dovetail.tools.call_failure import failure_of
from dovetail.v1 import Failure, FailureReason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dovetail.models.protocol import Model
    from dovetail.tools.definition import Tool
    from dovetail.v1 import ToolModelCall

__all__ = ["IN_PROCESS", "Backend", "Call", "CallOwner", "HeldBackend", "backend_of", "begin", "call_key"]


class CallOwner(Protocol):
    """Whoever wants calls made, and is told of them. Everything is told in the event loop of the run."""

    def waiting(self, call: Call, ahead: int) -> None:
        """There is no place for the call yet; ``ahead`` calls wait before it."""

    def started(self, call: Call, executor_id: str) -> None:
        """The tool is about to be entered: the call's time begins."""

    def progressed(self, call: Call, fraction: float | None, message: str) -> None:
        """The call is so far."""

    def model_called(self, call: Call, made: ToolModelCall) -> None:
        """The tool made a model call by itself; the call may be over."""

    def model_for(self, call: Call, model: Model | None) -> Model:
        """A model that the tool may ask, counted: the run's own if None is given."""

    async def wanted(self, call: Call) -> Mapping[str, Any] | None:
        """The JSON schema that later tasks demand of the output; None if they demand nothing."""

    def succeeded(self, call: Call, output_json: str, *, cached: bool) -> None:
        """The call gave an output; with ``cached`` another call of the same arguments did."""

    def failed(self, call: Call, failure: Failure, *, may_be_repeated: bool) -> None:
        """The call gave no output; with ``may_be_repeated`` it had no effect either, as whoever made it says."""

    def lost(self, call: Call, executor_id: str, message: str) -> None:
        """Whoever carried out the call is gone, and nobody knows how far it came; the message says how it went."""


class Backend(Protocol):
    """Whoever carries out calls of a tool: this process, or executors elsewhere.

    Exactly one of `Call.succeed`, `Call.fail` and `Call.lose` is called for each call, unless it was cancelled before;
    never from inside `begin`, so that a long queue of calls that cannot be made is no deep recursion.
    """

    def begin(self, call: Call) -> None:
        """Carry out a call: say `Call.start` when the tool is entered, and in the end what came of it."""

    def cancel(self, call: Call) -> asyncio.Task[None] | None:
        """Stop a call; what comes of it is not wanted any more.

        Returns:
            What still has to come to its end, if anything in this process does.
        """


@runtime_checkable
class HeldBackend(Protocol):
    """A backend that keeps something open while somebody holds it: a session, a process."""

    def hold(self) -> None:
        """Keep it open from now on."""

    async def release(self) -> None:
        """Need it no more."""


class Call:
    """One attempt at a task.

    Attributes:
        tool: the tool.
        run_id: the run that it belongs to.
        task_id: the task that it is an attempt at.
        attempt: which one: 1, 2, 3, …
        losses: how many attempts at the task before it were lost with their executors.
        arguments_json: the bound arguments, a JSON object.
        traceparent: the W3C trace context of whoever created the run; may be empty.
        over: whether its outcome is known, or not wanted any more.
        handle: the backend's own.
        model_calls: how many model calls of its tool have been counted.
        is_for_a_place: whether its tool was told what its output is demanded to be: then it is no use elsewhere.
        ending: what still has to come to its end of a call that was cancelled, if anything in this process does.
    """

    __slots__ = (
        "_owner",
        "arguments_json",
        "attempt",
        "ending",
        "handle",
        "heard",
        "idle",
        "is_for_a_place",
        "losses",
        "model_calls",
        "over",
        "run_id",
        "task_id",
        "timer",
        "told",
        "tool",
        "traceparent",
    )

    def __init__(
        self,
        owner: CallOwner,
        tool: Tool,
        run_id: str,
        task_id: int,
        arguments_json: str,
        *,
        attempt: int = 1,
        losses: int = 0,
        traceparent: str = "",
    ) -> None:
        self._owner = owner
        self.tool = tool
        self.run_id = run_id
        self.task_id = task_id
        self.attempt = attempt
        self.losses = losses
        self.arguments_json = arguments_json
        self.traceparent = traceparent
        self.over = False
        self.model_calls = 0
        self.is_for_a_place = False
        self.handle: Any = None
        self.ending: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.idle: asyncio.TimerHandle | None = None
        # When it last gave a sign of progress, and when that was last recorded.
        self.heard = 0.0
        self.told = 0.0

    @property
    def call_id(self) -> str:
        """Its name, unique in the run."""
        return f"{self.task_id}.{self.attempt}"

    def wait(self, ahead: int) -> None:
        """There is no place for it yet."""
        if not self.over:
            self._owner.waiting(self, ahead)

    def start(self, executor_id: str = "") -> None:
        """The tool is about to be entered; by an executor, if it is not this process."""
        if not self.over:
            self._owner.started(self, executor_id)

    def progress(self, fraction: float | None, message: str) -> None:
        """It is so far."""
        if not self.over:
            self._owner.progressed(self, fraction, message)

    def model_called(self, made: ToolModelCall) -> None:
        """Its tool made a model call by itself. Also of a call that is over: what was spent is spent."""
        self._owner.model_called(self, made)

    def succeed(self, output_json: str, cached: bool = False) -> None:
        """It gave an output, a JSON value; with ``cached`` another call of the same arguments did."""
        if not self.over:
            self._owner.succeeded(self, output_json, cached=cached)

    def fail(self, reason: FailureReason, message: str, *, may_be_repeated: bool = False) -> None:
        """It gave no output; with ``may_be_repeated`` it had no effect either."""
        if not self.over:
            self._owner.failed(self, Failure(reason=reason, message=message), may_be_repeated=may_be_repeated)

    def lose(self, executor_id: str, message: str = "") -> None:
        """Whoever carried it out is gone; the message says how, for people."""
        if not self.over:
            self._owner.lost(self, executor_id, message)

    def context(self) -> CallContext:
        """What the tool may know of it, if it is carried out in this process."""
        loop = asyncio.get_running_loop()
        own_thread = threading.get_ident()

        def report(fraction: float | None, message: str) -> None:
            loop.call_soon_threadsafe(self.progress, fraction, message)

        def count(made: ToolModelCall) -> None:
            # At once where that can be: the tool may return before the loop comes round, and its run end with that.
            if threading.get_ident() == own_thread:
                self.model_called(made)
            else:
                loop.call_soon_threadsafe(self.model_called, made)

        timeout = self.tool.timeout
        deadline = None if timeout is None else time.monotonic() + timeout
        models = functools.partial(self._owner.model_for, self)
        wanted = functools.partial(self._owner.wanted, self)
        name = f"{self.run_id}/{self.call_id}"
        return CallContext(self.run_id, self.task_id, name, deadline, report, count, models, wanted)


class _InProcess:
    """Carries out calls of functions of this process."""

    def begin(self, call: Call) -> None:
        call.handle = asyncio.create_task(self._carry_out(call))

    def cancel(self, call: Call) -> asyncio.Task[None] | None:
        handle: asyncio.Task[None] = call.handle
        handle.cancel()
        return handle

    async def _carry_out(self, call: Call) -> None:
        tool = call.tool
        call.start()
        context = call.context() if tool.context_parameter is not None else None
        try:
            output_json = await tool.call(call.arguments_json, context)
        except asyncio.CancelledError as error:
            if not call.over:  # nobody cancelled it: the tool raised this by itself
                asyncio.current_task().uncancel()  # type: ignore[union-attr]  # this is a task
            call.fail(FailureReason.FAILURE_REASON_TOOL_ERROR, failure_text(error))
        except Exception as error:  # whatever a tool raises is data
            failure = failure_of(error)
            call.fail(failure.reason, message_of(failure), may_be_repeated=failure.may_be_repeated)
        else:
            call.succeed(output_json)


IN_PROCESS = _InProcess()
"""Carries out calls of functions of this process: on the event loop or in a thread."""


def call_key(tool: str, arguments_json: str) -> tuple[str, str]:
    """What calls have in common that ask for the same: the tool, and its arguments in any order.

    Args:
        tool: the tool's name.
        arguments_json: the bound arguments, a JSON object.
    """
    try:
        return tool, json.dumps(json.loads(arguments_json), sort_keys=True)
    except ValueError:  # a number of more digits than Python reads
        return tool, arguments_json


def backend_of(tool: Tool) -> Backend:
    """Who carries out calls of a tool."""
    if tool.backend is not None:
        return tool.backend
    return IN_PROCESSES if tool.isolation == "process" else IN_PROCESS


def begin(call: Call) -> None:
    """Have a call carried out."""
    backend_of(call.tool).begin(call)
