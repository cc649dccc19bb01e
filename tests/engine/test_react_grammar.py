"""ReAct with a model that takes grammars: each turn has the grammar of what can be done in it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest
from gbnf import Gbnf
from sentences import sentence

from dovetail import Engine
from dovetail.grammar.plan import callable_tools
from dovetail.grammar.turn import turn_rules
from dovetail.models.protocol import Completion, Message
from dovetail.runs.limits import Limits
from dovetail.tools.definition import Tool, tool
from dovetail.v1 import Event, RunState, Severity
from scripted import PATIENCE, GrammarModel, ScriptedModel, facts, finish, outputs

pytestmark = pytest.mark.anyio


@tool(read_only=True)
async def length(text: str) -> int:
    """Measures a text."""
    return len(text)


@tool(read_only=True)
async def half(n: float) -> float:
    """Half of a number."""
    return n / 2


@tool
async def broken(n: int) -> int:
    """Is broken."""
    raise ValueError("no such luck")


class Constrained(GrammarModel):
    """Also says what a grammar lets it do."""

    def accepts(self, call: int, action: str) -> bool:
        """Whether the grammar of the call of this number, from 1, lets this be done."""
        grammar = self.grammars[call - 1]
        return grammar is None or Gbnf(grammar.text).accepts(f"Thought: so\nAction: {action}")


def act(action: str) -> str:
    return f"Thought: so\nAction: {action}"


async def react(model: ScriptedModel, **options: Any) -> list[Event]:
    engine = Engine([length, half, broken], model, strategy="react", **options)
    async with asyncio.timeout(PATIENCE), engine:
        return [event async for event in engine.start("why?").events()]


async def test_a_turn_may_refer_to_what_has_succeeded_and_to_nothing_else() -> None:
    model = Constrained(act('length("abc")'), act("broken(1)"), act("half($1)"), finish("1.5"))
    events = await react(model)
    assert outputs(events) == {1: "3", 3: "1.5"}
    assert [started.grammar for started in facts(events, "plan_started")] == ["gbnf"] * 4
    assert not facts(events, "plan_diagnosed")
    assert model.stops == [()] * 4
    can_refer = [[model.accepts(call, f"half(${task})") for task in (1, 2, 3)] for call in (1, 2, 3, 4)]
    assert can_refer == [[False] * 3, [True, False, False], [True, False, False], [True, False, True]]
    assert model.accepts(1, "Finish(1)")
    assert not model.accepts(1, "guess(1)")


async def test_a_turn_that_must_answer_has_a_grammar_in_which_nothing_can_be_called() -> None:
    model = Constrained(act('length("abc")'), finish("perhaps"))
    events = await react(model, limits=Limits(max_replans=0))
    assert facts(events, "run_answered")[0].incomplete
    assert model.accepts(1, 'length("abc")')
    assert not model.accepts(2, 'length("abc")')
    assert model.accepts(2, "Finish(perhaps)")


async def test_an_answer_schema_is_a_part_of_the_grammar() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    model = Constrained(act('length("abc")'), finish('{"n": 3}'))
    events = await react(model, answer_schema=schema)
    assert facts(events, "run_answered")[0].answer == '{"n":3}'
    assert not model.accepts(1, "Finish(3)")
    assert not model.accepts(1, 'Finish({"n": "3"})')
    assert model.accepts(1, 'Finish({"n": 3})')
    assert model.accepts(1, "half(3)")


async def test_a_server_that_refuses_the_grammar_is_asked_without_it_which_a_hint_says() -> None:
    model = Constrained(act('length("abc")'), finish("3"), finish("4"), refuses=lambda _: True)
    engine = Engine([length], model, strategy="react")
    async with asyncio.timeout(PATIENCE), engine:
        events = [event async for event in engine.start("why?").events()]
        later = [event async for event in engine.start("why?").events()]
    assert outputs(events) == {1: "3"}
    assert facts(events, "run_answered")[0].answer == "3"
    hint = facts(events, "plan_diagnosed")[0]
    assert (hint.severity, hint.code, hint.plan) == (Severity.SEVERITY_HINT, "grammar_refused", 1)
    assert "scripted:model is asked without a grammar: the grammar in gbnf was refused" in hint.message
    assert [started.grammar for started in facts(later, "plan_started")] == [""]
    assert [grammar is not None for grammar in model.grammars][-1] is False
    assert len(facts(events, "model_call_ended")) == len(model.grammars) - 1


async def test_tools_that_fight_the_grammar_leave_the_turns_unconstrained_which_a_hint_says() -> None:
    stuck = Tool("stuck", "", {"type": "object", "properties": {"x": False}, "required": ["x"]})
    model = Constrained(finish("nothing"))
    async with asyncio.timeout(PATIENCE), Engine([stuck], model, strategy="react") as engine:
        events = [event async for event in engine.start("why?").events()]
    assert model.grammars == [None]
    assert "tool 'stuck'" in facts(events, "plan_diagnosed")[0].message
    assert facts(events, "run_answered")[0].answer == "nothing"


async def test_a_model_that_takes_a_json_schema_alone_is_asked_without_a_grammar() -> None:
    model = Constrained(finish("3"))
    model.grammar_dialects = ("json_schema",)
    events = await react(model)
    assert model.grammars == [None]
    assert [started.grammar for started in facts(events, "plan_started")] == [""]


@pytest.mark.parametrize("seed", range(25))
async def test_whatever_the_grammar_lets_a_model_write_is_a_run_without_an_error(seed: int) -> None:
    """A model that writes any turn that it may: each is a call that is made, or the answer."""
    source = random.Random(seed)
    shapes = [one.to_mcp() for one in (length, half)]

    class Dice(Constrained):
        async def stream(self, messages: Sequence[Message], **options: Any) -> AsyncGenerator[str | Completion, None]:
            # Its own ids, as the grammar has them: every call so far has succeeded.
            self.grammars.append(options["grammar"])
            referable = [] if len(self.grammars) > 15 else list(range(1, len(self.grammars)))
            text = sentence(turn_rules(callable_tools(shapes, "gbnf"), referable, ""), source)
            if len(self.grammars) > 8:
                text = finish("enough")
            for at in range(0, len(text), 5):
                yield text[at : at + 5]
            yield Completion("stop", None)

    async with asyncio.timeout(PATIENCE), Engine([length, half], Dice(), strategy="react") as engine:
        events = [event async for event in engine.start("why?").events()]
    wrong = [fact.message for fact in facts(events, "plan_diagnosed") if fact.severity == Severity.SEVERITY_ERROR]
    assert wrong == []
    assert facts(events, "run_ended")[0].state == RunState.RUN_STATE_ANSWERED
    assert len(facts(events, "task_succeeded")) == len(facts(events, "task_planned"))
