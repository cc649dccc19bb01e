"""One scripted question, asked by every strategy that finds answers: what is recorded compares, fact for fact."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dovetail import Engine
from dovetail.models.protocol import ToolRequest
from dovetail.prices import Price
from dovetail.runs.run_options import StrategyName
from dovetail.tools.definition import tool
from dovetail.v1 import Event, Purpose, RunState
from scripted import PATIENCE, ScriptedModel, facts, finish, kinds, outputs
from test_tool_calls import CallingModel

pytestmark = pytest.mark.anyio

STRATEGIES: tuple[StrategyName, ...] = ("compile", "react", "tool-calls")


@tool(read_only=True)
async def length(text: str) -> int:
    """Measures a text."""
    return len(text)


@tool
async def broken(text: str) -> str:
    """Is broken."""
    raise ValueError("no such luck")


async def by_all(models: dict[StrategyName, ScriptedModel], **options: Any) -> dict[StrategyName, list[Event]]:
    found: dict[StrategyName, list[Event]] = {}
    for strategy, model in models.items():
        prices = {"scripted:model": Price(input=1.0, output=2.0)}
        engine = Engine([length, broken], model, strategy=strategy, prices=prices, **options)
        async with asyncio.timeout(PATIENCE), engine:
            found[strategy] = [event async for event in engine.start("why?").events()]
    return found


def asking(name: str) -> dict[StrategyName, ScriptedModel]:
    """Models that call one tool and answer, each as its strategy has it."""
    return {
        "compile": ScriptedModel(f'Thought: so\n1. {name}("abc")\n2. join()', finish("it is 3")),
        "react": ScriptedModel(f'Thought: so\nAction: {name}("abc")', finish("it is 3")),
        "tool-calls": CallingModel(["so", ToolRequest("a", name, '{"text":"abc"}')], ["it is 3"]),
    }


def same(values: list[Any]) -> Any:
    """What all of them are."""
    assert all(value == values[0] for value in values), values
    return values[0]


def streamed(events: list[Event]) -> str:
    """The answer as it came: what stood before the last beginning of one was a thought after all."""
    text = ""
    for event in events:
        text = "" if event.HasField("join_started") else text + event.answer_text.text
    return text


async def test_strategies_record_the_same_kinds_of_events_in_the_same_order() -> None:
    found = await by_all(asking("length"))
    assert same([set(kinds(events)) for events in found.values()])
    of_tasks = ("task_planned", "task_ready", "call_started", "task_succeeded", "run_answered", "run_ended")
    order = same([[kind for kind in kinds(events) if kind in of_tasks] for events in found.values()])
    assert order == list(of_tasks)
    assert same([outputs(events) for events in found.values()]) == {1: "3"}
    for name in ("task_planned", "task_ready", "run_answered"):
        assert same([[str(fact) for fact in facts(events, name)] for events in found.values()])
    assert same([streamed(events) for events in found.values()]) == "it is 3"
    assert same([facts(events, "thought_written")[0].text for events in found.values()]) == "so"


async def test_strategies_count_the_same_totals() -> None:
    found = await by_all(asking("length"))
    ended = [facts(events, "run_ended")[0] for events in found.values()]
    usage = same([str(fact.usage) for fact in ended])
    assert "prompt_tokens: 20" in usage
    assert "completion_tokens: 10" in usage
    assert same([fact.model_calls for fact in ended]) == 2
    assert same([round(fact.cost, 9) for fact in ended]) == pytest.approx(40e-6)
    assert same([fact.state for fact in ended]) == RunState.RUN_STATE_ANSWERED
    purposes = {name: [call.purpose for call in facts(events, "model_call_ended")] for name, events in found.items()}
    # A planner that has closed its plan may still be speaking when the joiner is done.
    assert sorted(purposes["compile"]) == [Purpose.PURPOSE_PLAN, Purpose.PURPOSE_JOIN]
    assert purposes["react"] == purposes["tool-calls"] == [Purpose.PURPOSE_TURN] * 2


async def test_strategies_say_the_same_of_a_tool_that_fails() -> None:
    found = await by_all(asking("broken"))
    assert same([str(facts(events, "task_failed")[0]) for events in found.values()])
    assert same([facts(events, "run_answered")[0].answer for events in found.values()]) == "it is 3"
    assert same([set(kinds(events)) for events in found.values()])


async def test_strategies_say_the_same_of_a_tool_that_does_not_exist() -> None:
    models = asking("nothing")
    models["compile"] = ScriptedModel('Thought: so\n1. nothing("abc")\n2. join()', "3. join()", finish("it is 3"))
    found = await by_all(models)
    failures = [facts(events, "task_failed")[0] for events in found.values()]
    assert "there is no tool" in same([str(failure.failure) for failure in failures])
    wrong = [[(one.code, one.severity) for one in facts(events, "plan_diagnosed")] for events in found.values()]
    assert same([codes[0] for codes in wrong])[0] == "unknown_tool"
    assert same([facts(events, "run_answered")[0].answer for events in found.values()]) == "it is 3"
