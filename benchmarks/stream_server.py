"""A model's server to measure with, in a process of its own: streams one plan, at three paces."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from benchmarks.plans import flat, pieces

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["events", "serving"]

# Bytes of one write in bulk; what a proxy sends at once.
_BULK = 65_536
# Seconds between two events.
_PAUSE = 0.001


def events(tasks: int) -> list[bytes]:
    """The events of a chat completion stream, one for each piece of a plan, as OpenAI's API sends them."""
    head = {"id": "chatcmpl-benchmark", "object": "chat.completion.chunk", "created": 1, "model": "benchmark"}

    def event(delta: dict[str, Any], finish_reason: str | None = None, **more: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return f"data: {json.dumps({**head, 'choices': [choice], 'usage': None, **more})}\n\n".encode()

    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    return [
        event({"role": "assistant", "content": ""}),
        *(event({"content": piece}) for piece in pieces(flat(tasks))),
        event({}, "stop"),
        event({}, None, choices=[], usage=usage),
        b"data: [DONE]\n\n",
    ]


@contextmanager
def serving(tasks: int) -> Iterator[str]:
    """Serve a plan of so many tasks; gives the server's address.

    Below it are ``/bulk/v1`` (64 KB a write), ``/events/v1`` (each event an HTTP chunk, as fast as they are read) and
    ``/paced/v1`` (one event a write, a moment apart, so that the reader wakes up for each).
    """
    command = [sys.executable, "-m", "benchmarks.stream_server", str(tasks)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        if process.stdout is None or process.stdin is None:
            raise RuntimeError("the server's process has no pipes")
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.stdin.close()
            process.wait(10)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def _serve(tasks: int) -> None:
    single = events(tasks)
    whole = b"".join(single)
    bulk = [whole[start : start + _BULK] for start in range(0, len(whole), _BULK)]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode("latin-1").split("\r\n")
                length = next(int(line[15:]) for line in lines if line.lower().startswith("content-length:"))
                await reader.readexactly(length)
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
                )
                paced = "/paced/" in lines[0]
                for data in bulk if "/bulk/" in lines[0] else single:
                    writer.write(_chunk(data))
                    await writer.drain()
                    if paced:
                        await asyncio.sleep(_PAUSE)
                writer.write(_chunk(b""))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        # Lives as long as the one who started it keeps the pipe open.
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
