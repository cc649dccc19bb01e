"""An executor: serves tools to a server, from its first attachment until it is drained."""

from __future__ import annotations

import asyncio
import os
import random
import re
import secrets
import socket
from typing import TYPE_CHECKING, Final

from dovetail.client.connection import Connection
from dovetail.errors import ServerUnavailableError, UsageError
from dovetail.executor.calls import Calls
from dovetail.executor.outbox import Outbox
from dovetail.executor.refusal import ExecutorRefusedError, StreamLostError
from dovetail.executor.session import Session
from dovetail.executor.signals import drained_by_signals
from dovetail.executor.state import ExecutorState, logger
from dovetail.tools.live_tools import held_by
from dovetail.tools.secret import check_secrets
from dovetail.tools.tool_set import ToolSet
from dovetail.tools.tool_wire import tool_to_wire
from dovetail.v1 import Hello
from dovetail.v1.executor_service_pb2_grpc import ExecutorServiceStub

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable
    from pathlib import Path

    from dovetail.executor.state import StateListener
    from dovetail.tools.tool_set import ToolSource

__all__ = ["Executor"]

DEFAULT_MAX_PARALLEL_CALLS: Final = 64
DEFAULT_DRAIN_SECONDS: Final = 30.0

_MAX_TOOLS: Final = 1_000
_MAX_PARALLEL_CALLS: Final = 100_000
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0
# How long results of interrupted calls may take to be recorded, and the server to end the stream behind a goodbye.
_LAST_RESULTS_SECONDS: Final = 2.0
_GOODBYE_SECONDS: Final = 5.0

_ID = re.compile(r"[A-Za-z0-9_.:@/-]{1,128}")


