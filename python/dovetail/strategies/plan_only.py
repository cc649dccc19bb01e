"""The strategy ``plan-only``: one plan runs, and its outputs are the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic_core import to_json

from dovetail.books import StoppedError
from dovetail.strategies.planning import Planning
from dovetail.v1 import FailureReason

if TYPE_CHECKING:
    from dovetail.strategies.strategy import Means

__all__ = ["PlanOnly"]


class PlanOnly:
    """Runs one plan, and answers with what its tasks gave; no model joins them.

    Args:
        means: what the run has.
    """

    def __init__(self, means: Means) -> None:
        self._means = means

    async def find_answer(self) -> None:
        """Answer with the output that the plan names (``join($n)``), else with all outputs.

        All outputs are one compact JSON object: ``{"outputs":{"1":…},"failures":{"2":"TIMEOUT: …"}}``, the tasks by
        their ids, ascending. A plan that was cut off is answered from what it had, marked as incomplete.

        Raises:
            StoppedError: there is no plan.
        """
        execution, books = self._means.execution, self._means.books
        plan = await Planning(self._means).plan()
        await execution.settle()
        if (answer := execution.answer()) is not None:
            books.record("run_answered", answer=answer.text, answer_task=answer.task_id)
        elif not plan.tasks and plan.shortfall is not None:
            raise StoppedError(FailureReason.FAILURE_REASON_EMPTY_PLAN, plan.shortfall)
        else:
            books.record("run_answered", answer=self._outcomes(), incomplete=plan.shortfall is not None)

    def _outcomes(self) -> str:
        tasks = sorted(self._means.execution.progress.tasks, key=lambda task: task.task_id)
        # Outputs are JSON already, and of any precision: they are put in as they are.
        outputs = ",".join(f'"{task.task_id}":{task.output_json}' for task in tasks if task.output_json is not None)
        failures = {str(task.task_id): task.failure for task in tasks if task.failure is not None}
        return f'{{"outputs":{{{outputs}}},"failures":{to_json(failures).decode()}}}'
