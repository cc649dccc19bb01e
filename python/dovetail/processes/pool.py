"""The processes of tools: a bounded number of children over all event loops, each with one call at a time.

A thread serves each child: starting one, writing to one and waiting for one hold up no loop, and a child belongs to no
loop that may end before it.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
import time
from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING, Final

from google.protobuf.message import DecodeError
from pydantic_core import from_json

from dovetail.errors import UsageError
from dovetail.failure_text import bounded
from dovetail.processes.errand import Errand, Order
from dovetail.processes.frames import CALL, FAILURE, MODEL_CALL, OUTPUT, PROGRESS, STARTED
from dovetail.processes.process import Process, ProcessEndedError
from dovetail.tools.call_failure import CallFailedError
from dovetail.v1 import FailureReason, ToolModelCall

if TYPE_CHECKING:
    from collections.abc import Callable

    from dovetail.processes.frames import Frame
    from dovetail.tools.call_context import CallContext
    from dovetail.tools.definition import Tool

__all__ = ["Processes", "shared_processes"]

_CRASHED: Final = FailureReason.FAILURE_REASON_TOOL_CRASHED
# What a process may say of a call.
_REASONS: Final = frozenset(
    {
        FailureReason.FAILURE_REASON_TOOL_ERROR,
        FailureReason.FAILURE_REASON_OUTPUT_INVALID,
        FailureReason.FAILURE_REASON_OUTPUT_TOO_LARGE,
    }
)

# A process that has had nothing to do for so long ends.
_IDLE_SECONDS: Final = 30.0
# What tools leave behind in a process ends with it.
_MOST_CALLS: Final = 1_000
# Starting a process, and importing a module in it, are no part of a call's time, and must end too.
_START_SECONDS: Final = 60.0
# How long somebody waits for a process that was killed; a dead one takes milliseconds to be gone.
_GONE_SECONDS: Final = 5.0


def _nobody(*_: object) -> None:
    """Nobody is told."""


class _Place:
    """A place for a process, and the thread that serves it."""

    __slots__ = ("gone", "is_busy")

    def __init__(self) -> None:
        self.is_busy = True
        self.gone: Future[None] = Future()


class Processes:
    """Calls functions in child processes, at most ``limit`` at once over all event loops; the others wait in order.

    Args:
        limit: how many processes there may be; if None, the variable ``DOVETAIL_PROCESSES`` says so, or else there are
            as many as this process has cores.

    Raises:
        ValueError: the limit is below 1.
    """

    def __init__(self, limit: int | None = None) -> None:
        if limit is not None and limit < 1:
            raise ValueError(f"the limit is {limit}; at least one process is needed")
        self._limit = limit
        self._numbers = itertools.count(1)
        self._forget()
        if hasattr(os, "register_at_fork"):
            # A forked child has none of these threads, and its parent's processes are not its own.
            os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[Errand] = deque()
        self._places: set[_Place] = set()
        self._leaving: set[_Place] = set()
        # How many places have no call, or were made for one that waits.
        self._free = 0
        self._holders = 0

    def hold(self) -> None:
        """Keep processes that have nothing to do, for a while, for the next call. May be called without a loop."""
        with self._changed:
            self._holders += 1

    async def release(self) -> None:
        """Need them no more: when nobody does, those that have nothing to do end, and are gone when this returns."""
        with self._changed:
            self._holders -= 1
            if self._holders:
                return
            self._changed.notify_all()
            going = [*self._leaving, *(place for place in self._places if not place.is_busy)]
        if going:
            await asyncio.wait([asyncio.wrap_future(place.gone) for place in going], timeout=_GONE_SECONDS)

    async def call(
        self,
        tool: Tool,
        arguments_json: str | bytes,
        context: CallContext,
        *,
        seconds: float | None = None,
        waiting: Callable[[int], None] = _nobody,
        started: Callable[[], None] = _nobody,
        progressed: Callable[[float | None, str], None] = _nobody,
        model_called: Callable[[ToolModelCall], None] = _nobody,
    ) -> str:
        """Call a tool's function in a process.

        Cancelling this kills the process, and waits until it is gone.

        Args:
            tool: the tool; its ``isolation`` is ``process``.
            arguments_json: a JSON object that satisfies the input schema.
            context: the call that this is.
            seconds: how long it may take, as the function is told; to keep to it is the caller's.
            waiting: told how many calls wait before this one, if no process is free.
            started: told when the function is about to be entered.
            progressed: told what the function reports.
            model_called: told of the model calls that the function makes.

        Returns:
            The output, as JSON text.

        Raises:
            CallFailedError: the function raised, its output is none, or its process died.
            UsageError: the function cannot be found by another process, or the variable of a secret is not set.
        """
        errand = Errand(Order.of(tool, arguments_json, context, seconds), started, progressed, model_called)
        ahead = self._submit(errand)
        if ahead is not None:
            waiting(ahead)
        try:
            await asyncio.wait({errand.over})
        except asyncio.CancelledError:
            self._abandon(errand)
            await asyncio.wait({errand.over}, timeout=_GONE_SECONDS)
            raise
        return errand.over.result()

    def _submit(self, errand: Errand) -> int | None:
        """Find a process for a call. Returns how many wait before it, if there is none."""
        most = self._most()
        with self._changed:
            self._waiting.append(errand)
            if len(self._waiting) > self._free and len(self._places) < most:
                self._open_place()
            self._changed.notify()
            ahead = len(self._waiting) - 1 - self._free
            return ahead if ahead >= 0 else None

    def _most(self) -> int:
        if self._limit is None:
            self._limit = _default_limit()
        return self._limit

    def _open_place(self) -> None:
        """Begin with another process. The lock is held."""
        place = _Place()
        self._places.add(place)
        self._free += 1
        name = f"dovetail-process-{next(self._numbers)}"
        try:
            threading.Thread(target=self._serve, args=(place,), name=name, daemon=True).start()
        except RuntimeError as error:  # the system has no more threads to give
            self._places.discard(place)
            self._free -= 1
            if not self._places:
                errand = self._waiting.pop()
                failure = CallFailedError(_CRASHED, f"no thread for a process: {error}", may_be_repeated=True)
                errand.tell(errand.settle, failure)

    def _abandon(self, errand: Errand) -> None:
        with self._changed:
            errand.abandoned = True
            if errand.over.done():
                if not errand.over.cancelled():
                    errand.over.exception()  # looked at, or the loop would complain that nobody did
            elif errand in self._waiting:
                self._waiting.remove(errand)
                errand.over.set_result("")
            elif errand.process is not None:
                errand.process.kill()

    # The thread of a place ------------------------------------------------------------------------------------

    def _serve(self, place: _Place) -> None:
        process: Process | None = None
        try:
            while (errand := self._take(place)) is not None:
                process, outcome = self._carry_out(errand, process)
                with self._changed:
                    # Before it is told: a caller who comes back at once, or closes, finds things as they are.
                    errand.process = None
                    place.is_busy = False
                    self._free += 1
                errand.tell(errand.settle, outcome)
                del errand
        finally:
            if process is not None:
                process.end()
            with self._changed:
                self._leaving.discard(place)
            place.gone.set_result(None)

    def _take(self, place: _Place) -> Errand | None:
        """Wait for the next call; None if the place is needed no longer."""
        with self._changed:
            place.is_busy = False
            if not self._waiting and self._holders:
                self._changed.wait_for(lambda: self._waiting or not self._holders, _IDLE_SECONDS)
            self._free -= 1
            if self._waiting:
                place.is_busy = True
                return self._waiting.popleft()
            # Made free now: whoever comes while the process ends begins another.
            self._places.discard(place)
            self._leaving.add(place)
            return None

    def _carry_out(self, errand: Errand, process: Process | None) -> tuple[Process | None, str | CallFailedError]:
        """Carry out a call; returns the process that can take the next one, if any, and what came of the call."""
        order = errand.order
        entered = False
        try:
            if process is None:
                process = Process()
                if not self._enter(errand, process):
                    process.kill()
                process.begin(_START_SECONDS)
            elif not self._enter(errand, process):
                return process, ""
            process.send(CALL, order.frame, order.limit)
            frame = process.next(time.monotonic() + _START_SECONDS)
            while frame.kind in (STARTED, PROGRESS, MODEL_CALL):
                if frame.kind == STARTED:
                    entered = True
                    errand.tell(errand.started)
                elif frame.kind == MODEL_CALL:
                    errand.tell(errand.model_called, _model_call(frame))
                else:
                    errand.tell(errand.progressed, *_progress(frame))
                frame = process.next()
            outcome = _outcome(frame)
            process.pass_on_prints()
        except OSError as error:
            failure = CallFailedError(_CRASHED, f"no process for {order.tool}: {error}", may_be_repeated=True)
            return None, failure
        except ProcessEndedError as ended:
            what = "the process of" if entered else "the process that was to call"
            message = order.secrets.text(f"{what} {order.tool} {ended}")
            return None, CallFailedError(_CRASHED, message, may_be_repeated=not entered)
        except (ValueError, KeyError, TypeError) as error:  # a tool can write into the pipe, if it wants to
            if process is not None:
                process.kill()
                process.end()
            return None, CallFailedError(_CRASHED, f"the process of {order.tool} sent what cannot be read: {error}")
        if process.calls >= _MOST_CALLS:
            process.end()
            return None, outcome
        return process, outcome

    def _enter(self, errand: Errand, process: Process) -> bool:
        """From now on, whoever cancels the call kills this process; False if it was cancelled before."""
        with self._changed:
            errand.process = process
            return not errand.abandoned


def _progress(frame: Frame) -> tuple[float | None, str]:
    fraction, message = from_json(frame.payload)
    return None if fraction is None else float(fraction), str(message)


def _model_call(frame: Frame) -> ToolModelCall:
    try:
        return ToolModelCall.FromString(frame.payload)
    except DecodeError as error:
        raise ValueError(f"a model call that cannot be read: {error}") from error


def _outcome(frame: Frame) -> str | CallFailedError:
    if frame.kind == OUTPUT:
        return frame.payload.decode()
    if frame.kind != FAILURE:
        raise ValueError(f"a frame of the kind {frame.kind!r}")
    told = from_json(frame.payload)
    if told["reason"] not in _REASONS:
        raise ValueError(f"the reason {told['reason']!r}")
    return CallFailedError(told["reason"], bounded(str(told["message"])), may_be_repeated=bool(told["may_be_repeated"]))


def _default_limit() -> int:
    given = os.environ.get("DOVETAIL_PROCESSES", "")
    if not given:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        return cores or 1
    if not given.isdecimal() or int(given) < 1:
        raise UsageError(f"DOVETAIL_PROCESSES is {given!r}; it must be a whole number, at least 1")
    return int(given)


shared_processes = Processes()
"""The processes of this process's tools: what is bounded is the machine, not a tool or a run."""
