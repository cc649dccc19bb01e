"""The least that gRPC can cost here: a bare `grpc.aio` server in a process of its own, messages of given sizes.

Requests and replies are bytes that nobody reads: no message is built or parsed, no interceptor stands in the way.
"""

from __future__ import annotations

import asyncio
from array import array
from contextlib import asynccontextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Any

import grpc

from benchmarks.process import Process, answer_questions
from dovetail.embedding import run_loop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    Context = grpc.aio.ServicerContext[bytes, bytes]

__all__ = ["Floor", "bare_server"]


class Floor(Process):
    """The bare server's process, and a client of it. A request says how large its replies are to be."""

    channel: grpc.aio.Channel

    async def echo(self, up: int, down: int) -> float:
        """A unary call with so many bytes up and down: how many seconds it took."""
        began = perf_counter()
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self.channel.unary_unary("/floor/Echo")
        await call(_request(up, [down]))
        return perf_counter() - began

    async def stream(self, sizes: Sequence[int]) -> tuple[float, float]:
        """A stream of messages of these sizes: how many seconds it took to the first, and to the end."""
        began = perf_counter()
        first = 0.0
        call: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = self.channel.unary_stream("/floor/Stream")
        async for _ in call(_request(0, sizes)):
            first = first or perf_counter() - began
        return first, perf_counter() - began

    async def ping_pong(self, up: int, down: int, count: int) -> list[float]:
        """Messages up and down one bidirectional stream, one at a time: how many seconds each pair took."""
        call = self._ping_pong()
        request = _request(up, [down])
        took = []
        for _ in range(count):
            began = perf_counter()
            await call.write(request)
            await call.read()
            took.append(perf_counter() - began)
        await call.done_writing()
        return took

    async def ping_pong_at_once(self, up: int, down: int, count: int, at_once: int) -> tuple[float, float]:
        """The same, so many on their way at once: seconds for each pair by the wall clock, and of the server's CPU."""
        call = self._ping_pong()
        request = _request(up, [down])
        free = asyncio.Semaphore(at_once)

        async def write() -> None:
            for _ in range(count):
                await free.acquire()
                await call.write(request)
            await call.done_writing()

        used, began = await self.cpu(), perf_counter()
        writer = asyncio.create_task(write())
        async for _ in call:
            free.release()
        await writer
        return (perf_counter() - began) / count, (await self.cpu() - used) / count

    def _ping_pong(self) -> grpc.aio.StreamStreamCall[bytes, bytes]:
        call: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = self.channel.stream_stream("/floor/PingPong")
        return call()


@asynccontextmanager
async def bare_server() -> AsyncIterator[Floor]:
    """A bare server, for as long as this lasts."""
    async with (
        Floor("benchmarks.grpc_floor") as floor,
        grpc.aio.insecure_channel(floor.greeting, options=[("grpc.max_receive_message_length", -1)]) as floor.channel,
    ):
        yield floor


def _request(size: int, replies: Sequence[int]) -> bytes:
    return array("I", replies).tobytes().ljust(size, b"\0")


def _reply_size(request: bytes) -> int:
    return int(array("I", request[:4])[0])


async def _echo(request: bytes, context: Context) -> bytes:  # noqa: ARG001
    return bytes(_reply_size(request))


async def _stream(request: bytes, context: Context) -> None:
    for size in array("I", request):
        await context.write(bytes(size))


async def _ping_pong(requests: AsyncIterator[bytes], context: Context) -> None:
    async for request in requests:
        await context.write(bytes(_reply_size(request)))


async def _serve() -> None:
    server = grpc.aio.server()
    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "Echo": grpc.unary_unary_rpc_method_handler(_echo),
        "Stream": grpc.unary_stream_rpc_method_handler(_stream),
        "PingPong": grpc.stream_stream_rpc_method_handler(_ping_pong),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("floor", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    await answer_questions(f"127.0.0.1:{port}")
    await server.stop(1.0)


if __name__ == "__main__":
    run_loop(_serve)
