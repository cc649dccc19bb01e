"""A model that writes plans at a pace and notes when it handed over each closing parenthesis."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import TYPE_CHECKING

from dovetail.models.protocol import Completion, Grammar, GrammarDialect, Message, ModelStream

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["PacedModel", "ReadyReply"]


class PacedModel:
    """Writes one plan after another.

    Args:
        schedules: of each plan the pieces, as `benchmarks.plans.Plan.schedule` gives them.

    Attributes:
        fed: when the closing parenthesis of each task of the latest plan was handed over.
    """

    name = "benchmark:paced"
    grammar_dialects: tuple[GrammarDialect, ...] = ()

    def __init__(self, *schedules: list[tuple[float, str, list[int]]]) -> None:
        self._schedules = iter(schedules)
        self.fed: dict[int, float] = {}

    async def stream(
        self,
        messages: Sequence[Message],  # noqa: ARG002
        *,
        grammar: Grammar | None = None,  # noqa: ARG002
        stop: Sequence[str] = (),  # noqa: ARG002
        max_tokens: int | None = None,  # noqa: ARG002
    ) -> ModelStream:
        """Write the next plan."""
        self.fed = {}
        due = perf_counter()
        for pause, text, closed in next(self._schedules):
            due += pause
            if (left := due - perf_counter()) > 0:
                await asyncio.sleep(left)
            if closed:
                self.fed.update(dict.fromkeys(closed, perf_counter()))
            yield text
        yield Completion("stop", None)

    async def aclose(self) -> None:
        """Nothing to give back."""


class ReadyReply:
    """Answers everything at once with the same text.

    Args:
        pieces: the text.
    """

    name = "benchmark:ready"
    grammar_dialects: tuple[GrammarDialect, ...] = ()

    def __init__(self, pieces: Sequence[str]) -> None:
        self._pieces = list(pieces)

    async def stream(
        self,
        messages: Sequence[Message],  # noqa: ARG002
        *,
        grammar: Grammar | None = None,  # noqa: ARG002
        stop: Sequence[str] = (),  # noqa: ARG002
        max_tokens: int | None = None,  # noqa: ARG002
    ) -> ModelStream:
        """Answer."""
        for piece in self._pieces:
            yield piece
        yield Completion("stop", None)

    async def aclose(self) -> None:
        """Nothing to give back."""
