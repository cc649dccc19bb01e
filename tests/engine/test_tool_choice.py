"""Which tools a run may use, and which of them its planner is shown."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from dovetail import Engine, ToolSet, UsageError
from dovetail.tools.definition import Tool, tool
from scripted import PATIENCE, GrammarModel, ScriptedModel, facts, failures, finish, outputs, plan

if TYPE_CHECKING:
    pass

pytestmark = pytest.mark.anyio

called: list[str] = []


@tool(name="db.query")
async def query(sql: str) -> str:
    """Asks a database."""
    called.append("db.query")
    return sql


@tool(name="db.drop")
async def drop(table: str) -> str:
    """Drops a table."""
    called.append("db.drop")
    return table


@pytest.fixture(autouse=True)
def nothing_called() -> None:
    called.clear()


def many(count: int) -> list[Tool]:
    return [Tool(f"spec_{index}", "Nothing of interest.", {"type": "object"}) for index in range(count)]


def prompt(model: ScriptedModel, call: int = 0) -> str:
    return "\n".join(message["content"] for message in model.asked[call])


async def test_a_tool_that_is_denied_does_not_exist_for_the_plan() -> None:
    tools = ToolSet.of([query, drop])
    model = ScriptedModel(plan('1. db.query("x")', '2. db.drop("t")', "3. join()"), finish("done"))
    async with asyncio.timeout(PATIENCE), Engine(tools, model) as engine:
        run = engine.start("why?", tools=tools.allow("db.*").deny("db.drop"))
        events = [event async for event in run.events()]
    assert list(facts(events, "run_started")[0].tools) == ["db.query"]
    assert failures(events) == {2: "INVALID"}
    assert outputs(events) == {1: '"x"'}
    assert "db.drop" not in prompt(model)
    assert called == ["db.query"]


async def test_what_is_not_in_the_runs_set_is_not_called_even_if_it_could_be_planned() -> None:
    narrow = ToolSet.of([query])
    narrow.__dict__["core"] = ToolSet.of([query, drop]).core  # as if the machine had been given another set
    model = ScriptedModel(plan('1. db.drop("t")', "2. join()"), finish("done"))
    async with asyncio.timeout(PATIENCE), Engine([query, drop], model) as engine:
        run = engine.start("why?", tools=narrow)
        with pytest.raises(Exception, match=r"db\.drop"):
            await run.answer()
    assert called == []


async def test_an_empty_set_is_a_set_and_not_the_engines() -> None:
    model = ScriptedModel(plan('1. db.query("x")', "2. join()"), finish("done"))
    async with asyncio.timeout(PATIENCE), Engine([query], model) as engine:
        run = engine.start("why?", tools=ToolSet())
        events = [event async for event in run.events()]
    assert failures(events) == {1: "INVALID"}
    assert called == []


async def test_of_many_tools_the_prompt_and_the_grammar_see_the_relevant_ones() -> None:
    model = GrammarModel(plan('1. db.query("x")', "2. join($1)"))
    async with asyncio.timeout(PATIENCE), Engine([*many(200), query], model, max_tools_shown=5) as engine:
        assert await engine.start("ask the database").answer() == "x"
    grammar = model.grammars[0]
    assert grammar is not None
    for shown in (prompt(model), grammar.text):
        assert "db.query" in shown
        assert shown.count("spec_") > 0
        assert "spec_5" not in shown


async def test_a_plan_may_call_a_tool_of_the_run_that_it_was_not_shown() -> None:
    model = ScriptedModel(plan('1. db.query("x")', "2. join($1)"))
    async with asyncio.timeout(PATIENCE), Engine([*many(200), query], model, max_tools_shown=5) as engine:
        run = engine.start("nothing")
        assert await run.answer() == "x"
        events = [event async for event in run.events()]
    assert "db.query" not in prompt(model)
    assert len(facts(events, "run_started")[0].tools) == 201


async def test_on_a_replan_the_tools_are_chosen_again_with_what_was_lacking() -> None:
    model = ScriptedModel(
        plan('1. db.drop("x")', "2. join()"),
        "Thought: no.\nAction: Replan(ask a database)",
        plan('3. db.query("x")', "4. join($3)"),
    )
    async with asyncio.timeout(PATIENCE), Engine([*many(200), query, drop], model, max_tools_shown=5) as engine:
        assert await engine.start("drop that").answer() == "x"
    assert "db.query" not in prompt(model, 0)
    assert "db.query" in prompt(model, 2)


async def test_events_tell_which_tools_each_planner_was_shown_if_they_were_fewer_than_those_of_the_run() -> None:
    model = ScriptedModel(
        plan('1. db.drop("x")', "2. join()"),
        "Thought: no.\nAction: Replan(ask a database)",
        plan('3. db.query("x")', "4. join($3)"),
        plan("1. join()"),
        finish("done"),
    )
    async with asyncio.timeout(PATIENCE), Engine([*many(200), query, drop], model, max_tools_shown=5) as engine:
        events = [event async for event in engine.start("drop that").events()]
        first, second = [list(fact.tools) for fact in facts(events, "plan_started")]
        assert (len(first), "db.drop" in first, "db.query" in first) == (5, True, False)
        assert (len(second), "db.query" in second) == (5, True)
        assert all(name in prompt(model, 2) for name in second)
        few = [event async for event in engine.start("why?", tools=ToolSet([query, drop])).events()]
    assert list(facts(few, "plan_started")[0].tools) == []


async def test_up_to_the_bound_all_tools_are_shown_and_another_retriever_may_choose() -> None:
    class First:
        def choose(self, question: str, tools: ToolSet) -> ToolSet:
            return tools.allow("spec_7")

    model = ScriptedModel(plan("1. join()"), finish("a"), plan("1. join()"), finish("b"))
    async with asyncio.timeout(PATIENCE), Engine(many(8), model, retriever=First(), max_tools_shown=8) as engine:
        await engine.start("why?").answer()
    async with asyncio.timeout(PATIENCE), Engine(many(9), model, retriever=First(), max_tools_shown=8) as engine:
        await engine.start("why?").answer()
    assert [prompt(model, call).count("spec_") > 1 for call in (0, 2)] == [True, False]
    with pytest.raises(UsageError, match="max_tools_shown is 0"):
        Engine(many(1), model, max_tools_shown=0)
