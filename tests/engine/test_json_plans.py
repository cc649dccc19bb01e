"""Plans in JSON: asked of models that are held to a JSON schema and to nothing else."""

from __future__ import annotations

import asyncio
import json

import pytest

from dovetail import Engine, Example
from dovetail.prompts.planner_prompt import PlannerPrompt
from dovetail.tools.definition import tool
from dovetail.tools.tool_set import ToolSet
from scripted import PATIENCE, GrammarModel, facts, finish, outputs, plan

pytestmark = pytest.mark.anyio


@tool(read_only=True)
async def length(text: str, unit: str | None = None) -> int:
    """Measures a text."""
    return len(text)


@tool(read_only=True)
async def double(number: int) -> int:
    """Doubles a number."""
    return 2 * number


@tool(read_only=True)
async def broken(text: str) -> str:
    """Does not work."""
    raise RuntimeError(text)


def held_to_schemas(*scripts: str, refuses: bool = False) -> GrammarModel:
    """A model that takes JSON schemas alone; one that refuses takes none after all."""
    return GrammarModel(*scripts, dialects=("json_schema",), refuses=lambda _: refuses)


def task(task_id: int, name: str, **arguments: object) -> dict[str, object]:
    return {"tool": name, "id": task_id, "arguments": arguments}


def json_plan(*tasks: dict[str, object], join: int | None = None) -> str:
    return json.dumps({"tasks": tasks, "join": join})


async def test_a_model_that_takes_nothing_but_a_json_schema_is_taught_plans_in_json_and_writes_them() -> None:
    model = held_to_schemas(json_plan(task(1, "length", text="abc", unit=None), task(2, "double", number="$1"), join=2))
    example = Example("How long is x, twice?", '1. length("x $$5")\n2. double($1)\n3. join($2)')
    async with asyncio.timeout(PATIENCE), Engine([length, double], model, examples=[example]) as engine:
        events = [event async for event in engine.start("How long is abc, twice?").events()]
    assert facts(events, "run_answered")[0].answer == "6"
    assert facts(events, "plan_started")[0].grammar == "json_schema"
    assert facts(events, "plan_diagnosed") == facts(events, "task_diagnosed") == []
    grammar = model.grammars[0]
    assert grammar is not None
    assert json.loads(grammar.text)["required"] == ["tasks", "join"]
    assert model.stops == [()]
    system, asked, taught, question = model.asked[0]
    assert [system] == PlannerPrompt().messages("q", ToolSet([length, double]).shapes, form="json")[:1]
    assert asked["content"] == example.question
    assert json.loads(taught["content"]) == {
        "tasks": [task(1, "length", text="x $$5", unit=None), task(2, "double", number="$1")],
        "join": 2,
    }
    assert question["content"] == "How long is abc, twice?"


async def test_where_the_schema_is_refused_the_model_is_asked_for_lines_and_taught_them() -> None:
    model = held_to_schemas(plan('1. length("abc")', "2. join($1)"), refuses=True)
    example = Example("How long is x?", '1. length("x")\n2. join($1)')
    async with asyncio.timeout(PATIENCE), Engine([length], model, examples=[example]) as engine:
        events = [event async for event in engine.start("How long is abc?").events()]
    assert facts(events, "run_answered")[0].answer == "3"
    assert [hint.code for hint in facts(events, "plan_diagnosed")] == ["grammar_refused"]
    assert model.asked[0][0] == PlannerPrompt().messages("q", ToolSet([length]).shapes)[0]
    assert model.asked[0][2]["content"] == '1. length("x")\n2. join($1)'


async def test_a_task_of_a_json_plan_that_cannot_be_called_is_written_again_alone() -> None:
    first = json_plan(
        task(1, "length", text="abc", unit=None),
        task(2, "double", nummer=5),
        task(3, "double", number="$2"),
        join=3,
    )
    model = held_to_schemas(first, json_plan(task(4, "double", number="$1"), join=4))
    async with asyncio.timeout(PATIENCE), Engine([length, double], model) as engine:
        events = [event async for event in engine.start("why?").events()]
    assert facts(events, "run_answered")[0].answer == "6"
    told = model.asked[1][-1]["content"]
    assert '\n{"tool": "double", "id": 2, "arguments": {"nummer": 5}} (' in told
    assert '\n{"tool": "double", "id": 3, "arguments": {"number": "$2"}} (it needs one that was not made)\n' in told
    assert "corrected, and the join. IDs continue at" in told
    assert told.endswith('use their outputs as "$N".')
    assert outputs(events) == {1: "3", 4: "6"}


async def test_examples_of_further_plans_go_on_with_their_ids_in_json() -> None:
    example = Example(
        "How long?", '2. length("y")\n3. join($2)', '1. broken("x")\nfailed: it does not work', "the length"
    )
    model = held_to_schemas(
        json_plan(task(1, "broken", text="abc")),
        json_plan(task(2, "length", text="abc", unit=None), join=2),
    )
    async with asyncio.timeout(PATIENCE), Engine([length, broken], model, examples=[example]) as engine:
        events = [event async for event in engine.start("why?", replan_on_failure=True).events()]
    assert facts(events, "run_answered")[0].answer == "3"
    assert json.loads(model.asked[1][2]["content"]) == {"tasks": [task(2, "length", text="y", unit=None)], "join": 2}


async def test_a_joiner_follows_a_json_plan_that_names_no_answer() -> None:
    model = held_to_schemas(json_plan(task(1, "length", text="abc", unit=None)), finish("three"))
    async with asyncio.timeout(PATIENCE), Engine([length], model) as engine:
        answer = await engine.start("why?").answer()
    assert answer == "three"
