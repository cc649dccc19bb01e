"""The strategy ``plan-only``: one plan runs, and its outputs are the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic_core import to_json

from dovetail.answer_schema import AnswerError
from dovetail.runs.books import StoppedError
from dovetail.strategies.joining import Joining
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
            StoppedError: there is no plan, or what it gave does not fit the schema of the answer.
        """
        execution, books = self._means.execution, self._means.books
        plan = await Planning(self._means).plan()
        await execution.settle()
        if plan.shortfall is None and Joining(self._means).take_named():
            return
        if not plan.tasks and plan.shortfall is not None:
            raise StoppedError(FailureReason.FAILURE_REASON_EMPTY_PLAN, plan.shortfall)
        answer, schema = self._outcomes(), self._means.options.answer_schema
        if schema is not None:
            try:
                answer = schema.check(answer)
            except AnswerError as error:
                message = f"the outputs do not fit the schema of the answer: {error}"
                raise StoppedError(FailureReason.FAILURE_REASON_ANSWER_INVALID, message) from None
        books.record("run_answered", answer=answer, incomplete=plan.shortfall is not None)

    def _outcomes(self) -> str:
        tasks = sorted(self._means.execution.progress.tasks, key=lambda task: task.task_id)
        # Outputs are JSON already, and of any precision: they are put in as they are.
        outputs = ",".join(f'"{task.task_id}":{task.output_json}' for task in tasks if task.output_json is not None)
        failures = {str(task.task_id): task.failure for task in tasks if task.failure is not None}
        return f'{{"outputs":{{{outputs}}},"failures":{to_json(failures).decode()}}}'
