"""A session with an MCP server: from its handshake to its end. Lives in `dovetail.mcp.quarters`."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CONNECTION_CLOSED, INVALID_REQUEST, Implementation

from dovetail.errors import DovetailError, RetryableError
from dovetail.failure_text import bounded
from dovetail.mcp.stdio import MAX_MESSAGE_BYTES, StdioTransport

if TYPE_CHECKING:
    import mcp_types
    from mcp.shared.dispatcher import ProgressFnT

    from dovetail.mcp.address import McpAddress

__all__ = ["Connection", "McpLostError", "McpUnavailableError"]

CONNECT_SECONDS: Final = 60.0
"""How long a server may take to be ready: one that is fetched at its first start takes its time."""
_MOST_PAGES = 100
_HTTP_SECONDS = 30.0
_TERMINATED = "Session terminated"


class McpUnavailableError(RetryableError):
    """A server cannot be reached: the call had no effect."""


class McpLostError(DovetailError):
    """A server was lost during a call, and nobody knows how far it came."""


class Connection:
    """A session with a server. Made by `open`.

    Args:
        address: where the server is.

    Attributes:
        over: whether it can be used no more.
    """

    def __init__(self, address: McpAddress) -> None:
        self.over = False
        self._address = address
        self._process = StdioTransport(address) if address.command else None
        self._closing = asyncio.Event()
        self._opened: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        # One task enters and leaves it, as its cancel scopes want.
        self._life = asyncio.create_task(self._live())

    @classmethod
    async def open(cls, address: McpAddress) -> Connection:
        """Reach a server and shake hands.

        Raises:
            McpUnavailableError: it cannot be reached, or is no MCP server; the message says what happened.
        """
        connection = cls(address)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await asyncio.shield(connection._opened)
        except TimeoutError:
            await connection.close()
            raise McpUnavailableError(f"did not answer the handshake within {CONNECT_SECONDS:g} s") from None
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
            McpUnavailableError: it does not say.
        """
        client = self._opened.result()
        tools: list[mcp_types.Tool] = []
        cursor: str | None = None
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                for _ in range(_MOST_PAGES):
                    page = await client.list_tools(cursor=cursor)
                    tools += page.tools
                    cursor = page.next_cursor
                    if cursor is None:
                        break
        except TimeoutError:
            raise McpUnavailableError(f"did not list its tools within {CONNECT_SECONDS:g} s") from None
        except Exception as error:
            raise McpUnavailableError(f"does not list its tools: {self._why(error)}") from error
        return tools

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
                client = await stack.enter_async_context(await self._client(stack))
                self._opened.set_result(client)
                await self._wait_for_end()
        except (Exception, asyncio.CancelledError) as error:
            if not self._opened.done():
                self._opened.set_exception(McpUnavailableError(self._why(error)))
                # Whoever waited may have gone.
                self._opened.exception()
        finally:
            self.over = True

    async def _client(self, stack: AsyncExitStack) -> Client:
        us = Implementation(name="dovetail", version=version("dovetail"))
        if self._process is not None:
            return Client(self._process, client_info=us, cache=None)
        http = await stack.enter_async_context(
            httpx2.AsyncClient(
                headers=dict(self._address.headers),
                # How long a call may be silent is its policy's business.
                timeout=httpx2.Timeout(_HTTP_SECONDS, read=None),
            )
        )
        transport = streamable_http_client(self._address.url, http_client=http, max_sse_event_size=MAX_MESSAGE_BYTES)
        return Client(transport, client_info=us, cache=None)

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
        if self._process is not None and self._process.end:
            return bounded(self._process.end)
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        if isinstance(error, FileNotFoundError):
            return f"there is no command {self._address.command[0]!r}"
        text = str(error)
        return bounded(text if isinstance(error, MCPError) else f"{type(error).__name__}: {text}".rstrip(": "))
