"""Which executor is given a call, of several that serve its tool."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from live import PATIENCE, Live, serving
from raw_executor import RawExecutor, attached, output, spec

pytestmark = pytest.mark.anyio


def chain(length: int) -> str:
    """A plan of calls of which each waits for the one before."""
    lines = (f'{number}. t("${number - 1}")\n' for number in range(2, length + 1))
    return f"1. t(1)\n{''.join(lines)}{length + 1}. join(${length})"


@asynccontextmanager
async def carrying_out(made: Counter[str], live: Live, executor_id: str, places: int = 4) -> AsyncIterator[None]:
    """An executor that carries out its calls at once, and counts them."""

    async def carry_out(executor: RawExecutor) -> None:
        while True:
            if calls := (await executor.receive()).calls:
                made[executor_id] += len(calls)
                await executor.send(results=[output(call) for call in calls])

    async with attached(live, executor_id, places=places) as executor:
        carrying = asyncio.create_task(carry_out(executor))
        try:
            yield
        finally:
            carrying.cancel()
            await asyncio.wait({carrying}, timeout=PATIENCE)


async def test_calls_go_round_executors_with_as_many_free_places() -> None:
    made: Counter[str] = Counter()
    async with serving() as live, AsyncExitStack() as stack:
        for executor_id in "abcde":
            await stack.enter_async_context(carrying_out(made, live, executor_id))
        assert await live.answer(chain(50), tools=["t"]) == "1"
    assert made == dict.fromkeys("abcde", 10)


async def test_an_executor_that_comes_later_is_not_given_all_that_the_others_had_before_it() -> None:
    made: Counter[str] = Counter()
    async with serving() as live, carrying_out(made, live, "first"):
        await live.answer(chain(20), tools=["t"])
        made.clear()
        async with carrying_out(made, live, "second"):
            await live.answer(chain(20), tools=["t"])
    assert sorted(made.values()) in ([9, 11], [10, 10])


async def test_a_call_goes_to_the_executor_with_the_most_free_places() -> None:
    async with (
        serving() as live,
        attached(live, "small", places=1) as small,
        attached(live, "large", places=4) as large,
    ):
        run_id = await live.create("1. t(1)\n2. t(2)\n3. t(3)\n4. join()")
        calls = await large.calls(3)
        await large.give(*map(output, calls))
        assert (await live.events(run_id))[-1].HasField("run_ended")
        assert not [message for message in await small.everything() if message.calls]


async def test_executors_that_serve_other_tools_too_have_their_turn() -> None:
    async with (
        serving() as live,
        attached(live, "one", places=4) as one,
        attached(live, "two", spec(), spec("other"), places=4) as two,
    ):
        run_id = await live.create("1. t(1)\n2. t(2)\n3. t(3)\n4. t(4)\n5. join()", tools=["t"])
        for executor in (one, two):
            await executor.give(*map(output, await executor.calls(2)))
        assert (await live.events(run_id))[-1].HasField("run_ended")


async def test_an_executor_that_drains_is_passed_over() -> None:
    async with serving() as live, attached(live, "stays", places=1) as stays, attached(live, "goes", places=4) as goes:
        await goes.send(drain={})
        await goes.everything()
        run_id = await live.create("1. t(1)\n2. join($1)")
        await stays.give(output(await stays.one_call()))
        assert (await live.events(run_id))[-1].HasField("run_ended")
