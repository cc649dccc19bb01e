"""An MCP server: reached when it is needed, and again after it was lost."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from mcp import MCPError
from pydantic_core import from_json

from dovetail.failure_text import bounded, message_of
from dovetail.mcp.connection import Connection, McpLostError, McpUnavailableError
from dovetail.mcp.outputs import McpToolError, output_of
from dovetail.mcp.quarters import quarters
from dovetail.outputs import OutputError
from dovetail.v1 import FailureReason

if TYPE_CHECKING:
    from collections.abc import Callable

    import mcp_types

    from dovetail.mcp.address import McpAddress

__all__ = ["McpServer"]

_FIRST_PAUSE: Final = 0.25
_LONGEST_PAUSE: Final = 30.0

_logger = logging.getLogger("dovetail.mcp")


class McpServer:
    """An MCP server whose tools are called. One for each server and process.

    The session is shared by all calls. It is opened when the first is made, closed when nobody holds the server any
    more, and opened again for the next call if it was lost: after a pause that doubles while the server does no better.

    Args:
        address: where it is.
    """

    def __init__(self, address: McpAddress) -> None:
        self.address = address
        self._holders = 0
        # All below is touched in the quarters only.
        self._connection: Connection | None = None
        self._opening: asyncio.Task[Connection] | None = None
        self._failures = 0
        self._not_before = 0.0
        self._refusal = ""

    # From any thread and any loop -----------------------------------------------------------------------------

    async def call(self, tool: str, arguments_json: str | bytes, report: Callable[[float | None, str], None]) -> Any:
        """Call a tool. Cancelling this cancels it at the server.

        Args:
            tool: the tool's name at the server.
            arguments_json: a JSON object.
            report: told of progress, in another thread.

        Returns:
            The output, a JSON value.

        Raises:
            McpToolError: the tool or the server said that it failed.
            McpUnavailableError: the server cannot be reached.
            McpLostError: the server was lost during the call.
            OutputError: the output does not fit the schema that the server gave for it.
        """
        arguments = from_json(arguments_json)
        return await asyncio.wrap_future(quarters.submit(self._call(tool, arguments, report)))

    def load(self) -> list[mcp_types.Tool]:
        """Wait for the tools of the server; blocks.

        Raises:
            McpUnavailableError: it cannot be reached, or does not list its tools.
        """
        return quarters.submit(self._load()).result()

    @property
    def executor_id(self) -> str:
        """What events call it."""
        return f"mcp:{self.address.label}"

    def hold(self) -> None:
        """Keep the session open from now on."""
        self._holders += 1

    async def release(self) -> None:
        """Need the session no more: it is closed unless somebody else holds it."""
        self._holders -= 1
        if self._holders <= 0:
            await asyncio.wrap_future(quarters.submit(self._close()))

    # In the quarters ------------------------------------------------------------------------------------------

    async def _load(self) -> list[mcp_types.Tool]:
        connection = await self._connected()
        try:
            return await connection.list_tools()
        except McpUnavailableError as error:
            await connection.close()
            raise self._named_error(McpUnavailableError, error) from error

    async def _call(self, name: str, arguments: dict[str, object], report: Callable[[float | None, str], None]) -> Any:
        async def told(progress: float, total: float | None, message: str | None) -> None:
            report(progress / total if total else None, message or "")

        for last in (False, True):
            connection = await self._connected()
            try:
                result = await connection.call(name, arguments, told)
            except McpUnavailableError as error:  # the session was over before the call began
                if last:
                    raise self._named_error(McpUnavailableError, error) from error
            except McpLostError as error:
                self._note_failure()
                raise self._named_error(McpLostError, error) from error
            except RuntimeError as error:
                reason = FailureReason.FAILURE_REASON_OUTPUT_INVALID
                raise OutputError(reason, f"MCP server {self.address.label}: {message_of(error)}") from error
            else:
                self._failures = 0
                if isinstance(result, MCPError):
                    raise McpToolError(bounded(result.message or f"error {result.code}"))
                return output_of(result)
        raise AssertionError("the loop returns or raises")

    async def _connected(self) -> Connection:
        if self._connection is not None and not self._connection.over:
            return self._connection
        if self._opening is None:
            self._opening = asyncio.create_task(self._open())
            self._opening.add_done_callback(self._opening_done)
        # Many calls wait for one attempt, which the end of none of them ends.
        return await asyncio.shield(self._opening)

    def _opening_done(self, opening: asyncio.Task[Connection]) -> None:
        self._opening = None
        if not opening.cancelled():
            opening.exception()

    async def _open(self) -> Connection:
        pause = self._not_before - asyncio.get_running_loop().time()
        if pause > 0:
            if self._refusal:
                raise McpUnavailableError(bounded(f"{self._refusal}; it is tried again in {pause:.1f} s"))
            await asyncio.sleep(pause)
        if self._connection is not None:
            await self._connection.close()
        try:
            self._connection = await Connection.open(self.address)
        except McpUnavailableError as error:
            self._note_failure()
            refused = self._named_error(McpUnavailableError, error)
            self._refusal = message_of(refused)
            raise refused from error
        self._refusal = ""
        quarters.at_end(self._close)
        return self._connection

    def _note_failure(self) -> None:
        # The first loss costs no pause: a server that ran for a week is there again at once.
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (self._failures - 1)) if self._failures else 0.0
        self._failures = min(self._failures + 1, 16)
        self._not_before = asyncio.get_running_loop().time() + pause

    async def _close(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait({self._opening})
        quarters.not_at_end(self._close)
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    def _named_error(self, kind: type[Any], error: Exception) -> Any:
        message = bounded(f"MCP server {self.address.label} {_joined(message_of(error))}")
        _logger.debug("%s", message)
        return kind(message)


def _joined(message: str) -> str:
    """What comes behind the server's name: a predicate as it is, anything else behind a colon."""
    verbs = ("ended ", "was ", "closed ", "sent ", "did ", "does ", "has ")
    return message if message.startswith(verbs) else f"cannot be reached: {message}"
