"""`RunService`: runs are created, followed and steered."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from dovetail.errors import UsageError
from dovetail.failure_text import bounded
from dovetail.v1 import (
    CancelRunResponse,
    CreateRunResponse,
    GetRunResponse,
    ResolveApprovalResponse,
    StreamRunResponse,
    WatchRunResponse,
)
from dovetail.v1.run_service_pb2_grpc import RunServiceServicer
from dovetail_server.client_tools import ClientMailbox
from dovetail_server.door import caller, note
from dovetail_server.refusal import Refusal
from dovetail_server.registry import fingerprint

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import grpc

    from dovetail import v1
    from dovetail.engine import Engine
    from dovetail.models.protocol import Model
    from dovetail.run_handle import Run
    from dovetail_server.orders import OrderDesk
    from dovetail_server.registry import HostedRun, Registry

    Context = grpc.aio.ServicerContext[object, object]

__all__ = ["RunService"]

_EVENTS_A_MESSAGE = 64
# Below what a client receives by default, also with one more event of the largest size.
_BYTES_A_MESSAGE = 256 * 1024


class RunService(RunServiceServicer):
    """Runs.

    Args:
        engine: what runs them.
        desk: what checks requests for them.
        registry: where they are kept.
        joiner: what joins outputs into answers, if it is not the model that planned.
    """

    def __init__(self, engine: Engine, desk: OrderDesk, registry: Registry, joiner: Model | None) -> None:
        self._engine = engine
        self._desk = desk
        self._registry = registry
        self._joiner = joiner
        self._draining = False

    def drain(self) -> None:
        """Create no runs any more."""
        self._draining = True

    # gRPC names its methods its own way, and types them for generators; ours are coroutines that write.
    async def CreateRun(self, request: v1.CreateRunRequest, context: Context) -> CreateRunResponse:
        """Start a run, and return at once."""
        hosted = await self._create(request, context, on_stream=False)
        return CreateRunResponse(run=hosted.to_proto())

    async def StreamRun(  # type: ignore[override]
        self, requests: AsyncIterator[v1.StreamRunRequest], context: Context
    ) -> None:
        """Start a run, and follow it while its client has its say."""
        first = await anext(aiter(requests), None)
        if first is None or first.WhichOneof("message") != "start":
            raise Refusal.wrong_message("start: must be the first message of the stream")
        hosted = await self._create(first.start, context, on_stream=True)
        mailbox = ClientMailbox()
        hosted.streams += 1
        if hosted.client_tools is not None:
            hosted.client_tools.attach(mailbox)
        reader = asyncio.create_task(self._read(requests, hosted, mailbox))
        try:
            await _write(hosted, mailbox, context)
        finally:
            hosted.streams -= 1
            # A client that is back on another stream is not gone; and nothing changes once the run has ended.
            if first.start.cancel_on_disconnect and not hosted.streams:
                hosted.run.cancel("its client is gone")
            if hosted.client_tools is not None:
                hosted.client_tools.detach(mailbox)
            reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reader
        if mailbox.refusal is not None:
            raise mailbox.refusal

    async def WatchRun(  # type: ignore[override]
        self, request: v1.WatchRunRequest, context: Context
    ) -> None:
        """Follow a run from any event."""
        note(run_id=bounded(request.run_id, 64))
        if request.after_sequence < 0:
            raise Refusal.invalid_field("after_sequence", f"is {request.after_sequence}; it must not be negative")
        journal = self._registry.get(request.run_id).run.journal
        place = min(request.after_sequence, len(journal))
        while True:
            message = WatchRunResponse()
            read = journal.read_into(message.events, place, _EVENTS_A_MESSAGE, _BYTES_A_MESSAGE)
            if read > place:
                place = read
                await context.write(message)
            elif journal.ended:
                return
            else:
                await journal.grown(place)

    async def GetRun(
        self,
        request: v1.GetRunRequest,
        context: Context,  # noqa: ARG002
    ) -> GetRunResponse:
        """How a run stands."""
        return GetRunResponse(run=self._registry.get(request.run_id).to_proto())

    async def ListRuns(
        self,
        request: v1.ListRunsRequest,
        context: Context,  # noqa: ARG002
    ) -> v1.ListRunsResponse:
        """The runs of this server."""
        return self._registry.page(request)

    async def CancelRun(
        self,
        request: v1.CancelRunRequest,
        context: Context,  # noqa: ARG002
    ) -> CancelRunResponse:
        """Cancel a run."""
        note(run_id=bounded(request.run_id, 64))
        hosted = self._registry.get(request.run_id)
        hosted.run.cancel(bounded(request.reason) or f"asked for by {caller().name}")
        return CancelRunResponse(run=hosted.to_proto())

    async def ResolveApproval(
        self,
        request: v1.ResolveApprovalRequest,
        context: Context,  # noqa: ARG002
    ) -> ResolveApprovalResponse:
        """Approve or reject a task."""
        note(run_id=bounded(request.run_id, 64))
        hosted = self._registry.get(request.run_id)
        task_id = request.decision.task_id
        if task_id not in hosted.run.awaiting_approval:
            raise Refusal.not_awaiting_approval(request.run_id, task_id)
        try:
            _resolve(hosted.run, request.decision)
        except UsageError as error:
            raise Refusal.invalid_field("decision.arguments_json", str(error)) from None
        return ResolveApprovalResponse(run=hosted.to_proto())

    async def _create(self, request: v1.CreateRunRequest, context: Context, *, on_stream: bool) -> HostedRun:
        """The run of a request: the one that it created before, or a new one."""
        asked = fingerprint(request)
        hosted = self._known(request.run_id, asked)
        if hosted is None:
            order = await self._desk.check(request, caller(), on_stream=on_stream)
            # While it was checked, the same request may have come again.
            hosted = self._known(request.run_id, asked)
        if hosted is None:

            def start() -> Run:
                return self._engine.start(
                    order.question,
                    run_id=order.run_id,
                    limits=order.limits,
                    options=order.options,
                    tools=order.tools,
                    model=order.model,
                    joiner=self._joiner,
                    examples=order.examples,
                    metadata=order.metadata,
                    traceparent=_traceparent(context),
                )

            hosted = self._registry.add(asked, start, order.client_tools)
        note(run_id=hosted.run.run_id)
        return hosted

    def _known(self, run_id: str, asked: bytes) -> HostedRun | None:
        """The run that a request created before; if none did, and none can, the request is refused."""
        hosted = self._registry.find(run_id, asked) if run_id else None
        if hosted is None and self._draining:
            raise Refusal.shutting_down()
        return hosted

    async def _read(
        self, requests: AsyncIterator[v1.StreamRunRequest], hosted: HostedRun, mailbox: ClientMailbox
    ) -> None:
        """What the client says: the end of it is no disconnection, it may just have nothing more to say."""
        try:
            async for request in requests:
                match request.WhichOneof("message"):
                    case "tool_result" if hosted.client_tools is not None:
                        hosted.client_tools.settle(request.tool_result)
                    case "tool_progress" if hosted.client_tools is not None:
                        hosted.client_tools.report(request.tool_progress)
                    case "approval":
                        try:
                            _resolve(hosted.run, request.approval)
                        except UsageError as error:
                            mailbox.refuse(request.approval.task_id, bounded(str(error)))
                    case "cancel":
                        hosted.run.cancel(bounded(request.cancel.reason) or "asked for by its client")
                    case "start":
                        raise Refusal.wrong_message("start: may only be the first message of the stream")
        except Refusal as refusal:
            mailbox.close(refusal)


async def _write(hosted: HostedRun, mailbox: ClientMailbox, context: Context) -> None:
    journal = hosted.run.journal
    message = StreamRunResponse(run=hosted.to_proto())
    place = 0
    while not mailbox.closed:
        woken = mailbox.when_woken()
        read = journal.read_into(message.events, place, _EVENTS_A_MESSAGE, _BYTES_A_MESSAGE)
        while mailbox.put_into(message):
            await context.write(message)
            message = StreamRunResponse()
        if message.ByteSize():
            await context.write(message)
            message = StreamRunResponse()
        if read > place:
            place = read
        elif journal.ended and place == len(journal):
            return
        elif not journal.has_behind(place):
            await journal.woken(woken)


def _resolve(run: Run, decision: v1.ApprovalDecision) -> None:
    reason = bounded(decision.reason)
    if decision.approve:
        run.approve(decision.task_id, decision.arguments_json or None, reason)
    else:
        run.reject(decision.task_id, reason)


def _traceparent(context: Context) -> str:
    for key, value in context.invocation_metadata() or ():
        if key == "traceparent":
            return str(value)[:128]
    return ""
