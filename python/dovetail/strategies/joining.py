"""The end of a plan: outputs are joined into an answer, or the answer that the plan named is taken."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from dovetail.answer_schema import AnswerError, member_text
from dovetail.failure_text import bounded
from dovetail.grammar.answer_form import answer_form
from dovetail.grammar.away import reply_grammar_away
from dovetail.grammar.reply import REPLY_DIALECTS
from dovetail.prompts.joiner_prompt import mistaken_answer, nothing_said
from dovetail.runs.books import StoppedError
from dovetail.runs.constrained import ConstrainedCall
from dovetail.runs.joiner import ask_joiner
from dovetail.strategies.joiner_reply import JoinerReply
from dovetail.strategies.planning import Want
from dovetail.v1 import FailureReason, Purpose, ReplanRequested

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from dovetail.answer_schema import AnswerSchema
    from dovetail.models.protocol import GrammarDialect, Message
    from dovetail.prompts.joiner_prompt import ReplyForm
    from dovetail.strategies.strategy import Means

__all__ = ["Joining"]

_TRIES: Final = 2
_MOST_REASON: Final = 1_000
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
        # What is wrong with the output that the latest plan named.
        self._unfit: str | None = None
        # What was wrong with the answers because of which there was another plan.
        self._told: set[str] = set()

    def take_named(self) -> bool:
        """Answer with the output that the plan named, if it is there and fits the schema; it costs no model call."""
        means = self._means
        self._unfit = None
        answer = means.execution.answer()
        if answer is None:
            return False
        text, schema = answer.text, means.options.answer_schema
        if schema is not None:
            try:
                text = schema.check(answer.json)
            except AnswerError as error:
                self._unfit = f"the output that the plan named does not fit the schema of the answer: {error}"
                return False
        cited = [answer.task_id] if means.options.cite and answer.task_id is not None else []
        means.books.record("run_answered", answer=text, answer_task=answer.task_id, cited_tasks=cited)
        return True

    async def join(self, *, may_replan: bool = False, must_answer: bool = False) -> Want | None:
        """Have the outputs joined into an answer.

        Args:
            may_replan: whether there may be another plan if the answer does not fit its schema.
            must_answer: whether no further plan is possible; the answer is then marked as incomplete.

        Returns:
            Why another plan is needed: because the joiner says so, or because what it answers does not fit.

        Raises:
            StoppedError: the joiner failed or wrote no answer, or its answer does not fit the schema, twice.
        """
        means = self._means
        if means.books.budgeted:
            await means.execution.stop_reading()  # the planner's tokens are counted when it ends
        before: JoinerReply | None = None
        for tried in range(1, _TRIES + 1):
            max_tokens = means.books.tokens_left()
            means.books.record("join_started", plan=means.execution.plan.number, model=means.joiner.name)
            reply = await self._ask(before, must_answer, is_last=tried == _TRIES, max_tokens=max_tokens)
            if reply.reason is not None:
                return self._wanted(reply.reason)
            if reply.wrong is None:
                return None
            before = reply
        if not reply.answer:
            message = f"the joiner {means.joiner.name} wrote no answer"
            raise StoppedError(FailureReason.FAILURE_REASON_EMPTY_PLAN, message)
        message = f"the answer does not fit its schema: {reply.wrong}"
        if not may_replan or message in self._told:
            raise StoppedError(FailureReason.FAILURE_REASON_ANSWER_INVALID, message)
        self._told.add(message)
        return Want(bounded(message, _MOST_REASON), ReplanRequested.CAUSE_INVALID_ANSWER)

    def _wanted(self, reason: str) -> Want:
        """The joiner asks for another plan."""
        if self._unfit is None:
            return Want(reason, ReplanRequested.CAUSE_JOINER)
        return Want(bounded(f"{self._unfit}; {reason}", _MOST_REASON), ReplanRequested.CAUSE_INVALID_ANSWER)

    async def _ask(
        self, before: JoinerReply | None, must_answer: bool, *, is_last: bool, max_tokens: int | None
    ) -> JoinerReply:
        """Ask in the notations that the joiner takes grammars in, in the end without one.

        Args:
            before: what it replied before, if that cannot be taken.
            must_answer: whether no further plan is possible.
            is_last: whether it is not asked again.
            max_tokens: how many tokens it may write.

        Raises:
            StoppedError: the joiner failed.
        """
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
                grammar = await reply_grammar_away(dialect, must_answer=must_answer, answer_schema=self.schema)
            messages = self._messages(before, self._form(dialect), must_answer=must_answer)
            return asked.call.stream(messages, grammar=grammar, max_tokens=max_tokens)

        def take(text: str, *, incomplete: bool) -> str | None:
            if self._schema is not None and asked.dialect == "json_schema":
                text = answer_form(self.schema).json(text)
            return self.take(text, incomplete=incomplete)

        reply = JoinerReply(self._show, take, means.tools, must_answer=must_answer, is_last=is_last)
        try:
            verdict = await ask_joiner(asked, ask, on_step=reply.hear)
        finally:
            means.books.model_call_ended(asked.call)
        if verdict is None and asked.call.failure is not None:
            raise StoppedError(asked.call.failure.reason, asked.call.failure.message)
        reply.form = self._form(asked.dialect)
        return reply

    def _form(self, dialect: GrammarDialect | None) -> ReplyForm:
        if dialect != "json_schema":
            return "lines"
        return "quoted" if self._schema is not None and answer_form(self.schema).is_quoted else "json"

    def _messages(self, before: JoinerReply | None, form: ReplyForm, *, must_answer: bool) -> list[Message]:
        means = self._means
        messages = means.joiner_prompt.messages(
            means.question,
            means.execution.progress.observations(),
            form=form,
            must_answer=must_answer,
            answer_schema=self.schema,
            cite=means.options.cite,
            notes=means.options.notes,
        )
        if before is None:
            return messages
        answer, wrong = before.answer, before.wrong
        return [
            *messages,
            *(mistaken_answer(answer, wrong, form) if answer and wrong else nothing_said(before.instead, form)),
        ]

    def _show(self, text: str) -> None:
        """A piece of an answer: one that may turn out not to fit is told once it is whole."""
        if self._schema is None:
            self._means.books.record("answer_text", text=text)

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
            text = _checked(self._schema, text)
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


def _checked(schema: AnswerSchema, text: str) -> str:
    """The answer as compact JSON. Of a string, the reader of replies has taken the quotes off.

    Raises:
        AnswerError: it does not fit.
    """
    try:
        return schema.check(text)
    except AnswerError:
        for quoted in (f'"{text}"', json.dumps(text, ensure_ascii=False)):
            with suppress(AnswerError):
                return schema.check(quoted)
        raise


def _cited_in(text: str) -> list[int]:
    return [int(task_id) for found in _CITATION.finditer(text) for task_id in found[1].split(",")]
