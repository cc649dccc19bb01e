"""How calls end at an executor: each outcome of a tool, its limits, its cancellation."""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import Any

import pytest
from peer import PATIENCE, call, peer, serving

from dovetail import CallContext, tool
from dovetail.v1 import CallFailure

pytestmark = pytest.mark.anyio


class _MuteError(Exception):
    def __str__(self) -> str:
        raise SystemExit


@tool
async def double(number: int) -> int:
    """Twice the number."""
    return number * 2


@tool
def double_in_a_thread(number: int) -> int:
    """Twice the number."""
    return number * 2


@tool(max_output_bytes=10)
async def long() -> str:
    """More than its limit."""
    return "x" * 9


@tool
async def no_json() -> object:
    """Something that is no JSON."""
    return object()


@tool
async def not_a_number() -> float:
    """Something that JSON does not have."""
    return float("nan")


@tool
async def surrogate() -> str:
    """Half a character."""
    return "\ud800"


@tool
async def raising(what: str) -> str:
    """Raises."""
    errors: dict[str, BaseException] = {
        "error": ValueError("no such mountain"),
        "exit": SystemExit(3),
        "cancelled": asyncio.CancelledError(),
        "generator": GeneratorExit(),
        "long": ValueError("x" * 5_000),
        "odd": ValueError("half \ud800 of it"),
        "mute": _MuteError(),
    }
    raise errors[what]


@tool
def exiting_in_a_thread() -> str:
    """Ends the process, if it could."""
    sys.exit(3)


@tool
async def endless() -> None:
    """Never ends by itself."""
    await asyncio.Event().wait()


@tool
def hung() -> None:
    """Hangs in its thread."""
    threading.Event().wait()


TOOLS = [
    double,
    double_in_a_thread,
    long,
    no_json,
    not_a_number,
    surrogate,
    raising,
    exiting_in_a_thread,
    endless,
    hung,
]


async def outcome(tool_name: str, arguments_json: str = "{}", **options: Any) -> Any:
    """What a call came to, while the executor went on to serve."""
    async with peer() as server, serving(TOOLS, server.address):
        stream = await server.welcomed()
        await stream.call(call("a", tool_name, arguments_json, **options))
        (result,) = await stream.results()
        await stream.record("a")
        await stream.call(call("b", "double", '{"number": 4}'))
        (other,) = await stream.results()
        assert (result.call_id, result.fencing_number) == ("a", 1)
        assert (other.call_id, other.outcome.output_json) == ("b", "8")
    return result.outcome


@pytest.mark.parametrize("name", ["double", "double_in_a_thread"])
async def test_a_call_gives_the_output_of_its_tool(name: str) -> None:
    assert (await outcome(name, '{"number": 21}')).output_json == "42"


@pytest.mark.parametrize(
    ("name", "arguments", "kind", "message"),
    [
        ("raising", {"what": "error"}, CallFailure.KIND_ERROR, "ValueError: no such mountain"),
        ("raising", {"what": "exit"}, CallFailure.KIND_ERROR, "RuntimeError: raised SystemExit: 3"),
        ("raising", {"what": "cancelled"}, CallFailure.KIND_ERROR, "CancelledError"),
        ("raising", {"what": "generator"}, CallFailure.KIND_ERROR, "GeneratorExit"),
        ("raising", {"what": "odd"}, CallFailure.KIND_ERROR, "ValueError: half ? of it"),
        ("raising", {"what": "mute"}, CallFailure.KIND_ERROR, "_MuteError"),
        ("exiting_in_a_thread", {}, CallFailure.KIND_ERROR, "RuntimeError: raised SystemExit: 3"),
        ("no_json", {}, CallFailure.KIND_OUTPUT_INVALID, "returned an object that is not JSON"),
        ("not_a_number", {}, CallFailure.KIND_OUTPUT_INVALID, "NaN"),
        ("surrogate", {}, CallFailure.KIND_OUTPUT_INVALID, "not JSON"),
        ("long", {}, CallFailure.KIND_OUTPUT_TOO_LARGE, "11 bytes"),
        ("unknown", {}, CallFailure.KIND_ERROR, "serves no tool 'unknown'; it serves double, "),
        ("double", {}, CallFailure.KIND_ERROR, "TypeError"),
    ],
)
async def test_a_call_without_an_output_says_why(name: str, arguments: dict[str, str], kind: int, message: str) -> None:
    import json

    failure = (await outcome(name, json.dumps(arguments))).failure
    assert failure.kind == kind
    assert message in failure.message


@pytest.mark.parametrize("arguments_json", ["[1]", "null", "{", ""])
async def test_arguments_that_are_no_object_fail_the_call(arguments_json: str) -> None:
    assert (await outcome("double", arguments_json)).failure.kind == CallFailure.KIND_ERROR


