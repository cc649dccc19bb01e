"""Strategies that go by turns: a model is asked, its calls are made, it is told what came of them, and so on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from dovetail.prompts.joiner_prompt import answer_terms
from dovetail.runs.books import StoppedError
from dovetail.runs.plan_text import PlanText
from dovetail.strategies.history import History
from dovetail.tools.call import call_key
from dovetail.v1 import FailureReason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dovetail.models.protocol import Message, TurnMessage
    from dovetail.runs.plan_text import Plan
    from dovetail.runs.progress import TaskRecord
    from dovetail.strategies.joining import Joining
    from dovetail.strategies.strategy import Means

__all__ = ["MOST_ERROR", "MOST_OBSERVED", "MOST_SAID", "Repetitions", "TakeTurn", "Turn", "Turns", "opening"]

MOST_OBSERVED: Final = 6_000
"""How many characters a model is told of what came of a call."""
MOST_SAID: Final = 4_000
"""How many characters of what it said itself."""
MOST_ERROR: Final = 1_000
"""How many of what is wrong with it."""

_MOST_IDLE: Final = 3
"""After how many turns in a row that brought nothing a model must answer."""


def opening(means: Means, joining: Joining, system: str) -> list[Message]:
    """What the model of every turn is told first: the system text, which is the same from run to run, and the question.

    Args:
        means: what the run has.
        joining: what takes its answer.
        system: how the model is to go about it.
    """
    options = means.options
    terms = answer_terms(joining.schema, cite=options.cite)
    return [
        {"role": "system", "content": system + (f"\n\n{options.notes}" if options.notes else "")},
        {"role": "user", "content": f"Question: {means.question}" + (f"\n\n{terms}" if terms else "")},
    ]


class Turn(PlanText, Protocol):
    """One turn of a model. Its plan is the calls that the model asks for in it."""

    @property
    def answer(self) -> str | None:
        """The answer, if the turn gave one."""
        ...

    @property
    def cut_off(self) -> bool:
        """Whether the model was stopped inside of the answer."""
        ...

    def told(self) -> Sequence[TurnMessage]:
        """What was said in it, and what the model is told of it: of its calls, once they are settled; of mistakes."""
        ...

    def mistaken(self, wrong: str) -> Sequence[TurnMessage]:
        """What was said in it, and what is wrong with its answer."""
        ...


class TakeTurn(Protocol):
    """Makes turns."""

    def __call__(self, history: Sequence[TurnMessage], *, must_answer: bool, max_tokens: int | None) -> Turn:
        """The next turn.

        Args:
            history: what was said in the turns so far.
            must_answer: whether no call may be made any more.
            max_tokens: how many tokens the model may write.
        """
        ...


class Turns:
    """Takes turns until there is an answer.

    The last turn that may make calls is followed by one that must answer; that answer is marked as incomplete. The last
    is also the third in a row that brought nothing new: a model that is at a loss would go on and on.

    Args:
        means: what the run has.
        joining: what takes its answer.
        take: makes its turns.
    """

    def __init__(self, means: Means, joining: Joining, take: TakeTurn) -> None:
        self._means = means
        self._joining = joining
        self._take = take
        self._made: set[tuple[str, str]] = set()

    async def find_answer(self) -> None:
        """Take turns until there is an answer.

        Raises:
            StoppedError: there is none.
        """
        execution, books = self._means.execution, self._means.books
        most = books.limits.max_replans
        history = History()
        must_answer = mistaken = False
        idle = 0
        while True:
            await execution.stop_reading()  # its tokens are counted when it ends
            turn = self._take(history.messages(), must_answer=must_answer, max_tokens=books.tokens_left())
            plan = await self._run(turn)
            if turn.answer is not None:
                wrong = self._joining.take(turn.answer, incomplete=must_answer or turn.cut_off)
                if wrong is None:
                    return
                if mistaken:
                    message = f"the answer does not fit its schema: {wrong}"
                    raise StoppedError(FailureReason.FAILURE_REASON_ANSWER_INVALID, message)
                mistaken = True
                history.add(turn.mistaken(wrong))
            elif must_answer:
                message = f"{turn.model} wrote no answer after {plan.number} turns"
                raise StoppedError(FailureReason.FAILURE_REASON_LIMIT_EXCEEDED, message)
            else:
                history.add(turn.told())
            is_full = any(error.code == "too_many_tasks" for error in plan.errors)
            idle = 0 if self._brought_news(plan) else idle + 1
            is_last = most is not None and plan.number > most
            must_answer = must_answer or is_full or is_last or idle == _MOST_IDLE

    async def _run(self, turn: Turn) -> Plan:
        """Have a turn taken, and its calls made."""
        execution = self._means.execution
        try:
            plan = await execution.read(turn)
        except StoppedError:
            if turn.answer is None:
                raise
            plan = execution.plan  # it failed behind its answer
        await execution.settle()
        return plan

    def _brought_news(self, plan: Plan) -> bool:
        """Whether one of its calls was made, and not the same call as before of a tool that only reads."""
        has_news = False
        for task in self._means.execution.progress.tasks:
            if task.plan != plan.number or not task.ready:
                continue
            key = call_key(task.tool, task.arguments_json)
            has_news = has_news or key not in self._made or not self._means.tools[task.tool].read_only
            self._made.add(key)
        return has_news


class Repetitions:
    """Knows which tasks of a run make a call again."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, str], int] = {}

    def remark(self, task: TaskRecord) -> str:
        """What the model is told that asked for a task, on a line of its own; empty if its call is new."""
        if not task.ready:
            return ""
        first = self._first.setdefault(call_key(task.tool, task.arguments_json), task.task_id)
        if first == task.task_id:
            return ""
        return f"\nYou made this call before, as {first}. Make another one, or answer."
