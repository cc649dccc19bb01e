"""A stream to a server: hello and welcome, then calls down and results up, until a side ends it or it falls silent."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Final, TypeAlias

import grpc

from dovetail.executor.refusal import StreamLostError, end_of_stream
from dovetail.executor.state import ExecutorState, logger
from dovetail.v1 import AttachRequest, AttachResponse, RefusedResult

if TYPE_CHECKING:
    from google.protobuf.duration_pb2 import Duration

    from dovetail.executor.calls import Calls
    from dovetail.executor.outbox import Outbox
    from dovetail.executor.state import StateListener
    from dovetail.v1 import Hello, Welcome

    AttachStream: TypeAlias = grpc.aio.StreamStreamCall[AttachRequest, AttachResponse]

__all__ = ["Session"]

# Before the welcome there is no lease that could be over.
_WELCOME_SECONDS: Final = 10.0

_END_SECONDS: Final = 1.0

_DEFAULT_HEARTBEAT_INTERVAL: Final = 2.0
_DEFAULT_LEASE: Final = 6.0


class Session:
    """One stream. Belongs to the running event loop.

    Args:
        stream: the RPC, not yet used.
        calls: what calls are given to.
        outbox: what is written.
        tell: who is told what becomes of the stream.
        patience: how many seconds the server may take for its welcome, if that is less than usual.

    Attributes:
        fencing_number: the session that the server gave; 0 before its welcome.
        drain_heard: set once the server knows of the drain, or the stream is over: it gives no further call.
    """

    def __init__(
        self, stream: AttachStream, calls: Calls, outbox: Outbox, tell: StateListener, patience: float | None = None
    ) -> None:
        self.fencing_number = 0
        self.drain_heard = asyncio.Event()
        self._stream = stream
        self._calls = calls
        self._outbox = outbox
        self._tell = tell
        self._patience = _WELCOME_SECONDS if patience is None else min(patience, _WELCOME_SECONDS)
        self._loop = asyncio.get_running_loop()
        self._interval = _DEFAULT_HEARTBEAT_INTERVAL
        self._lease = _DEFAULT_LEASE
        self._heard = self._sent = self._pulse_due = self._loop.time()
        self._silence: asyncio.Future[None] = self._loop.create_future()
        self._timer: asyncio.TimerHandle | None = None
        self._heartbeats = 0
        self._is_heartbeat_due = False
        self._is_drain_due = False
        self._drain_heartbeat = math.inf
        self._goodbye: str | None = None
        self._is_over = False

    def drain(self) -> None:
        """Say that no further calls are taken: now, or once there was a welcome."""
        self._is_drain_due = True
        # The answer comes behind all calls that were given before the drain was read.
        self._is_heartbeat_due = True
        self._outbox.wake.set()

    def leave(self, reason: str) -> None:
        """Write what there is, and then say goodbye; the server ends the stream behind it."""
        self._goodbye = reason
        self._outbox.wake.set()

    async def run(self, hello: Hello) -> None:
        """Attach and serve. Returns when the server ends the stream behind a goodbye.

        Args:
            hello: who attaches; names the session to resume, if there is one.

        Raises:
            ExecutorRefusedError: the server refused the executor, and would do so again.
            StreamLostError: the stream ended otherwise: attach again.
        """
        tasks: list[asyncio.Task[None]] = []
        try:
            await self._attach(hello)
            reader, writer = tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._write())]
            self._pulse_in(self._interval)
            waited: set[asyncio.Future[None]] = {reader, writer, self._silence}
            # The writer may end before the reader: behind the goodbye, or of a broken stream, as the reader tells.
            while not (reader.done() or self._silence.done()):
                done, waited = await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
                for one in done:
                    one.result()
            if not reader.done():
                raise StreamLostError(f"nothing was heard of the server for {self._lease:g} s")
            if self._goodbye is None:
                raise StreamLostError("the server ended the stream")
        except grpc.aio.AioRpcError as error:
            raise end_of_stream(error) from None
        finally:
            if self._timer is not None:
                self._timer.cancel()
            self.drain_heard.set()
            self._is_over = True
            self._outbox.wake.set()
            self._stream.cancel()
            await _ended(tasks)

    async def _attach(self, hello: Hello) -> None:
        stream = self._stream
        try:
            async with asyncio.timeout(self._patience):
                await stream.write(AttachRequest(hello=hello))
                message = await stream.read()
        except TimeoutError:
            raise StreamLostError(f"the server gave no welcome within {self._patience:.3g} s") from None
        except asyncio.InvalidStateError:  # the stream has ended before anything could be written
            raise StreamLostError("the server ended the stream before its welcome") from None
        if not isinstance(message, AttachResponse):
            raise StreamLostError("the server ended the stream before its welcome")
        if not message.HasField("welcome"):
            raise StreamLostError("the server's first message is no welcome")
        self._enter(message.welcome)
        self._take_in(message)
        self._heard = self._sent = self._loop.time()
        self._outbox.wake.set()

    def _enter(self, welcome: Welcome) -> None:
        self.fencing_number = welcome.fencing_number
        self._interval = _seconds(welcome.heartbeat_interval) or _DEFAULT_HEARTBEAT_INTERVAL
        self._lease = max(_seconds(welcome.lease) or _DEFAULT_LEASE, self._interval)
        if welcome.max_message_bytes > 0:
            self._outbox.bound(welcome.max_message_bytes)
        self._calls.enter_session(welcome.fencing_number, resumed=welcome.resumed)
        state = ExecutorState.RESUMED if welcome.resumed else ExecutorState.ATTACHED
        kept = f"; results that are sent again: {len(self._outbox)}" if self._outbox else ""
        self._tell(state, f"{state.value}: session {welcome.fencing_number}{kept}")

    async def _read(self) -> None:
        read = self._stream.read
        while isinstance(message := await read(), AttachResponse):
            self._heard = self._loop.time()
            self._take_in(message)

    def _take_in(self, message: AttachResponse) -> None:
        calls = self._calls
        # In this order: a call may be given the place of one that is cancelled.
        for call_id in message.cancelled_call_ids:
            calls.cancel(call_id)
        for call in message.calls:
            calls.begin(call)
        for call_id in message.recorded_call_ids:
            calls.forget(call_id)
        for refused in message.refused_results:
            reason = _reason_name(refused)
            logger.info("the server did not take the result of call %s: %s", refused.call_id, reason)
            calls.forget(refused.call_id)
        if message.HasField("heartbeat") and message.heartbeat.number >= self._drain_heartbeat:
            self.drain_heard.set()
        if message.HasField("drain"):
            within = f" within {_seconds(message.drain.within):g} s" if message.drain.HasField("within") else ""
            self._tell(ExecutorState.SERVER_DRAINING, f"the server will end the stream{within}")

    async def _write(self) -> None:
        stream, wake = self._stream, self._outbox.wake
        try:
            while True:
                await wake.wait()
                if self._is_over:
                    return
                wake.clear()
                while (request := self._next()) is not None:
                    await stream.write(request)
                    self._sent = self._loop.time()
                    if request.HasField("goodbye"):
                        await stream.done_writing()
                        return
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return  # the reader learns why the stream ended

    def _next(self) -> AttachRequest | None:
        """What is at hand; None if there is nothing."""
        request = AttachRequest()
        is_any = self._outbox.fill(request)
        if self._is_heartbeat_due:
            self._is_heartbeat_due = False
            self._heartbeats += 1
            request.heartbeat.number = self._heartbeats
            is_any = True
        if self._is_drain_due:
            self._is_drain_due = False
            self._drain_heartbeat = self._heartbeats
            request.drain.SetInParent()
            is_any = True
        if not is_any and self._goodbye is not None:
            request.goodbye.reason = self._goodbye
            is_any = True
        return request if is_any else None

    def _pulse(self) -> None:
        """Send a heartbeat if it is time for one, and give up a server that was not heard for the lease."""
        now = self._loop.time()
        interval = self._interval
        if now - self._pulse_due > interval / 2:
            # A tool held up the loop, or the process was stopped: what the server sent meanwhile is still to be read.
            self._heard = max(self._heard, now - self._lease + interval / 2)
        if now - self._heard >= self._lease:
            if not self._silence.done():
                self._silence.set_result(None)
            return
        # Also to an executor that has much to send the server must show that it is alive.
        if now - min(self._sent, self._heard) >= interval:
            self._is_heartbeat_due = True
            self._outbox.wake.set()
            due = now + interval
        else:
            due = min(self._sent, self._heard) + interval
        self._pulse_in(min(due, self._heard + self._lease) - now)

    def _pulse_in(self, seconds: float) -> None:
        self._pulse_due = self._loop.time() + seconds
        self._timer = self._loop.call_later(seconds, self._pulse)


async def _ended(tasks: list[asyncio.Task[None]]) -> None:
    """Wait for the tasks of a stream that was cancelled: the next one must not share the outbox with its writer."""
    if not tasks:
        return
    # They end by themselves, and gRPC then has nothing under way that could outlive the loop.
    _, late = await asyncio.wait(tasks, timeout=_END_SECONDS)
    for task in late:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _seconds(duration: Duration) -> float:
    return max(0.0, duration.seconds + duration.nanos / 1e9)


def _reason_name(refused: RefusedResult) -> str:
    try:
        return RefusedResult.Reason.Name(refused.reason).removeprefix("REASON_")
    except ValueError:  # one of a later version
        return f"reason {refused.reason}"
