"""What an executor sends: results that it keeps until the server has them, progress, and how much at a time."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import grpc
import pytest
from peer import PATIENCE, call, peer, serving

from dovetail import CallContext, tool
from dovetail.executor import ExecutorState
from dovetail.v1 import AttachRequest, CallFailure, RefusedResult

if TYPE_CHECKING:
    from peer import Attachment

pytestmark = pytest.mark.anyio

MEBIBYTE = 1024 * 1024


@tool(read_only=True)
async def double(number: int) -> int:
    """Twice the number."""
    return number * 2


@tool(max_output_bytes=2 * MEBIBYTE)
async def text(length: int) -> str:
    """So many letters."""
    return "é" * (length // 2)


async def fence(stream: Attachment) -> list[AttachRequest]:
    """Everything that the executor sends up to the result of a call that is made now."""
    await stream.call(call("fence", "double", '{"number": 0}'))
    requests = []
    while True:
        requests.append(await stream.receive())
        if any(result.call_id == "fence" for result in requests[-1].results):
            return requests


async def test_results_are_sent_again_until_they_are_recorded_or_refused() -> None:
    async with peer() as server, serving([double], server.address):
        stream = await server.welcomed()
        await stream.call(*(call(name, "double", '{"number": 1}') for name in "abc"))
        await stream.results(3)
        refused = RefusedResult(call_id="b", reason=RefusedResult.REASON_UNKNOWN_CALL)
        await stream.send(recorded_call_ids=["a"], refused_results=[refused])
        await fence(stream)
        stream.end(grpc.StatusCode.UNAVAILABLE)
        again = await server.welcomed(resumed=True)
        assert sorted(again.hello.known_call_ids) == ["c", "fence"]
        assert sorted(result.call_id for result in await again.results(2)) == ["c", "fence"]
        await again.record("c", "fence")
        again.end()
        last = await server.welcomed(resumed=True)
        assert list(last.hello.known_call_ids) == []


async def test_calls_go_on_while_there_is_no_stream_and_their_results_are_sent_with_the_next() -> None:
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
        stream.end()
        again = await server.attached()
        go_on.set()
        assert list(again.hello.known_call_ids) == ["a"]
        await again.welcome(resumed=True)
        (result,) = await again.results()
    assert (result.call_id, result.fencing_number, result.outcome.output_json) == ("a", 1, '"here"')


async def test_in_a_new_session_only_calls_that_must_not_be_repeated_go_on() -> None:
    go_on = asyncio.Event()

    @tool
    async def booking() -> str:
        """Must not be done twice."""
        await go_on.wait()
        return "booked"

    @tool(read_only=True)
    async def looking() -> str:
        """May be done twice."""
        await go_on.wait()
        return "seen"

    async with peer() as server, serving([booking, looking], server.address, max_parallel_calls=2) as executor:
        stream = await server.welcomed(1)
        await stream.call(call("a", "booking"), call("b", "looking"))
        await executor.state(ExecutorState.ATTACHED)
        stream.end()
        again = await server.welcomed(2)
        assert set(again.hello.known_call_ids) == {"a", "b"}
        # Those of the old session take no places of the new one.
        await again.call(call("c", "looking", session=2), call("d", "booking", session=2))
        await executor.state(ExecutorState.ATTACHED)
        go_on.set()
        results = await again.results(3)
    assert {result.call_id: result.fencing_number for result in results} == {"a": 1, "c": 2, "d": 2}


async def test_results_that_are_at_hand_go_in_one_message() -> None:
    async with peer() as server, serving([double], server.address, max_parallel_calls=1000):
        stream = await server.welcomed()
        await stream.call(*(call(str(number), "double", '{"number": 1}') for number in range(600)))
        sizes = []
        while sum(sizes) < 600:
            sizes.append(len((await stream.receive()).results))
    assert sizes == [256, 256, 88]


async def test_a_message_stays_small_and_a_large_result_goes_alone() -> None:
    async with peer() as server, serving([text, double], server.address):
        stream = await server.welcomed()
        lengths = [900_000, 900_000, 900_000, 2_097_140, 10]
        await stream.call(*(call(str(at), "text", f'{{"length": {one}}}') for at, one in enumerate(lengths)))
        messages = []
        while sum(len(message.results) for message in messages) < len(lengths):
            messages.append(await stream.receive())
    assert [[result.call_id for result in message.results] for message in messages] == [
        ["0", "1"],
        ["2"],
        ["3"],
        ["4"],
    ]
    assert all(message.ByteSize() < 2.1 * MEBIBYTE for message in messages)


async def test_a_server_that_takes_only_small_messages_is_sent_small_ones() -> None:
    async with peer(max_message_bytes=100_000) as server, serving([text], server.address) as executor:
        stream = await server.welcomed()
        lengths = [60_000, 60_000, 200_000, 60_000]
        await stream.call(*(call(str(at), "text", f'{{"length": {one}}}') for at, one in enumerate(lengths)))
        assert "larger than max" in await executor.state(ExecutorState.LOST)
        again = await server.welcomed(resumed=True)
        results = {result.call_id: result.outcome for result in await again.results(4)}
    assert [len(results[name].output_json) for name in "013"] == [30_002] * 3
    assert results["2"].failure.kind == CallFailure.KIND_OUTPUT_TOO_LARGE
    assert results["2"].failure.message == "the output has 200,002 bytes of JSON; the server takes 98,976 at most"


async def test_of_the_progress_of_a_call_the_newest_is_sent() -> None:
    reported, go_on = threading.Event(), threading.Event()

    @tool
    def slow(context: CallContext) -> str:
        """Reports from its thread."""
        for number in range(100_000):
            context.report(number / 100_000, f"{number} done")
        context.report(2.0, "x" * 5_000 + "\ud800")
        reported.set()
        go_on.wait(PATIENCE)
        return "done"

    async with peer() as server, serving([slow], server.address):
        stream = await server.attached()
        # No heartbeat in between, however long the reports take.
        await stream.welcome(interval=2 * PATIENCE, lease=6 * PATIENCE)
        await stream.call(call("a", "slow"))
        count, last = 0, None
        while last is None or last.fraction < 1:
            (last,) = (await stream.receive()).progress
            count += 1
        assert (last.call_id, last.fraction) == ("a", 1.0)
        assert len(last.message) <= 1_000
        assert count < 100_000
        go_on.set()
        assert [result.call_id for result in await stream.results()] == ["a"]


@pytest.mark.parametrize("fraction", [None, float("nan")])
async def test_progress_need_not_say_how_much_is_done(fraction: float | None) -> None:
    @tool
    async def talking(context: CallContext) -> None:
        """Reports without a number."""
        context.report(fraction, "looking")
        await asyncio.Event().wait()

    async with peer() as server, serving([talking], server.address):
        stream = await server.welcomed()
        await stream.call(call("a", "talking"))
        (progress,) = (await stream.receive()).progress
    assert (progress.HasField("fraction"), progress.message) == (False, "looking")


async def test_nothing_is_reported_of_a_call_that_is_over() -> None:
    over, reported = threading.Event(), threading.Event()

    @tool
    def forgetful(context: CallContext) -> None:
        """Goes on reporting."""
        over.wait(PATIENCE)
        context.report(0.5)
        reported.set()

    async with peer() as server, serving([forgetful, double], server.address):
        stream = await server.welcomed()
        await stream.call(call("a", "forgetful", timeout=0.05))
        await stream.results()
        over.set()
        await asyncio.get_running_loop().run_in_executor(None, reported.wait, PATIENCE)
        assert not any(request.progress for request in await fence(stream))
