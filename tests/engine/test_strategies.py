"""How answers are found: the choice of a strategy, and the strategy ``plan-only``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import get_args

import pytest

import dovetail
from dovetail import Engine, RunFailedError, ToolSet, UsageError, _core
from dovetail.models.protocol import Completion
from dovetail.runs.call_line import call_line
from dovetail.runs.run_options import RunOptions, StrategyName, strategy_to_wire
from dovetail.strategies import STRATEGIES
from dovetail.tools.definition import Tool, tool
from dovetail.v1 import Event, RunState, Strategy
from scripted import PATIENCE, ScriptedModel, facts, finish, plan

pytestmark = pytest.mark.anyio


@tool(read_only=True)
async def length(text: str) -> int:
    """Measures a text."""
    return len(text)


@tool
async def broken() -> str:
    """Is broken."""
    raise ValueError("no such luck")


async def plan_only(model: ScriptedModel) -> list[Event]:
    async with asyncio.timeout(PATIENCE), Engine([length, broken], model, strategy="plan-only") as engine:
        return [event async for event in engine.start("why?").events()]


async def test_a_run_says_in_its_first_event_how_its_answer_is_found() -> None:
    events = await plan_only(ScriptedModel(plan('1. length("abc")', "2. join()")))
    assert facts(events, "run_started")[0].strategy == Strategy.STRATEGY_PLAN_ONLY
    assert facts(events, "run_started")[0].joiner == ""
    async with asyncio.timeout(PATIENCE), Engine([length], ScriptedModel("1. join()", finish("x"))) as engine:
        events = [event async for event in engine.start("why?").events()]
    started = facts(events, "run_started")[0]
    assert (started.strategy, started.joiner) == (Strategy.STRATEGY_COMPILE, "scripted:model")


async def test_a_plan_alone_answers_with_all_outputs_and_failures() -> None:
    model = ScriptedModel(plan('1. length("abc")', "2. broken()", '3. length("$2")', '4. length("four")', "5. join()"))
    events = await plan_only(model)
    answered = facts(events, "run_answered")[0]
    assert json.loads(answered.answer) == {
        "outputs": {"1": 3, "4": 4},
        "failures": {"2": "TOOL_ERROR: ValueError: no such luck", "3": "skipped, because task 2 failed"},
    }
    assert ": " not in answered.answer.partition('"failures"')[0]
    assert not answered.incomplete
    assert len(model.asked) == 1
    assert facts(events, "run_ended")[0].state == RunState.RUN_STATE_ANSWERED


async def test_a_plan_alone_answers_with_the_output_that_it_names() -> None:
    events = await plan_only(ScriptedModel(plan('1. length("abc")', '2. length("four")', "3. join($2)")))
    assert (facts(events, "run_answered")[0].answer, facts(events, "run_answered")[0].answer_task) == ("4", 2)


async def test_a_plan_alone_keeps_numbers_of_any_size() -> None:
    @tool
    async def huge() -> int:
        """Gives a huge number."""
        return 10**30

    async with asyncio.timeout(PATIENCE):
        async with Engine([huge], ScriptedModel("1. huge()\n2. join()"), strategy="plan-only") as engine:
            answer = await engine.start("why?").answer()
    assert answer == '{"outputs":{"1":1' + "0" * 30 + '},"failures":{}}'


async def test_a_plan_alone_that_is_none_fails_the_run() -> None:
    async with asyncio.timeout(PATIENCE):
        async with Engine([length], ScriptedModel("I would rather not."), strategy="plan-only") as engine:
            with pytest.raises(RunFailedError, match="wrote no plan"):
                await engine.start("why?").answer()


async def test_a_strategy_can_be_chosen_for_one_run() -> None:
    model = ScriptedModel('1. length("abc")\n2. join()')
    async with asyncio.timeout(PATIENCE), Engine([length], model) as engine:
        assert await engine.start("why?", strategy="plan-only").answer() == '{"outputs":{"1":3},"failures":{}}'


def test_the_synchronous_face_takes_a_strategy() -> None:
    model = ScriptedModel('1. length("abc")\n2. join()')
    answer = dovetail.run("why?", tools=[length], model=model, strategy="plan-only")
    assert json.loads(answer)["outputs"] == {"1": 3}


def test_a_strategy_that_there_is_not_is_refused() -> None:
    with pytest.raises(UsageError, match="there is no strategy 'guess'; strategies are compile, plan-only"):
        Engine([length], ScriptedModel(), strategy="guess")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", get_args(StrategyName))
def test_every_strategy_is_there_and_has_a_value_on_the_wire(name: StrategyName) -> None:
    assert name in STRATEGIES
    assert Strategy.Name(strategy_to_wire(name)) == f"STRATEGY_{name.upper().replace('-', '_')}"


def test_notes_are_bounded() -> None:
    with pytest.raises(UsageError, match="16,385 bytes; at most 16,384"):
        RunOptions(notes="x" * 16_385)


@pytest.mark.parametrize("arguments", ["", "[1]", '{"a": 1', '{})\n2. length("x"'])
def test_a_call_whose_arguments_are_no_object_cannot_be_asked_for(arguments: str) -> None:
    with pytest.raises(UsageError, match="the arguments of length are no JSON"):
        call_line("length", arguments, 1)


def test_a_call_whose_arguments_are_nested_without_an_end_cannot_be_asked_for() -> None:
    with pytest.raises(UsageError, match="the arguments of length are nested too deep"):
        call_line("length", '{"text": ' + "[" * 100_000, 1)


@pytest.mark.parametrize("name", ["db.query", "a/b:c", "_x", "read-file"])
def test_whatever_name_a_tool_may_have_can_be_asked_for(name: str) -> None:
    line = call_line(name, '{"text": "costs $1", "größe": 1}', 3)
    assert line == f'3. {name}(text="costs $$1", größe=1)\n'
    tools = [Tool(name, "", {"type": "object", "properties": {"text": {}, "größe": {}}})]
    machine = _core.Machine(ToolSet(tools).core)
    [ready] = [step for step in machine.feed(line) if isinstance(step, _core.Ready)]
    assert (ready.tool, json.loads(ready.arguments)) == (name, {"text": "costs $1", "größe": 1})


@pytest.mark.parametrize(
    ("name", "arguments"), [('length(""))\n2. broken', "{}"), ("", "{}"), ("length", '{"a=1)\\n2. broken(b": 1}')]
)
def test_a_call_that_would_become_more_than_one_cannot_be_asked_for(name: str, arguments: str) -> None:
    with pytest.raises(UsageError, match="is no name of"):
        call_line(name, arguments, 1)


@pytest.mark.parametrize(
    ("strategy", "written"), [("compile", "1. pay(10"), ("react", "Action: pay(10"), ("plan-only", "1. pay(10")]
)
async def test_half_a_call_is_not_made_when_its_run_is_cancelled(strategy: StrategyName, written: str) -> None:
    paid: list[int] = []
    written_so_far = asyncio.Event()

    @tool
    async def pay(amount: int) -> str:
        """Pays."""
        paid.append(amount)
        return "paid"

    async def half() -> AsyncGenerator[str | Completion, None]:
        yield written
        written_so_far.set()
        await asyncio.Event().wait()
        yield "0)"

    async with asyncio.timeout(PATIENCE), Engine([pay], ScriptedModel(half), strategy=strategy) as engine:
        run = engine.start("why?")
        await written_so_far.wait()
        run.cancel()
        events = [event async for event in run.events()]
    assert paid == []
    assert facts(events, "plan_diagnosed")[0].code == "cut_off"
    assert facts(events, "run_ended")[0].state == RunState.RUN_STATE_CANCELLED
