"""Plans, asked of the planner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dovetail.model_call import ModelCall
from dovetail.plan_text import PlanText
from dovetail.v1 import Purpose

if TYPE_CHECKING:
    from dovetail.plan_text import Plan
    from dovetail.strategies.strategy import Means

__all__ = ["Planning"]


class Planning:
    """Has plans written and run.

    Args:
        means: what the run has.
    """

    def __init__(self, means: Means) -> None:
        self._means = means

    async def plan(self, reason: str | None = None) -> Plan:
        """Have a plan written and run while it is written; for this reason, if it is not the first.

        Returns:
            The plan, once it is closed; its tasks may still be on their way.

        Raises:
            StoppedError: the model failed before its first task, or no token is left.
        """
        means = self._means
        execution, planner = means.execution, means.planner
        await execution.stop_reading()  # its tokens are counted when it ends
        max_tokens = means.books.tokens_left()
        shown = planner.shown(means.question, reason)
        call = ModelCall(planner.model, Purpose.PURPOSE_PLAN, execution.plan.number + 1)
        pieces = planner.ask(
            call,
            means.question,
            execution.progress,
            shown=shown,
            first_id=execution.next_id,
            replan_because=reason,
            max_tokens=max_tokens,
        )
        tools = shown.names if len(shown) < len(means.tools) else None
        return await execution.read(PlanText(planner.model.name, pieces, call, tools=tools))
