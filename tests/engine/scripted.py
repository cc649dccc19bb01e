"""A model whose calls are written out in the test, and short ways to run an engine with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from typing import Any

from dovetail.engine import Engine
from dovetail.errors import ModelError
from dovetail.models.protocol import Completion, Grammar, GrammarDialect, Message, Usage
from dovetail.runs.limits import Limits
from dovetail.v1 import Event, FailureReason

Script = str | Callable[[], AsyncGenerator[str | Completion, None]]

PATIENCE = 60.0
"""The bound of every wait in these tests, in seconds; far above what any of them takes."""


class ScriptedModel:
    """Answers its calls with scripts, in order: a text (given in 4-character pieces), or a generator of pieces."""

    name = "scripted:model"
    grammar_dialects: tuple[GrammarDialect, ...] = ()

    def __init__(self, *scripts: Script) -> None:
        self._scripts = list(scripts)
        self.asked: list[Sequence[Message]] = []
        self.max_tokens: list[int | None] = []
        self.closed_early = 0

    async def stream(
        self,
        messages: Sequence[Message],
        *,
        grammar: Grammar | None = None,
        stop: Sequence[str] = (),
        max_tokens: int | None = None,
    ) -> AsyncGenerator[str | Completion, None]:
        self.asked.append(messages)
        self.max_tokens.append(max_tokens)
        if len(self.asked) > len(self._scripts):
            raise ModelError(FailureReason.FAILURE_REASON_MODEL_UNAVAILABLE, "the script has no further call")
        script = self._scripts[len(self.asked) - 1]
        ended = False
        try:
            if isinstance(script, str):
                for start in range(0, len(script), 4):
                    yield script[start : start + 4]
                yield Completion("stop", Usage(prompt_tokens=10, completion_tokens=5))
            else:
                async for piece in script():
                    yield piece
            ended = True
        finally:
            self.closed_early += not ended

    async def aclose(self) -> None:
        """Nothing to give back."""


class GrammarModel(ScriptedModel):
    """Takes grammars, in these notations, and remembers them; refuses those that it `refuses`."""

    def __init__(
        self,
        *scripts: Script,
        dialects: tuple[GrammarDialect, ...] = ("gbnf",),
        refuses: Callable[[Grammar], bool] = lambda _: False,
    ) -> None:
        super().__init__(*scripts)
        self.grammar_dialects = dialects
        self.grammars: list[Grammar | None] = []
        self.stops: list[Sequence[str]] = []
        self._refuses = refuses

    async def stream(
        self,
        messages: Sequence[Message],
        *,
        grammar: Grammar | None = None,
        stop: Sequence[str] = (),
        max_tokens: int | None = None,
    ) -> AsyncGenerator[str | Completion, None]:
        self.grammars.append(grammar)
        self.stops.append(stop)
        if grammar is not None and self._refuses(grammar):
            raise ModelError(FailureReason.FAILURE_REASON_MODEL_GRAMMAR_REFUSED, "400: no such rule")
        async for piece in super().stream(messages, stop=stop, max_tokens=max_tokens):
            yield piece


def plan(*lines: str) -> str:
    return "\n".join(lines)


def finish(answer: str) -> str:
    return f"Thought: enough.\nAction: Finish({answer})"


async def events_of(
    tools: Iterable[Any], model: ScriptedModel, *, limits: Limits | None = None, question: str = "why?"
) -> list[Event]:
    """All events of one run."""
    async with asyncio.timeout(PATIENCE), Engine(tools, model, limits=limits) as engine:
        return [event async for event in engine.start(question).events()]


def facts(events: Iterable[Event], name: str) -> list[Any]:
    """The facts of one kind, in order."""
    return [getattr(event, name) for event in events if event.WhichOneof("fact") == name]


def kinds(events: Iterable[Event]) -> list[str | None]:
    return [event.WhichOneof("fact") for event in events]


def outputs(events: Iterable[Event]) -> dict[int, str]:
    return {fact.task_id: fact.output_json for fact in facts(events, "task_succeeded")}


def failures(events: Iterable[Event]) -> dict[int, str]:
    """Why each failed task failed, as the name of its reason."""
    return {
        fact.task_id: FailureReason.Name(fact.failure.reason).removeprefix("FAILURE_REASON_")
        for fact in facts(events, "task_failed")
    }
