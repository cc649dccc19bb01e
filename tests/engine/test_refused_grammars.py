"""What becomes of a run whose model's server refuses the grammar of the plan."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest

from dovetail import Engine
from dovetail.errors import ModelError
from dovetail.models.protocol import Completion, Grammar, GrammarDialect, Message
from dovetail.tools import Tool, tool
from dovetail.v1 import FailureReason, Severity
from scripted import PATIENCE, ScriptedModel, facts, finish, plan

pytestmark = pytest.mark.anyio


@tool(read_only=True)
async def length(text: str) -> int:
    """Measures a text."""
    return len(text)


class Refusing(ScriptedModel):
    """Takes grammars, and then does not."""

    grammar_dialects: tuple[GrammarDialect, ...] = ("gbnf",)

    def __init__(self, *scripts: str) -> None:
        super().__init__(*scripts)
        self.grammars: list[Grammar | None] = []

    async def stream(
        self,
        messages: Sequence[Message],
        *,
        grammar: Grammar | None = None,
        stop: Sequence[str] = (),
        max_tokens: int | None = None,
    ) -> AsyncGenerator[str | Completion, None]:
        self.grammars.append(grammar)
        if grammar is not None:
            raise ModelError(FailureReason.FAILURE_REASON_MODEL_GRAMMAR_REFUSED, "400: no such rule")
        async for piece in super().stream(messages, stop=stop, max_tokens=max_tokens):
            yield piece


async def test_a_model_that_refuses_the_grammar_is_asked_without_it_and_keeps_its_freedom() -> None:
    text = plan('1. length("abc")', "2. join($1)")
    model = Refusing(text, text)
    async with asyncio.timeout(PATIENCE), Engine([length], model) as engine:
        events = [event async for event in engine.start("why?").events()]
        later = [event async for event in engine.start("why?").events()]
    assert facts(events, "run_answered")[0].answer == "3"
    hint = facts(events, "plan_diagnosed")[0]
    assert (hint.severity, hint.code, hint.plan) == (Severity.SEVERITY_HINT, "grammar_refused", 1)
    asked = "scripted:model is asked without a grammar"
    assert hint.message == f"{asked}: the grammar in gbnf was refused: 400: no such rule"
    assert [bool(call.failure.message) for call in facts(events, "model_call_ended")] == [True, False]
    assert [started.grammar for started in facts(events + later, "plan_started")] == ["gbnf", ""]
    assert facts(later, "plan_diagnosed") == []
    assert [grammar is not None for grammar in model.grammars] == [True, False, False]


async def test_a_model_is_asked_in_all_its_notations_before_it_is_asked_without() -> None:
    text = plan('1. length("abc")', "2. join($1)")
    model = Refusing(text, text, text)
    model.grammar_dialects = ("lark", "gbnf")
    async with asyncio.timeout(PATIENCE), Engine([length], model) as engine:
        events = [event async for event in engine.start("why?").events()]
    assert [grammar and grammar.dialect for grammar in model.grammars] == ["lark", "gbnf", None]
    assert [hint.message.partition(":")[2][:35] for hint in facts(events, "plan_diagnosed")] == [
        "model is asked with one in gbnf: th",
        "model is asked without a grammar: t",
    ]


async def test_a_model_without_grammars_is_asked_once() -> None:
    model = ScriptedModel(plan('1. length("abc")', "2. join()"), finish("3"))
    async with asyncio.timeout(PATIENCE), Engine([length], model) as engine:
        events = [event async for event in engine.start("why?").events()]
    assert facts(events, "plan_started")[0].grammar == ""
    assert len(facts(events, "model_call_ended")) == 2


async def test_a_tool_that_fights_the_grammar_leaves_the_plan_unconstrained_and_is_named() -> None:
    stuck = Tool("stuck", "", {"type": "object", "properties": {"x": False}, "required": ["x"]})
    model = Refusing(plan("1. join()"), finish("nothing"))
    async with asyncio.timeout(PATIENCE), Engine([stuck], model) as engine:
        events = [event async for event in engine.start("why?").events()]
    hint = facts(events, "plan_diagnosed")[0]
    assert (hint.severity, hint.code) == (Severity.SEVERITY_HINT, "grammar_refused")
    assert "tool 'stuck'" in hint.message
    assert model.grammars[0] is None
