"""What a client and its handles share: one channel to the server, and how requests go over it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final, TypeVar

import grpc

from dovetail.client.failures import translated
from dovetail.client.patience import Patience
from dovetail.errors import ServerUnavailableError, UsageError
from dovetail.v1.plan_service_pb2_grpc import PlanServiceStub
from dovetail.v1.run_service_pb2_grpc import RunServiceStub
from dovetail.v1.tool_service_pb2_grpc import ToolServiceStub

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine

    from dovetail.client.connection import Connection
    from dovetail.v1.plan_service_pb2_grpc import PlanServiceAsyncStub
    from dovetail.v1.run_service_pb2_grpc import RunServiceAsyncStub
    from dovetail.v1.tool_service_pb2_grpc import ToolServiceAsyncStub

__all__ = ["DEFAULT_PATIENCE", "DEFAULT_TIMEOUT", "Exchange"]

DEFAULT_TIMEOUT: Final = 30.0
DEFAULT_PATIENCE: Final = 60.0

Request = TypeVar("Request")
Response = TypeVar("Response")


class Exchange:
    """A channel and the ways to use it. Opened and closed by its `Client`; belongs to one event loop.

    Args:
        connection: how the server is reached.
        timeout: how many seconds a request may take, its repetitions included.
        patience: how many seconds a broken stream is resumed without getting any further.

    Attributes:
        metadata: what is sent with each RPC.
    """

    def __init__(self, connection: Connection, timeout: float, patience: float) -> None:
        self.connection = connection
        self.timeout = timeout
        self.patience = patience
        self.metadata = tuple(connection.metadata())
        self._channel: grpc.aio.Channel | None = None
        self._was_opened = False
        self._tasks: set[asyncio.Task[Any]] = set()

    def open(self) -> None:
        """Open the channel; it connects with the first request.

        Raises:
            UsageError: it was opened before, or a certificate cannot be read.
        """
        if self._was_opened:
            raise UsageError("a client is entered once: make another one")
        self._channel = channel = self.connection.open()
        self._was_opened = True
        self._runs: RunServiceAsyncStub = RunServiceStub(channel)
        self._tools: ToolServiceAsyncStub = ToolServiceStub(channel)
        self._plans: PlanServiceAsyncStub = PlanServiceStub(channel)

    async def aclose(self) -> None:
        """Cancel what is under way, and close the channel."""
        channel, self._channel = self._channel, None
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if channel is not None:
            await channel.close()

    @property
    def runs(self) -> RunServiceAsyncStub:
        """The RPCs of runs."""
        self._check()
        return self._runs

    @property
    def tools(self) -> ToolServiceAsyncStub:
        """The RPCs of tools."""
        self._check()
        return self._tools

    @property
    def plans(self) -> PlanServiceAsyncStub:
        """The RPC of plans."""
        self._check()
        return self._plans

    def begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task that ends with the client at the latest."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def ask(
        self,
        rpc: grpc.aio.UnaryUnaryMultiCallable[Request, Response],
        request: Request,
        *,
        within: float | None = None,
        repeat: bool = True,
    ) -> Response:
        """Make a request, and again while the server is unavailable, unless that could do something twice.

        Args:
            rpc: the method of a stub.
            request: what is sent.
            within: how many seconds this may take in all; those of the client if None.
            repeat: whether the request may be repeated.

        Raises:
            ServerError: the server refused the request, or was not reached in time.
            UsageError: the client is closed.
        """
        seconds = self.timeout if within is None else within
        until = time.monotonic() + seconds
        patience = Patience(seconds)
        unavailable: ServerUnavailableError | None = None
        while True:
            left = max(0.0, until - time.monotonic())
            try:
                return await rpc(request, timeout=left, metadata=self.metadata)
            except grpc.aio.AioRpcError as error:
                failure = translated(error)
            except asyncio.CancelledError:
                self._check_cancellation()
                raise
            if failure.code == "DEADLINE_EXCEEDED" and unavailable is not None:
                raise unavailable
            if not isinstance(failure, ServerUnavailableError) or not repeat:
                raise failure
            unavailable = failure
            await patience.pause(failure)
            self._check()

    async def pages(self, rpc: grpc.aio.UnaryUnaryMultiCallable[Any, Any], request: Any) -> AsyncGenerator[Any, None]:
        """The pages of a listing, the first one with the token that the request has."""
        while True:
            page = await self.ask(rpc, request)
            yield page
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def read(self, call: Any) -> Any:
        """The next message of a stream, or what gRPC gives at its end.

        Raises:
            AioRpcError: the stream ended with an error.
            UsageError: the client was closed meanwhile.
        """
        try:
            return await call.read()
        except asyncio.CancelledError:
            self._check_cancellation()
            raise

    def _check(self) -> None:
        if self._channel is None:
            remedy = (
                "it was closed" if self._was_opened else "enter it first: `async with dovetail.Client(...) as client`"
            )
            raise UsageError(f"the client is not open: {remedy}")

    def _check_cancellation(self) -> None:
        """A closing channel cancels whoever waits for it, which must not look as if the waiting task was meant."""
        task = asyncio.current_task()
        if task is None or not task.cancelling():
            self._check()