class Executor:
    """Serves tools to a server. Attaches, carries out calls, and attaches again for as long as it takes.

    Args:
        tools: the tools: functions, tools, modules, SPECs.
        server: where the server is, ``HOST:PORT`` or ``unix:PATH``; or a `Connection`, which says everything itself.
        executor_id: its name, unique among the executors of a server; host, process and a random part if None.
        max_parallel_calls: how many calls it takes at the same time.
        drain_seconds: how long calls may go on once it was told to drain.
        connect_timeout: how many seconds it tries to attach for the first time; None for ever.
        on_state: who is told what becomes of it; if None, it is logged as ``dovetail.executor``.
        token: a bearer token, if the server asks for one.
        tls: whether to speak TLS; also with one of the following.
        ca: a PEM file of the authorities to trust in place of the system's.
        certificate: a PEM file with its own certificate, for mutual TLS.
        key: the PEM file of its key.
        server_name: the name to look for in the server's certificate, if it is not that of the address.

    Attributes:
        executor_id: its name.
        tools: what it serves.

    Raises:
        UsageError: there are no tools, or one has no function behind it, or the variable of its secret is not set; or
            an option cannot be used.
        ToolDefinitionError: a function cannot be a tool, or its outputs may be larger than a server takes.
    """

    def __init__(
        self,
        tools: Iterable[ToolSource],
        server: str | Connection,
        *,
        executor_id: str | None = None,
        max_parallel_calls: int = DEFAULT_MAX_PARALLEL_CALLS,
        drain_seconds: float = DEFAULT_DRAIN_SECONDS,
        connect_timeout: float | None = None,
        on_state: StateListener | None = None,
        token: str | None = None,
        tls: bool = False,
        ca: str | Path | None = None,
        certificate: str | Path | None = None,
        key: str | Path | None = None,
        server_name: str | None = None,
    ) -> None:
        connection = Connection.to(
            server, token=token, tls=tls, ca=ca, certificate=certificate, key=key, server_name=server_name
        )
        self.tools = ToolSet.of(tools)
        check_secrets(self.tools)
        self.executor_id = _default_id() if executor_id is None else executor_id
        self._connection = connection
        self._drain_seconds = drain_seconds
        self._connect_timeout = connect_timeout
        self._on_state = on_state
        self._hello = Hello(
            executor_id=_checked_id(self.executor_id),
            tools=[tool_to_wire(tool) for tool in _checked_tools(self.tools)],
            max_parallel_calls=_checked_parallel(max_parallel_calls),
        )
        if not drain_seconds >= 0:
            raise UsageError(f"drain_seconds is {drain_seconds}; it must be 0 or more")
        self._has_served = False
        self._is_draining = False
        self._session: Session | None = None
        self._departure: asyncio.Task[None] | None = None

    def run(self) -> None:
        """Serve until SIGTERM or Ctrl-C; drains at the first, ends at once at the second.

        Raises:
            UsageError: an event loop is running, or the executor has served before.
            ExecutorRefusedError: as of `serve`.
            ServerUnavailableError: as of `serve`.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            raise UsageError("an event loop is running: use `await executor.serve()`")
        # Imported here because it brings the engine, which whoever has a loop does without.
        from dovetail.embedding import run_loop

        run_loop(self._serve_until_signal)

    async def _serve_until_signal(self) -> None:
        with drained_by_signals(self.drain):
            await self.serve()

    async def serve(self) -> None:
        """Serve until drained. Cancelling this stops all calls, without a goodbye.

        Raises:
            UsageError: the executor has served before; make another one.
            ExecutorRefusedError: the server refused it and would do so again.
            ServerUnavailableError: no server was reached within ``connect_timeout``.
        """
        if self._has_served:
            raise UsageError("an executor serves once: make another one")
        self._has_served = True
        self._outbox = Outbox()
        self._calls = Calls(self.tools, self._hello.max_parallel_calls, self._outbox)
        self._left = asyncio.Event()
        if self._is_draining:
            self._departure = asyncio.create_task(self._depart())
        held = held_by(self.tools)
        for one in held:
            one.hold()
        try:
            await self._attach_again_and_again()
        finally:
            if self._departure is not None:
                self._departure.cancel()
            await self._calls.stop()
            await asyncio.gather(*(one.release() for one in held))
        undelivered = f"; results that did not reach the server: {len(self._outbox)}" if self._outbox else ""
        self._tell(ExecutorState.DRAINED, f"drained{undelivered}")

    def drain(self) -> None:
        """Take no further calls, finish those that are out, and end. Returns at once; `serve` ends when it is done.

        To be called on the event loop; from another thread through ``loop.call_soon_threadsafe(executor.drain)``.
        """
        if self._is_draining:
            return
        self._is_draining = True
        if self._has_served:
            self._departure = asyncio.get_running_loop().create_task(self._depart())

    async def _depart(self) -> None:
        """What a drain does: waits for calls and their results, so long as it may, and then has the stream left."""
        calls = self._calls
        self._tell(ExecutorState.DRAINING, f"draining: calls that are out: {len(calls)}")
        if self._session is not None:
            self._session.drain()
        if not await _within(self._drain_seconds, self._quiet()):
            over = f"drain_seconds are over: calls that are stopped: {len(calls)}"
            self._tell(ExecutorState.DRAINING, over)
            calls.interrupt()
            await _within(_LAST_RESULTS_SECONDS, calls.settled.wait())
        self._left.set()

    async def _quiet(self) -> None:
        """Wait until no call is out, no result is kept, and the server knows that it must give no other."""
        while True:
            session = self._session
            if session is not None and session.fencing_number:
                await session.drain_heard.wait()
            await self._calls.settled.wait()
            if session is self._session:
                return

    async def _attach_again_and_again(self) -> None:
        loop = asyncio.get_running_loop()
        give_up = None if self._connect_timeout is None else loop.time() + self._connect_timeout
        failures = 0
        while not self._left.is_set():
            try:
                await self._attach(None if give_up is None else max(0.0, give_up - loop.time()))
            except StreamLostError as lost:
                reason = str(lost)
                max_message_bytes = lost.max_message_bytes
            else:
                return
            if self._left.is_set():
                return
            if max_message_bytes is not None:
                self._bound(max_message_bytes)
            if self._session is not None and self._session.fencing_number:
                self._hello.fencing_number = self._session.fencing_number
                failures, give_up = 0, None
                self._tell(ExecutorState.LOST, f"lost: {reason}")
            elif give_up is not None and loop.time() >= give_up:
                raise ServerUnavailableError(
                    f"no server was reached at {self._connection.address} within {self._connect_timeout:g} s: "
                    f"{reason}; see that it runs there, or allow a longer connect_timeout",
                    code="UNAVAILABLE",
                )
            self._session = None
            # Full jitter: many executors that lose a server together must not come back together.
            pause = random.uniform(0, min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**failures))  # noqa: S311 - no secret
            failures = min(failures + 1, 16)
            if give_up is not None:
                pause = min(pause, max(0.0, give_up - loop.time()))
            address = self._connection.address
            self._tell(ExecutorState.RECONNECTING, f"attaching to {address} again in {pause:.1f} s: {reason}")
            await _within(pause, self._left.wait())

    async def _attach(self, patience: float | None) -> None:
        """Be attached once. Returns when the executor has left.

        Args:
            patience: how many seconds the server may take for its welcome, if that is bounded.

        Raises:
            StreamLostError: attach again.
            ExecutorRefusedError: the server refused it and would do so again.
        """
        # A channel of its own: gRPC would let a new stream wait for its own backoff, or share a dead connection.
        async with self._connection.open() as channel:
            stream = ExecutorServiceStub(channel).Attach(metadata=self._connection.metadata())
            session = self._session = Session(stream, self._calls, self._outbox, self._tell, patience)
            if self._is_draining:
                session.drain()
            del self._hello.known_call_ids[:]
            self._hello.known_call_ids.extend(self._calls.known())
            attachment = asyncio.create_task(session.run(self._hello))
            leaving = asyncio.create_task(self._left.wait())
            try:
                await asyncio.wait({attachment, leaving}, return_when=asyncio.FIRST_COMPLETED)
                if not attachment.done() and session.fencing_number:
                    session.leave("drained")
                    await asyncio.wait({attachment}, timeout=_GOODBYE_SECONDS)
            finally:
                leaving.cancel()
                if not attachment.done():
                    attachment.cancel()
                    await asyncio.wait({attachment})
            if not attachment.cancelled():
                attachment.result()
            elif not self._left.is_set():
                raise StreamLostError("the stream was cancelled")

    def _bound(self, max_message_bytes: int) -> None:
        if self._session is None or not self._session.fencing_number:
            raise ExecutorRefusedError(
                f"the specs of its tools have {self._hello.ByteSize():,} bytes; the server takes {max_message_bytes:,} "
                "a message: serve fewer tools, or allow larger messages there",
                code="RESOURCE_EXHAUSTED",
            )
        self._outbox.bound(max_message_bytes)

    def _tell(self, state: ExecutorState, line: str) -> None:
        if self._on_state is None:
            is_trouble = state in (ExecutorState.LOST, ExecutorState.RECONNECTING)
            (logger.warning if is_trouble else logger.info)("%s: %s", self.executor_id, line)
            return
        try:
            self._on_state(state, line)
        except Exception:  # a listener must not take the calls with it
            logger.exception("on_state raised")


async def _within(seconds: float, what: Awaitable[object]) -> bool:
    """Wait for something, so long at most: whether it came."""
    try:
        async with asyncio.timeout(seconds):
            await what
    except TimeoutError:
        return False
    return True


def _default_id() -> str:
    host = re.sub(r"[^A-Za-z0-9_.:@/-]", "-", socket.gethostname())[:90] or "host"
    return f"{host}-{os.getpid()}-{secrets.token_hex(4)}"


def _checked_id(executor_id: str) -> str:
    if not _ID.fullmatch(executor_id):
        raise UsageError(f"executor_id is {executor_id!r}; give 1 to 128 letters, digits and _ - . : @ /")
    return executor_id


def _checked_parallel(max_parallel_calls: int) -> int:
    if not 1 <= max_parallel_calls <= _MAX_PARALLEL_CALLS:
        raise UsageError(f"max_parallel_calls is {max_parallel_calls}; it must be from 1 to {_MAX_PARALLEL_CALLS:,}")
    return max_parallel_calls


def _checked_tools(tools: ToolSet) -> ToolSet:
    if not 1 <= len(tools) <= _MAX_TOOLS:
        raise UsageError(f"the executor has {len(tools):,} tools; it must serve from 1 to {_MAX_TOOLS:,}")
    for tool in tools:
        if tool.function is None:
            raise UsageError(f"tool {tool.name!r} is a spec without a function: it cannot be served; name its module")
    return tools
