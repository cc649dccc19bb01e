"""A real gRPC server whose RPCs do what a test says, one act after the other: for faults that no good server has."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from dovetail import Client, v1
from dovetail.v1.plan_service_pb2_grpc import PlanServiceServicer, add_PlanServiceServicer_to_server
from dovetail.v1.run_service_pb2_grpc import RunServiceServicer, add_RunServiceServicer_to_server
from dovetail.v1.tool_service_pb2_grpc import ToolServiceServicer, add_ToolServiceServicer_to_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence

PATIENCE = 60.0
"""How long anything may take, with the machine as busy as it may be."""

Act = Any
"""What one RPC does: a coroutine function of its request, or requests, and its context."""


class ScriptedServer(RunServiceServicer, ToolServiceServicer, PlanServiceServicer):
    """Plays the acts of each RPC in their order, the last one again and again.

    Attributes:
        requests: what came, by the name of the RPC; for streams, what `read` took.
        arrived: the names of RPCs, as they come.
        cancelled: the names of those that their client broke off.
    """

    def __init__(self) -> None:
        self.address = ""
        self.requests: dict[str, list[Any]] = {}
        self.metadata: dict[str, str] = {}
        self.arrived: asyncio.Queue[str] = asyncio.Queue()
        self.cancelled: asyncio.Queue[str] = asyncio.Queue()
        self._acts: dict[str, deque[Act]] = {}

    def on(self, rpc: str, *acts: Act) -> None:
        """Say what an RPC does."""
        self._acts[rpc] = deque(acts)

    async def until_arrived(self, rpc: str) -> None:
        """Wait until an RPC has come."""
        while await asyncio.wait_for(self.arrived.get(), PATIENCE) != rpc:
            pass

    async def until_cancelled(self, rpc: str) -> None:
        """Wait until the client has broken off an RPC."""
        assert await asyncio.wait_for(self.cancelled.get(), PATIENCE) == rpc

    async def _play(self, rpc: str, request: Any, context: Any) -> Any:
        self.metadata = dict(context.invocation_metadata())
        seen = self.requests.setdefault(rpc, [])
        if hasattr(request, "ListFields"):
            seen.append(request)
        else:
            request = _recorded(request, seen)
        self.arrived.put_nowait(rpc)
        acts = self._acts[rpc]
        act = acts.popleft() if len(acts) > 1 else acts[0]
        try:
            return await act(request, context)
        except asyncio.CancelledError:
            self.cancelled.put_nowait(rpc)
            raise

    async def CreateRun(self, request: Any, context: Any) -> Any:
        return await self._play("CreateRun", request, context)

    async def StreamRun(self, request_iterator: Any, context: Any) -> Any:
        await self._play("StreamRun", request_iterator, context)

    async def WatchRun(self, request: Any, context: Any) -> Any:
        await self._play("WatchRun", request, context)

    async def GetRun(self, request: Any, context: Any) -> Any:
        return await self._play("GetRun", request, context)

    async def ListRuns(self, request: Any, context: Any) -> Any:
        return await self._play("ListRuns", request, context)

    async def CancelRun(self, request: Any, context: Any) -> Any:
        return await self._play("CancelRun", request, context)

    async def ResolveApproval(self, request: Any, context: Any) -> Any:
        return await self._play("ResolveApproval", request, context)

    async def ListTools(self, request: Any, context: Any) -> Any:
        return await self._play("ListTools", request, context)

    async def GetTool(self, request: Any, context: Any) -> Any:
        return await self._play("GetTool", request, context)

    async def CompilePlan(self, request_iterator: Any, context: Any) -> Any:
        await self._play("CompilePlan", request_iterator, context)


async def _recorded(requests: AsyncIterator[Any], seen: list[Any]) -> AsyncIterator[Any]:
    async for request in requests:
        seen.append(request)
        yield request


def refuse(
    code: grpc.StatusCode,
    message: str = "no",
    reason: str = "",
    metadata: Mapping[str, str] | None = None,
    violations: Sequence[tuple[str, str]] = (),
) -> Act:
    """An act that ends the RPC with an error."""

    async def act(_: Any, context: Any) -> None:
        await abort(context, code, message, reason, metadata, violations)

    return act


async def abort(
    context: Any,
    code: grpc.StatusCode,
    message: str = "no",
    reason: str = "",
    metadata: Mapping[str, str] | None = None,
    violations: Sequence[tuple[str, str]] = (),
) -> None:
    details = []
    if reason:
        details.append(ErrorInfo(reason=reason, domain="dovetail", metadata=metadata))
    if violations:
        fields = [BadRequest.FieldViolation(field=field, description=what) for field, what in violations]
        details.append(BadRequest(field_violations=fields))
    status = Status(code=code.value[0], message=message)
    for detail in details:
        packed = AnyMessage()
        packed.Pack(detail)
        status.details.append(packed)
    await context.abort_with_status(rpc_status.to_status(status))


def reply(response: Any) -> Act:
    """An act that answers a unary RPC."""

    async def act(_: Any, __: Any) -> Any:
        return response

    return act


def watch(*batches: Iterable[v1.Event], then: Act | None = None) -> Act:
    """An act of WatchRun: these batches, and then the end, or what another act does."""

    async def act(request: Any, context: Any) -> None:
        for batch in batches:
            await context.write(v1.WatchRunResponse(events=batch))
        if then is not None:
            await then(request, context)

    return act


async def hang(_: Any, __: Any) -> None:
    """An act that never ends by itself."""
    await asyncio.Event().wait()


UNAVAILABLE = refuse(grpc.StatusCode.UNAVAILABLE, "shutting down", "SHUTTING_DOWN")


def texts(*sequences: int) -> list[v1.Event]:
    """Events that say nothing."""
    return [v1.Event(sequence=sequence, plan_text=v1.PlanText(plan=1, text="x")) for sequence in sequences]


def ended(sequence: int, state: v1.RunState = v1.RunState.RUN_STATE_ANSWERED) -> list[v1.Event]:
    """The last event."""
    return [v1.Event(sequence=sequence, run_ended=v1.RunEnded(state=state))]


def answered(sequence: int, answer: str) -> list[v1.Event]:
    """An answer and the last event."""
    return [v1.Event(sequence=sequence, run_answered=v1.RunAnswered(answer=answer)), *ended(sequence + 1)]


def running(last_sequence: int = 0, **fields: Any) -> v1.Run:
    """A run on its way."""
    return v1.Run(run_id="r", state=v1.RunState.RUN_STATE_RUNNING, last_sequence=last_sequence, **fields)


@asynccontextmanager
async def scripted(**options: Any) -> AsyncIterator[tuple[ScriptedServer, Client]]:
    """A server that is running and a client of it, which leave no task behind."""
    before = asyncio.all_tasks()
    server = grpc.aio.server()
    one = ScriptedServer()
    add_RunServiceServicer_to_server(one, server)
    add_ToolServiceServicer_to_server(one, server)
    add_PlanServiceServicer_to_server(one, server)
    one.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        async with Client(one.address, **options) as client:
            yield one, client
            await only_left(lambda: {task for task in asyncio.all_tasks() - before if is_ours(task)})
    finally:
        await server.stop(0)
    await only_left(lambda: asyncio.all_tasks() - before)


def is_ours(task: asyncio.Task[Any]) -> bool:
    """Whether a task runs code of the client."""
    coroutine = task.get_coro()
    return "dovetail/client" in getattr(getattr(coroutine, "cr_code", None), "co_filename", "")


async def only_left(tasks: Callable[[], set[asyncio.Task[Any]]]) -> None:
    """Wait for tasks to end by themselves."""
    async with asyncio.timeout(PATIENCE):
        while left := tasks():
            await asyncio.wait(left, timeout=PATIENCE)


async def within(work: Any) -> Any:
    """What comes of something that must not take for ever."""
    return await asyncio.wait_for(work, PATIENCE)
