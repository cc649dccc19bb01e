"""Calls that a plan repeats: what an earlier plan has called already with the same arguments is not called again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dovetail.call import call_key
from dovetail.policy import PASSING
from dovetail.v1 import Failure, FailureReason

if TYPE_CHECKING:
    from dovetail import _core
    from dovetail.progress import Progress, TaskRecord
    from dovetail.tool_set import ToolSet

__all__ = ["Reuse"]

# No tool was entered: whether one may be now is for the gates to say.
_NEVER_MADE: Final = frozenset(
    {
        FailureReason.FAILURE_REASON_TOOL_UNAVAILABLE,
        FailureReason.FAILURE_REASON_CIRCUIT_OPEN,
        FailureReason.FAILURE_REASON_OVERLOADED,
    }
)


class Reuse:
    """Knows which tasks of one run repeat a call of a read-only tool.

    Args:
        tools: the tools of the run.
        progress: its tasks.
    """

    __slots__ = ("_calls", "_progress", "_tools", "_waiting")

    def __init__(self, tools: ToolSet, progress: Progress) -> None:
        self._tools = tools
        self._progress = progress
        # The task of each call; made with the second plan, since most runs have one.
        self._calls: dict[tuple[str, str], TaskRecord] | None = None
        self._waiting: dict[int, list[int]] = {}

    def earlier(self, step: _core.Ready) -> TaskRecord | None:
        """The task of another plan whose call this one repeats, if it need not be made again. Asked once for each task.

        It need not be if it has its output or is on its way; nor if it failed, unless it was never made, or the tool's
        policy lets another try follow a failure of that kind.
        """
        tool = self._tools[step.tool]
        own = self._progress.task(step.task_id)
        if own is None or not tool.read_only:
            return None
        call = call_key(step.tool, step.arguments)
        made = self._made_before(own)
        task = made.setdefault(call, own)
        if task.plan == own.plan:
            return None
        if task.reason in _NEVER_MADE or (tool.policy.retries and task.reason in PASSING):
            made[call] = own
            return None
        return task

    def failure(self, earlier: TaskRecord) -> Failure:
        """Why a task fails that repeats a call that failed."""
        message = f"task {earlier.task_id} made the same call, and it is not made again: {earlier.failure}"
        return Failure(reason=earlier.reason, message=message)

    def wait(self, task_id: int, earlier: int) -> None:
        """A task repeats a call that is on its way: it gets what that gets."""
        self._waiting.setdefault(earlier, []).append(task_id)

    def settled(self, earlier: int) -> list[int]:
        """A task is settled: those that wait for what it got."""
        return self._waiting.pop(earlier, [])

    def _made_before(self, own: TaskRecord) -> dict[tuple[str, str], TaskRecord]:
        if self._calls is None:
            self._calls = {
                call_key(task.tool, task.arguments_json): task
                for task in self._progress.tasks
                if task.ready and task is not own and self._tools[task.tool].read_only
            }
        return self._calls
