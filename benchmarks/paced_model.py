"""A model that writes plans at a pace and notes when it handed over each closing parenthesis."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import TYPE_CHECKING

from dovetail.models.protocol import (
    Completion,
    Grammar,
    GrammarDialect,
    Message,
    ModelStream,
    ToolRequest,
    TurnMessage,
    TurnStream,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

__all__ = ["PacedModel", "PacedTurns", "ReadyReply"]


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


class PacedTurns:
    """Takes turns: in each asks for some calls of one tool, each at its time, and in the last one answers.

    Args:
        tool: the tool's name.
        turns: of each turn the arguments of its calls as JSON, and how many seconds the model takes for each.
        answer: the answer, and how many seconds it takes.
    """

    name = "benchmark:turns"
    grammar_dialects: tuple[GrammarDialect, ...] = ()

    def __init__(self, tool: str, turns: Sequence[Sequence[tuple[str, float]]], answer: tuple[str, float]) -> None:
        self._tool = tool
        self._turns = iter(turns)
        self._answer = answer

    def stream(
        self,
        messages: Sequence[Message],
        *,
        grammar: Grammar | None = None,
        stop: Sequence[str] = (),
        max_tokens: int | None = None,
    ) -> ModelStream:
        """Nobody asks it for a plan."""
        raise NotImplementedError

    async def stream_turn(
        self,
        messages: Sequence[TurnMessage],
        tools: Sequence[Mapping[str, Any]],  # noqa: ARG002
        *,
        max_tokens: int | None = None,  # noqa: ARG002
    ) -> TurnStream:
        """Take the next turn."""
        due = perf_counter()
        calls = next(self._turns, None)
        for number, (arguments, seconds) in enumerate(calls or ()):
            due += seconds
            if (left := due - perf_counter()) > 0:
                await asyncio.sleep(left)
            yield ToolRequest(f"call-{len(messages)}-{number}", self._tool, arguments)
        if calls is None:
            text, seconds = self._answer
            if seconds:
                await asyncio.sleep(seconds)
            yield text
        yield Completion("stop", None)

    async def aclose(self) -> None:
        """Nothing to give back."""