async def test_a_long_message_is_cut_and_says_so() -> None:
    message = (await outcome("raising", '{"what": "long"}')).failure.message
    assert 1_900 < len(message) <= 2_000
    assert message.endswith("characters left out]")


@pytest.mark.parametrize("name", ["endless", "hung"])
async def test_a_call_that_takes_longer_than_its_timeout_fails(name: str) -> None:
    failure = (await outcome(name, timeout=0.05)).failure
    assert failure.kind == CallFailure.KIND_TIMEOUT
    assert failure.message == f"{name} took longer than its timeout of 0.05 s"


async def test_a_tool_that_swallows_its_cancellation_is_timed_out_all_the_same() -> None:
    released = asyncio.Event()

    @tool
    async def stubborn() -> str:
        """Does not let itself be cancelled."""
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue
        return "late"

    async with peer() as server, serving([stubborn, double], server.address):
        stream = await server.welcomed()
        await stream.call(call("a", "stubborn", timeout=0.05))
        (result,) = await stream.results()
        released.set()
        await stream.call(call("b", "double", '{"number": 1}'))
        (other,) = await stream.results()
    assert result.outcome.failure.kind == CallFailure.KIND_TIMEOUT
    assert other.call_id == "b"


async def test_a_cancelled_call_is_stopped_and_gives_no_result() -> None:
    stopped = asyncio.Event()
    started = asyncio.Event()

    @tool
    async def waiting() -> None:
        """Waits, and says when it was stopped."""
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async with peer() as server, serving([waiting, double], server.address, max_parallel_calls=1):
        stream = await server.welcomed()
        await stream.call(call("a", "waiting"))
        await asyncio.wait_for(started.wait(), PATIENCE)
        await stream.send(cancelled_call_ids=["a", "never heard of"])
        await asyncio.wait_for(stopped.wait(), PATIENCE)
        await stream.call(call("b", "double", '{"number": 1}'))
        assert [result.call_id for result in await stream.results()] == ["b"]


async def test_a_call_may_take_the_place_of_one_that_is_cancelled_in_the_same_message() -> None:
    async with peer() as server, serving([endless, double], server.address, max_parallel_calls=1):
        stream = await server.welcomed()
        await stream.call(call("a", "endless"))
        await stream.send(calls=[call("b", "double", '{"number": 1}')], cancelled_call_ids=["a"])
        assert [result.outcome.output_json for result in await stream.results()] == ["2"]


async def test_a_call_beyond_the_limit_fails_and_is_not_queued() -> None:
    async with peer() as server, serving([endless, double], server.address, max_parallel_calls=2):
        stream = await server.welcomed()
        await stream.call(call("a", "endless"), call("b", "endless"), call("c", "double", '{"number": 1}'))
        (result,) = await stream.results()
        assert (result.call_id, result.outcome.failure.kind) == ("c", CallFailure.KIND_ERROR)
        assert "2 calls at the same time at most" in result.outcome.failure.message
        await stream.send(cancelled_call_ids=["a"])
        await stream.call(call("d", "double", '{"number": 1}'))
        (result,) = await stream.results()
        assert (result.call_id, result.outcome.output_json) == ("d", "2")


async def test_a_call_that_is_known_is_not_carried_out_again() -> None:
    entered = 0

    @tool
    async def count() -> int:
        """How often it was entered."""
        nonlocal entered
        entered += 1
        await asyncio.sleep(0)
        return entered

    async with peer() as server, serving([count], server.address):
        stream = await server.welcomed()
        await stream.call(call("a", "count"), call("a", "count"))
        await stream.results()
        await stream.call(call("a", "count"), call("b", "count"))
        assert [result.call_id for result in await stream.results()] == ["b"]
    assert entered == 2


async def test_a_tool_knows_its_call() -> None:
    @tool
    async def asking(context: CallContext) -> list[Any]:
        """What it knows."""
        left = context.seconds_left()
        return [context.run_id, context.task_id, context.call_id, left is not None and 50 < left <= 60]

    async with peer() as server, serving([asking], server.address):
        stream = await server.welcomed()
        await stream.call(call("a", "asking", timeout=60))
        (result,) = await stream.results()
    assert result.outcome.output_json == '["run",7,"a",true]'


async def test_a_tool_that_blocks_its_thread_holds_up_neither_heartbeats_nor_other_calls() -> None:
    let_go = threading.Event()

    @tool
    def blocking() -> str:
        """Blocks its thread."""
        let_go.wait(PATIENCE)
        return "done"

    async with peer() as server, serving([blocking, double], server.address):
        stream = await server.attached()
        await stream.welcome(interval=0.02, lease=PATIENCE)
        await stream.call(call("a", "blocking"))
        for _ in range(3):
            await stream.until(lambda request: request.HasField("heartbeat"))
        await stream.call(call("b", "double", '{"number": 1}'))
        assert [result.call_id for result in await stream.results()] == ["b"]
        let_go.set()
        assert [result.call_id for result in await stream.results()] == ["a"]
