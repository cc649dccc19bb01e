"""The calls of sequential tools in a run: one after the other, in the order of the plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dovetail.tools.call import Call

__all__ = ["Sequence"]


class Sequence:
    """Lets one call go at a time. A task that comes later in the plan waits also if it is ready earlier.

    No task waits for ever: a task can only need what comes before it in the plan.
    """

    __slots__ = ("_begun", "_tasks")

    def __init__(self) -> None:
        # The tasks that are not settled, in the order of the plan, each with its call once it is ready.
        self._tasks: dict[int, Call | None] = {}
        self._begun: int | None = None

    def expect(self, task_id: int) -> None:
        """A task of a sequential tool was planned."""
        self._tasks[task_id] = None

    def ready(self, call: Call) -> Call | None:
        """A task is ready; returns the call to make now, if there is one."""
        self._tasks[call.task_id] = call
        return self._next()

    def settled(self, task_id: int) -> Call | None:
        """A task has its outcome, or never will be called; returns the call to make now, if there is one."""
        if task_id not in self._tasks:
            return None
        del self._tasks[task_id]
        if self._begun == task_id:
            self._begun = None
        return self._next()

    def _next(self) -> Call | None:
        first = next(iter(self._tasks), None)
        if first is None or self._begun is not None:
            return None
        call = self._tasks[first]
        if call is not None:
            self._begun = first
        return call
