"""What runs of a server cost: also what tools of executors and clients spend."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dovetail import Client, Executor, Limits, v1
from dovetail.executor import ExecutorState
from dovetail.tools.call_context import CallContext
from dovetail.tools.definition import tool
from live import PATIENCE, code_of, serving

pytestmark = pytest.mark.anyio


@tool(read_only=True)
async def spend(ctx: CallContext) -> str:
    """Makes two model calls by itself."""
    ctx.record_model_call("own:model", prompt_tokens=100, completion_tokens=10)
    ctx.record_model_call("other:model", prompt_tokens=7, completion_tokens=1, cost=0.5)
    return "spent"


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    file = tmp_path / "prices.toml"
    file.write_text('["echo:plan"]\ninput = 1000\noutput = 2000\n["own:model"]\ninput = 1\noutput = 1\n')
    return file


PLANNED = (10 * 1000 + 5 * 2000) / 1e6
SPENT = 110 / 1e6 + 0.5
QUESTION = "1. spend()\n2. join($1)"


def costs(events: list[v1.Event]) -> list[tuple[int, str, float]]:
    ends = [event.model_call_ended for event in events if event.HasField("model_call_ended")]
    return [(end.task_id, end.model, round(end.cost, 6)) for end in ends if end.purpose == v1.Purpose.PURPOSE_TOOL]


async def test_what_the_tool_of_an_executor_spends_is_in_the_run_that_anybody_gets(prices: Path) -> None:
    attached = asyncio.Event()

    def tell(state: ExecutorState, _: str) -> None:
        if state is ExecutorState.ATTACHED:
            attached.set()

    async with serving(prices=prices) as live:
        executor = Executor([spend], live.address, on_state=tell)
        serve = asyncio.create_task(executor.serve())
        await asyncio.wait_for(attached.wait(), PATIENCE)
        run_id = await live.create(QUESTION)
        events = await live.events(run_id)
        got = (await live.runs.GetRun(v1.GetRunRequest(run_id=run_id), timeout=PATIENCE)).run
        executor.drain()
        await asyncio.wait_for(serve, PATIENCE)

    assert costs(events) == [(1, "own:model", 0.00011), (1, "other:model", 0.5)]
    assert got.cost == pytest.approx(PLANNED + SPENT)
    assert events[-1].run_ended.model_calls == 3
    assert got.usage.prompt_tokens == 117


async def test_what_a_tool_of_the_client_spends_counts(prices: Path) -> None:
    async with serving(prices=prices) as live, Client(live.address) as client:
        async with asyncio.timeout(PATIENCE):
            run = await client.stream(QUESTION, client_tools=[spend])
            events = [event async for event in run.events()]

    assert costs(events) == [(1, "own:model", 0.00011), (1, "other:model", 0.5)]
    assert events[-1].run_ended.cost == pytest.approx(PLANNED + SPENT)


async def test_a_run_may_cost_what_its_server_lets_it_and_no_more(prices: Path) -> None:
    async with serving([spend], prices=prices, max_cost=0.3) as live, Client(live.address) as client:
        async with asyncio.timeout(PATIENCE):
            run = await client.create("1. spend()\n2. join()", limits=Limits(max_cost=5.0))
            events = [event async for event in run.events()]
        refused = await code_of(
            live.runs.CreateRun(v1.CreateRunRequest(question="?", limits={"max_cost": float("nan")}))
        )

    assert events[0].run_started.limits.max_cost == 0.3
    end = events[-1].run_ended
    assert end.failure.reason == v1.FailureReason.FAILURE_REASON_LIMIT_EXCEEDED
    assert "max_cost" in end.failure.message
    assert end.model_calls == 3
    assert refused[0] == "INVALID_ARGUMENT"
