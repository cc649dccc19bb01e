"""A real HTTP server on a port of its own that streams as it is told, faults included."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

__all__ = ["Fault", "FaultServer", "Request", "Script", "chunk", "serve", "sse", "usage_chunk"]


class Fault(Enum):
    """What a script does instead of sending bytes."""

    HANG = auto()
    """Send nothing more until the client goes away."""
    DROP = auto()
    """Reset the connection."""


@dataclass
class Script:
    """One response: its head and what its body does, part by part."""

    body: Sequence[bytes | Fault | asyncio.Event] = ()
    """Bytes are sent as one write; an event is waited for."""
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": "text/event-stream"})
    chunked: bool = True
    """With False the body ends where the connection is closed."""
    head: bytes | Fault | None = None
    """Sent instead of a response's head."""


@dataclass
class Request:
    """What a client asked."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass
class FaultServer:
    """Answers one request after another as scripted; the last script is used again."""

    base_url: str
    scripts: list[Script]
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a request has come."""
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a client went away while its response hung."""

    @property
    def origin(self) -> str:
        """Its URL without a path."""
        return self.base_url.removesuffix("/v1")

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while (request := await _read_request(reader)) is not None:
                self.requests.append(request)
                self.asked.set()
                script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
                if not await self._play(script, reader, writer):
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _play(self, script: Script, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        if script.head is None:
            headers = {**script.headers, **({"transfer-encoding": "chunked"} if script.chunked else {})}
            lines = [
                f"HTTP/1.1 {script.status} Scripted",
                *(f"{name}: {value}" for name, value in headers.items()),
            ]
            writer.write("\r\n".join([*lines, "", ""]).encode())
            await writer.drain()
        for part in [*([script.head] if script.head is not None else []), *script.body]:
            match part:
                case bytes():
                    as_chunk = script.chunked and script.head is None
                    writer.write(b"%x\r\n%s\r\n" % (len(part), part) if as_chunk else part)
                    await writer.drain()
                case asyncio.Event():
                    await part.wait()
                case Fault.HANG:
                    await reader.read()
                    self.gone.set()
                    return False
                case Fault.DROP:
                    writer.transport.abort()
                    return False
        if script.chunked and script.head is None:
            writer.write(b"0\r\n\r\n")
            await writer.drain()
            return True
        return False


@asynccontextmanager
async def serve(*scripts: Script, port: int = 0) -> AsyncIterator[FaultServer]:
    answering: set[asyncio.Task[None]] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        answering.add(task)
        try:
            await server.answer(reader, writer)
        except asyncio.CancelledError:
            writer.close()

    listener = await asyncio.start_server(answer, "127.0.0.1", port)
    port = listener.sockets[0].getsockname()[1]
    server = FaultServer(f"http://127.0.0.1:{port}/v1", list(scripts))
    try:
        yield server
    finally:
        listener.close()
        for task in answering:
            task.cancel()
        await asyncio.gather(*answering, return_exceptions=True)


def sse(data: object) -> bytes:
    """One event of a stream."""
    return b"data: " + (data if isinstance(data, bytes) else json.dumps(data).encode()) + b"\n\n"


def chunk(content: str | None = None, finish_reason: str | None = None) -> bytes:
    """One chunk of a chat completion, as an event."""
    delta = {} if content is None else {"content": content}
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return sse({"id": "c", "object": "chat.completion.chunk", "choices": [choice], "usage": None})


def usage_chunk(prompt: int = 11, completion: int = 7) -> bytes:
    """The chunk that carries the usage, as an event."""
    return sse({"choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": completion}})


async def _read_request(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(first.split(" ")[1], headers, json.loads(body or b"{}"))
