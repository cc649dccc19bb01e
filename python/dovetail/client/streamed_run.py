"""The handle of a run that its client streams: events come down, and what the client's own tools return goes up."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import grpc

from dovetail.client.approvals import Approvals
from dovetail.client.client_tools import ClientTools
from dovetail.client.failures import broken_stream
from dovetail.client.patience import Patience
from dovetail.client.remote_run import Place, RemoteRun, end_of_stream, ended_early
from dovetail.errors import ServerError, ServerUnavailableError, UsageError
from dovetail.v1 import ClientToolProgress, ResolveApprovalRequest, RunState, StreamRunRequest, StreamRunResponse

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from dovetail import v1
    from dovetail.client.approvals import Decide
    from dovetail.client.exchange import Exchange
    from dovetail.tools.tool_set import ToolSet
    from dovetail.v1 import ApprovalDecision, ClientToolResult, CreateRunRequest, Event

__all__ = ["StreamedRun"]

_MOST_IN_A_BATCH: Final = 64


class StreamedRun(RemoteRun):
    """A run whose events are kept here, for the stream goes on even if nobody reads them. Made by `Client.stream`."""

    def __init__(
        self, exchange: Exchange, request: CreateRunRequest, tools: ToolSet, on_approval: Decide | None
    ) -> None:
        super().__init__(exchange, request.run_id)
        self._request = request
        self._place = Place(request.run_id, 0)
        self._log: list[Event] = []
        self._readers: list[asyncio.Future[None]] = []
        self._up: deque[StreamRunRequest] = deque()
        self._up_grown = asyncio.Event()
        self._tools = ClientTools(request.run_id, tools, self._send, self._up_grown.set)
        self._approvals: Approvals | None = None
        if on_approval is not None:
            self._approvals = Approvals(request.run_id, on_approval, self._resolve_surely, self._give_up)
        self._begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._created: v1.Run | None = None
        self._broken: ServerUnavailableError | None = None
        self._failure: Exception | None = None
        self._stream: asyncio.Task[None] | None = None

    async def begin(self, within: float) -> None:
        """Open the stream, and wait until the server has taken the run on.

        Raises:
            ServerError: the server refused the run, or was not reached in time.
        """
        self._stream = self._exchange.begin(self._follow())
        try:
            async with asyncio.timeout(within):
                await asyncio.shield(self._begun)
        except TimeoutError:
            await self.aclose()
            raise self._broken or ServerUnavailableError(
                f"the server did not take the run on within {within:g} s", code="DEADLINE_EXCEEDED"
            ) from None
        except BaseException:
            await self.aclose()
            raise

    async def batches(self, after_sequence: int = 0) -> AsyncGenerator[list[Event], None]:
        """The events of the run, as they came down its stream. See `RemoteRun.batches`.

        Raises:
            ServerError: the stream broke and could not be resumed, or the server left an event out.
            UsageError: the stream was closed before the run ended.
        """
        place = min(max(after_sequence, 0), len(self._log))
        while True:
            while place < len(self._log):
                batch = self._log[place : place + _MOST_IN_A_BATCH]
                place += len(batch)
                yield batch
            if self._place.is_end:
                return
            if self._failure is not None:
                raise self._failure
            reader: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._readers.append(reader)
            await reader

    async def answer(self) -> str:
        """Wait for the answer. See `RemoteRun.answer`.

        Raises:
            RunFailedError: the run ended without an answer.
            RunCancelledError: the run was cancelled.
            ServerError: as of `batches`.
        """
        return await self._answer_behind(0)

    async def wait(self) -> RunState:
        """Wait for the end of the run.

        Raises:
            ServerError: as of `batches`.
        """
        async for _ in self.batches():
            pass
        return self._state

    async def aclose(self) -> None:
        """End the stream, and the calls of the client's tools.

        The run goes on without them, unless it was to be cancelled on a disconnect.
        """
        if self._stream is not None and not self._stream.done():
            self._stream.cancel()
            await asyncio.wait({self._stream})

    async def _follow(self) -> None:
        """Stream, and stream again where the stream broke."""
        patience = Patience(self._exchange.patience)
        failure: Exception = UsageError(f"the stream of run {self.run_id} was closed before the run ended")
        try:
            while True:
                self._broken = await self._stream_once(patience)
                if self._broken is None:
                    return
                await patience.pause(self._broken)
        except Exception as error:
            failure = error
        finally:
            self._over(failure)
            if self._approvals is not None:
                await self._approvals.aclose()
            await self._tools.aclose()

    async def _stream_once(self, patience: Patience) -> ServerUnavailableError | None:
        """Stream to the end of the run, or until the stream breaks, which is returned.

        Raises:
            ServerError: another stream would end in the same way.
        """
        exchange = self._exchange
        # The server gives the same run to the same request. What was sent before may not have arrived.
        self._up.clear()
        for result in self._tools.results():
            self._send(result)
        call = exchange.runs.StreamRun(metadata=exchange.metadata)
        writer = asyncio.create_task(self._write(call))
        try:
            while isinstance(message := await exchange.read(call), StreamRunResponse):
                if self._take_in(message):
                    patience.progressed()
                if self._place.is_end:
                    await end_of_stream(call)
                    return None
            return ended_early(self.run_id)
        except grpc.aio.AioRpcError as error:
            return broken_stream(error)
        finally:
            call.cancel()
            writer.cancel()
            await asyncio.wait({writer})

    def _take_in(self, message: StreamRunResponse) -> bool:
        """Take in what came down; whether there were events among it that are new."""
        if message.HasField("run"):
            self._enter(message.run)
        batch = self._place.take(message.events)
        if batch:
            self._log += batch
            self._note(batch[-1])
            if self._tools or self._approvals is not None:
                self._heed(batch)
            self._wake_readers()
        for call in message.calls:
            if call.call_id not in message.cancelled_call_ids:
                self._tools.begin(call)
        for call_id in message.cancelled_call_ids:
            self._tools.cancel(call_id)
        return bool(batch)

    def _enter(self, run: v1.Run) -> None:
        self._heard(run)
        if self._created is None:
            self._created = run
        elif run.create_time != self._created.create_time:
            # A server without a memory of it began it anew: its events are not those that were seen.
            raise ServerUnavailableError(
                f"the server lost run {self.run_id} and has begun it anew: follow it with client.run({self.run_id!r})",
                code="UNAVAILABLE",
            )
        if not self._begun.done():
            self._begun.set_result(None)

    def _heed(self, batch: list[Event]) -> None:
        for event in batch:
            fact = event.WhichOneof("fact")
            if fact in ("task_succeeded", "task_failed"):
                self._tools.settle(getattr(event, fact).task_id)
            if self._approvals is not None:
                self._approvals.heed(event)

    def _send(self, result: ClientToolResult) -> None:
        self._up.append(StreamRunRequest(tool_result=result))
        self._up_grown.set()

    async def _write(self, call: Any) -> None:
        try:
            await call.write(StreamRunRequest(start=self._request))
            while True:
                while self._up or self._tools.reports:
                    # Before the results at hand: the progress of a call that is over is of no use. No more of it than
                    # there is now, so that a tool which never stops reporting holds up no result.
                    for _ in range(len(self._tools.reports)):
                        if (report := self._tools.reports.next()) is not None:
                            progress = ClientToolProgress(**report._asdict())
                            await call.write(StreamRunRequest(tool_progress=progress))
                    for _ in range(len(self._up)):
                        await call.write(self._up.popleft())
                self._up_grown.clear()
                await self._up_grown.wait()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return  # the reader learns why the stream ended

    async def _resolve_surely(self, decision: ApprovalDecision) -> None:
        exchange = self._exchange
        request = ResolveApprovalRequest(run_id=self.run_id, decision=decision)
        await exchange.ask(exchange.runs.ResolveApproval, request, within=exchange.patience)

    def _give_up(self, error: ServerError) -> None:
        self._over(error)
        if self._stream is not None:
            self._stream.cancel()

    def _over(self, failure: Exception) -> None:
        if self._failure is None:
            self._failure = failure
        if not self._begun.done():
            self._begun.set_exception(self._failure)
            self._begun.exception()  # looked at: whoever asked may be gone
        self._wake_readers()

    def _wake_readers(self) -> None:
        readers, self._readers = self._readers, []
        for reader in readers:
            if not reader.done():
                reader.set_result(None)
