"""The tools of MCP servers, as a tool set takes them: listed when a SPEC is loaded, and followed from then on."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from dovetail import _core
from dovetail.errors import ToolDefinitionError, UsageError
from dovetail.mcp.address import PREFIX, McpAddress, read_addresses
from dovetail.mcp.backend import McpBackend
from dovetail.mcp.connection import McpUnavailableError
from dovetail.mcp.quarters import quarters
from dovetail.mcp.server import McpServer
from dovetail.tools.definition import Tool
from dovetail.tools.tool_names import LONGEST_NAME, free_name

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    import mcp_types

__all__ = ["McpTools", "load_mcp", "reach_mcp"]

_LONGEST_DESCRIPTION: Final = 8_000

_CONTEXT = "the call's context"
"""No parameter of a tool is named like this: it is no identifier."""

_logger = logging.getLogger("dovetail.mcp")

_lock = Lock()
_known: dict[McpAddress, McpTools] = {}


class McpTools:
    """The tools of one MCP server: a `dovetail.tools.live_tools.LiveTools`. One for each server and process.

    Args:
        address: where the server is.

    Attributes:
        server: the server.
    """

    def __init__(self, address: McpAddress) -> None:
        self.server = McpServer(address, self._take)
        self._tools: tuple[Tool, ...] = ()
        # By their names at the server: what it said of each, and what became of it. None of what cannot be used.
        self._made: dict[str, tuple[mcp_types.Tool, Tool | None]] = {}

    @property
    def tools(self) -> tuple[Tool, ...]:
        """Those that the server listed last: the same tuple until they change."""
        return self._tools

    def hold(self) -> None:
        """Keep the session open, and with it the tools current, from now on."""
        self.server.hold()

    async def release(self) -> None:
        """Need the session no more."""
        await self.server.release()

    def _take(self, listed: Sequence[mcp_types.Tool]) -> None:
        """What the server lists now. Called in the quarters."""
        made: dict[str, tuple[mcp_types.Tool, Tool | None]] = {}
        names: set[str] = set()
        for theirs in listed:
            if theirs.name in made:
                continue  # listed twice
            name = free_name(_plain_name(self.server.address.name, theirs.name), names)
            names.add(name)
            before = self._made.get(theirs.name)
            # Nothing is compiled again that did not change.
            if before is not None and before[0] == theirs and (before[1] is None or before[1].name == name):
                made[theirs.name] = before
            else:
                made[theirs.name] = (theirs, _tool(name, theirs, self.server))
        self._made = made
        tools = tuple(tool for _, tool in made.values() if tool is not None)
        if tools != self._tools:
            self._tools = tools


def load_mcp(spec: str) -> list[McpTools]:
    """The MCP servers that a SPEC names, reached at the same time, their tools listed. Blocks until they are.

    Args:
        spec: ``mcp:…``, or a TOML file with tables ``[mcp.NAME]``.

    Raises:
        UsageError: the SPEC cannot be read, or a server cannot be reached; the message says what happened there.
    """
    reaching = quarters.submit(_reach(spec))
    try:
        return reaching.result()
    except BaseException:
        reaching.cancel()
        raise


async def reach_mcp(spec: str) -> list[McpTools]:
    """What `load_mcp` gives, without blocking the event loop. Cancelling this gives up what was not reached.

    Raises:
        UsageError: the SPEC cannot be read, or a server cannot be reached; the message says what happened there.
    """
    return await asyncio.wrap_future(quarters.submit(_reach(spec)))


def _reach(spec: str) -> Coroutine[Any, Any, list[McpTools]]:
    addresses = [McpAddress.parse(spec)] if spec.startswith(PREFIX) else read_addresses(Path(spec))
    with _lock:
        sources = [_known.setdefault(address, McpTools(address)) for address in addresses]
    return _listed(sources, spec)


async def _listed(sources: list[McpTools], spec: str) -> list[McpTools]:
    try:
        async with asyncio.TaskGroup() as group:
            for source in sources:
                group.create_task(_list(source, spec))
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    finally:
        for source in sources:
            await source.server.close_if_useless()
    return sources


async def _list(source: McpTools, spec: str) -> None:
    try:
        await source.server.load()
    except McpUnavailableError as error:
        raise UsageError(f"tools {spec}: {error}") from error
    if not source.tools:
        label = source.server.address.label
        raise UsageError(
            f"tools {spec}: MCP server {label} has no tools that plans could call; leave it out, or see the log "
            "dovetail.mcp for those that were left out"
        )


def _plain_name(prefix: str, theirs: str) -> str:
    """A name that plans can write."""
    name = re.sub(r"[^A-Za-z0-9_./:-]", "_", f"{prefix}.{theirs}" if prefix else theirs)
    if not re.match(r"[A-Za-z_]", name) or name.lower() == "join":
        name = f"_{name}"
    return name[:LONGEST_NAME]


def _tool(name: str, theirs: mcp_types.Tool, server: McpServer) -> Tool | None:
    async def call(**arguments: Any) -> Any:
        context = arguments.pop(_CONTEXT)
        return await server.call(theirs.name, json.dumps(arguments), context.report)

    hints = theirs.annotations
    read_only = hints is not None and hints.read_only_hint is True
    try:
        tool = Tool(
            name=name,
            description=(theirs.description or theirs.title or "")[:_LONGEST_DESCRIPTION],
            input_schema=theirs.input_schema,
            output_schema=theirs.output_schema,
            # A hint that is not there is not claimed, whatever its default would be.
            read_only=read_only,
            idempotent=hints is not None and hints.idempotent_hint is True,
            destructive=hints is not None and hints.destructive_hint is True and not read_only,
            backend=McpBackend(server, theirs.name),
            # For who calls tools by themselves: an executor.
            function=call,
            context_parameter=_CONTEXT,
        )
        _core.ToolSet(json.dumps([tool.to_mcp()]))
    except (ToolDefinitionError, ValueError) as error:
        # One tool that cannot be planned with must not take the others with it.
        _logger.warning("MCP server %s: tool %s is left out: %s", server.address.label, theirs.name, error)
        return None
    return tool
