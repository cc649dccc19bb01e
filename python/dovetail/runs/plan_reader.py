"""The first loop of a run: the text of its plans to the plan machine."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Protocol

from dovetail import _core
from dovetail.runs.books import StoppedError
from dovetail.runs.joiner import LAST_WORDS_SECONDS
from dovetail.runs.plan_text import Plan

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dovetail.runs.books import Books
    from dovetail.runs.plan_text import PlanText

__all__ = ["PlanReader", "StepFollower"]


class StepFollower(Protocol):
    """Whoever does what the plan machine says."""

    def follow(self, steps: Iterable[_core.Step], text: list[str]) -> None:
        """Steps of the plan that is read; the text was not recorded before, and is taken."""

    def meet(self, defect: BaseException) -> None:
        """Reading ended with a defect of ours: nothing would settle the tasks that it left behind."""


class PlanReader:
    """Reads the plans of one run, one after the other.

    Args:
        machine: the run's plan machine.
        books: where its facts go.
        follower: who does what the machine says.

    Attributes:
        plan: the latest plan.
    """

    __slots__ = ("_books", "_follower", "_machine", "_task", "plan")

    def __init__(self, machine: _core.Machine, books: Books, follower: StepFollower) -> None:
        self.plan = Plan(0)
        self._machine = machine
        self._books = books
        self._follower = follower
        self._task: asyncio.Task[None] | None = None

    async def read(self, text: PlanText) -> Plan:
        """Read another plan; returns it once it is closed.

        Raises:
            StoppedError: its model failed before its first task.
        """
        await self.stop()
        plan = self.plan = Plan(self.plan.number + 1, is_turn=text.is_turn)
        self._books.record(
            "plan_started",
            plan=plan.number,
            model=text.model,
            first_task_id=self._machine.next_id,
            tools=text.tools,
            grammar=text.grammar or None,
            repair=text.repair or None,
        )
        self._task = asyncio.create_task(self._read(text, plan))
        self._task.add_done_callback(self._done)
        await plan.closed
        if text.call.failure is not None and not plan.tasks:
            raise StoppedError(text.call.failure.reason, text.call.failure.message)
        return plan

    async def stop(self, *, at_once: bool = False) -> None:
        """Wait for the end of a planner that has closed its plan; one that has not, or ``at_once``, is stopped."""
        if self._task is not None and not self._task.done():
            if at_once or not self.plan.closed.done():
                self._task.cancel()
            await asyncio.wait({self._task}, timeout=2 * LAST_WORDS_SECONDS)

    async def _read(self, text: PlanText, plan: Plan) -> None:
        machine, follow = self._machine, self._follower.follow
        unrecorded: list[str] = []
        try:
            async with asyncio.timeout(None) as last_words, aclosing(text.pieces()) as pieces:
                async for piece in pieces:
                    unrecorded.append(piece)
                    if steps := machine.feed(piece):
                        follow(steps, unrecorded)
                        if plan.closed.done() and last_words.when() is None:
                            last_words.reschedule(asyncio.get_running_loop().time() + LAST_WORDS_SECONDS)
                        # A stream that has its text at hand would not let the calls begin.
                        await asyncio.sleep(0)
        except TimeoutError:
            pass  # the plan is closed, and its model goes on and on
        finally:
            call = text.call
            # Whoever waited for a run that is cancelled took the future with it: the plan is not closed by that.
            cut_off = call.cut_off and (plan.closed.cancelled() or not plan.closed.done())
            if cut_off:
                why = call.failure.message if call.failure else "the model reached its limit of tokens"
                plan.shortfall = f"the plan was cut off: {why}"
            steps = machine.finish(cut_off=cut_off)
            if text.is_turn:  # it ends without a join(), and need not make calls
                steps = _without(steps, "missing_join", "empty_plan")
            elif call.failure is not None:  # that says it: that there is no plan is no second one
                steps = _without(steps, "empty_plan", "unclosed_reasoning")
            follow(steps, unrecorded)
            self._books.model_call_ended(call)

    def _done(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or (error := task.exception()) is None:
            return
        if not self.plan.closed.done():
            self.plan.closed.set_exception(error)
        self._follower.meet(error)


def _without(steps: Iterable[_core.Step], *codes: str) -> list[_core.Step]:
    return [step for step in steps if not (isinstance(step, _core.Diagnostic) and step.code in codes)]
