"""Models whose servers do not tell reasoning from text: what they only think of is not done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from dovetail import Engine
from dovetail.models.protocol import Completion, Usage
from dovetail.runs.joiner import MAX_REPLY
from dovetail.strategies.react_reply import ReactReply
from dovetail.strategies.reasoning import Reasoning
from dovetail.tools.definition import tool
from dovetail.v1 import Event, FailureReason, ReplanRequested, RunState
from scripted import PATIENCE, GrammarModel, ScriptedModel, facts, outputs, plan

pytestmark = pytest.mark.anyio

PROSE = (
    "Okay, the user asks how long a text is. There is a tool that measures texts, so one call of it will do, and its "
    "output is the answer; no further call is needed, and nothing has to be looked up. A draft of the plan could be:"
)


@tool(read_only=True)
async def length(text: str) -> int:
    """Measures a text."""
    return len(text)


async def run(model: ScriptedModel, **options: Any) -> list[Event]:
    async with asyncio.timeout(PATIENCE), Engine([length], model, **options) as engine:
        return [event async for event in engine.start("why?").events()]


def codes(events: list[Event]) -> list[str]:
    return [fact.code for fact in facts(events, "plan_diagnosed")]


def answers(events: list[Event]) -> list[str]:
    return [fact.answer for fact in facts(events, "run_answered")]


# Plans --------------------------------------------------------------------------------------------------------


async def test_a_draft_in_reasoning_is_not_run() -> None:
    model = ScriptedModel(
        plan("<think>", '1. length("draft")', "2. join()", "</think>", "", '1. length("real")', "2. join($1)")
    )
    events = await run(model)
    assert (outputs(events), answers(events), codes(events)) == ({1: "4"}, ["4"], [])


async def test_a_plan_in_json_is_read_behind_reasoning() -> None:
    tasks = '{"tasks": [{"id": 1, "tool": "length", "arguments": {"text": "real"}}], "join": 1}'
    events = await run(ScriptedModel(f'<THINK>\n{{"tasks": [\n</THINK>\n```json\n{tasks}\n```'))
    assert (outputs(events), answers(events)) == ({1: "4"}, ["4"])


async def test_the_plan_behind_a_closing_tag_alone_is_read_and_the_draft_before_it_has_run() -> None:
    model = ScriptedModel(
        plan(PROSE, '1. length("draft")', "2. nosuch($1)", "3. join($1)", "No.", "</think>", "")
        + plan('1. length("real")', '2. length("draft")', "3. join($1)")
    )
    events = await run(model)
    assert answers(events) == ["4"]
    assert sorted(outputs(events).values()) == ["4", "5"], "what the draft has called is not called again"
    assert {"unopened_reasoning", "draft_id"} <= set(codes(events))
    assert not facts(events, "replan_requested"), "nobody has to mend a draft"


async def test_a_model_that_reasons_to_its_limit_of_tokens_is_asked_again_and_told_why() -> None:
    async def endless() -> AsyncGenerator[str | Completion, None]:
        yield '<think>\n1. length("draft")\n2. join($1)\nWait,'
        yield Completion("length", Usage(prompt_tokens=10, completion_tokens=5))

    model = ScriptedModel(endless, '<think>Short.</think>\n1. length("real")\n2. join($1)')
    events = await run(model)
    assert (outputs(events), answers(events)) == ({1: "4"}, ["4"])
    assert codes(events) == ["unclosed_reasoning"]
    (wanted,) = facts(events, "replan_requested")
    assert wanted.cause == ReplanRequested.CAUSE_CUT_OFF
    assert "reasoned to the end" in wanted.reason
    assert "raise max_tokens, or turn its reasoning off" in wanted.reason


async def test_a_run_in_which_a_model_only_reasons_fails_with_the_remedy() -> None:
    events = await run(ScriptedModel('<think>\n1. length("draft")'), strategy="plan-only")
    ended = facts(events, "run_ended")[0]
    assert (ended.state, ended.failure.reason) == (
        RunState.RUN_STATE_FAILED,
        FailureReason.FAILURE_REASON_EMPTY_PLAN,
    )
    assert "raise max_tokens" in ended.failure.message


async def test_a_repair_may_be_reasoned_about_too() -> None:
    model = ScriptedModel(
        '<think>1. length("draft")</think>\n1. lenght("real")\n2. join($1)',
        '<think>\n2. length("draft")\n</think>\n3. length("real")\n4. join($3)',
    )
    events = await run(model)
    assert (outputs(events), answers(events)) == ({3: "4"}, ["4"])
    assert [fact.cause for fact in facts(events, "replan_requested")] == [ReplanRequested.CAUSE_INVALID_TASKS]


@pytest.mark.parametrize("strategy", ["compile", "react"])
async def test_long_reasoning_meets_no_bound_that_is_meant_for_plans(strategy: str) -> None:
    async def long() -> AsyncGenerator[str | Completion, None]:
        for _ in range(200):
            yield 'Action: length("draft")\n1. length("draft")\n'.ljust(1_000, "x") + "\n"
        yield (
            '</think>\nThought: so.\n1. length("real")\n2. join($1)'
            if strategy == "compile"
            else ("</think>\nThought: so.\nAction: Finish(4)")
        )
        yield Completion("stop", Usage(prompt_tokens=10, completion_tokens=5))

    async def begun() -> AsyncGenerator[str | Completion, None]:
        yield "<think>\n"
        async for piece in long():
            yield piece

    events = await run(ScriptedModel(begun), strategy=strategy)
    assert (answers(events), codes(events)) == (["4"], [])


# Turns --------------------------------------------------------------------------------------------------------


async def test_an_action_in_reasoning_is_none() -> None:
    model = ScriptedModel(
        '<think>\nAction: length("draft")\n</think>\n\nThought: so.\nAction: length("real")',
        "I could do this:\nWell, no.\n</think>\nThought: known.\nAction: Finish(4)",
    )
    events = await run(model, strategy="react")
    assert (outputs(events), answers(events), codes(events)) == ({1: "4"}, ["4"], [])
    assert [fact.text for fact in facts(events, "thought_written")] == ["so.", "known."]


@pytest.mark.parametrize("opening", ["<think>\n", ""])
async def test_an_observation_that_is_reasoned_about_ends_no_turn(opening: str) -> None:
    reasoned = f'{opening}What would come of it?\nObservation: 5, say. So be it.\n</think>\nAction: length("real")'
    model = ScriptedModel(f"{reasoned}\nObservation: 9", "Action: Finish(4)")
    events = await run(model, strategy="react")
    assert (outputs(events), answers(events), codes(events)) == ({1: "4"}, ["4"], [])


async def test_a_server_that_may_have_stopped_in_reasoning_is_not_to_stop_any_more() -> None:
    stopped, call = "<think>\nWhat would come of it?", 'Action: length("real")'
    for first, later in ((call, ("\nObservation",)), (stopped, ()), (f"<think>hm</think>{call}", ()), ("Hm.", ())):
        model = GrammarModel(first, "Action: Finish(4)", dialects=())
        await run(model, strategy="react")
        assert model.stops == [("\nObservation",), later]


async def test_a_turn_that_is_only_reasoning_is_told_so() -> None:
    model = ScriptedModel('<think>\nAction: length("draft")', "Action: Finish(none)")
    events = await run(model, strategy="react")
    assert (outputs(events), answers(events)) == ({}, ["none"])
    assert "your reasoning came to no end" in model.asked[1][-1]["content"]


async def test_a_turn_that_reasons_without_an_end_is_stopped_and_that_is_said() -> None:
    async def endless() -> AsyncGenerator[str | Completion, None]:
        yield "<think>"
        for _ in range(2 * MAX_REPLY // 1_000):
            yield "x" * 1_000

    model = ScriptedModel(endless, "Action: Finish(none)")
    events = await run(model, strategy="react")
    assert (answers(events), codes(events)) == (["none"], ["long_reply"])
    assert "your reasoning came to no end" in model.asked[1][-1]["content"]


@pytest.mark.parametrize("size", [1, 3, 7, 1_000])
@pytest.mark.parametrize(
    "before",
    [
        "<think>\nAction: length(1)\n</think>",
        " \n<Thinking>a</think></THINKING>\n<think>b</think>",
        "Hm.\n</think>",
        "x" * 500 + "</reasoning>",
        "<think>a\nObservation: b\n</think>",
        "a\nObservation: b\nAction: length(1)\nObservation: c </think>",
    ],
)
def test_an_action_is_read_behind_reasoning_however_it_is_cut(before: str, size: int) -> None:
    text = before + 'Thought: so\nAction: length("</think>")'
    reply = ReactReply(["length"])
    action = "".join(reply.feed(text[at : at + size]) for at in range(0, len(text), size)) + reply.finish()
    assert (reply.kind, reply.thought, action) == ("call", "so", 'length("</think>")')


@pytest.mark.parametrize("text", ["", "<", " <thin", " " * 2_000, "<thinker>", "a <think>", "< think>", "</think>"])
def test_text_that_begins_with_no_reasoning_is_passed_on(text: str) -> None:
    reasoning = Reasoning()
    assert "".join(map(reasoning.feed, text)) + reasoning.finish() == text
    assert not reasoning.is_open
