"""What of a plan has to be written again because it cannot be called."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from dovetail.failure_text import bounded
from dovetail.replan_prompt import BrokenTask
from dovetail.strategies.planning import Want
from dovetail.v1 import ReplanRequested

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dovetail import _core
    from dovetail.execution import Execution
    from dovetail.plan_text import Plan

__all__ = ["Repairs"]

_MOST_REASON: Final = 1_000

# Errors that another plan cannot mend, or that are another matter: a limit, an output, the end of the text.
_NO_MISTAKES: Final = frozenset(
    {"arguments_too_large", "cut_off", "empty_plan", "output_invalid", "too_many_tasks", "unexpected_fact"}
)
# Calls that never became tasks.
_NO_TASKS: Final = frozenset({"bad_id", "duplicate_id"})


class Repairs:
    """Finds what is to be repaired, plan after plan of one run.

    Args:
        execution: its plans and tasks.

    Attributes:
        vain: whether the last repair made the same mistakes again, so that no further one is worth its tokens.
    """

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self._mistakes: frozenset[str] | None = None
        self._seen = (0, 0)
        self.vain = False

    def wanted(self, plan: Plan) -> Want | None:
        """The repair that a plan needs by what has been found since this was last asked; None if it needs none.

        A plan that names its answer, and whose answer is still to be had, needs none.
        """
        taken = self._seen[1] if self._seen[0] == plan.number else 0
        self._seen = (plan.number, len(plan.errors))
        errors = [error for error in plan.errors[taken:] if _is_mistake(error)]
        if not errors or plan.shortfall is not None or self._answer_may_come(plan):
            return None
        mistakes = frozenset(_mistake(error) for error in errors)
        self.vain = mistakes == self._mistakes
        self._mistakes = mistakes
        reason = "; ".join(f"{_place(error)}: {error.code}: {error.message}" for error in errors)
        return Want(
            bounded(f"the plan has calls that cannot be made: {reason}", _MOST_REASON),
            ReplanRequested.CAUSE_INVALID_TASKS,
            list(self._broken(plan, errors)),
        )

    def _answer_may_come(self, plan: Plan) -> bool:
        if plan.answer_task is None:
            return False
        task = self._execution.progress.task(plan.answer_task)
        return task is not None and task.failure is None

    def _broken(self, plan: Plan, errors: Iterable[_core.Diagnostic]) -> Iterable[BrokenTask]:
        """The calls of the errors, and those that were skipped because of them."""
        progress = self._execution.progress
        roots = set()
        for error in errors:
            task = None if error.task_id is None else progress.task(error.task_id)
            if task is not None:
                roots.add(task.task_id)
            line = plan.excerpt(error.line, error.column) if task is None or task.plan == plan.number else ""
            shown = line or (f"{task.task_id}. {task.tool}(…)" if task is not None else _place(error))
            yield BrokenTask(shown, error.task_id, f"{error.code}: {error.message}")
        for task in progress.tasks:
            if task.because in roots:
                line = plan.excerpt(task.line) if task.plan == plan.number else ""
                yield BrokenTask(line or f"{task.task_id}. {task.tool}(…)", task.task_id)


def _is_mistake(error: _core.Diagnostic) -> bool:
    return error.code not in _NO_MISTAKES and (error.task_id is not None or error.code in _NO_TASKS)


def _mistake(error: _core.Diagnostic) -> str:
    """What is the same for the same mistake, whatever the id of its task."""
    return f"{error.code}: {re.sub('[0-9]+', '#', error.message)}"


def _place(error: _core.Diagnostic) -> str:
    if error.task_id is not None:
        return f"task {error.task_id}"
    return f"line {error.line}"
