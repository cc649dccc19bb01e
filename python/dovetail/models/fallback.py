"""Chains of models: where one cannot answer, the next is asked."""

from __future__ import annotations

import copy
import time
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, cast

from dovetail.errors import ModelError, UsageError
from dovetail.models.protocol import Completion, Replacement, ToolCallingModel
from dovetail.v1 import FailureReason

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence

    from dovetail.models.protocol import (
        Grammar,
        GrammarDialect,
        Message,
        Model,
        ModelStream,
        TurnMessage,
        TurnStream,
    )

__all__ = ["REST_SECONDS", "FallbackModel", "tool_calling_model"]

REST_SECONDS: Final = 30.0
"""How long a model that failed is asked last."""

_REPLACED: Final = frozenset(
    {
        FailureReason.FAILURE_REASON_MODEL_UNREACHABLE,
        FailureReason.FAILURE_REASON_MODEL_UNAVAILABLE,
        FailureReason.FAILURE_REASON_MODEL_RATE_LIMITED,
        FailureReason.FAILURE_REASON_MODEL_TIMEOUT,
        FailureReason.FAILURE_REASON_MODEL_STREAM_CUT,
    }
)
"""What another model may not suffer. A refused key or request is a mistake to be seen, not to be worked around."""


@dataclass(slots=True)
class _Seat:
    """A model of a chain, and how it did."""

    model: Model
    failed_at: float = 0.0
    failure: ModelError | None = None


class FallbackModel:
    """Several models in their order: the first is asked, and the next where it fails before its first piece.

    That is: where its server cannot be reached, fails, is silent, asks for fewer requests or cuts its stream. Once text
    has come, or on any other failure, the call fails. A model that failed is asked last for `REST_SECONDS`, so that a
    server that is down does not cost each call its timeout. A model that takes no grammars in the notation of the one
    that is asked for is asked without it.

    Args:
        models: the models, the preferred one first; closed with the chain.
        rest_seconds: how long a model that failed is asked last.
        clock: the time in seconds.

    Raises:
        UsageError: there are no models.
    """

    def __init__(
        self,
        models: Sequence[Model],
        *,
        rest_seconds: float = REST_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not models:
            raise UsageError("a chain of models needs a model")
        self._seats = [_Seat(model) for model in models]
        self._rest_seconds = rest_seconds
        self._clock = clock
        self._tell: Callable[[Replacement], None] | None = None

    @property
    def name(self) -> str:
        """The models, as ``provider:name, then provider:name``."""
        return ", then ".join(seat.model.name for seat in self._seats)

    @property
    def models(self) -> tuple[Model, ...]:
        """The models, the preferred one first."""
        return tuple(seat.model for seat in self._seats)

    @property
    def grammar_dialects(self) -> tuple[GrammarDialect, ...]:
        """The notations in which the model that is asked next takes grammars."""
        return self._in_turn()[0].model.grammar_dialects

    def telling(self, tell: Callable[[Replacement], None]) -> FallbackModel:
        """The same chain, of whose calls ``tell`` is told each replacement. It is not closed by itself."""
        view = copy.copy(self)
        view._tell = tell  # noqa: SLF001 - of its own class
        return view

    async def stream(
        self,
        messages: Sequence[Message],
        *,
        grammar: Grammar | None = None,
        stop: Sequence[str] = (),
        max_tokens: int | None = None,
    ) -> ModelStream:
        """Answer a chat (see `dovetail.models.Model.stream`); the completion says which model answered.

        Raises:
            ModelError: the failure of the model asked last, or the first that no other model mends.
        """

        def ask(model: Model) -> ModelStream:
            taken = grammar if grammar is not None and grammar.dialect in model.grammar_dialects else None
            return model.stream(messages, grammar=taken, stop=stop, max_tokens=max_tokens)

        async with aclosing(self._ask_in_turn(ask)) as pieces:
            async for piece in pieces:
                yield piece

    async def stream_turn(
        self,
        messages: Sequence[TurnMessage],
        tools: Sequence[Mapping[str, Any]],
        *,
        max_tokens: int | None = None,
    ) -> TurnStream:
        """Take one turn (see `dovetail.models.ToolCallingModel.stream_turn`).

        Raises:
            ModelError: as `stream` does.
            UsageError: a model of the chain has no tool calls of its own; `tool_calling_model` says so before.
        """

        def ask(model: Model) -> TurnStream:
            return tool_calling_model(model).stream_turn(messages, tools, max_tokens=max_tokens)

        async with aclosing(self._ask_in_turn(ask)) as pieces:
            async for piece in pieces:
                yield piece

    async def aclose(self) -> None:
        """Close the models."""
        for seat in self._seats:
            await seat.model.aclose()

    async def _ask_in_turn(self, ask: Callable[[Model], AsyncGenerator[Any, None]]) -> AsyncGenerator[Any, None]:
        line = self._in_turn()
        if line[0] is not self._seats[0]:
            self._replaced(self._seats[0], line[0])
        for seat, following in zip(line, [*line[1:], None], strict=True):
            has_begun = False
            try:
                async with aclosing(ask(seat.model)) as pieces:
                    async for piece in pieces:
                        if isinstance(piece, Completion):
                            seat.failure = None
                            yield replace(piece, model=piece.model or seat.model.name)
                            return
                        has_begun = True
                        yield piece
            except ModelError as error:
                if has_begun or error.reason not in _REPLACED:
                    raise
                seat.failure, seat.failed_at = error, self._clock()
                if following is None:
                    raise
                self._replaced(seat, following)

    def _replaced(self, seat: _Seat, following: _Seat) -> None:
        if self._tell is not None and seat.failure is not None:
            self._tell(Replacement(seat.model.name, following.model.name, seat.failure))

    def _in_turn(self) -> list[_Seat]:
        """The models in the order in which they are asked now."""
        awake = self._clock() - self._rest_seconds
        return sorted(self._seats, key=lambda seat: seat.failure is not None and seat.failed_at > awake)


def tool_calling_model(model: Model) -> ToolCallingModel:
    """The model, if its provider has tool calls of its own.

    Raises:
        UsageError: it has none; or one of its chain has none.
    """
    for member in _asked(model):
        if not isinstance(member, ToolCallingModel):
            remedy = getattr(member, "tool_calls_remedy", "")
            also = f"{remedy}, or take" if remedy else "take"
            message = f"model {member.name} has no tool calls of its own; {also} another model, or another strategy"
            raise UsageError(message)
    return cast("ToolCallingModel", model)


def _asked(model: Model) -> Iterator[Model]:
    """The models that answer for one: those of a chain, or the one that is recorded."""
    members = getattr(model, "models", None)
    if isinstance(members, tuple):
        for member in members:
            yield from _asked(member)
    else:
        yield model
