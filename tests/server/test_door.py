"""The door: who comes in, what is refused and how, and what the log says of it."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from doorway import bearer, doorway, refusal_of
from dovetail import v1
from dovetail.v1.executor_service_pb2_grpc import ExecutorServiceStub
from dovetail_server.door import METHOD_ROLES, caller, note, request_id

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

GET_RUN = "/dovetail.v1.RunService/GetRun"


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    path = tmp_path / "tokens.toml"
    hashes = {role: hashlib.sha256(role.encode()).hexdigest() for role in ("run", "execute", "read")}
    entries = [f'[[token]]\nname = "{r}er"\nsha256 = "{sha256}"\nroles = ["{r}"]\n' for r, sha256 in hashes.items()]
    path.write_text("".join(entries))
    return path


async def ends_with(call: Any) -> tuple[str, str, dict[str, str]]:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    code, info, _ = refusal_of(raised.value)
    return code, info.reason, dict(info.metadata)


async def read_all(stream: Any) -> list[Any]:
    return [message async for message in stream]


def test_every_method_of_the_wire_has_a_role() -> None:
    files = [f"dovetail/v1/{name}_service.proto" for name in ("run", "plan", "tool", "executor")]
    from google.protobuf.descriptor_pool import Default

    from dovetail.v1 import executor_service_pb2, plan_service_pb2, run_service_pb2, tool_service_pb2  # noqa: F401

    services = [one for file in files for one in Default().FindFileByName(file).services_by_name.values()]
    methods = {f"/{service.full_name}/{method.name}" for service in services for method in service.methods}
    assert methods == set(METHOD_ROLES)


async def test_without_tokens_everyone_may_do_everything() -> None:
    async with doorway() as door:
        assert (await door.stub.GetRun(v1.GetRunRequest(run_id="a"))).run.run_id == "anonymous"


async def test_a_token_names_its_caller(tokens: Path) -> None:
    async with doorway(tokens=tokens) as door:
        got = await door.stub.GetRun(v1.GetRunRequest(run_id="a"), metadata=bearer("read"))
        assert got.run.run_id == "reader"
        got = await door.stub.GetRun(v1.GetRunRequest(run_id="a"), metadata=(("authorization", "bearer run"),))
        assert got.run.run_id == "runer"


@pytest.mark.parametrize(
    "metadata",
    [(), bearer("wrong"), bearer(""), (("authorization", "Basic read"),), (("authorization", "read"),)],
)
async def test_without_a_valid_token_nothing_is_done(tokens: Path, metadata: Any) -> None:
    async with doorway(tokens=tokens) as door:
        request = v1.GetRunRequest(run_id="a")
        assert await ends_with(door.stub.GetRun(request, metadata=metadata)) == ("UNAUTHENTICATED", "TOKEN_INVALID", {})
        watch = read_all(door.stub.WatchRun(v1.WatchRunRequest(), metadata=metadata))
        assert await ends_with(watch) == ("UNAUTHENTICATED", "TOKEN_INVALID", {})
        stream = read_all(door.stub.StreamRun(iter([v1.StreamRunRequest()]), metadata=metadata))
        assert await ends_with(stream) == ("UNAUTHENTICATED", "TOKEN_INVALID", {})


async def test_a_role_that_is_lacking_is_named(tokens: Path) -> None:
    async with doorway(tokens=tokens) as door:
        call = door.stub.CreateRun(v1.CreateRunRequest(), metadata=bearer("read"))
        assert await ends_with(call) == ("PERMISSION_DENIED", "ROLE_MISSING", {"role": "run"})
        call = read_all(door.stub.WatchRun(v1.WatchRunRequest(), metadata=bearer("execute")))
        assert await ends_with(call) == ("PERMISSION_DENIED", "ROLE_MISSING", {"role": "read"})
        attach: Any = ExecutorServiceStub(door.channel).Attach  # type: ignore[no-untyped-call, unused-ignore]
        call = read_all(attach(iter([v1.AttachRequest()]), metadata=bearer("run")))
        assert await ends_with(call) == ("PERMISSION_DENIED", "ROLE_MISSING", {"role": "execute"})
        assert len(await read_all(attach(iter([v1.AttachRequest()]), metadata=bearer("execute")))) == 1


async def test_the_log_holds_no_token(tokens: Path) -> None:
    async with doorway(tokens=tokens) as door:
        await door.stub.GetRun(v1.GetRunRequest(run_id="a"), metadata=bearer("read"))
        await ends_with(door.stub.GetRun(v1.GetRunRequest(run_id="a"), metadata=bearer("dvt_canary")))
        assert [(one["caller"], one["code"]) for one in door.rpcs()] == [
            ("reader", "OK"),
            ("anonymous", "UNAUTHENTICATED"),
        ]
        assert "canary" not in door.logged


async def test_a_refusal_of_a_service_reaches_the_client_whole() -> None:
    async with doorway() as door:
        call = door.stub.GetRun(v1.GetRunRequest(run_id="none"))
        assert await ends_with(call) == ("NOT_FOUND", "RUN_NOT_FOUND", {"run_id": "none"})
        assert door.rpcs()[0]["reason"] == "RUN_NOT_FOUND"


async def test_a_refusal_that_repeats_what_a_client_sent_is_short_enough_to_arrive() -> None:
    async with doorway() as door:
        code, reason, metadata = await ends_with(door.stub.GetRun(v1.GetRunRequest(run_id="none" + "ü" * 100_000)))
        assert (code, reason) == ("NOT_FOUND", "RUN_NOT_FOUND")
        assert metadata["run_id"].startswith("none")


async def test_a_refusal_that_ends_a_group_of_tasks_is_still_one() -> None:
    async with doorway() as door:
        approve = door.stub.ResolveApproval(v1.ResolveApprovalRequest(run_id="none"))
        assert await ends_with(approve) == ("NOT_FOUND", "RUN_NOT_FOUND", {"run_id": "none"})


async def test_a_defect_tells_the_client_where_to_look_and_nothing_else() -> None:
    async with doorway() as door:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await door.stub.CreateRun(v1.CreateRunRequest(question="canary"), metadata=(("x-request-id", "find-me"),))
        code, info, _ = refusal_of(raised.value)
        assert (code, info.reason, dict(info.metadata)) == ("INTERNAL", "INTERNAL", {"request_id": "find-me"})
        assert "canary" not in str(raised.value)
        defect = door.logged.splitlines()[0]
        assert "find-me" in defect
        assert "RuntimeError" in defect


@pytest.mark.parametrize("content", [b"\xff\xff\xff", b"\x0a\x02\xff\xfe"], ids=["no message", "no UTF-8"])
async def test_a_malformed_message_is_refused(content: bytes) -> None:
    async with doorway() as door:
        get = door.channel.unary_unary(GET_RUN)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await get(content)
        code, info, fields = refusal_of(raised.value)
        assert (code, info.reason) == ("INVALID_ARGUMENT", "MALFORMED_MESSAGE")
        assert "GetRunRequest" in fields.field_violations[0].description
        watch = door.channel.unary_stream("/dovetail.v1.RunService/WatchRun")
        assert (await ends_with(read_all(watch(content))))[:2] == ("INVALID_ARGUMENT", "MALFORMED_MESSAGE")


async def test_a_malformed_message_in_a_stream_ends_it_behind_what_came_before() -> None:
    async with doorway() as door:
        stream = door.channel.stream_stream("/dovetail.v1.RunService/StreamRun")(
            iter([v1.StreamRunRequest().SerializeToString(), b"\xff\xff"])
        )
        assert isinstance(await stream.read(), bytes)
        assert (await ends_with(stream.read()))[:2] == ("INVALID_ARGUMENT", "MALFORMED_MESSAGE")


async def test_a_method_that_does_not_exist_is_unimplemented() -> None:
    async with doorway() as door:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await door.channel.unary_unary("/dovetail.v1.RunService/Nothing")(b"")
        assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_clients_request_id_is_kept_and_any_other_is_made() -> None:
    async with doorway() as door:
        call = door.stub.GetRun(v1.GetRunRequest(run_id="a"), metadata=(("x-request-id", "mine/1"),))
        assert (await call).run.question == "mine/1"
        assert ("x-request-id", "mine/1") in list(await call.trailing_metadata())
        for insane in ("a b", "x" * 129, ""):
            got = await door.stub.GetRun(v1.GetRunRequest(run_id="a"), metadata=(("x-request-id", insane),))
            assert got.run.question not in ("", insane)
        ids = [one["request_id"] for one in door.rpcs()]
        assert ids[0] == "mine/1"
        assert len(set(ids)) == 4


async def test_a_stream_has_its_request_id_at_its_beginning_and_a_refusal_at_its_end() -> None:
    async with doorway() as door:
        call = door.stub.WatchRun(v1.WatchRunRequest(), metadata=(("x-request-id", "mine"),))
        assert ("x-request-id", "mine") in list(await call.initial_metadata())
        assert len(await read_all(call)) == 1
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await door.stub.GetRun(v1.GetRunRequest(run_id="none"), metadata=(("x-request-id", "other"),))
        assert ("x-request-id", "other") in list(raised.value.trailing_metadata())


async def test_streams_of_a_client_are_limited_and_those_that_ended_do_not_count() -> None:
    async with doorway(max_streams_per_client=2) as door:
        endless = v1.WatchRunRequest(after_sequence=1)
        watches = [door.stub.WatchRun(endless), door.stub.WatchRun(endless)]
        for watch in watches:
            await watch.read()
        assert await ends_with(read_all(door.stub.WatchRun(endless))) == (
            "RESOURCE_EXHAUSTED",
            "LIMIT_REACHED",
            {"limit": "max_streams_per_client", "value": "2"},
        )
        assert door.door.open_streams == 2
        assert (await door.stub.GetRun(v1.GetRunRequest(run_id="a"))).run.run_id == "anonymous"
        watches[0].cancel()
        while door.door.open_streams == 2:  # noqa: ASYNC110 - the doorway bounds it
            await asyncio.sleep(0)
        assert len(await read_all(door.stub.WatchRun(v1.WatchRunRequest()))) == 1
        watches[1].cancel()


async def test_streams_are_counted_for_each_token(tokens: Path) -> None:
    async with doorway(tokens=tokens, max_streams_per_client=1) as door:
        endless = v1.WatchRunRequest(after_sequence=1)
        for token in ("run", "read"):
            await door.stub.WatchRun(endless, metadata=bearer(token)).read()
        call = read_all(door.stub.WatchRun(endless, metadata=bearer("read")))
        assert (await ends_with(call))[1] == "LIMIT_REACHED"


async def test_a_client_that_cancels_leaves_a_cancelled_rpc_in_the_log() -> None:
    async with doorway() as door:
        call = door.stub.CancelRun(v1.CancelRunRequest())
        await door.runs.entered.wait()
        call.cancel()
        await door.runs.cancelled.wait()
        while not door.rpcs():  # noqa: ASYNC110 - the doorway bounds it
            await asyncio.sleep(0)
        assert [one["code"] for one in door.rpcs()] == ["CANCELLED"]


async def test_a_deadline_that_is_over_is_told_from_a_cancel() -> None:
    async with doorway() as door:
        # The request has to be at the server before its time is over.
        await door.channel.channel_ready()
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await door.stub.CancelRun(v1.CancelRunRequest(), timeout=1)
        assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await door.runs.cancelled.wait()
        while not door.rpcs():  # noqa: ASYNC110 - the doorway bounds it
            await asyncio.sleep(0)
        assert [one["code"] for one in door.rpcs()] == ["DEADLINE_EXCEEDED"]


async def test_an_rpc_is_one_line_of_log() -> None:
    async with doorway() as door:
        await door.stub.GetRun(v1.GetRunRequest(run_id="my-run"))
        await read_all(door.stub.WatchRun(v1.WatchRunRequest()))
        first, second = door.rpcs()
        assert (first["method"], first["code"], first["run_id"]) == ("RunService/GetRun", "OK", "my-run")
        assert first["peer"].startswith("ipv4:127.0.0.1:")
        assert first["duration_ms"] > 0
        assert (second["method"], second["code"]) == ("RunService/WatchRun", "OK")
        assert len(door.logged.splitlines()) == 2


def test_outside_an_rpc_there_is_no_caller_to_name() -> None:
    note(run_id="a")
    assert (caller().name, request_id()) == ("anonymous", "")
