"""An MCP server that is a process: its messages on standard input and output, bounded, and what it said at its end.

The package `mcp` has such a transport, which keeps the process to itself and bounds no message.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import anyio
import mcp_types
from mcp.client.stdio import get_default_environment
from mcp.shared.message import SessionMessage
from pydantic_core import from_json

if TYPE_CHECKING:
    from types import TracebackType

    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

    from dovetail.mcp.address import McpAddress

__all__ = ["MAX_MESSAGE_BYTES", "StdioTransport"]

MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
"""How large a message of a server may be."""

_GRACE_SECONDS = 2.0
_LAST_WORDS = 5

_logger = logging.getLogger("dovetail.mcp")


class StdioTransport:
    """A server's process, as a transport of `mcp.Client`. It does not outlive the ``async with``.

    Args:
        address: the command.

    Attributes:
        ended: set once nothing more comes from the process.
        end: how it ended, for people: ``ended with status 3: no such file``; empty while it has not.
        noise: the first line that it wrote and that is no message; empty if there was none.
    """

    def __init__(self, address: McpAddress) -> None:
        self.ended = asyncio.Event()
        self.end = ""
        self.noise = ""
        self._address = address
        self._last_words: deque[str] = deque(maxlen=_LAST_WORDS)

    async def __aenter__(
        self,
    ) -> tuple[MemoryObjectReceiveStream[SessionMessage | Exception], MemoryObjectSendStream[SessionMessage]]:
        # In a group of its own: Ctrl-C is meant for this process, which ends it in order, with all its children.
        self._process = await asyncio.create_subprocess_exec(
            *self._address.command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**get_default_environment(), **dict(self._address.env)},
            start_new_session=True,
            limit=MAX_MESSAGE_BYTES,
        )
        self._inbox, inbox = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        outbox, self._outbox = anyio.create_memory_object_stream[SessionMessage](0)
        self._streams = (self._inbox, inbox, outbox, self._outbox)
        self._listening = asyncio.create_task(self._listen())
        self._tasks = [self._listening, asyncio.create_task(self._speak()), asyncio.create_task(self._overhear())]
        return inbox, outbox

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # By the end of its input a server is told to go; what was written before is still sent.
        self._streams[2].close()
        with suppress(TimeoutError):
            async with asyncio.timeout(_GRACE_SECONDS):
                await asyncio.wait({self._tasks[1]})
        await self._stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        for stream in self._streams:
            stream.close()
        self.ended.set()

    async def _listen(self) -> None:
        stdout = self._process.stdout
        assert stdout is not None  # noqa: S101 - it is a pipe
        end = ""
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            while True:
                try:
                    line = await stdout.readuntil(b"\n")
                except asyncio.IncompleteReadError:
                    break
                except asyncio.LimitOverrunError:
                    end = f"sent a message of more than {MAX_MESSAGE_BYTES:,} bytes"
                    break
                try:
                    message = mcp_types.jsonrpc_message_adapter.validate_json(line, by_name=False)
                except ValueError:
                    # Many a server prints what belongs into a log.
                    _logger.debug("%s wrote what is no message: %.200r", self._address.label, line)
                    self.noise = self.noise or line[:200].decode(errors="replace").strip()
                    if (refused := _refused(line)) is None:
                        continue
                    message = refused
                await self._inbox.send(SessionMessage(message))
        self.end = end or await self._how_it_ended()
        self.ended.set()
        self._inbox.close()

    async def _how_it_ended(self) -> str:
        with suppress(TimeoutError):
            async with asyncio.timeout(_GRACE_SECONDS):
                await self._process.wait()
                await asyncio.wait({self._tasks[2]}, timeout=0.2)
        status = self._process.returncode
        if status is None:
            how = "closed its output"
        elif status < 0:
            how = f"was ended by {signal.Signals(-status).name}"
        else:
            how = f"ended with status {status}"
        return f"{how}{self.last_words}"

    @property
    def last_words(self) -> str:
        """What it wrote last on standard error, as the end of a sentence; empty if there was nothing."""
        words = " / ".join(self._last_words)
        return f"; its last words: {words}" if words else ""

    async def _speak(self) -> None:
        stdin = self._process.stdin
        assert stdin is not None  # noqa: S101 - it is a pipe
        try:
            async for message in self._outbox:
                text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
                stdin.write(text.encode() + b"\n")
                await stdin.drain()
        except OSError:
            # That it is gone is told by the end of its output.
            self._outbox.close()
        finally:
            stdin.close()

    async def _overhear(self) -> None:
        stderr = self._process.stderr
        assert stderr is not None  # noqa: S101 - it is a pipe
        rest = b""
        while piece := await stderr.read(64 * 1024):
            *lines, rest = (rest + piece).split(b"\n")
            # A line without an end must not grow without an end.
            rest = rest[-1_000:]
            for line in filter(None, (line[-1_000:].decode(errors="replace").strip() for line in lines)):
                _logger.debug("%s: %s", self._address.label, line)
                self._last_words.append(line[:300])
        if rest.strip():
            self._last_words.append(rest.decode(errors="replace").strip()[:300])

    async def _stop(self) -> None:
        process = self._process
        for number in (None, signal.SIGTERM, signal.SIGKILL):
            if number is not None:
                self._kill(number)
            try:
                async with asyncio.timeout(_GRACE_SECONDS):
                    await process.wait()
                break
            except TimeoutError:
                continue
        # Children of its own that it left behind.
        self._kill(signal.SIGKILL)
        process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001 - a child may hold its pipes open

    def _kill(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


def _refused(line: bytes) -> mcp_types.JSONRPCMessage | None:
    """The error that a request is answered with if its answer is none: who waits for it would wait for ever."""
    try:
        answer = from_json(line)
    except ValueError:
        return None
    if not isinstance(answer, dict) or "method" in answer or not {"result", "error"} & answer.keys():
        return None
    answered = answer.get("id")
    if isinstance(answered, bool) or not isinstance(answered, int | str):
        return None
    error = mcp_types.ErrorData(code=mcp_types.INTERNAL_ERROR, message="the server's answer is no JSON-RPC response")
    return mcp_types.JSONRPCError(jsonrpc="2.0", id=answered, error=error)
