"""A real server behind a real door, whose services do what a test wants of them."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from typing import TYPE_CHECKING, Any

import grpc
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from grpc_status import rpc_status

from dovetail import v1
from dovetail.v1.executor_service_pb2_grpc import ExecutorServiceServicer, add_ExecutorServiceServicer_to_server
from dovetail.v1.run_service_pb2_grpc import RunServiceServicer, RunServiceStub, add_RunServiceServicer_to_server
from dovetail_server.door import Door, caller, note, request_id
from dovetail_server.log import open_log
from dovetail_server.refusal import Refusal
from dovetail_server.settings import ServerSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence


BOUND = 60.0


class Runs(RunServiceServicer):
    """Each method does one thing that a handler may do."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def GetRun(self, request: v1.GetRunRequest, context: Any) -> v1.GetRunResponse:
        note(run_id=request.run_id)
        if request.run_id.startswith("none"):
            raise Refusal.run_not_found(request.run_id)
        return v1.GetRunResponse(run=v1.Run(run_id=caller().name, question=request_id()))

    async def ResolveApproval(self, request: v1.ResolveApprovalRequest, context: Any) -> v1.ResolveApprovalResponse:
        async def refuse() -> None:
            raise Refusal.run_not_found(request.run_id)

        async with asyncio.TaskGroup() as group:
            group.create_task(refuse())
        return v1.ResolveApprovalResponse()

    async def CreateRun(self, request: v1.CreateRunRequest, context: Any) -> v1.CreateRunResponse:
        raise RuntimeError(f"the secret is {request.question}")

    async def CancelRun(self, request: v1.CancelRunRequest, context: Any) -> v1.CancelRunResponse:
        self.entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()
        return v1.CancelRunResponse()

    async def WatchRun(self, request: v1.WatchRunRequest, context: Any) -> None:
        await context.write(v1.WatchRunResponse(events=[v1.Event(sequence=1)]))
        if request.after_sequence:
            await asyncio.Event().wait()

    async def StreamRun(self, requests: Any, context: Any) -> None:
        async for request in requests:
            await context.write(v1.StreamRunResponse(run=v1.Run(question=request.start.question)))


class Executors(ExecutorServiceServicer):
    """Says welcome."""

    async def Attach(self, requests: Any, context: Any) -> None:
        await context.write(v1.AttachResponse(welcome=v1.Welcome(fencing_number=1)))


class Doorway:
    """The server, and a channel to it."""

    def __init__(self, runs: Runs, door: Door, channel: grpc.aio.Channel, address: str, lines: io.StringIO) -> None:
        self.runs = runs
        self.door = door
        self.channel = channel
        self.address = address
        self.stub: Any = RunServiceStub(channel)
        self._lines = lines

    @property
    def logged(self) -> str:
        return self._lines.getvalue()

    def rpcs(self) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.logged.splitlines()]
        return [line for line in lines if line["event"] == "rpc"]


@contextlib.asynccontextmanager
async def doorway(**settings: Any) -> AsyncIterator[Doorway]:
    """Open a server with these settings on a free port."""
    with logged() as lines:
        door = Door(ServerSettings(**settings))
        server = grpc.aio.server(interceptors=[door])
        runs = Runs()
        add_RunServiceServicer_to_server(runs, server)
        add_ExecutorServiceServicer_to_server(Executors(), server)
        address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        try:
            async with asyncio.timeout(BOUND), grpc.aio.insecure_channel(address) as channel:
                yield Doorway(runs, door, channel, address, lines)
        finally:
            await server.stop(None)


@contextlib.contextmanager
def logged() -> Iterator[io.StringIO]:
    """The log, as JSON lines."""
    lines = io.StringIO()
    with open_log("info", "json", stream=lines):
        yield lines


def refusal_of(error: grpc.aio.AioRpcError) -> tuple[str, ErrorInfo, BadRequest]:
    """The code, the reason and the fields of an error."""
    status = rpc_status.from_call(error)
    assert status is not None, error
    info, fields = ErrorInfo(), BadRequest()
    for detail in status.details:
        if detail.Is(ErrorInfo.DESCRIPTOR):
            detail.Unpack(info)
        if detail.Is(BadRequest.DESCRIPTOR):
            detail.Unpack(fields)
    assert info.domain == "dovetail"
    return error.code().name, info, fields


def bearer(token: str) -> Sequence[tuple[str, str]]:
    return (("authorization", f"Bearer {token}"),)
