"""What is asked of a run besides its question: strategies, schemas, citations, notes and replans, over gRPC."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from dovetail import Client, v1
from dovetail.errors import UsageError
from dovetail.models.protocol import Completion, Message, ModelStream, Usage
from dovetail.tools.definition import tool
from dovetail.v1 import FailureReason, ReplanRequested, Strategy
from live import Echo, serving

pytestmark = pytest.mark.anyio

NUMBER = '{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}'


@tool(read_only=True)
async def double(n: int) -> int:
    """Twice the number."""
    if n < 0:
        raise ValueError("no negative number")
    return 2 * n


class Telling(Echo):
    """Plans what it is asked; joins with what the question holds behind `join with`, and keeps what it was told."""

    def __init__(self) -> None:
        self.asked: list[Sequence[Message]] = []

    async def stream(self, messages: Sequence[Message], **_: Any) -> ModelStream:
        self.asked.append(messages)
        question = messages[-1]["content"] if len(messages) == 2 else messages[1]["content"]
        plan, _, answer = question.removeprefix("Question: ").partition("# join with ")
        if question.startswith("Question: "):
            yield f"Action: Finish({answer.partition(chr(10))[0]})"
        else:
            yield plan.strip()
        yield Completion("stop", Usage(prompt_tokens=10, completion_tokens=5))


def answered(events: Sequence[v1.Event]) -> v1.RunAnswered:
    return next(event.run_answered for event in events if event.HasField("run_answered"))


async def test_a_plan_alone_is_run_and_shown_as_such() -> None:
    async with serving([double], models={"echo:plan": Echo()}) as live:
        run_id = await live.create("1. double(4)\n2. join()", strategy=Strategy.STRATEGY_PLAN_ONLY)
        events = await live.events(run_id)
        shown = (await live.runs.GetRun(v1.GetRunRequest(run_id=run_id))).run
    assert answered(events).answer == shown.answer == '{"outputs":{"1":8},"failures":{}}'
    assert shown.strategy == Strategy.STRATEGY_PLAN_ONLY


async def test_an_answer_fits_the_schema_of_its_request() -> None:
    question = '1. double(4)\n2. join()\n# join with {"n": 8}'
    async with serving([double], models={"echo:plan": Telling()}) as live:
        events = await live.events(await live.create(question, answer_schema_json=NUMBER))
        wrong = await live.events(await live.create(question.replace("8}", "eight}"), answer_schema_json=NUMBER))
    assert answered(events).answer == '{"n":8}'
    assert json.loads(events[0].run_started.answer_schema_json) == json.loads(NUMBER)
    assert wrong[-1].run_ended.failure.reason == FailureReason.FAILURE_REASON_ANSWER_INVALID


async def test_an_answer_cites_its_tasks_and_notes_reach_both_models() -> None:
    model = Telling()
    async with serving([double], models={"echo:plan": model}) as live:
        question = "1. double(4)\n2. join()\n# join with it is 8 [1][9]"
        events = await live.events(await live.create(question, cite_tasks=True, notes="Be brief."))
    assert list(answered(events).cited_tasks) == [1]
    assert [messages[0]["content"].endswith("\n\nBe brief.") for messages in model.asked] == [True, True]


async def test_a_failed_task_leads_to_another_plan_on_request() -> None:
    async with serving([double], models={"echo:plan": Telling()}) as live:
        question = "1. double(-4)\n2. join()\n# join with none"
        with_it = await live.events(await live.create(question, replan_on_failure=True))
        without = await live.events(await live.create(question))
    causes = [event.replan_requested.cause for event in with_it if event.HasField("replan_requested")]
    assert causes[0] == ReplanRequested.CAUSE_FAILED_TASKS
    assert not any(event.HasField("replan_requested") for event in without)


async def test_the_client_asks_for_all_of_it() -> None:
    model = Telling()
    async with serving([double], models={"echo:plan": model}) as live, Client(live.address) as client:
        run = await client.create(
            '1. double(4)\n2. join()\n# join with {"answer": [8], "cited_tasks": [1]}',
            answer_schema=list[int],
            cite=True,
            notes="Be brief.",
        )
        assert await run.answer() == "[8]"
        alone = await client.create("1. double(5)\n2. join($1)", strategy="plan-only", replan_on_failure=True)
        assert await alone.answer() == "10"
        with pytest.raises(UsageError, match="there is no strategy 'guess'"):
            await client.create("q", strategy="guess")  # type: ignore[arg-type]
    assert model.asked[0][0]["content"].endswith("Be brief.")
