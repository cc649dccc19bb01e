"""`ExecutorService`: the stream of an executor, read into its session and written from its mailbox."""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import TYPE_CHECKING

from dovetail.v1.executor_service_pb2_grpc import ExecutorServiceServicer
from dovetail_server.door import caller, note
from dovetail_server.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import grpc

    from dovetail.v1 import AttachRequest, AttachResponse, Hello
    from dovetail_server.executor_session import ExecutorMailbox, Session
    from dovetail_server.executors import Executors

__all__ = ["ExecutorService"]

_HELLO_SECONDS = 10.0
_ID = re.compile(r"[A-Za-z0-9_.:@/-]{1,128}")
_MOST_TOOLS = 1_000
_MOST_PLACES = 100_000


class ExecutorService(ExecutorServiceServicer):
    """Attaches executors.

    Args:
        executors: who is attached.
    """

    def __init__(self, executors: Executors) -> None:
        self._executors = executors

    async def Attach(  # type: ignore[override]  # a coroutine that writes, as grpc.aio has them too
        self,
        requests: AsyncIterator[AttachRequest],
        context: grpc.aio.ServicerContext[AttachRequest, AttachResponse],
    ) -> None:
        """Serve one stream to its end."""
        session, mailbox = self._executors.attach(await _hello(requests), caller())
        note(executor_id=session.executor_id)
        reader = asyncio.create_task(self._read(requests, session, mailbox))
        try:
            await _write(session, mailbox, context)
        finally:
            reader.cancel()
            self._executors.detach(session, mailbox)
            with contextlib.suppress(asyncio.CancelledError):
                await reader
        if mailbox.refusal is not None:
            raise mailbox.refusal

    async def _read(self, requests: AsyncIterator[AttachRequest], session: Session, mailbox: ExecutorMailbox) -> None:
        refusal = None
        try:
            async for request in requests:
                if session.mailbox is not mailbox:
                    return  # it was lost, or has a newer stream: what comes here is of no session
                self._executors.hear(session)
                self._receive(request, session, mailbox)
                if request.HasField("goodbye"):
                    self._executors.leave(session, mailbox, request.goodbye.reason)
                    return
        except Refusal as wrong:
            refusal = wrong
        finally:
            mailbox.close(refusal)

    def _receive(self, request: AttachRequest, session: Session, mailbox: ExecutorMailbox) -> None:
        if request.HasField("hello"):
            raise Refusal.wrong_message("hello: may only be the first message of the stream")
        if request.HasField("heartbeat"):
            mailbox.heartbeat = request.heartbeat.number
            mailbox.wake()
        if request.progress:
            session.report(request.progress)
        if request.HasField("drain"):
            self._executors.drain(session)
        if request.results:
            session.settle(request.results)


async def _hello(requests: AsyncIterator[AttachRequest]) -> Hello:
    try:
        async with asyncio.timeout(_HELLO_SECONDS):
            first = await anext(aiter(requests), None)
    except TimeoutError:
        raise Refusal.wrong_message(f"hello: did not come within {_HELLO_SECONDS:g} s") from None
    if first is None or not first.HasField("hello"):
        raise Refusal.wrong_message("hello: must be the first message of the stream")
    if len(first.ListFields()) > 1:
        raise Refusal.wrong_message("hello: must be alone in its message")
    hello = first.hello
    if not _ID.fullmatch(hello.executor_id):
        raise Refusal.invalid_field("hello.executor_id", "must be 1 to 128 letters, digits and _ - . : @ /")
    if not 1 <= len(hello.tools) <= _MOST_TOOLS:
        raise Refusal.invalid_field("hello.tools", f"there are {len(hello.tools)}; there must be 1 to {_MOST_TOOLS}")
    if not 1 <= hello.max_parallel_calls <= _MOST_PLACES:
        what = f"is {hello.max_parallel_calls}; it must be from 1 to {_MOST_PLACES}"
        raise Refusal.invalid_field("hello.max_parallel_calls", what)
    if hello.fencing_number < 0:
        raise Refusal.invalid_field("hello.fencing_number", "must not be negative")
    return hello


async def _write(
    session: Session,
    mailbox: ExecutorMailbox,
    context: grpc.aio.ServicerContext[AttachRequest, AttachResponse],
) -> None:
    while True:
        woken = mailbox.when_woken()
        while (message := mailbox.take(session.number)) is not None:
            await context.write(message)
        if mailbox.closed:
            return
        await woken
