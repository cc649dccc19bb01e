"""Examples that a request brings: shown to the planner of its run, or refused with the place of a mistake."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dovetail import Client, Example, InvalidRequestError, SyncClient, v1
from dovetail.models.protocol import Completion, Message, ModelStream, Usage
from dovetail.prompts.examples import parse_examples
from dovetail.tools.definition import tool
from dovetail.tools.threads import shared_threads
from live import PATIENCE, Echo, serving

pytestmark = pytest.mark.anyio

FIRST = Example("How much is four times 3?", "1. double(3)\n2. double($1)\n3. join($2)")
AGAIN = Example(
    "How much is eight times 3?",
    "3. double($2)\n4. join($3)",
    earlier="1. double(3)\n-> 6\n2. double($1)\n-> 12",
    missing="it is doubled twice and not three times",
)


@tool(read_only=True)
async def double(n: int) -> int:
    """Twice the number."""
    return 2 * n


class Scripted(Echo):
    """Says what it was given to say, in turn, and keeps what it was asked."""

    def __init__(self, *replies: str) -> None:
        self.asked: list[Sequence[Message]] = []
        self._replies = deque(replies)

    async def stream(self, messages: Sequence[Message], **_: Any) -> ModelStream:
        self.asked.append(messages)
        yield self._replies.popleft()
        yield Completion("stop", Usage(prompt_tokens=10, completion_tokens=5))


def replanning() -> Scripted:
    return Scripted(
        "1. double(5)\n2. join()", "Action: Replan(it is doubled once and not twice)", "2. double($1)\n3. join($2)"
    )


def shown(messages: Sequence[Message]) -> list[str]:
    """The turns that examples take: what was asked and what was planned, in turn."""
    return [message["content"] for message in messages[1:-1]]


async def test_an_example_that_goes_on_from_earlier_calls_is_shown_when_another_plan_is_wanted() -> None:
    model = replanning()
    async with serving([double], models={"scripted:": model}) as live, Client(live.address) as client:
        run = await client.create("How much is four times 5?", examples=[FIRST, AGAIN])
        assert await run.answer() == "20"
    first, _, second = model.asked
    assert shown(first) == [FIRST.question, FIRST.plan]
    question, plan = shown(second)
    assert question.startswith(f"{AGAIN.question}\n")
    assert "12" in question
    assert AGAIN.missing in question
    assert plan == AGAIN.plan


async def test_a_stream_and_a_synchronous_client_bring_them_too(tmp_path: Path) -> None:
    file = tmp_path / "plans.txt"
    file.write_text(f"Question: {AGAIN.question}\nEarlier:\n{AGAIN.earlier}\nMissing: {AGAIN.missing}\n{AGAIN.plan}\n")
    examples = parse_examples(file.read_text())
    model, other = replanning(), replanning()
    async with serving([double], models={"scripted:": model, "scripted:other": other}) as live:
        async with Client(live.address) as client:
            run = await client.stream("How much is four times 5?", tools=["double"], examples=examples)
            assert await run.answer() == "20"

        def ask() -> str:
            with SyncClient(live.address) as client:
                return client.create("How much is four times 5?", model="scripted:other", examples=examples).answer()

        assert await shared_threads.run(ask, {}) == "20"
    for asked in (model.asked, other.asked):
        assert shown(asked[0]) == []
        assert shown(asked[2])[1] == AGAIN.plan


MISTAKEN = [
    ({"earlier": "1. double(3)\n-> 6\n2. duble($1)\n-> 12"}, "earlier", "line 3, column 1: unknown_tool: "),
    ({"earlier": "1. double(3)\n-> six\n2. double(3)\n-> 12"}, "earlier", "line 2, column 4: the output of task 1"),
    ({"earlier": "1. double(3)\n2. double($1)\n-> 12"}, "earlier", "line 1, column 1: what became of task 1 "),
    ({"earlier": "-> 6"}, "earlier", "line 1, column 1: there is no call in it"),
    ({"earlier": "Thought: none.\n"}, "earlier", "line 1, column 1: there is no call in it"),
    ({"earlier": f"1. double(3)\n-> {'[' * 100_000}"}, "earlier", "line 2, column 4: the output of task 1 is no"),
    ({"missing": " "}, "missing", "line 1, column 1: earlier tasks need what was missing"),
    ({"earlier": ""}, "missing", "line 1, column 1: something is missing, but there are no earlier"),
    ({"plan": "3. double($2)\n4. join(3)"}, "plan", "line 2, column 1: join_arguments: "),
]


@pytest.mark.parametrize(("change", "part", "what"), MISTAKEN, ids=[what for _, _, what in MISTAKEN])
async def test_a_mistaken_example_is_refused_with_its_field_line_and_column(
    change: dict[str, str], part: str, what: str
) -> None:
    async with serving([double]) as live, Client(live.address) as client:
        with pytest.raises(InvalidRequestError) as refused:
            await client.create("q", examples=[FIRST, replace(AGAIN, **change)])
    assert refused.value.code == "INVALID_ARGUMENT"
    ((field, told),) = refused.value.violations
    assert field == f"examples[1].{part}"
    assert told.startswith(what)


async def test_all_four_texts_of_examples_count_towards_how_long_they_may_be() -> None:
    kilobytes = "x" * (64 * 1024)
    example = Example(kilobytes, kilobytes, kilobytes, kilobytes)
    async with serving([double]) as live, Client(live.address) as client:
        with pytest.raises(InvalidRequestError, match=r"examples: have 262,148 bytes; there may be 262,144"):
            await client.create("q", examples=[example, Example("q", "p", "e", "m")])


async def test_a_request_that_comes_twice_while_its_examples_are_read_creates_one_run() -> None:
    plan = "\n".join(f"{number}. double({number})" for number in range(1, 60)) + "\n60. join()"
    examples = [v1.PlanExample(question=f"q{number}", plan=plan) for number in range(200)]
    request = v1.CreateRunRequest(run_id="mine", question="1. double(4)\n2. join($1)", examples=examples)
    async with serving([double]) as live:
        first, second = await asyncio.gather(*(live.runs.CreateRun(request, timeout=PATIENCE) for _ in range(2)))
        assert first.run.create_time == second.run.create_time
        assert len((await live.runs.ListRuns(v1.ListRunsRequest())).runs) == 1
        assert (await live.events("mine"))[-1].run_ended.state == v1.RunState.RUN_STATE_ANSWERED
