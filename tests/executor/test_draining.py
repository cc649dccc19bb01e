"""How an executor ends: what is out is finished, recorded, and then it says goodbye."""

from __future__ import annotations

import asyncio
import contextlib

import grpc
import pytest
from peer import PATIENCE, call, peer, serving

from dovetail import tool
from dovetail.executor import ExecutorState
from dovetail.v1 import CallFailure

pytestmark = pytest.mark.anyio


@tool
async def endless() -> None:
    """Never ends by itself, and must not be repeated."""
    await asyncio.Event().wait()


@tool(read_only=True)
async def searching() -> None:
    """Never ends by itself, and may be repeated."""
    await asyncio.Event().wait()


async def test_a_drained_executor_finishes_what_is_out_and_says_goodbye_when_it_is_recorded() -> None:
    go_on = asyncio.Event()

    @tool
    async def waiting() -> str:
        """Waits."""
        await go_on.wait()
        return "here"

    async with peer() as server, serving([waiting], server.address) as executor:
        stream = await server.welcomed()
        await stream.call(call("a", "waiting"))
        await executor.state(ExecutorState.ATTACHED)
        executor.executor.drain()
        executor.executor.drain()
        await stream.drained()
        go_on.set()
        (result,) = await stream.results()
        assert (stream.received.empty(), result.call_id) == (True, "a")
        await stream.record("a")
        (goodbye,) = await stream.closed()
        assert goodbye.goodbye.reason == "drained"
        assert not executor.task.done()
        stream.end()
        await executor.ended()
        assert await executor.state(ExecutorState.DRAINED) == "drained"


async def test_calls_that_outlast_the_drain_are_stopped_and_only_what_must_not_be_repeated_is_told() -> None:
    async with peer() as server, serving([endless, searching], server.address, drain_seconds=0.5) as executor:
        stream = await server.welcomed()
        await stream.call(call("a", "endless"), call("b", "searching"))
        await executor.state(ExecutorState.ATTACHED)
        executor.executor.drain()
        await stream.drained()
        (result,) = await stream.results()
        assert (result.call_id, result.outcome.failure.kind) == ("a", CallFailure.KIND_CANCELLED)
        await stream.record("a")
        (goodbye,) = await stream.closed()
        assert goodbye.HasField("goodbye")
        stream.end()
        await executor.ended()


async def test_a_call_that_is_given_while_the_executor_drains_is_carried_out() -> None:
    async with peer() as server, serving([endless], server.address) as executor:
        stream = await server.welcomed()
        await executor.state(ExecutorState.ATTACHED)
        executor.executor.drain()
        drain = await stream.receive()
        assert drain.HasField("drain")
        await stream.call(call("a", "unknown"))
        await stream.send(heartbeat=drain.heartbeat)
        assert [result.call_id for result in await stream.results()] == ["a"]
        await stream.record("a")
        (goodbye,) = await stream.closed()
        assert goodbye.HasField("goodbye")
        stream.end()
        await executor.ended()


async def test_a_server_that_does_not_end_the_stream_does_not_keep_a_drained_executor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dovetail.executor.executor._GOODBYE_SECONDS", 0.1)
    async with peer() as server, serving([endless], server.address) as executor:
        stream = await server.welcomed()
        await executor.state(ExecutorState.ATTACHED)
        executor.executor.drain()
        await stream.drained()
        await stream.closed()
        await executor.ended()


async def test_results_that_are_kept_are_delivered_over_a_new_stream_before_the_goodbye() -> None:
    async with peer() as server, serving([endless], server.address, drain_seconds=PATIENCE) as executor:
        stream = await server.welcomed()
        await stream.call(call("a", "unknown"))
        await stream.results()
        stream.end(grpc.StatusCode.UNAVAILABLE)
        await executor.state(ExecutorState.LOST)
        executor.executor.drain()
        again = await server.welcomed(resumed=True)
        first = await again.drained()
        assert (first.HasField("drain"), [result.call_id for result in first.results]) == (True, ["a"])
        await again.record("a")
        await again.closed()
        again.end()
        await executor.ended()


async def test_an_executor_that_is_not_attached_ends_at_once_when_it_is_drained() -> None:
    async with serving([endless], "127.0.0.1:1") as executor:
        await executor.state(ExecutorState.RECONNECTING)
        executor.executor.drain()
        await executor.ended()


async def test_results_that_cannot_be_delivered_are_told() -> None:
    async with peer() as server, serving([endless], server.address, drain_seconds=0.1) as executor:
        stream = await server.welcomed()
        await stream.call(call("a", "unknown"))
        await stream.results()
        stream.end(grpc.StatusCode.UNAVAILABLE)
        await server.attached()
        executor.executor.drain()
        await executor.ended()
        assert await executor.state(ExecutorState.DRAINED) == "drained; results that did not reach the server: 1"


async def test_an_executor_that_is_cancelled_stops_its_calls() -> None:
    stopped = asyncio.Event()

    @tool
    async def waiting() -> None:
        """Waits."""
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async with peer() as server, serving([waiting], server.address) as executor:
        stream = await server.welcomed()
        await stream.call(call("a", "waiting"), call("b", "unknown"))
        await stream.results()
        executor.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await executor.ended()
        assert stopped.is_set()
        assert not any(request.HasField("goodbye") for request in await stream.closed())
