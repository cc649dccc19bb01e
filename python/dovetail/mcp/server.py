"""An MCP server: reached when it is needed, and again after it was lost."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from typing import TYPE_CHECKING, Any, Final

from mcp import MCPError
from mcp_types import INVALID_PARAMS
from pydantic_core import from_json

from dovetail.failure_text import bounded, message_of
from dovetail.mcp.connection import Connection, McpLostError, McpUnavailableError
from dovetail.mcp.outputs import McpToolError, McpToolGoneError, output_of
from dovetail.mcp.quarters import quarters
from dovetail.tools.outputs import OutputError
from dovetail.v1 import FailureReason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import mcp_types

    from dovetail.mcp.address import McpAddress

__all__ = ["McpServer"]

_FIRST_PAUSE: Final = 0.25
_LONGEST_PAUSE: Final = 30.0
_LISTING_SECONDS: Final = 5.0
_FOLLOW_SECONDS: Final = 0.5
_IDLE_SECONDS: Final = 30.0
"""How long a session stays open that nobody holds and no call uses."""

_logger = logging.getLogger("dovetail.mcp")


class McpServer:
    """An MCP server whose tools are called. One for each server and process.

    The session is shared by all calls. It is opened when it is first needed, closed when nobody holds the server any
    more, and opened again for the next call if it was lost: after a pause that doubles while the server does no better.
    While it is open, the list of tools is followed.

    Args:
        address: where it is.
        listed: is given the tools of the server whenever they were listed, in the quarters.
    """

    def __init__(self, address: McpAddress, listed: Callable[[Sequence[mcp_types.Tool]], None]) -> None:
        self.address = address
        self._listed = listed
        self._lock = threading.Lock()
        self._holders = 0
        # All below is touched in the quarters only.
        self._connection: Connection | None = None
        self._opening: asyncio.Task[Connection] | None = None
        self._failures = 0
        self._not_before = 0.0
        self._refusal = ""
        # Its tools by name; None while they are not known.
        self._names: frozenset[str] | None = None
        self._has_changed = False
        self._following: asyncio.Task[None] | None = None
        self._busy = 0
        self._idle: asyncio.TimerHandle | None = None
        self._closing: asyncio.Task[None] | None = None

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
            McpToolGoneError: the server has no such tool any more.
            McpUnavailableError: the server cannot be reached.
            McpLostError: the server was lost during the call.
            OutputError: the output does not fit the schema that the server gave for it.
        """
        arguments = from_json(arguments_json)
        return await asyncio.wrap_future(quarters.submit(self._call(tool, arguments, report)))

    @property
    def executor_id(self) -> str:
        """What events call it."""
        return f"mcp:{self.address.label}"

    def hold(self) -> None:
        """Keep the session open from now on."""
        with self._lock:
            self._holders += 1

    async def release(self) -> None:
        """Need the session no more: it is closed unless somebody else holds it."""
        with self._lock:
            self._holders -= 1
        if self._holders <= 0:
            await asyncio.wrap_future(quarters.submit(self._close()))

    # In the quarters ------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Have the tools listed.

        Raises:
            McpUnavailableError: it cannot be reached, or does not list its tools.
        """
        with self._in_use():
            connection = await self._connected()
            try:
                self._take(await connection.list_tools())
            except McpUnavailableError as error:
                await connection.close()
                raise self._named_error(McpUnavailableError, error) from error

    async def close_if_useless(self) -> None:
        """Close a session that nobody has come to hold, if its tools could not be used."""
        if not self._names and self._is_idle:
            await self._close()

    async def _call(self, name: str, arguments: dict[str, object], report: Callable[[float | None, str], None]) -> Any:
        async def told(progress: float, total: float | None, message: str | None) -> None:
            report(progress / total if total else None, message or "")

        with self._in_use():
            for last in (False, True):
                connection = await self._connected()
                self._check_offered(name)
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
                    return await self._outcome(name, result)
        raise AssertionError("the loop returns or raises")

    async def _outcome(self, name: str, result: mcp_types.CallToolResult | MCPError) -> Any:
        if isinstance(result, MCPError) or result.is_error:
            # It may have failed because the tool is gone, of which the server has told, or will only if it is asked.
            if isinstance(result, MCPError) and result.code == INVALID_PARAMS:
                self._note_change()
            if self._following is not None:
                await asyncio.wait({self._following}, timeout=_LISTING_SECONDS)
            self._check_offered(name)
        if isinstance(result, MCPError):
            raise McpToolError(bounded(result.message or f"error {result.code}"))
        return output_of(result)

    def _check_offered(self, name: str) -> None:
        if self._names is not None and name not in self._names:
            raise McpToolGoneError(bounded(f"MCP server {self.address.label} has no tool {name!r} any more"))

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
            self._connection = await Connection.open(self.address, self._note_change)
        except McpUnavailableError as error:
            self._note_failure()
            refused = self._named_error(McpUnavailableError, error)
            self._refusal = message_of(refused)
            raise refused from error
        self._refusal = ""
        quarters.at_end(self._close)
        if self._names is not None:
            # It may have come back with other tools, and until that is known it is asked for any.
            self._names = None
            self._note_change()
        return self._connection

    def _note_failure(self) -> None:
        # The first loss costs no pause: a server that ran for a week is there again at once.
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (self._failures - 1)) if self._failures else 0.0
        self._failures = min(self._failures + 1, 16)
        self._not_before = asyncio.get_running_loop().time() + pause

    # The list of tools ----------------------------------------------------------------------------------------

    def _take(self, listed: Sequence[mcp_types.Tool]) -> None:
        self._names = frozenset(tool.name for tool in listed)
        self._listed(listed)

    def _note_change(self) -> None:
        """The list of tools may be another: it is fetched, once for all changes that come until it is."""
        self._has_changed = True
        if self._following is None:
            self._following = asyncio.create_task(self._follow())
            self._following.add_done_callback(self._followed)

    async def _follow(self) -> None:
        self._has_changed = False
        # Behind the open session, which may be the very one that is being opened.
        connection = await self._connected() if self._opening is None else await asyncio.shield(self._opening)
        try:
            self._take(await connection.list_tools())
        except McpUnavailableError as error:
            _logger.warning("MCP server %s: its tools have changed, but it %s", self.address.label, message_of(error))

    def _followed(self, following: asyncio.Task[None]) -> None:
        self._following = None
        if following.cancelled():
            return
        following.exception()
        if self._has_changed:
            # A server that says so without an end is asked now and then.
            asyncio.get_running_loop().call_later(_FOLLOW_SECONDS, self._note_change)

    # Its end --------------------------------------------------------------------------------------------------

    @property
    def _is_idle(self) -> bool:
        return self._busy == 0 and self._holders <= 0

    @contextlib.contextmanager
    def _in_use(self) -> Iterator[None]:
        self._busy += 1
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        try:
            yield
        finally:
            self._busy -= 1
            if self._is_idle:
                self._idle = asyncio.get_running_loop().call_later(_IDLE_SECONDS, self._close_idle)

    def _close_idle(self) -> None:
        self._idle = None
        if self._is_idle:
            self._closing = asyncio.create_task(self._close())

    async def _close(self) -> None:
        for task in (self._opening, self._following):
            if task is not None:
                task.cancel()
                await asyncio.wait({task})
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
    verbs = ("ended ", "was ", "closed ", "sent ", "did ", "does ", "has ", "answers ")
    return message if message.startswith(verbs) else f"cannot be reached: {message}"
