"""The server's side of the executors' stream, played by script: a real gRPC server that does what a test says."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from dovetail.executor import Executor, ExecutorState
from dovetail.v1 import AttachRequest, AttachResponse, CallResult, ExecutorCall, Hello, Welcome
from dovetail.v1.executor_service_pb2_grpc import ExecutorServiceServicer, add_ExecutorServiceServicer_to_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

PATIENCE = 60.0
"""How long anything may take, with the machine as busy as it may be."""


class Attachment:
    """One stream of an executor: what it said, and what it is told."""

    def __init__(self, context: Any) -> None:
        self.context = context
        self.metadata = dict(context.invocation_metadata())
        self.hello = Hello()
        self.received: asyncio.Queue[AttachRequest | None] = asyncio.Queue()
        self.ending: asyncio.Future[Status | None] = asyncio.get_running_loop().create_future()

    async def receive(self) -> AttachRequest:
        """The next message."""
        request = await asyncio.wait_for(self.received.get(), PATIENCE)
        assert request is not None, "the executor ended the stream"
        return request

    async def until(self, fits: Callable[[AttachRequest], bool]) -> AttachRequest:
        """The next message that fits; others are passed over."""
        while not fits(request := await self.receive()):
            pass
        return request

    async def results(self, count: int = 1) -> list[CallResult]:
        """The next results, from as many messages as it takes."""
        results: list[CallResult] = []
        while len(results) < count:
            results += (await self.receive()).results
        return results

    async def drained(self) -> AttachRequest:
        """Wait for the executor to drain, and answer its heartbeat: it has heard all calls by then."""
        request = await self.until(lambda request: request.HasField("drain"))
        await self.send(heartbeat=request.heartbeat)
        return request

    async def closed(self) -> list[AttachRequest]:
        """Wait for the executor to end the stream; what it sent up to there."""
        requests = []
        while (request := await asyncio.wait_for(self.received.get(), PATIENCE)) is not None:
            requests.append(request)
        return requests

    async def send(self, **fields: Any) -> None:
        """Tell the executor something."""
        await self.context.write(AttachResponse(**fields))

    async def welcome(self, number: int = 1, *, resumed: bool = False, interval: float = 5, lease: float = 15) -> None:
        """Give it a session."""
        await self.send(
            welcome=Welcome(
                fencing_number=number, resumed=resumed, heartbeat_interval=duration(interval), lease=duration(lease)
            )
        )

    async def call(self, *calls: ExecutorCall) -> None:
        """Have it carry out calls."""
        await self.send(calls=calls)

    async def record(self, *call_ids: str) -> None:
        """Say that results are recorded."""
        await self.send(recorded_call_ids=call_ids)

    def end(self, code: grpc.StatusCode | None = None, message: str = "", reason: str = "") -> None:
        """End the stream: with OK, or with an error."""
        status = None
        if code is not None:
            detail = AnyMessage()
            detail.Pack(ErrorInfo(reason=reason, domain="dovetail"))
            status = Status(code=code.value[0], message=message, details=[detail] if reason else [])
        self.ending.set_result(status)


class Peer(ExecutorServiceServicer):
    """A server on a port of its own."""

    def __init__(self) -> None:
        self.address = ""
        self._attachments: asyncio.Queue[Attachment] = asyncio.Queue()

    async def Attach(self, request_iterator: Any, context: Any) -> None:
        attachment = Attachment(context)
        pump = asyncio.create_task(self._pump(request_iterator, attachment))
        try:
            status = await attachment.ending
            if status is not None:
                await context.abort_with_status(rpc_status.to_status(status))
        finally:
            pump.cancel()

    async def attached(self) -> Attachment:
        """The next executor that says hello, which is not answered yet."""
        return await asyncio.wait_for(self._attachments.get(), PATIENCE)

    async def welcomed(self, number: int = 1, *, resumed: bool = False) -> Attachment:
        """The next executor, with a session."""
        attachment = await self.attached()
        await attachment.welcome(number, resumed=resumed)
        return attachment

    async def _pump(self, requests: AsyncIterator[AttachRequest], attachment: Attachment) -> None:
        try:
            async for request in requests:
                if request.HasField("hello"):
                    assert len(request.ListFields()) == 1, "hello comes alone"
                    attachment.hello = request.hello
                    self._attachments.put_nowait(attachment)
                else:
                    attachment.received.put_nowait(request)
        finally:
            attachment.received.put_nowait(None)


@asynccontextmanager
async def peer(address: str = "127.0.0.1:0", max_message_bytes: int = 4 * 1024 * 1024) -> AsyncIterator[Peer]:
    """A peer that is running."""
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", max_message_bytes)])
    one = Peer()
    add_ExecutorServiceServicer_to_server(one, server)
    port = server.add_insecure_port(address)
    one.address = f"127.0.0.1:{port}"
    await server.start()
    try:
        yield one
    finally:
        await server.stop(0)


class Serving:
    """An executor that is serving."""

    def __init__(self, executor: Executor, states: asyncio.Queue[tuple[ExecutorState, str]]) -> None:
        self.executor = executor
        self.task = asyncio.create_task(executor.serve())
        self._states = states

    async def ended(self) -> None:
        """Wait for its end; raises what it ended with."""
        await asyncio.wait_for(asyncio.shield(self.task), PATIENCE)

    async def state(self, wanted: ExecutorState) -> str:
        """Wait for a state; what was said of it."""
        while True:
            state, line = await asyncio.wait_for(self._states.get(), PATIENCE)
            if state is wanted:
                return line


@asynccontextmanager
async def serving(tools: Any, address: str, **options: Any) -> AsyncIterator[Serving]:
    """An executor that serves, and is cancelled in the end."""
    states: asyncio.Queue[tuple[ExecutorState, str]] = asyncio.Queue()
    one = Serving(Executor(tools, address, on_state=lambda *state: states.put_nowait(state), **options), states)
    try:
        yield one
    finally:
        one.task.cancel()
        await asyncio.wait({one.task}, timeout=PATIENCE)


def duration(seconds: float) -> Duration:
    made = Duration()
    made.FromNanoseconds(int(seconds * 1e9))
    return made


def call(
    call_id: str, tool: str, arguments_json: str = "{}", *, session: int = 1, timeout: float | None = None
) -> ExecutorCall:
    """A call to carry out."""
    made = ExecutorCall(
        call_id=call_id, tool=tool, arguments_json=arguments_json, fencing_number=session, run_id="run", task_id=7
    )
    if timeout is not None:
        made.timeout.CopyFrom(duration(timeout))
    return made
