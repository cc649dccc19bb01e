"""The strategy ``compile``: plan, run the plan while it is written, join, and if need be plan again (LLMCompiler)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dovetail import _core
from dovetail.books import StoppedError
from dovetail.joiner import ask_joiner
from dovetail.model_call import ModelCall
from dovetail.strategies.planning import Planning, Want
from dovetail.v1 import FailureReason, Purpose, ReplanRequested

if TYPE_CHECKING:
    from dovetail.strategies.strategy import Means

__all__ = ["Compile"]


class Compile:
    """Finds an answer by plans.

    Args:
        means: what the run has.
    """

    def __init__(self, means: Means) -> None:
        self._means = means
        self._planning = Planning(means)

    async def find_answer(self) -> None:
        """Plan, wait until all tasks are settled, join; and again, if the joiner asks for it.

        Raises:
            StoppedError: there is no answer.
        """
        execution, books = self._means.execution, self._means.books
        most = books.limits.max_replans
        want: Want | None = None
        while True:
            plan = await self._planning.plan(want)
            await execution.settle()
            if plan.shortfall is None and (answer := execution.answer()) is not None:
                books.record("run_answered", answer=answer.text, answer_task=answer.task_id)
                return
            reason = plan.shortfall or await self._join()
            if reason is None:
                return
            if most is not None and plan.number > most:
                break
            cause = ReplanRequested.CAUSE_CUT_OFF if plan.shortfall else ReplanRequested.CAUSE_JOINER
            want = Want(reason, cause)
            books.record("replan_requested", plan=plan.number, reason=reason, cause=cause)
        if not execution.progress.tasks:
            raise StoppedError(FailureReason.FAILURE_REASON_EMPTY_PLAN, reason)
        if await self._join(must_answer=True) is not None:
            message = f"the joiner found no answer after {plan.number} plans: {reason}"
            raise StoppedError(FailureReason.FAILURE_REASON_LIMIT_EXCEEDED, message)

    async def _join(self, *, must_answer: bool = False) -> str | None:
        """Have the outputs joined into an answer.

        Returns:
            Why another plan is needed, if the joiner says so.
        """
        means = self._means
        execution, books, joiner = means.execution, means.books, means.joiner

        def hear(step: _core.ReplyStep) -> None:
            if isinstance(step, _core.AnswerPiece):
                books.record("answer_text", text=step.text)
            elif isinstance(step, _core.Verdict) and step.kind == "finish" and step.text:
                books.record("run_answered", answer=step.text, incomplete=must_answer)

        if books.limits.max_tokens is not None:
            await execution.stop_reading()  # the planner's tokens are counted when it ends
        max_tokens = books.tokens_left()
        number = execution.plan.number
        books.record("join_started", plan=number, model=joiner.name)
        call = ModelCall(joiner, Purpose.PURPOSE_JOIN, number)
        observations = execution.progress.observations()
        try:
            verdict = await ask_joiner(
                call, means.question, observations, must_answer=must_answer, max_tokens=max_tokens, on_step=hear
            )
        finally:
            books.model_call_ended(call)
        if verdict is None and call.failure is not None:
            raise StoppedError(call.failure.reason, call.failure.message)
        if verdict is None or (verdict.kind == "finish" and not verdict.text):
            raise StoppedError(FailureReason.FAILURE_REASON_EMPTY_PLAN, f"the joiner {joiner.name} wrote no answer")
        return None if verdict.kind == "finish" else verdict.text or "the joiner gave no reason"
