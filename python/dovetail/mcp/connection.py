"""A session with an MCP server: from its handshake to its end. Lives in `dovetail.mcp.quarters`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from contextlib import AsyncExitStack
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

import httpx2
import mcp_types
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp.client.subscriptions import SubscriptionLost
from mcp_types import CONNECTION_CLOSED, INVALID_REQUEST, Implementation
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from dovetail.errors import DovetailError, RetryableError
from dovetail.failure_text import bounded
from dovetail.mcp.handshake import Handshake, why
from dovetail.mcp.sieve import Sieve
from dovetail.mcp.stdio import MAX_MESSAGE_BYTES, StdioTransport

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcp.client._transport import Transport
    from mcp.shared.dispatcher import ProgressFnT

    from dovetail.mcp.address import McpAddress

__all__ = ["Connection", "McpLostError", "McpUnavailableError"]

_MOST_PAGES: Final = 2_000
_MOST_TOOLS: Final = 10_000
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0
_HTTP_SECONDS = 30.0
_TERMINATED = "Session terminated"

# What the package has to say comes as errors too; where nobody has set up a log, Python would print it.
logging.getLogger("mcp").addHandler(logging.NullHandler())


class McpUnavailableError(RetryableError):
    """A server cannot be reached: the call had no effect."""


class McpLostError(DovetailError):
    """A server was lost during a call, and nobody knows how far it came."""


class Connection:
    """A session with a server. Made by `open`.

    Args:
        address: where the server is.
        changed: called when the server says that its tools have changed.

    Attributes:
        over: whether it can be used no more.
    """

    def __init__(self, address: McpAddress, changed: Callable[[], None]) -> None:
        self.over = False
        self._address = address
        self._changed = changed
        self._process = StdioTransport(address) if address.command else None
        self._handshake = Handshake(address, self._process)
        self._closing = asyncio.Event()
        self._opened: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        # One task enters and leaves it, as its cancel scopes want.
        self._life = asyncio.create_task(self._live())

    @classmethod
    async def open(cls, address: McpAddress, changed: Callable[[], None]) -> Connection:
        """Reach a server and shake hands.

        Raises:
            McpUnavailableError: it cannot be reached, or is no MCP server; the message says what happened.
        """
        connection = cls(address, changed)
        try:
            async with asyncio.timeout(address.connect_timeout):
                await asyncio.shield(connection._opened)
        except TimeoutError:
            await connection.close()
            raise McpUnavailableError(connection._handshake.why_silent()) from None
        except asyncio.CancelledError:
            await connection.close()
            raise
        return connection

    async def close(self) -> None:
        """End the session, and with it the process, if it is one."""
        self.over = True
        self._closing.set()
        if not self._opened.done():
            self._life.cancel()
        await asyncio.wait({self._life})

    async def list_tools(self) -> list[mcp_types.Tool]:
        """All tools of the server.

        Raises:
            McpUnavailableError: it does not say, or does not come to an end.
        """
        try:
            async with asyncio.timeout(self._address.connect_timeout):
                return await self._all_pages()
        except TimeoutError:
            within = f"{self._address.connect_timeout:g} s"
            raise McpUnavailableError(
                f"did not list its tools within {within}; allow more by connect_timeout"
            ) from None
        except McpUnavailableError:
            raise
        except Exception as error:
            raise McpUnavailableError(f"does not list its tools: {self._why(error)}") from error

    async def _all_pages(self) -> list[mcp_types.Tool]:
        client = self._opened.result()
        tools: list[mcp_types.Tool] = []
        cursors: set[str | None] = set()
        cursor: str | None = None
        while True:
            cursors.add(cursor)
            page = await client.list_tools(cursor=cursor)
            tools += page.tools
            cursor = page.next_cursor
            if cursor is None:
                return tools
            if cursor in cursors:
                raise McpUnavailableError(
                    f"does not come to an end of its tools: it gives the page {cursor!r:.80} twice"
                )
            if len(cursors) >= _MOST_PAGES or len(tools) > _MOST_TOOLS:
                found = f"{len(cursors):,} pages with {len(tools):,} tools"
                raise McpUnavailableError(f"does not come to an end of its tools: {found} so far; serve fewer")

    async def call(
        self, name: str, arguments: dict[str, object], progress: ProgressFnT
    ) -> mcp_types.CallToolResult | MCPError:
        """Call a tool. What the server says against the call is returned, not raised.

        Raises:
            McpLostError: the server was lost during the call.
            McpUnavailableError: the server does not know the session any more: the call had no effect.
            RuntimeError: the output does not fit the schema that the server gave for it.
        """
        client = self._opened.result()
        try:
            return await client.call_tool(name, arguments, progress_callback=progress)
        except MCPError as error:
            if self._address.url and error.code == INVALID_REQUEST and error.message == _TERMINATED:
                self._give_up()
                raise McpUnavailableError("has ended the session") from error
            if error.code != CONNECTION_CLOSED:
                return error
            if self._process is not None:
                await self._process.ended.wait()
            why = self._why(error)
            self._give_up()
            raise McpLostError(why) from error
        except httpx2.HTTPError as error:
            self._give_up()
            raise McpLostError(self._why(error)) from error

    def _give_up(self) -> None:
        self.over = True
        self._closing.set()

    async def _live(self) -> None:
        try:
            async with AsyncExitStack() as stack:
                sieve = Sieve(self._process or await self._http(stack), self._address.label)
                client = await stack.enter_async_context(self._client(sieve))
                sieve.version = client.protocol_version
                self._opened.set_result(client)
                watching = asyncio.create_task(self._watch(client))
                try:
                    await self._wait_for_end()
                finally:
                    watching.cancel()
                    await asyncio.wait({watching})
        except (Exception, asyncio.CancelledError) as error:
            if not self._opened.done():
                self._opened.set_exception(McpUnavailableError(self._handshake.why(error)))
                # Whoever waited may have gone.
                self._opened.exception()
        finally:
            self.over = True

    def _client(self, transport: Transport) -> Client:
        us = Implementation(name="dovetail", version=version("dovetail"))
        return Client(transport, client_info=us, cache=None, message_handler=self._hear)

    async def _http(self, stack: AsyncExitStack) -> Transport:
        http = await stack.enter_async_context(
            httpx2.AsyncClient(
                headers=dict(self._address.headers),
                # How long a call may be silent is its policy's business.
                timeout=httpx2.Timeout(_HTTP_SECONDS, read=None),
                event_hooks={"response": [self._handshake.note]},
            )
        )
        return streamable_http_client(self._address.url, http_client=http, max_sse_event_size=MAX_MESSAGE_BYTES)

    async def _hear(self, message: mcp_types.ServerNotification | Exception) -> None:
        """How servers of protocol versions before 2026-07-28 tell of changes."""
        if isinstance(message, mcp_types.ToolListChangedNotification):
            self._changed()

    async def _watch(self, client: Client) -> None:
        """How those of later ones do: on a stream that is asked for, and again when it breaks."""
        tools = client.server_capabilities.tools
        if client.protocol_version not in MODERN_PROTOCOL_VERSIONS or tools is None or not tools.list_changed:
            return
        pause = _FIRST_PAUSE
        is_again = False
        while True:
            with contextlib.suppress(MCPError, SubscriptionLost, TimeoutError, httpx2.HTTPError):
                async with client.listen(tools_list_changed=True) as changes:
                    if not changes.honored.tools_list_changed:
                        return
                    pause = _FIRST_PAUSE
                    if is_again:
                        self._changed()  # what happened meanwhile was told nobody
                    async for _ in changes:
                        self._changed()
            is_again = True
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 2)

    async def _wait_for_end(self) -> None:
        ends = [asyncio.create_task(self._closing.wait())]
        if self._process is not None:
            ends.append(asyncio.create_task(self._process.ended.wait()))
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.over = True
            for end in ends:
                end.cancel()

    def _why(self, error: BaseException) -> str:
        return bounded(self._process.end) if self._process is not None and self._process.end else why(error)
