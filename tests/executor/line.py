"""A line between an executor and a server, which can be cut, or let through nothing more without anybody noticing."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Line:
    """Connections through a port of its own, to an address."""

    def __init__(self, address: str) -> None:
        self.address = ""
        self.connections = 0
        self._to = address.rpartition(":")
        self._open: set[asyncio.StreamWriter] = set()
        self._muted: set[asyncio.StreamWriter] = set()

    def cut(self) -> None:
        """End all connections that there are."""
        for writer in self._open:
            writer.transport.abort()

    def mute(self) -> None:
        """Let nothing more through on the connections that there are; they stay open."""
        self._muted |= self._open

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        there, back = await asyncio.open_connection(self._to[0], int(self._to[2]))
        ends = {writer, back}
        self._open |= ends
        try:
            await asyncio.gather(self._carry(reader, back), self._carry(there, writer))
        finally:
            self._open -= ends
            for end in ends:
                end.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                if writer not in self._muted:
                    writer.write(data)
        if writer not in self._muted:
            writer.transport.abort()


@asynccontextmanager
async def line_to(address: str) -> AsyncIterator[Line]:
    """A line that is open."""
    line = Line(address)
    server = await asyncio.start_server(line.connect, "127.0.0.1", 0)
    line.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield line
    finally:
        line.cut()
        server.close()
        await server.wait_closed()
