"""Models as tools of the run's own process ask them: each call is counted, within the budgets of the run."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Final, get_args

from dovetail.failure_text import bounded
from dovetail.models.protocol import Completion, GrammarDialect
from dovetail.runs.books import StoppedError
from dovetail.runs.constrained import GRAMMAR_REFUSED
from dovetail.tools.call_failure import CallFailedError
from dovetail.v1 import Purpose, Severity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dovetail.models.protocol import Grammar, Message, Model, ModelStream
    from dovetail.runs.books import Books
    from dovetail.runs.dialects import Dialects

__all__ = ["ToolModels"]

_PURPOSE: Final = Purpose.PURPOSE_TOOL


class ToolModels:
    """The models that tools of the run's own process may ask.

    Args:
        model: the run's own: the one that plans.
        dialects: which grammars models take.
        books: where calls are counted, and what is left of the run's budgets.
    """

    __slots__ = ("_model", "books", "dialects")

    def __init__(self, model: Model, dialects: Dialects, books: Books) -> None:
        self._model = model
        self.dialects = dialects
        self.books = books

    def of(self, model: Model | None, task_id: int, plan: int) -> Model:
        """A model, the run's own if None is given, whose calls are counted as those of a task's tool."""
        return _BookedModel(self, model or self._model, task_id, plan)


class _BookedModel:
    """A `Model` within the budgets of a run."""

    def __init__(self, models: ToolModels, model: Model, task_id: int, plan: int) -> None:
        self._models = models
        self._model = model
        self._task_id = task_id
        self._plan = plan

    @property
    def name(self) -> str:
        return self._model.name

    @property
    def grammar_dialects(self) -> tuple[GrammarDialect, ...]:
        return tuple(self._models.dialects.taken(self._model, get_args(GrammarDialect), _PURPOSE))

    async def stream(
        self,
        messages: Sequence[Message],
        *,
        grammar: Grammar | None = None,
        stop: Sequence[str] = (),
        max_tokens: int | None = None,
    ) -> ModelStream:
        """Raises CallFailedError as well: the model failed, or a budget of the run is used up."""
        books, dialects = self._models.books, self._models.dialects
        if grammar is not None and dialects.is_refused(self._model, grammar.dialect, _PURPOSE, grammar.text):
            message = f"{self.name} has refused this grammar before, or others in {grammar.dialect}"
            raise CallFailedError(GRAMMAR_REFUSED, message)
        try:
            left = books.tokens_left()
        except StoppedError as stopped:
            raise CallFailedError(stopped.failure.reason, stopped.failure.message) from None
        bounds = [bound for bound in (left, max_tokens) if bound is not None]
        call = books.model_call(self._model, _PURPOSE, self._plan, self._task_id)
        try:
            pieces = call.stream(messages, grammar=grammar, stop=stop, max_tokens=min(bounds, default=None))
            async with aclosing(pieces):
                async for piece in pieces:
                    yield piece
        finally:
            if not books.journal.ended:  # a tool may swallow its cancellation, and the end of its run with it
                books.model_call_ended(call)
        if call.failure is not None:
            if grammar is not None and call.failure.reason == GRAMMAR_REFUSED:
                self._refused(grammar, call.failure.message)
            raise CallFailedError(call.failure.reason, call.failure.message)
        if grammar is not None:
            dialects.take(self._model, grammar.dialect, _PURPOSE)
        yield call.completion or Completion(None, None)

    def _refused(self, grammar: Grammar, why: str) -> None:
        self._models.dialects.refuse(self._model, grammar.dialect, _PURPOSE, grammar.text)
        if not self._models.books.journal.ended:
            self._models.books.record(
                "plan_diagnosed",
                plan=self._plan,
                severity=Severity.SEVERITY_HINT,
                code="grammar_refused",
                message=bounded(
                    f"{self._model.name} refused the grammar in {grammar.dialect} that a tool asked it with: {why}"
                ),
                task_id=self._task_id,
            )

    async def aclose(self) -> None:
        """Nothing: the model is closed by whoever opened it."""
