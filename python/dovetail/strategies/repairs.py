"""What of a plan has to be written again because it cannot be called."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from dovetail.failure_text import bounded
from dovetail.prompts.replan_prompt import BrokenTask
from dovetail.strategies.planning import Want
from dovetail.v1 import ReplanRequested

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dovetail import _core
    from dovetail.runs.execution import Execution
    from dovetail.runs.plan_text import Plan

__all__ = ["Repairs"]

_MOST_REASON: Final = 1_000

# Errors that another plan cannot mend, or that are another matter: a limit, an output, the end of the text.
_NO_MISTAKES: Final = frozenset(
    {
        "arguments_too_large",
        "cut_off",
        "draft_joined",
        "empty_plan",
        "output_invalid",
        "too_many_tasks",
        "unclosed_reasoning",
        "unexpected_fact",
    }
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
        # Of the plan that was repaired last: its number, and what was wrong with it.
        self._mistakes: tuple[int, frozenset[str]] = (0, frozenset())
        # The plans so far by their numbers, and how many errors of each have been dealt with.
        self._plans: dict[int, Plan] = {}
        self._dealt_with: dict[int, int] = {}
        self.vain = False

    def wanted(self, plan: Plan) -> Want | None:
        """The repair that a plan needs by what has been found since this was last asked; None if it needs none.

        A plan that names its answer, and whose answer is still to be had, needs none.
        """
        self._plans[plan.number] = plan
        errors = [error for known in self._plans.values() for error in self._new_errors(known) if _is_mistake(error)]
        if not errors or plan.shortfall is not None or self._answer_may_come(plan):
            return None
        mistakes = frozenset(_mistake(error) for error in errors)
        self.vain = self._mistakes == (plan.number - 1, mistakes)
        self._mistakes = (plan.number, mistakes)
        reason = "; ".join(f"{_place(error)}: {error.code}: {error.message}" for error in errors)
        return Want(
            bounded(f"the plan has calls that cannot be made: {reason}", _MOST_REASON),
            ReplanRequested.CAUSE_INVALID_TASKS,
            list(self._broken(plan, errors)),
        )

    def _new_errors(self, plan: Plan) -> Sequence[_core.Diagnostic]:
        """Those found since this was last asked: also of an earlier plan, whose tasks may have run on."""
        dealt_with = self._dealt_with.get(plan.number, 0)
        self._dealt_with[plan.number] = len(plan.errors)
        return plan.errors[dealt_with:]

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
            of_plan = plan if task is None else self._plans[task.plan]
            line = of_plan.excerpt(error.line, error.column)
            yield BrokenTask(line or _place(error), error.task_id, f"{error.code}: {error.message}")
        for task in progress.tasks:
            if task.because in roots:
                yield BrokenTask(self._plans[task.plan].excerpt(task.line, task.column), task.task_id)


def _is_mistake(error: _core.Diagnostic) -> bool:
    return error.code not in _NO_MISTAKES and (error.task_id is not None or error.code in _NO_TASKS)


def _mistake(error: _core.Diagnostic) -> str:
    """What is the same for the same mistake, whatever the id of its task."""
    return f"{error.code}: {re.sub('[0-9]+', '#', error.message)}"


def _place(error: _core.Diagnostic) -> str:
    if error.task_id is not None:
        return f"task {error.task_id}"
    return f"line {error.line}"
