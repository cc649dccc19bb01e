"""Tasks that wait for a person's approval."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dovetail.errors import UsageError

if TYPE_CHECKING:
    from dovetail._core import Ready
    from dovetail.tool_set import ToolSet

__all__ = ["Approvals"]


class Approvals:
    """The tasks of a run that are ready and wait for a person.

    Args:
        tools: the run's tools, against whose schemas changed arguments are checked.
    """

    __slots__ = ("_tools", "_waiting")

    def __init__(self, tools: ToolSet) -> None:
        self._tools = tools
        self._waiting: dict[int, Ready] = {}

    @property
    def task_ids(self) -> list[int]:
        """The tasks that wait, ascending."""
        return sorted(self._waiting)

    def request(self, step: Ready) -> None:
        """Let a task wait."""
        self._waiting[step.task_id] = step

    def take(self, task_id: int, arguments_json: str | None) -> Ready:
        """Let a task wait no more.

        Args:
            task_id: the task.
            arguments_json: the arguments that it is to be called with, if they are changed.

        Returns:
            The task as it was ready.

        Raises:
            UsageError: the task does not wait, or the arguments do not fit its tool, and then it goes on waiting.
        """
        step = self._waiting.get(task_id)
        if step is None:
            raise UsageError(f"task {task_id} does not wait for approval")
        if arguments_json is not None:
            try:
                self._tools.core.check(step.tool, arguments_json)
            except ValueError as error:
                raise UsageError(f"the arguments do not fit {step.tool}: {error}") from error
        del self._waiting[task_id]
        return step
