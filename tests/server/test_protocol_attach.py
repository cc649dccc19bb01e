"""Attaching as `docs/protocol.md` has it: the hello, what is refused, and how a stream ends. Of bare gRPC."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from doorway import bearer
from dovetail import v1
from dovetail.tools.definition import tool
from live import PATIENCE, Live, serving
from raw_executor import OK, End, RawExecutor, attached, end_of, hello, output, spec

pytestmark = pytest.mark.anyio

JOIN = "\n2. join($1)"
SCHEMA = '{"type": "object"}'


@tool(read_only=True)
async def own(a: int) -> int:
    """Of the server itself."""
    return a


async def refused(live: Live, *messages: v1.AttachRequest, metadata: Any = None) -> End:
    """How a stream ends whose sending half was closed behind these messages."""
    executor = RawExecutor(live, metadata)
    for message in messages:
        try:
            await executor.send(message)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            break  # it was refused already
    else:
        await executor.call.done_writing()
    return await end_of(executor.call)


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [v1.AttachRequest()],
        [v1.AttachRequest(heartbeat=v1.Heartbeat(number=1))],
        [v1.AttachRequest(goodbye=v1.Goodbye())],
        [v1.AttachRequest(hello=hello().hello, heartbeat=v1.Heartbeat())],
        [v1.AttachRequest(hello=hello().hello, goodbye=v1.Goodbye())],
        [hello(), hello()],
    ],
    ids=["nothing", "empty", "heartbeat", "goodbye", "hello and heartbeat", "hello and goodbye", "hello twice"],
)
async def test_a_hello_comes_first_alone_and_once(messages: list[v1.AttachRequest]) -> None:
    async with serving() as live:
        assert await refused(live, *messages) == End("FAILED_PRECONDITION", "WRONG_MESSAGE")
        async with attached(live):
            pass


def ill_spec(**fields: Any) -> v1.AttachRequest:
    return hello("e", spec("good"), spec(**fields))


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (hello(""), "executor_id"),
        (hello("a b"), "executor_id"),
        (hello("ü"), "executor_id"),
        (hello("x" * 129), "executor_id"),
        (v1.AttachRequest(hello=v1.Hello(executor_id="e", max_parallel_calls=1)), "tools"),
        (hello("e", *[spec(f"t{i}") for i in range(1001)]), "tools"),
        (hello(places=0), "max_parallel_calls"),
        (hello(places=100_001), "max_parallel_calls"),
        (hello(fencing_number=-1), "fencing_number"),
        (hello("e", spec("same"), spec("same")), "tools[1].name"),
        (ill_spec(name=""), "tools[1].name"),
        (ill_spec(name="join"), "tools[1].name"),
        (ill_spec(name="a schema"), "tools[1].name"),
        (ill_spec(name="n" * 129), "tools[1].name"),
        (ill_spec(input_schema_json=""), "tools[1].input_schema_json"),
        (ill_spec(input_schema_json="{"), "tools[1].input_schema_json"),
        (ill_spec(input_schema_json="[]"), "tools[1].input_schema_json"),
        (ill_spec(input_schema_json='{"type": "array"}'), "tools[1].input_schema_json"),
        (
            ill_spec(input_schema_json='{"type": "object", "properties": {"a": {"type": 5}}}'),
            "tools[1].input_schema_json",
        ),
        (
            ill_spec(input_schema_json='{"type": "object", "title": "' + "x" * 262_144 + '"}'),
            "tools[1].input_schema_json",
        ),
        (ill_spec(output_schema_json="{"), "tools[1].output_schema_json"),
        (ill_spec(description="x" * 16_385), "tools[1].description"),
        (ill_spec(timeout=Duration(seconds=-1)), "tools[1].timeout"),
        (ill_spec(timeout=Duration()), "tools[1].timeout"),
        (ill_spec(timeout=Duration(seconds=86_401)), "tools[1].timeout"),
        (ill_spec(max_output_bytes=-1), "tools[1].max_output_bytes"),
        (ill_spec(max_output_bytes=2 * 1024 * 1024 + 1), "tools[1].max_output_bytes"),
    ],
)
async def test_a_field_of_a_hello_that_cannot_be_used_is_named(message: v1.AttachRequest, field: str) -> None:
    async with serving() as live:
        assert await refused(live, message) == End("INVALID_ARGUMENT", "INVALID_FIELD", f"hello.{field}")
        assert not (await live.tools.ListTools(v1.ListToolsRequest())).tools


@pytest.mark.parametrize("message", [hello("a.b:c@d/e-f_9"), hello("x" * 128), hello(places=100_000)])
async def test_a_field_at_its_bound_is_taken(message: v1.AttachRequest) -> None:
    async with serving() as live:
        assert await refused(live, message) == OK


async def test_a_welcome_says_what_the_server_expects() -> None:
    async with serving(heartbeat_seconds=1.5, lease_seconds=5, grace_seconds=70) as live, attached(live) as executor:
        said = executor.welcome
        assert not said.resumed
        assert said.fencing_number > 0
        assert [said.heartbeat_interval.ToMilliseconds(), said.lease.seconds, said.grace.seconds] == [1500, 5, 70]


async def test_a_heartbeat_comes_back_with_its_number() -> None:
    async with serving() as live, attached(live) as executor:
        for number in (7, 0, -1, 2**63 - 1):
            await executor.send(heartbeat=v1.Heartbeat(number=number))
            answer = await executor.receive()
            assert answer == v1.AttachResponse(heartbeat=v1.Heartbeat(number=number))
        await executor.send()  # a message with nothing in it is a sign of life, too
        assert len(await executor.everything()) == 1


async def test_all_executors_of_a_tool_give_the_same_spec() -> None:
    async with serving() as live, attached(live, "first", spec(description="one")):
        other = hello("second", spec("x"), spec(description="two"))
        conflict = End("ALREADY_EXISTS", "TOOL_SPEC_CONFLICT", metadata={"tool": "t"})
        assert await refused(live, other) == conflict
        # One that was read from ListTools and written again is the same, whatever became of its spaces and defaults.
        [shown] = (await live.tools.ListTools(v1.ListToolsRequest())).tools
        async with attached(live, "second", shown.spec):
            listed = (await live.tools.ListTools(v1.ListToolsRequest())).tools
            assert [(one.spec.name, list(one.executor_ids)) for one in listed] == [("t", ["first", "second"])]


async def test_the_name_of_a_tool_of_the_server_is_taken() -> None:
    async with serving([own]) as live:
        answer = await refused(live, hello("e", spec("own")))
        assert answer == End("ALREADY_EXISTS", "TOOL_SPEC_CONFLICT", metadata={"tool": "own"})


async def test_there_are_so_many_executors_at_the_most() -> None:
    async with serving(max_executors=1) as live, attached(live, "a") as first:
        limit = {"limit": "max_executors", "value": "1"}
        assert await refused(live, hello("b")) == End("RESOURCE_EXHAUSTED", "LIMIT_REACHED", metadata=limit)
        assert await first.leave() == OK
        async with attached(live, "b"):
            pass


async def test_a_token_serves_what_it_may_under_names_of_its_own(tmp_path: Path) -> None:
    entries = [
        f'[[token]]\nname = "{name}"\nsha256 = "{hashlib.sha256(name.encode()).hexdigest()}"\n'
        f'roles = ["execute"]\ntools = ["t"]\n'
        for name in ("one", "two")
    ]
    (tmp_path / "tokens.toml").write_text("".join(entries))
    async with serving(tokens=tmp_path / "tokens.toml") as live:
        one, two = bearer("one"), bearer("two")
        assert await refused(live, hello()) == End("UNAUTHENTICATED", "TOKEN_INVALID")
        denied = End("PERMISSION_DENIED", "TOOL_NOT_ALLOWED", metadata={"tool": "x"})
        assert await refused(live, hello("e", spec(), spec("x")), metadata=one) == denied
        async with attached(live, "e", metadata=one) as first:
            taken = End("ALREADY_EXISTS", "EXECUTOR_ALREADY_EXISTS", metadata={"executor_id": "e"})
            assert await refused(live, hello(), metadata=two) == taken
            assert len(await first.everything()) == 1
            await first.vanish()
            assert await refused(live, hello(), metadata=two) == taken


@pytest.mark.parametrize(
    ("content", "end"),
    [
        (b"\xff\xff\xff", End("INVALID_ARGUMENT", "MALFORMED_MESSAGE")),
        # A result whose call_id is no UTF-8.
        (b"\x22\x04\x0a\x02\xff\xfe", End("INVALID_ARGUMENT", "MALFORMED_MESSAGE")),
        (bytes(100_000_000), End("RESOURCE_EXHAUSTED")),
    ],
    ids=["no message", "no UTF-8", "100 MB"],
)
async def test_a_message_that_is_none_ends_its_stream_and_not_its_session(content: bytes, end: End) -> None:
    async with serving() as live:
        stream = live.channel.stream_stream(
            "/dovetail.v1.ExecutorService/Attach", response_deserializer=v1.AttachResponse.FromString
        )
        call = stream()
        await call.write(hello().SerializeToString())
        number = (await call.read()).welcome.fencing_number
        run_id = await live.create("1. t(1)" + JOIN)
        assert (await call.read()).calls[0].run_id == run_id
        await call.write(content)
        assert await end_of(call) == end
        async with attached(live, fencing_number=number) as executor:
            assert executor.welcome.resumed
            await executor.give(output(await executor.one_call()))
        assert (await live.events(run_id))[-1].run_ended.state == v1.RunState.RUN_STATE_ANSWERED


async def test_a_name_that_no_call_can_have_ends_the_stream() -> None:
    async with serving() as live, attached(live) as executor:
        await executor.send(results=[v1.CallResult(call_id="x" * 100_000)])
        assert await end_of(executor.call) == End("INVALID_ARGUMENT", "INVALID_FIELD", "results.call_id")


async def test_refusals_that_nobody_reads_are_not_kept_for_ever() -> None:
    async with serving() as live, attached(live) as executor:
        await executor.send(results=[v1.CallResult(call_id=str(number)) for number in range(10_001)])
        limit = {"limit": "refused_results", "value": "10000"}
        assert await end_of(executor.call) == End("RESOURCE_EXHAUSTED", "LIMIT_REACHED", metadata=limit)


async def test_a_server_that_ends_says_so_and_welcomes_nobody() -> None:
    async with serving(drain_seconds=20) as live, attached(live) as executor:
        run_id = await live.create("1. t(1)\n2. t(2)\n3. join($2)")
        call = await executor.one_call()
        ending = asyncio.create_task(live.server.drain())
        assert 15 < (await executor.receive()).drain.within.seconds < 20
        assert await refused(live, hello("other")) == End("UNAVAILABLE", "SHUTTING_DOWN")
        # What is in flight goes on, with calls that come after the word of the end, also if the stream breaks.
        await executor.send(results=[output(call)])
        call = await executor.one_call()
        await executor.vanish()
        assert await refused(live, hello()) == End("UNAVAILABLE", "SHUTTING_DOWN")
        async with attached(live, fencing_number=executor.number, known_call_ids=[call.call_id]) as back:
            assert back.welcome.resumed
            assert (await back.receive()).HasField("drain")
            await back.give(output(call))
            async with asyncio.timeout(PATIENCE):
                await ending
        assert (await live.runs.GetRun(v1.GetRunRequest(run_id=run_id))).run.state == v1.RunState.RUN_STATE_ANSWERED


async def test_the_stream_of_a_server_that_ends_ends_with_ok() -> None:
    async with serving() as live, attached(live) as executor:
        ending = asyncio.create_task(live.server.__aexit__(None, None, None))
        assert await end_of(executor.call) == OK
        await ending
