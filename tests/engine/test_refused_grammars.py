"""What becomes of a run whose model's server refuses the grammar of the plan."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

import pytest

from dovetail import Engine
from dovetail.builtin.ask import ask, ask_tool
from dovetail.errors import ModelError
from dovetail.models.protocol import Completion, Grammar
from dovetail.runs.dialects import Dialects
from dovetail.tools.call_context import CallContext
from dovetail.tools.definition import Tool, tool
from dovetail.tools.tool_set import ToolSet
from dovetail.v1 import FailureReason, Purpose, ReplanRequested, Severity
from scripted import PATIENCE, GrammarModel, ScriptedModel, facts, finish, plan

pytestmark = pytest.mark.anyio

KINDS = ["list", "number"]


@tool(read_only=True)
async def length(text: str) -> int:
    """Measures a text."""
    return len(text)


@tool(read_only=True)
async def width(text: str) -> int:
    """Measures a text the other way."""
    return len(text)


def refusing(*scripts: str, refuses: Callable[[Grammar], bool] = lambda _: True) -> GrammarModel:
    """Takes grammars, and then does not: all of them, if it is not said which."""
    return GrammarModel(*scripts, refuses=refuses)


async def test_a_model_that_refuses_the_grammar_is_asked_without_it_and_keeps_its_freedom() -> None:
    text = plan('1. length("abc")', "2. join($1)")
    model = refusing(text, text)
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
    model = refusing(text, text, text)
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
    model = refusing(plan("1. join()"), finish("nothing"))
    async with asyncio.timeout(PATIENCE), Engine([stuck], model) as engine:
        events = [event async for event in engine.start("why?").events()]
    hint = facts(events, "plan_diagnosed")[0]
    assert (hint.severity, hint.code) == (Severity.SEVERITY_HINT, "grammar_refused")
    assert "tool 'stuck'" in hint.message
    assert model.grammars[0] is None


async def test_tools_that_fight_the_grammar_are_tried_once_and_not_in_every_run() -> None:
    stuck = Tool("stuck", "", {"type": "object", "properties": {"x": False}, "required": ["x"]})
    text = plan('1. length("abc")', "2. join($1)")
    model = refusing(plan("1. join()"), finish("nothing"), plan("1. join()"), finish("nothing"), text)
    model.grammar_dialects = ("lark",)
    async with asyncio.timeout(PATIENCE), Engine([stuck], model) as engine:
        first = [event async for event in engine.start("why?").events()]
        second = [event async for event in engine.start("why?").events()]
        # Other tools, whose grammar is one.
        other = [event async for event in engine.start("why?", tools=ToolSet.of([length])).events()]
    assert [started.grammar for started in facts(first + second + other, "plan_started")] == ["lark", "", "lark"]
    assert "tool 'stuck'" in facts(first, "plan_diagnosed")[0].message
    assert "tool 'stuck'" not in "".join(fact.message for fact in facts(second, "plan_diagnosed"))


# What is remembered -------------------------------------------------------------------------------------------


async def test_a_grammar_that_is_too_large_for_a_server_leaves_it_others() -> None:
    text = plan('1. length("abc")', "2. join($1)")
    model = refusing(*[text] * 4, refuses=lambda grammar: "width" in grammar.text)
    async with asyncio.timeout(PATIENCE), Engine([length, width], model) as engine:
        small = ToolSet.of([length])
        for tools in (None, small, None, small):
            await engine.start("why?", tools=tools).answer()
    assert [grammar and "width" in grammar.text for grammar in model.grammars] == [True, None, False, None, False]


async def test_a_notation_of_which_two_grammars_were_refused_and_none_taken_is_given_up() -> None:
    text = plan('1. length("abc")', "2. join($1)")
    model = refusing(*[text] * 3)
    async with asyncio.timeout(PATIENCE), Engine([length, width], model) as engine:
        for tools in (None, ToolSet.of([length]), ToolSet.of([width, length])):
            await engine.start("why?", tools=tools).answer()
    assert [grammar is not None for grammar in model.grammars] == [True, False, True, False, False]


async def test_whether_plans_are_constrained_says_nothing_of_verdicts() -> None:
    model = refusing(
        plan('1. length("abc")', "2. join()"), finish("3"), refuses=lambda grammar: "Finish" in grammar.text
    )
    async with asyncio.timeout(PATIENCE), Engine([length], model) as engine:
        events = [event async for event in engine.start("why?").events()]
    assert facts(events, "run_answered")[0].answer == "3"
    [hint] = facts(events, "plan_diagnosed")
    assert (hint.severity, hint.code, hint.plan) == (Severity.SEVERITY_HINT, "grammar_refused", 1)
    assert hint.message.startswith("scripted:model is asked for the answer without a grammar: the grammar in gbnf")
    ended = facts(events, "model_call_ended")
    joins = [call for call in ended if call.purpose == Purpose.PURPOSE_JOIN]
    assert [bool(call.failure.message) for call in joins] == [True, False]
    assert facts(events, "run_ended")[0].model_calls == 3


async def test_a_refusal_that_a_tool_meets_names_its_task() -> None:
    text = plan('1. ask("the height", "It is 8849 m high.")', "2. join($1)")
    model = refusing(
        text, '{"value": 8849}', text, '{"value": 8849}', refuses=lambda grammar: "join" not in grammar.text
    )
    async with asyncio.timeout(PATIENCE), Engine([ask], model) as engine:
        events = [event async for event in engine.start("how high?").events()]
        later = [event async for event in engine.start("how high?").events()]
    assert facts(events, "run_answered")[0].answer == "8849"
    [hint] = facts(events, "plan_diagnosed")
    assert (hint.severity, hint.code, hint.plan, hint.task_id) == (Severity.SEVERITY_HINT, "grammar_refused", 1, 1)
    assert "refused the grammar in gbnf that a tool asked it with: 400: no such rule" in hint.message
    assert [grammar is not None for grammar in model.grammars] == [True, True, False, True, False]
    assert facts(later, "plan_diagnosed") == []


@pytest.mark.parametrize("is_of_a_run", [True, False])
async def test_a_refused_grammar_of_one_value_leaves_tools_those_of_other_values(is_of_a_run: bool) -> None:
    def is_of_a_list(grammar: Grammar) -> bool:
        return '"items"' in grammar.text

    own = GrammarModel(*['{"value": ["a"]}', '{"value": 1}'] * 2, dialects=("json_schema",), refuses=is_of_a_list)
    own.name = "scripted:own"
    asking = ask_tool(own)
    planner = ScriptedModel(*[plan(f'1. ask("all", "a 1", type="{kind}")', "2. join($1)") for kind in KINDS * 2])
    async with asyncio.timeout(PATIENCE), Engine([asking], planner) as engine:
        for kind in KINDS * 2:
            if is_of_a_run:
                await engine.start("what?").answer()
            else:
                await asking.call(f'{{"question": "all", "context": "a 1", "type": "{kind}"}}', CallContext())
    assert [grammar and is_of_a_list(grammar) for grammar in own.grammars] == [True, None, False, None, False]


async def test_what_is_remembered_is_bounded() -> None:
    dialects, model = Dialects(), ScriptedModel()
    model.grammar_dialects = ("gbnf",)
    for number in range(3_000):
        dialects.fight("gbnf", Purpose.PURPOSE_PLAN, number)
    assert dialects.taken(model, ["gbnf"], Purpose.PURPOSE_PLAN, 0) == ["gbnf"]
    assert dialects.taken(model, ["gbnf"], Purpose.PURPOSE_PLAN, 2_999) == []


async def test_a_refusal_behind_the_first_text_is_a_failure() -> None:
    async def late() -> AsyncGenerator[str | Completion, None]:
        yield '1. length("abc")\n2. le'
        raise ModelError(FailureReason.FAILURE_REASON_MODEL_GRAMMAR_REFUSED, "400: too late")

    model = ScriptedModel(late, plan('3. length("ab")', "4. join($3)"))
    model.grammar_dialects = ("gbnf",)
    async with asyncio.timeout(PATIENCE), Engine([length], model) as engine:
        events = [event async for event in engine.start("why?").events()]
    assert facts(events, "replan_requested")[0].cause == ReplanRequested.CAUSE_CUT_OFF
    assert facts(events, "run_answered")[0].answer == "2"
