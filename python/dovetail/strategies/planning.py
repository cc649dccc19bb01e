"""Plans, asked of the planner."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dovetail.errors import UsageError
from dovetail.failure_text import bounded
from dovetail.replan_prompt import ReplanContext
from dovetail.v1 import FailureReason, Purpose, Severity

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from dovetail.models.protocol import GrammarDialect
    from dovetail.plan_text import Plan
    from dovetail.replan_prompt import BrokenTask
    from dovetail.strategies.strategy import Means
    from dovetail.tool_set import ToolSet
    from dovetail.v1 import ReplanRequested

__all__ = ["Planning", "Want"]

_GRAMMAR_REFUSED = FailureReason.FAILURE_REASON_MODEL_GRAMMAR_REFUSED


@dataclass(frozen=True, slots=True)
class Want:
    """Why another plan is wanted."""

    reason: str
    """What is missing, for people and for the planner."""
    cause: ReplanRequested.Cause
    """Who or what asks for it."""
    broken: Sequence[BrokenTask] = ()
    """The tasks to plan again, if that is all there is to do."""


class Planning:
    """Has plans written and run.

    Args:
        means: what the run has.
    """

    def __init__(self, means: Means) -> None:
        self._means = means

    async def plan(self, want: Want | None = None) -> Plan:
        """Have a plan written and run while it is written.

        Args:
            want: why another plan is wanted, if it is not the first.

        Returns:
            The plan, once it is closed; its tasks may still be on their way.

        Raises:
            StoppedError: the model failed before its first task, or no token is left.
        """
        means = self._means
        await means.execution.stop_reading()  # its tokens are counted when it ends
        return await means.execution.read(_AskedPlan(means, want, means.books.tokens_left()))


class _AskedPlan:
    """A plan that the planner is asked for, as a `PlanText`."""

    is_turn = False

    def __init__(self, means: Means, want: Want | None, max_tokens: int | None) -> None:
        planner = means.planner
        self._means = means
        self._want = want
        self._max_tokens = max_tokens
        self._shown: ToolSet = means.shown(None if want is None else want.reason)
        self._dialects = means.dialects.taken(planner.model, planner.dialects(self._shown))
        self._number = means.execution.plan.number + 1
        self.model = planner.model.name
        self.call = means.books.model_call(planner.model, Purpose.PURPOSE_PLAN, self._number)
        self.tools = means.names_of(self._shown)
        self.grammar = self._dialects[0] if self._dialects else ""
        self.repair = bool(want and want.broken)

    async def pieces(self) -> AsyncGenerator[str, None]:
        """The text; where the model's server refuses a grammar, in the next notation, and in the end without one."""
        while True:
            dialect = self._dialects.pop(0) if self._dialects else None
            try:
                asked = await self._ask(dialect)
            except UsageError as error:  # the tools fight the grammar
                if dialect is None:
                    raise
                self._say_refused(dialect, str(error))
                continue
            wrote = False
            async with aclosing(asked) as pieces:
                async for piece in pieces:
                    wrote = True
                    yield piece
            failure = self.call.failure
            if dialect is None or wrote or failure is None or failure.reason != _GRAMMAR_REFUSED:
                return
            planner, books = self._means.planner, self._means.books
            self._means.dialects.refuse(planner.model, dialect)
            books.model_call_ended(self.call)
            self._say_refused(dialect, failure.message)
            self.call = books.model_call(planner.model, Purpose.PURPOSE_PLAN, self._number)

    def _say_refused(self, dialect: GrammarDialect | None, why: str) -> None:
        following = f"with one in {self._dialects[0]}" if self._dialects else "without a grammar"
        self._means.books.record(
            "plan_diagnosed",
            plan=self._number,
            severity=Severity.SEVERITY_HINT,
            code="grammar_refused",
            message=bounded(f"{self.model} is asked {following}: the grammar in {dialect} was refused: {why}"),
        )

    async def _ask(self, dialect: GrammarDialect | None) -> AsyncGenerator[str, None]:
        means, want = self._means, self._want
        progress, first_id = means.execution.progress, means.execution.next_id
        replan = None
        if want is not None:
            replan = ReplanContext(progress.observations(), want.reason, first_id, want.broken)
        return await means.planner.ask(
            self.call,
            means.question,
            shown=self._shown,
            first_id=first_id,
            # What failed has nothing to refer to.
            earlier_ids=[task.task_id for task in progress.tasks if task.failure is None],
            dialect=dialect,
            replan=replan,
            notes=means.options.notes,
            max_tokens=self._max_tokens,
        )
