"""The end of a plan: outputs are joined into an answer, or the answer that the plan named is taken."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from dovetail import _core
from dovetail.answer_schema import AnswerError, member_text
from dovetail.books import StoppedError
from dovetail.constrained import ConstrainedCall
from dovetail.grammar.reply import REPLY_DIALECTS, reply_grammar
from dovetail.joiner import ask_joiner
from dovetail.joiner_prompt import joiner_messages, mistaken_answer
from dovetail.v1 import FailureReason, Purpose

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from dovetail.models.protocol import GrammarDialect, Message
    from dovetail.strategies.strategy import Means

__all__ = ["Joining"]

_CITATION: Final = re.compile(r"\[(\d{1,9}(?:\s*,\s*\d{1,9})*)\]")


class Joining:
    """Comes to answers.

    Args:
        means: what the run has.
    """

    def __init__(self, means: Means) -> None:
        self._means = means
        schema = means.options.answer_schema
        # The answer as it is asked for: with the tasks that it cites beside it, if it is no text.
        self._schema = schema.with_citations() if schema is not None and means.options.cite else schema
        # What is wrong with the answer that was read last.
        self._wrong: str | None = None

    def take_named(self) -> bool:
        """Answer with the output that the plan named, if it is there and fits the schema; it costs no model call."""
        means = self._means
        answer = means.execution.answer()
        if answer is None:
            return False
        text, schema = answer.text, means.options.answer_schema
        if schema is not None:
            try:
                text = schema.check(answer.json)
            except AnswerError as error:
                self._wrong = str(error)
                return False
        cited = [answer.task_id] if means.options.cite and answer.task_id is not None else []
        means.books.record("run_answered", answer=text, answer_task=answer.task_id, cited_tasks=cited)
        return True

    async def join(self, *, must_answer: bool = False) -> str | None:
        """Have the outputs joined into an answer.

        Args:
            must_answer: whether no further plan is possible; the answer is then marked as incomplete.

        Returns:
            Why another plan is needed, if the joiner says so.

        Raises:
            StoppedError: the joiner failed or wrote no answer, or its answer does not fit the schema, twice.
        """
        means = self._means
        execution, books, joiner = means.execution, means.books, means.joiner
        if books.budgeted:
            await execution.stop_reading()  # the planner's tokens are counted when it ends
        number = execution.plan.number
        messages = joiner_messages(
            means.question,
            execution.progress.observations(),
            must_answer=must_answer,
            answer_schema=self.schema,
            cite=means.options.cite,
            notes=means.options.notes,
        )
        tries = 1 if self._schema is None else 2
        for tried in range(1, tries + 1):
            self._wrong = None
            max_tokens = books.tokens_left()
            books.record("join_started", plan=number, model=joiner.name)
            verdict = await self._ask(messages, must_answer=must_answer, max_tokens=max_tokens)
            if verdict.kind == "replan":
                return verdict.text or "the joiner gave no reason"
            if self._wrong is None:
                return None
            if tried < tries:
                messages = [*messages, *mistaken_answer(verdict.text, self._wrong)]
        message = f"the answer does not fit its schema: {self._wrong}"
        raise StoppedError(FailureReason.FAILURE_REASON_ANSWER_INVALID, message)

    async def _ask(self, messages: list[Message], *, must_answer: bool, max_tokens: int | None) -> _core.Verdict:
        """Ask in the notations that the joiner takes grammars in, in the end without one."""
        means = self._means
        asked = ConstrainedCall(
            means.books,
            means.dialects,
            means.joiner,
            Purpose.PURPOSE_JOIN,
            means.execution.plan.number,
            written=REPLY_DIALECTS,
            about=(self.schema, must_answer),
        )

        async def ask(dialect: GrammarDialect | None) -> AsyncGenerator[str, None]:
            grammar = None
            if dialect is not None:
                # A schema of which no grammar can be written is checked all the same.
                grammar = reply_grammar(dialect, must_answer=must_answer, answer_schema=self.schema)
            return asked.call.stream(messages, grammar=grammar, max_tokens=max_tokens)

        def hear(step: _core.ReplyStep) -> None:
            if isinstance(step, _core.AnswerPiece):
                # One that may turn out not to fit is told once it is whole.
                if self._schema is None:
                    means.books.record("answer_text", text=step.text)
            elif isinstance(step, _core.Verdict) and step.kind == "finish" and step.text:
                incomplete = must_answer or (step.mended and asked.call.cut_off)
                self._wrong = self.take(step.text, incomplete=incomplete)

        try:
            verdict = await ask_joiner(asked, ask, on_step=hear)
        finally:
            means.books.model_call_ended(asked.call)
        failure = asked.call.failure
        if verdict is None and failure is not None:
            raise StoppedError(failure.reason, failure.message)
        if verdict is not None and (verdict.kind == "replan" or verdict.text):
            return verdict
        message = f"the joiner {means.joiner.name} wrote no answer"
        raise StoppedError(FailureReason.FAILURE_REASON_EMPTY_PLAN, message)

    @property
    def schema(self) -> str:
        """The JSON Schema of the answer as models are asked for it; empty if it is a text."""
        return "" if self._schema is None else self._schema.json

    def take(self, text: str, *, incomplete: bool) -> str | None:
        """A model answered: the run does, if the answer fits.

        Returns:
            What is wrong with it, if it does not.
        """
        options = self._means.options
        if self._schema is None:
            self._answer(text, incomplete=incomplete, cited=self._cited(_cited_in(text)) if options.cite else [])
            return None
        try:
            text = self._schema.check(text)
            cited = []
            if options.cite:
                beside: dict[str, Any] = self._schema.read(text)
                cited = self._cited(beside["cited_tasks"])
                # The answer was checked inside of what stands around it; its numbers stay as they are written.
                text = member_text(text, "answer")
            if options.answer_schema is not None:
                text = options.answer_schema.check(text)
        except AnswerError as error:
            return str(error).replace("answer.answer", "answer", 1)
        self._answer(text, incomplete=incomplete, cited=cited)
        return None

    def _answer(self, text: str, *, incomplete: bool, cited: list[int]) -> None:
        self._means.books.record("run_answered", answer=text, incomplete=incomplete, cited_tasks=cited)

    def _cited(self, task_ids: list[int]) -> list[int]:
        """Those of the tasks that there are, ascending."""
        return sorted({task_id for task_id in task_ids if self._means.execution.progress.task(task_id) is not None})


def _cited_in(text: str) -> list[int]:
    return [int(task_id) for found in _CITATION.finditer(text) for task_id in found[1].split(",")]
