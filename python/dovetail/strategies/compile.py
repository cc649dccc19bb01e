"""The strategy ``compile``: plan, run the plan while it is written, join, and if need be plan again (LLMCompiler)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dovetail.failure_text import bounded
from dovetail.runs.books import StoppedError
from dovetail.strategies.joining import Joining
from dovetail.strategies.planning import Planning, Want
from dovetail.strategies.repairs import Repairs
from dovetail.v1 import FailureReason, ReplanRequested

if TYPE_CHECKING:
    from dovetail.runs.plan_text import Plan
    from dovetail.strategies.strategy import Means

__all__ = ["Compile"]

_MOST_REASON = 1_000


class Compile:
    """Finds an answer by plans.

    Args:
        means: what the run has.
    """

    def __init__(self, means: Means) -> None:
        self._means = means
        self._planning = Planning(means)
        self._repairs = Repairs(means.execution)
        self._joining = Joining(means)
        # The failed tasks that led to another plan, or that its planner was told of.
        self._told: set[int] = set()

    async def find_answer(self) -> None:
        """Plan, wait until all tasks are settled, join; and again, if something is missing.

        Raises:
            StoppedError: there is no answer.
        """
        execution, books = self._means.execution, self._means.books
        want: Want | None = None
        while True:
            plan = await self._planning.plan(want)
            # What is broken is written again at once: the rest of the plan runs meanwhile.
            want = self._repairs.wanted(plan)
            if want is None:
                await execution.settle()
                if plan.shortfall is None and self._joining.take_named():
                    return
                want = self._wanted(plan) or await self._joining.join(may_replan=self._may_replan(plan))
                if want is None:
                    return
            if not self._may_replan(plan):
                break
            self._told.update(task.task_id for task in execution.progress.tasks if task.failure is not None)
            books.record("replan_requested", plan=plan.number, reason=want.reason, cause=want.cause)
        await self._answer_from_what_is_known(plan, want)

    def _wanted(self, plan: Plan) -> Want | None:
        """Why another plan is wanted before anything is joined, now that all tasks are settled."""
        if plan.shortfall is not None:
            return Want(plan.shortfall, ReplanRequested.CAUSE_CUT_OFF)
        # Arguments are bound, and found not to fit, while the plan runs.
        return self._repairs.wanted(plan) or self._wanted_for_failures()

    def _wanted_for_failures(self) -> Want | None:
        if not self._means.options.replan_on_failure:
            return None
        failed = [
            f"task {task.task_id} ({task.tool}) failed: {task.failure}"
            for task in self._means.execution.progress.tasks
            if task.failure is not None and task.because is None and task.task_id not in self._told
        ]
        return Want(bounded("; ".join(failed), _MOST_REASON), ReplanRequested.CAUSE_FAILED_TASKS) if failed else None

    def _may_replan(self, plan: Plan) -> bool:
        most = self._means.books.limits.max_replans
        return not self._repairs.vain and (most is None or plan.number <= most)

    async def _answer_from_what_is_known(self, plan: Plan, want: Want) -> None:
        """No further plan may follow."""
        execution = self._means.execution
        await execution.settle()
        if not execution.progress.tasks:
            raise StoppedError(FailureReason.FAILURE_REASON_EMPTY_PLAN, want.reason)
        if await self._joining.join(must_answer=True) is not None:
            message = f"the joiner found no answer after {plan.number} plans: {want.reason}"
            raise StoppedError(FailureReason.FAILURE_REASON_LIMIT_EXCEEDED, message)
