"""How an executor attaches, shows that it lives, and comes back."""

from __future__ import annotations

import asyncio
import logging
import socket

import grpc
import pytest
from peer import PATIENCE, call, peer, serving

from dovetail import CallContext, Executor, UsageError, tool
from dovetail.client.connection import Connection
from dovetail.errors import ServerUnavailableError
from dovetail.executor import ExecutorRefusedError, ExecutorState

pytestmark = pytest.mark.anyio


@tool(read_only=True, timeout=5)
async def double(number: int) -> int:
    """Twice the number."""
    return number * 2


@tool
async def endless() -> None:
    """Never ends by itself."""
    await asyncio.Event().wait()


async def test_an_executor_says_who_it_is_and_what_it_serves() -> None:
    async with peer() as server, serving([double], server.address, executor_id="one", max_parallel_calls=3):
        hello = (await server.attached()).hello
    assert (hello.executor_id, hello.max_parallel_calls, hello.fencing_number) == ("one", 3, 0)
    assert [(spec.name, spec.description, spec.read_only, spec.timeout.seconds) for spec in hello.tools] == [
        ("double", "Twice the number.", True, 5)
    ]


async def test_executors_are_named_differently_by_themselves() -> None:
    names = {Executor([double], "localhost:1").executor_id for _ in range(10)}
    assert len(names) == 10
    assert all(socket.gethostname()[:5] in name for name in names)


async def test_a_token_goes_with_the_stream() -> None:
    async with peer() as server, serving([double], server.address, token="secret"):
        assert (await server.attached()).metadata["authorization"] == "Bearer secret"


async def test_a_connection_can_be_given_in_place_of_an_address() -> None:
    async with peer() as server:
        executor = Executor([double], Connection(server.address, token="secret"))
        task = asyncio.create_task(executor.serve())
        assert (await server.attached()).metadata["authorization"] == "Bearer secret"
        task.cancel()
        await asyncio.wait({task}, timeout=PATIENCE)


async def test_an_idle_executor_sends_heartbeats_and_stays_while_they_are_answered() -> None:
    async with peer() as server, serving([double], server.address):
        stream = await server.attached()
        await stream.welcome(interval=0.02, lease=PATIENCE)
        for number in range(1, 6):
            request = await stream.receive()
            assert request.heartbeat.number == number
            await stream.send(heartbeat=request.heartbeat)


async def test_who_has_much_to_send_still_asks_whether_the_server_lives() -> None:
    @tool
    async def restless(context: CallContext) -> None:
        """Reports without end."""
        while True:
            context.report(0.5)
            await asyncio.sleep(0.001)

    async with peer() as server, serving([restless], server.address):
        stream = await server.attached()
        await stream.welcome(interval=0.1, lease=30)
        await stream.call(call("a", "restless"))
        assert (await stream.until(lambda request: request.HasField("heartbeat"))).heartbeat.number == 1


async def test_a_server_that_falls_silent_is_given_up_and_the_session_resumed() -> None:
    async with peer() as server, serving([double, endless], server.address) as executor:
        stream = await server.attached()
        # Long enough for both calls to come, however busy the machine is.
        await stream.welcome(7, interval=0.05, lease=1.5)
        await stream.call(call("done", "double", '{"number": 1}', session=7), call("out", "endless", session=7))
        assert "nothing was heard of the server for 1.5 s" in await executor.state(ExecutorState.LOST)
        again = await server.attached()
        assert again.hello.fencing_number == 7
        assert set(again.hello.known_call_ids) == {"done", "out"}
        await again.welcome(7, resumed=True)
        await executor.state(ExecutorState.RESUMED)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (None, ""),
        (grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN"),
        (grpc.StatusCode.ABORTED, "LEASE_OVER"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "LIMIT_REACHED"),
        (grpc.StatusCode.INTERNAL, "INTERNAL"),
    ],
)
async def test_a_stream_that_ends_is_followed_by_another(code: grpc.StatusCode | None, reason: str) -> None:
    async with peer() as server, serving([double], server.address) as executor:
        stream = await server.welcomed(3)
        await executor.state(ExecutorState.ATTACHED)
        stream.end(code, "what happened", reason)
        lost = await executor.state(ExecutorState.LOST)
        assert (await server.attached()).hello.fencing_number == 3
    assert lost == "lost: the server ended the stream" if code is None else lost.endswith("what happened")


