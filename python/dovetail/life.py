"""The life of a run: plan, wait until all tasks are settled, join, and if the joiner asks for it plan again.

How a plan is run while it is written is in `dovetail.execution`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from dovetail import _core
from dovetail.books import Books, StoppedError
from dovetail.execution import Execution
from dovetail.joiner import ask_joiner
from dovetail.model_call import ModelCall
from dovetail.v1 import Failure, FailureReason, Purpose, RunState, Strategy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dovetail.gates import Gates
    from dovetail.journal import MemoryJournal
    from dovetail.limits import Limits
    from dovetail.models.protocol import Model
    from dovetail.planner import Planner
    from dovetail.tool_set import ToolSet

__all__ = ["Life"]

logger = logging.getLogger(__name__)


class Life:
    """The life of one run.

    Args:
        run_id: the run's name.
        question: what it is to answer.
        tools: the tools that its plans may call.
        planner: what writes its plans.
        joiner: the model that joins outputs into an answer.
        limits: its bounds.
        journal: where its events go.
        gates: what the policies of its tools share over all runs.
        metadata: what whoever asked attached to it.
        traceparent: the W3C trace context of whoever asked.

    Attributes:
        execution: its plans and their tasks.
    """

    def __init__(
        self,
        run_id: str,
        question: str,
        *,
        tools: ToolSet,
        planner: Planner,
        joiner: Model,
        limits: Limits,
        journal: MemoryJournal,
        gates: Gates,
        metadata: Mapping[str, str] | None = None,
        traceparent: str = "",
    ) -> None:
        self._run_id = run_id
        self._question = question
        self._tools = tools
        self._planner = planner
        self._joiner = joiner
        self._limits = limits
        self._journal = journal
        self._metadata = metadata
        self._books = Books(journal, limits)
        self.execution = Execution(run_id, question, tools, planner, self._books, gates, traceparent)
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> asyncio.Task[None]:
        """Begin to live: an asyncio task that never fails."""
        self._books.record(
            "run_started",
            run_id=self._run_id,
            question=self._question,
            strategy=Strategy.STRATEGY_COMPILE,
            model=self._planner.model.name,
            tools=self._tools.names,
            limits=self._limits.to_proto(),
            metadata=self._metadata or None,
        )
        self._task = asyncio.create_task(self._live(), name=self._run_id)
        return self._task

    def cancel(self, reason: str) -> None:
        """Cancel the model stream and the calls; the run ends with state CANCELLED, unless it has ended."""
        if self._task is not None and not self._task.done() and not self._journal.ended:
            self._books.record("cancel_requested", reason=reason)
            # Soon and not now: a task that has not begun would end without a word.
            asyncio.get_running_loop().call_soon(self._task.cancel, reason)

    async def over(self) -> None:
        """Wait for the end."""
        if self._task is not None:
            await asyncio.wait({self._task})

    async def _live(self) -> None:
        """From the question to the last event. Never raises but for its own cancellation."""
        try:
            async with asyncio.timeout(self._limits.deadline):
                await self._find_answer()
            state, failure = RunState.RUN_STATE_ANSWERED, None
        except StoppedError as stopped:
            state, failure = RunState.RUN_STATE_FAILED, stopped.failure
        except TimeoutError:
            message = f"the run did not end within its deadline of {self._limits.deadline:g} s"
            state = RunState.RUN_STATE_FAILED
            failure = Failure(reason=FailureReason.FAILURE_REASON_DEADLINE_EXCEEDED, message=message)
        except asyncio.CancelledError as error:
            state = RunState.RUN_STATE_CANCELLED
            failure = Failure(reason=FailureReason.FAILURE_REASON_CANCELLED, message=str(error) or "cancelled")
        except Exception as error:
            logger.exception("run %s met a defect", self._run_id)
            state = RunState.RUN_STATE_FAILED
            failure = Failure(reason=FailureReason.FAILURE_REASON_INTERNAL, message=f"{type(error).__name__}: {error}")
        await self._end(state, failure)

    async def _find_answer(self) -> None:
        reason: str | None = None
        while True:
            shortfall = await self.execution.make_plan(reason)
            if shortfall is None and (answer := self.execution.answer()) is not None:
                self._books.record("run_answered", answer=answer.text, answer_task=answer.task_id)
                return
            reason = shortfall or await self._join()
            if reason is None:
                return
            if self._limits.max_replans is not None and self.execution.plan > self._limits.max_replans:
                break
            self._books.record("replan_requested", plan=self.execution.plan, reason=reason)
        if not self.execution.progress.tasks:
            raise StoppedError(FailureReason.FAILURE_REASON_EMPTY_PLAN, reason)
        if await self._join(must_answer=True) is not None:
            message = f"the joiner found no answer after {self.execution.plan} plans: {reason}"
            raise StoppedError(FailureReason.FAILURE_REASON_LIMIT_EXCEEDED, message)

    async def _join(self, *, must_answer: bool = False) -> str | None:
        """Have the outputs joined into an answer.

        Returns:
            Why another plan is needed, if the joiner says so.
        """

        def hear(step: _core.ReplyStep) -> None:
            if isinstance(step, _core.AnswerPiece):
                self._books.record("answer_text", text=step.text)
            elif isinstance(step, _core.Verdict) and step.kind == "finish" and step.text:
                self._books.record("run_answered", answer=step.text, incomplete=must_answer)

        joiner = self._joiner
        if self._limits.max_tokens is not None:
            await self.execution.stop_reading()  # the planner's tokens are counted when it ends
        max_tokens = self._books.tokens_left()
        self._books.record("join_started", plan=self.execution.plan, model=joiner.name)
        call = ModelCall(joiner, Purpose.PURPOSE_JOIN, self.execution.plan)
        observations = self.execution.progress.observations()
        try:
            verdict = await ask_joiner(
                call, self._question, observations, must_answer=must_answer, max_tokens=max_tokens, on_step=hear
            )
        finally:
            self._books.model_call_ended(call)
        if verdict is None and call.failure is not None:
            raise StoppedError(call.failure.reason, call.failure.message)
        if verdict is None or (verdict.kind == "finish" and not verdict.text):
            raise StoppedError(FailureReason.FAILURE_REASON_EMPTY_PLAN, f"the joiner {joiner.name} wrote no answer")
        return None if verdict.kind == "finish" else verdict.text or "the joiner gave no reason"

    async def _end(self, state: RunState, failure: Failure | None) -> None:
        """Close what is open, and record the end: of what was on its way, and of the run."""
        with contextlib.suppress(asyncio.CancelledError):  # a second cancellation must not lose the last event
            await self.execution.stop(reading=state != RunState.RUN_STATE_ANSWERED)
        self._journal.append(
            *self.execution.progress.abandoned("the run ended before the task did"),
            ("run_ended", self._books.ended(state, failure)),
        )
