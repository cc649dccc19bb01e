"""Plans, asked of the planner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dovetail.grammar.digest import digests_of
from dovetail.prompts.replan_prompt import ReplanContext
from dovetail.runs.constrained import ConstrainedCall
from dovetail.v1 import Purpose

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from dovetail.models.protocol import GrammarDialect
    from dovetail.prompts.replan_prompt import BrokenTask
    from dovetail.runs.model_call import ModelCall
    from dovetail.runs.plan_text import Plan
    from dovetail.strategies.strategy import Means
    from dovetail.tools.tool_set import ToolSet
    from dovetail.v1 import ReplanRequested

__all__ = ["Planning", "Want"]


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
        planner, execution = means.planner, means.execution
        self._means = means
        self._want = want
        self._max_tokens = max_tokens
        self._shown: ToolSet = means.shown(None if want is None else want.reason)
        self._asked = ConstrainedCall(
            means.books,
            means.dialects,
            planner.model,
            Purpose.PURPOSE_PLAN,
            execution.plan.number + 1,
            written=planner.dialects(self._shown),
            # With earlier tasks to refer to, a grammar is larger.
            about=(digests_of(self._shown), execution.next_id > 1),
        )
        self.model = planner.model.name
        self.tools = means.names_of(self._shown)
        self.repair = bool(want and want.broken)

    @property
    def call(self) -> ModelCall:
        return self._asked.call

    @property
    def grammar(self) -> str:
        return self._asked.dialect or ""

    def pieces(self) -> AsyncGenerator[str, None]:
        return self._asked.pieces(self._ask)

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
