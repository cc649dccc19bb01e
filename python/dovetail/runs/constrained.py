"""What is asked of a model with a grammar: where that is refused, in its next notation, and in the end without one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dovetail.errors import UsageError
from dovetail.failure_text import bounded
from dovetail.models.protocol import GrammarDialect
from dovetail.v1 import FailureReason, Purpose, Severity

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from dovetail.models.protocol import Model
    from dovetail.runs.books import Books
    from dovetail.runs.dialects import Dialects

__all__ = ["GRAMMAR_REFUSED", "Ask", "Constrained", "ConstrainedCall", "Refusal"]

GRAMMAR_REFUSED: Final = FailureReason.FAILURE_REASON_MODEL_GRAMMAR_REFUSED
"""Why a model call fails whose server refuses its grammar."""

Ask = Callable[[GrammarDialect | None], Awaitable[AsyncGenerator[str, None]]]
"""Asks a model with a grammar in this notation, or without one, and gives the pieces of its text.

It raises a `UsageError` where there is no such grammar: then nothing has been asked.
"""

_WANTED: Final = {Purpose.PURPOSE_JOIN: " for the answer"}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A grammar that was not taken."""

    dialect: GrammarDialect
    """Its notation."""
    following: GrammarDialect | None
    """The notation of the one that is tried next; None for no grammar."""
    message: str
    """Why."""
    by_server: bool
    """Whether the model's server refused it; else there is no such grammar."""


class Constrained:
    """One thing that is asked of a model, with a grammar where it takes one.

    A server refuses a grammar by its status, or inside of a stream that has begun: as long as no text has come, the
    model can be asked again. How one tells that it did, and what else there is to do, is for whoever derives from this.

    Args:
        dialects: the notations to ask in, the best first.

    Attributes:
        dialect: the notation in which it is asked now, or will be first; None for no grammar.
    """

    def __init__(self, dialects: Sequence[GrammarDialect]) -> None:
        self._left = list(dialects)
        self.dialect: GrammarDialect | None = dialects[0] if dialects else None

    async def pieces(self, ask: Ask) -> AsyncGenerator[str, None]:
        """The pieces of the text, once; they end where the model ends or fails. Closing them ends the generation.

        Args:
            ask: is awaited for each notation, in the end with None.

        Raises:
            UsageError: nothing can be asked without a grammar either.
        """
        while True:
            dialect = self.dialect = self._left.pop(0) if self._left else None
            try:
                asked = await ask(dialect)
            except UsageError as error:
                if dialect is None:
                    raise
                self._refused(self._refusal(dialect, str(error), by_server=False))
                continue
            wrote = False
            async with aclosing(asked) as pieces:
                async for piece in pieces:
                    if not wrote:
                        wrote = True
                        self._begun()
                    yield piece
            why = None if wrote else self._why_refused()
            if dialect is None or why is None:
                return
            self._refused(self._refusal(dialect, why, by_server=True))

    def _refusal(self, dialect: GrammarDialect, why: str, *, by_server: bool) -> Refusal:
        return Refusal(dialect, self._left[0] if self._left else None, why, by_server)

    def _why_refused(self) -> str | None:
        """Why the server refused the grammar of the pieces that have ended, if it did."""
        raise NotImplementedError

    def _begun(self) -> None:
        """The model has begun to write: nothing to do."""

    def _refused(self, refusal: Refusal) -> None:
        """A grammar was not taken, and the model will be asked again: nothing to do."""


class ConstrainedCall(Constrained):
    """One thing that a run asks of a model. Each request is a model call of its own.

    A call that is refused is counted here, the last one by whoever reads the pieces. A refusal is remembered, and said
    as a hint about the plan, ``grammar_refused``.

    Args:
        books: where calls are counted and hints are recorded.
        dialects: which grammars models take.
        model: the model.
        purpose: what it is asked for.
        plan: the plan it is asked about.
        written: the notations that the grammar can be written in.
        about: what the grammar is made of (see `Dialects`).

    Attributes:
        call: the latest call; what `pieces` is given to ask with makes it.
    """

    def __init__(
        self,
        books: Books,
        dialects: Dialects,
        model: Model,
        purpose: Purpose,
        plan: int,
        *,
        written: Iterable[GrammarDialect],
        about: Hashable,
    ) -> None:
        super().__init__(dialects.taken(model, written, purpose, about))
        self._books = books
        self._known = dialects
        self._model = model
        self._purpose = purpose
        self._plan = plan
        self._about = about
        self.call = books.model_call(model, purpose, plan)

    def _why_refused(self) -> str | None:
        failure = self.call.failure
        return failure.message if failure is not None and failure.reason == GRAMMAR_REFUSED else None

    def _begun(self) -> None:
        if self.dialect is not None:
            self._known.take(self._model, self.dialect, self._purpose)

    def _refused(self, refusal: Refusal) -> None:
        if refusal.by_server:
            self._known.refuse(self._model, refusal.dialect, self._purpose, self._about)
            self._books.model_call_ended(self.call)
            self.call = self._books.model_call(self._model, self._purpose, self._plan)
        else:
            self._known.fight(refusal.dialect, self._purpose, self._about)
        following = f"with one in {refusal.following}" if refusal.following else "without a grammar"
        asked = f"{self._model.name} is asked{_WANTED.get(self._purpose, '')} {following}"
        self._books.record(
            "plan_diagnosed",
            plan=self._plan,
            severity=Severity.SEVERITY_HINT,
            code="grammar_refused",
            message=bounded(f"{asked}: the grammar in {refusal.dialect} was refused: {refusal.message}"),
        )
