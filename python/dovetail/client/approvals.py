"""Approvals: the program that streams a run is asked whether its tasks may be called."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic_core import to_json

from dovetail.errors import InvalidRequestError, NotPossibleError, ServerError
from dovetail.failure_text import failure_text
from dovetail.v1 import ApprovalDecision

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dovetail.v1 import Event

__all__ = ["Approval", "Approvals", "Decide"]


@dataclass(frozen=True, slots=True)
class Approval:
    """A task that waits for approval.

    Attributes:
        run_id: the run.
        task_id: the task.
        tool: the tool that it calls.
        arguments_json: the arguments that were bound, a JSON object.
        refusal: what was wrong with the decision before, if there was one: the task goes on waiting.
        reason: why it needs approval: that its tool says so, or the rule that demands it.
    """

    run_id: str
    task_id: int
    tool: str
    arguments_json: str
    refusal: str = ""
    reason: str = ""

    def approve(self, arguments: Mapping[str, Any] | str | None = None, reason: str = "") -> ApprovalDecision:
        """The decision to let the task be called.

        Args:
            arguments: the arguments to call it with, if they are to be others; as JSON if they are text.
            reason: why, for the journal.
        """
        decision = ApprovalDecision(task_id=self.task_id, approve=True, reason=reason)
        if arguments is not None:
            decision.arguments_json = arguments if isinstance(arguments, str) else to_json(arguments).decode()
        return decision

    def reject(self, reason: str = "") -> ApprovalDecision:
        """The decision to let the task fail; the joiner is told the reason."""
        return ApprovalDecision(task_id=self.task_id, approve=False, reason=reason)


Decide: TypeAlias = Callable[[Approval], Awaitable[ApprovalDecision]]
"""Decides about a task: returns what `Approval.approve` or `Approval.reject` made. May take its time."""


class Approvals:
    """The tasks of a run that wait, each asked about in a task of its own.

    Args:
        run_id: the run.
        decide: who is asked.
        resolve: takes a decision to the server; may repeat it.
        give_up: told why decisions cannot be taken to the server at all.
    """

    def __init__(
        self,
        run_id: str,
        decide: Decide,
        resolve: Callable[[ApprovalDecision], Awaitable[object]],
        give_up: Callable[[ServerError], None],
    ) -> None:
        self._run_id = run_id
        self._decide = decide
        self._resolve = resolve
        self._give_up = give_up
        self._tools: dict[int, str] = {}
        self._arguments: dict[int, str] = {}
        self._asking: dict[int, asyncio.Task[None]] = {}

    def heed(self, event: Event) -> None:
        """Take in an event of the run."""
        match event.WhichOneof("fact"):
            case "task_planned":
                self._tools[event.task_planned.task_id] = event.task_planned.tool
            case "task_ready":
                self._arguments[event.task_ready.task_id] = event.task_ready.arguments_json
            case "approval_requested":
                task_id = event.approval_requested.task_id
                asked = Approval(
                    self._run_id,
                    task_id,
                    self._tools.get(task_id, ""),
                    self._arguments.get(task_id, "{}"),
                    reason=event.approval_requested.reason,
                )
                self._asking[task_id] = asyncio.create_task(self._ask(asked))
            case "approval_resolved":
                self._withdraw(event.approval_resolved.task_id)
            case "task_failed":
                self._withdraw(event.task_failed.task_id)

    async def aclose(self) -> None:
        """Ask nobody any more."""
        asking = list(self._asking.values())
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)

    def _withdraw(self, task_id: int) -> None:
        """Somebody has decided, or there is nothing left to decide."""
        self._arguments.pop(task_id, None)
        if (task := self._asking.pop(task_id, None)) is not None:
            task.cancel()

    async def _ask(self, asked: Approval) -> None:
        while True:
            try:
                decision = await self._decide(asked)
                decision.task_id = asked.task_id
            except Exception as error:  # what nobody could decide must not be called, nor wait for ever
                decision = asked.reject(f"on_approval raised {failure_text(error)}")
            try:
                await self._resolve(decision)
            except InvalidRequestError as refused:
                asked = replace(asked, refusal=str(refused))
            except NotPossibleError:
                return  # decided by somebody else, or by an attempt of which no answer came back
            except ServerError as error:
                self._give_up(error)
                return
            else:
                return
