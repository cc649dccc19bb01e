"""Tasks that wait for approval: by a person, or by whatever the embedding program asks."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from pydantic_core import from_json, to_json

from dovetail.calls.approval_rules import ApprovalRules
from dovetail.errors import UsageError
from dovetail.failure_text import failure_text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from dovetail._core import Ready
    from dovetail.tools.definition import Tool
    from dovetail.tools.tool_set import ToolSet

__all__ = ["ApprovalRequest", "Approvals", "Approve", "Reject"]

logger = logging.getLogger(__name__)

_NO_RULES = ApprovalRules()


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """A call that needs approval.

    Attributes:
        task_id: the task.
        tool: what would be called.
        arguments_json: the bound arguments, a JSON object.
        reason: why it needs one: that its tool says so, or the rule that demands it.
    """

    task_id: int
    tool: Tool
    arguments_json: str
    reason: str = ""

    @property
    def arguments(self) -> dict[str, Any]:
        """The bound arguments."""
        arguments: dict[str, Any] = from_json(self.arguments_json)
        return arguments


@dataclass(frozen=True, slots=True)
class Approve:
    """A call may be made.

    Attributes:
        arguments: the arguments to make it with, if they are to be others than those that were bound; as JSON if they
            are text.
        reason: why, for the journal.
    """

    arguments: Mapping[str, Any] | str | None = None
    reason: str = ""

    @property
    def arguments_json(self) -> str | None:
        """The changed arguments as JSON, if they are changed."""
        given = self.arguments
        return given if isinstance(given, str) or given is None else to_json(given).decode()


@dataclass(frozen=True, slots=True)
class Reject:
    """A call must not be made.

    Attributes:
        reason: why; the joiner is told.
    """

    reason: str = ""


Ask: TypeAlias = "Callable[[ApprovalRequest], Awaitable[Approve | Reject | None]]"


class ApprovalOutcomes(Protocol):
    """Whoever is told what becomes of the tasks that wait."""

    def resolve_approval(self, task_id: int, *, approve: bool, arguments_json: str | None, reason: str) -> None:
        """A task was approved or rejected."""

    def approval_timed_out(self, task_id: int, seconds: float) -> None:
        """Nobody decided about a task in time."""


class Approvals:
    """The tasks of a run that are ready and wait for a decision.

    Args:
        tools: the run's tools, against whose schemas changed arguments are checked.
        outcomes: who is told of decisions and of their absence.

    Attributes:
        rules: which calls need approval, besides those of tools that demand it.
        ask: what is asked about each task, besides the people who may decide; None for nothing.
    """

    __slots__ = ("_asking", "_closed", "_outcomes", "_timers", "_tools", "_waiting", "ask", "rules")

    def __init__(self, tools: ToolSet, outcomes: ApprovalOutcomes) -> None:
        self.rules = _NO_RULES
        self.ask: Ask | None = None
        self._closed = False
        self._tools = tools
        self._outcomes = outcomes
        self._waiting: dict[int, Ready] = {}
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._asking: dict[int, asyncio.Task[None]] = {}

    @property
    def task_ids(self) -> list[int]:
        """The tasks that wait, ascending."""
        return sorted(self._waiting)

    def reason(self, step: Ready) -> str | None:
        """Why a task needs approval; None if it needs none."""
        return self.rules.reason(self._tools[step.tool], step.arguments)

    def request(self, step: Ready, reason: str) -> None:
        """Let a task wait that needs approval for this reason, as long as its tool's policy says."""
        if self._closed:
            return
        self._waiting[step.task_id] = step
        tool = self._tools[step.tool]
        if (seconds := tool.policy.approval_timeout) is not None:
            loop = asyncio.get_running_loop()
            self._timers[step.task_id] = loop.call_later(seconds, self._time_out, step.task_id, seconds)
        if self.ask is not None:
            request = ApprovalRequest(step.task_id, tool, step.arguments, reason)
            self._asking[step.task_id] = asyncio.create_task(self._put(self.ask, request))

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
        self._forget(task_id)
        return step

    def close(self) -> list[asyncio.Task[None]]:
        """The run is being stopped: nothing waits any more, nobody is asked, and nothing times out.

        Returns:
            What is being stopped for it.
        """
        self._closed = True
        asking = list(self._asking.values())
        for task_id in list(self._waiting):
            self._forget(task_id)
        return asking

    def _forget(self, task_id: int) -> None:
        del self._waiting[task_id]
        if (timer := self._timers.pop(task_id, None)) is not None:
            timer.cancel()
        asking = self._asking.pop(task_id, None)
        if asking is not None and asking is not asyncio.current_task():
            asking.cancel()

    def _time_out(self, task_id: int, seconds: float) -> None:
        self._forget(task_id)
        self._outcomes.approval_timed_out(task_id, seconds)

    async def _put(self, ask: Ask, request: ApprovalRequest) -> None:
        """Put a request to the embedding program. What fails there is a rejection: silence must not let a call pass."""
        task_id = request.task_id
        try:
            match await ask(request):
                case Approve() as approval if task_id in self._waiting:
                    self._outcomes.resolve_approval(
                        task_id, approve=True, arguments_json=approval.arguments_json, reason=approval.reason
                    )
                case Reject() as rejection:
                    self._reject(task_id, rejection.reason)
                case Approve() | None:
                    pass  # somebody else decided, or is to decide
                case other:
                    raise TypeError(f"it returned {other!r}; Approve, Reject or None is needed")
        except asyncio.CancelledError:
            self._reject(task_id, "on_approval was cancelled")  # by itself, if the task still waits
            raise
        except UsageError as error:
            self._reject(task_id, f"on_approval: {error}")
        except Exception as error:  # whatever it raises
            logger.exception("on_approval failed at task %s", task_id)
            self._reject(task_id, f"on_approval failed: {failure_text(error)}")

    def _reject(self, task_id: int, reason: str) -> None:
        if task_id in self._waiting:  # somebody else may have decided in the meantime
            self._outcomes.resolve_approval(task_id, approve=False, arguments_json=None, reason=reason)
