"""Calls: ready tasks become calls of their tools, so many at a time, each within its time."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Protocol

from dovetail.tools import OutputError
from dovetail.v1 import Failure, FailureReason

if TYPE_CHECKING:
    from dovetail.tools import Tool

__all__ = ["CallOutcomes", "Calls"]

logger = logging.getLogger(__name__)

_LONGEST_MESSAGE = 2_000
_CANCEL_SECONDS = 1.0


class CallOutcomes(Protocol):
    """Whoever is told of calls."""

    def call_started(self, task_id: int, call_id: str) -> None:
        """The tool is about to be entered."""

    def call_succeeded(self, task_id: int, output_json: str) -> None:
        """The call gave an output."""

    def call_failed(self, task_id: int, failure: Failure) -> None:
        """The call gave no output."""


class Calls:
    """The calls of one run.

    Args:
        outcomes: who is told of them; told of each call's outcome exactly once, unless the calls are cancelled.
        max_parallel: how many may be out at the same time; None for no bound.
    """

    def __init__(self, outcomes: CallOutcomes, max_parallel: int | None) -> None:
        self._outcomes = outcomes
        self._places = max_parallel if max_parallel is not None else float("inf")
        self._waiting: deque[tuple[int, Tool, str]] = deque()
        # Calls of sequential tools: the one that is out, and those behind it.
        self._sequence: deque[tuple[int, Tool, str]] = deque()
        self._in_sequence: int | None = None
        self._out: dict[int, asyncio.Task[None]] = {}
        self._abandoned: set[asyncio.Task[None]] = set()

    def start(self, task_id: int, tool: Tool, arguments_json: str) -> None:
        """Call a tool for a task: now, or once there is a place."""
        if tool.sequential:
            if self._in_sequence is not None:
                self._sequence.append((task_id, tool, arguments_json))
                return
            self._in_sequence = task_id
        if len(self._out) >= self._places:
            self._waiting.append((task_id, tool, arguments_json))
        else:
            self._begin(task_id, tool, arguments_json)

    async def cancel(self) -> None:
        """Cancel what is out and forget what waits. Tools that do not let themselves be cancelled are left behind."""
        self._waiting.clear()
        self._sequence.clear()
        tasks = {*self._out.values(), *self._abandoned}
        self._out.clear()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_CANCEL_SECONDS)

    def _begin(self, task_id: int, tool: Tool, arguments_json: str) -> None:
        self._out[task_id] = asyncio.create_task(self._call(task_id, tool, arguments_json))

    async def _call(self, task_id: int, tool: Tool, arguments_json: str) -> None:
        # A timer and not `asyncio.timeout`: a tool that swallows its cancellation must not hold up the run.
        timer = None
        if tool.timeout is not None:
            timer = asyncio.get_running_loop().call_later(tool.timeout, self._time_out, task_id, tool)
        self._outcomes.call_started(task_id, f"{task_id}.1")
        outcome: str | Failure
        try:
            outcome = await tool.call(arguments_json)
        except asyncio.CancelledError as error:
            if task_id in self._out:
                asyncio.current_task().uncancel()  # type: ignore[union-attr]  # this is a task
            outcome = _failure(FailureReason.FAILURE_REASON_TOOL_ERROR, error)
        except OutputError as error:
            outcome = Failure(reason=error.reason, message=_message(error))
        except Exception as error:  # whatever a tool raises is data
            logger.debug("task %s: %s raised", task_id, tool.name, exc_info=True)
            outcome = _failure(FailureReason.FAILURE_REASON_TOOL_ERROR, error)
        finally:
            if timer is not None:
                timer.cancel()
        if self._out.pop(task_id, None) is not None:
            self._settle(task_id, outcome)

    def _time_out(self, task_id: int, tool: Tool) -> None:
        task = self._out.pop(task_id, None)
        if task is None:
            return
        task.cancel()
        self._abandoned.add(task)
        task.add_done_callback(self._abandoned.discard)
        message = f"{tool.name} took longer than its timeout of {tool.timeout:g} s"
        self._settle(task_id, Failure(reason=FailureReason.FAILURE_REASON_TIMEOUT, message=message))

    def _settle(self, task_id: int, outcome: str | Failure) -> None:
        if task_id == self._in_sequence:
            self._in_sequence = None
            if self._sequence:
                self.start(*self._sequence.popleft())
        if self._waiting and len(self._out) < self._places:
            self._begin(*self._waiting.popleft())
        if isinstance(outcome, str):
            self._outcomes.call_succeeded(task_id, outcome)
        else:
            self._outcomes.call_failed(task_id, outcome)


def _failure(reason: FailureReason, error: BaseException) -> Failure:
    message = _message(error)
    return Failure(reason=reason, message=f"{type(error).__name__}: {message}" if message else type(error).__name__)


def _message(error: BaseException) -> str:
    """What an error says, as text that an event can carry: bounded, and without halves of surrogate pairs."""
    try:
        message = str(error).encode(errors="replace").decode()
    except Exception:  # an error of a tool may fail to say what it is; it must not take the run with it
        return ""
    if len(message) > _LONGEST_MESSAGE:
        message = f"{message[:_LONGEST_MESSAGE]} … [{len(message) - _LONGEST_MESSAGE} characters left out]"
    return message