@pytest.mark.parametrize(
    ("code", "reason", "remedy"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", "correct what is named"),
        (grpc.StatusCode.PERMISSION_DENIED, "ROLE_MISSING", "the role `execute`"),
        (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID", "set DOVETAIL_TOKEN"),
        (grpc.StatusCode.ALREADY_EXISTS, "TOOL_SPEC_CONFLICT", "rename it"),
        (grpc.StatusCode.FAILED_PRECONDITION, "WRONG_MESSAGE", "versions"),
        (grpc.StatusCode.ABORTED, "SESSION_TAKEN_OVER", "give each its own"),
    ],
)
@pytest.mark.parametrize("is_welcome", [False, True])
async def test_a_refusal_that_cannot_heal_ends_the_executor(
    code: grpc.StatusCode, reason: str, remedy: str, is_welcome: bool
) -> None:
    async with peer() as server, serving([double], server.address) as executor:
        stream = await server.attached()
        if is_welcome:
            await stream.welcome()
        stream.end(code, "what the server said", reason)
        with pytest.raises(ExecutorRefusedError) as refused:
            await executor.ended()
    assert (refused.value.code, refused.value.reason) == (code.name, reason)
    assert f"{code.name} ({reason}): what the server said; " in str(refused.value)
    assert remedy in str(refused.value)


async def test_an_executor_waits_for_a_server_that_is_not_there_yet_and_says_so(port: int) -> None:
    async with serving([double], f"127.0.0.1:{port}") as executor:
        for _ in range(3):
            line = await executor.state(ExecutorState.RECONNECTING)
            assert line.startswith(f"attaching to 127.0.0.1:{port} again in ")
            assert "UNAVAILABLE" in line
        async with peer(f"127.0.0.1:{port}") as server:
            await server.welcomed()
            await executor.state(ExecutorState.ATTACHED)


async def test_without_a_listener_what_happens_is_logged(port: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="dovetail.executor")
    with pytest.raises(ServerUnavailableError):
        await Executor([double], f"127.0.0.1:{port}", executor_id="one", connect_timeout=2).serve()
    assert caplog.messages[0].startswith("one: attaching to 127.0.0.1:")


async def test_a_connect_timeout_bounds_the_wait_for_the_first_welcome() -> None:
    async with peer() as server, serving([double], server.address, connect_timeout=2) as executor:
        with pytest.raises(ServerUnavailableError, match=r"no server was reached at .* within 2 s: .* no welcome"):
            await executor.ended()


async def test_a_first_message_that_is_no_welcome_is_no_session() -> None:
    async with peer() as server, serving([double], server.address) as executor:
        await (await server.attached()).call(call("a", "double", '{"number": 1}'))
        assert "no welcome" in await executor.state(ExecutorState.RECONNECTING)
        assert list((await server.attached()).hello.known_call_ids) == []


async def test_a_draining_server_is_left_to_end_the_stream_and_then_attached_again() -> None:
    async with peer() as server, serving([double], server.address) as executor:
        stream = await server.welcomed()
        await stream.send(drain={"within": {"seconds": 3}})
        assert await executor.state(ExecutorState.SERVER_DRAINING) == "the server will end the stream within 3 s"
        await stream.call(call("a", "double", '{"number": 4}'))
        assert [result.outcome.output_json for result in await stream.results()] == ["8"]
        stream.end()
        await server.welcomed(1, resumed=True)
        await executor.state(ExecutorState.RESUMED)


async def test_specs_that_are_larger_than_the_server_takes_are_refused() -> None:
    @tool(description="x" * 5_000)
    async def wordy() -> None:
        """Says much."""

    async with peer(max_message_bytes=4_000) as server, serving([wordy], server.address) as executor:
        with pytest.raises(ExecutorRefusedError, match=r"specs .* have 5,\d+ bytes; the server takes 4,000"):
            await executor.ended()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"executor_id": "a b"}, "executor_id is 'a b'"),
        ({"executor_id": ""}, "executor_id is ''"),
        ({"max_parallel_calls": 0}, "max_parallel_calls is 0"),
        ({"drain_seconds": -1}, "drain_seconds is -1"),
        ({"server": "nowhere"}, "'nowhere' is no address"),
        ({"tools": []}, "0 tools"),
        ({"server": Connection("localhost:1"), "token": "secret"}, "a Connection says everything itself"),
    ],
)
async def test_options_that_cannot_be_used_are_refused_at_once(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Executor(**{"tools": [double], "server": "localhost:1", **options})  # type: ignore[arg-type]


async def test_an_executor_serves_once() -> None:
    async with peer() as server, serving([double], server.address) as executor:
        await server.attached()
        with pytest.raises(UsageError, match="make another one"):
            await executor.executor.serve()
        with pytest.raises(UsageError, match="await executor"):
            executor.executor.run()
