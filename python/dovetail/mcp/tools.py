"""The tools of MCP servers, as a tool set takes them."""

from __future__ import annotations

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
from dovetail.mcp.server import McpServer
from dovetail.tools import Tool

if TYPE_CHECKING:
    import mcp_types

__all__ = ["load_mcp"]

_LONGEST_NAME: Final = 128
_LONGEST_DESCRIPTION: Final = 8_000

_CONTEXT = "the call's context"
"""No parameter of a tool is named like this: it is no identifier."""

_logger = logging.getLogger("dovetail.mcp")

_lock = Lock()
_servers: dict[McpAddress, McpServer] = {}


def load_mcp(spec: str) -> list[Tool]:
    """The tools of the MCP servers that a SPEC names. Blocks until they are listed.

    Args:
        spec: ``mcp:…``, or a TOML file with tables ``[mcp.NAME]``.

    Raises:
        UsageError: the SPEC cannot be read, or a server cannot be reached; the message says what happened there.
    """
    addresses = [McpAddress.parse(spec)] if spec.startswith(PREFIX) else read_addresses(Path(spec))
    return [tool for address in addresses for tool in _load(address, spec)]


def _load(address: McpAddress, spec: str) -> list[Tool]:
    with _lock:
        server = _servers.setdefault(address, McpServer(address))
    try:
        listed = server.load()
    except McpUnavailableError as error:
        raise UsageError(f"tools {spec}: {error}") from error
    names: set[str] = set()
    tools: list[Tool | None] = []
    for theirs in listed:
        name = _free_name(address.name, theirs.name, names)
        names.add(name)
        tools.append(_tool(name, theirs, server))
    found = [tool for tool in tools if tool is not None]
    if not found:
        raise UsageError(f"tools {spec}: MCP server {address.label} has no tools that plans could call")
    return found


def _free_name(prefix: str, theirs: str, taken: set[str]) -> str:
    """A name that plans can write, and no other tool of the server has."""
    name = re.sub(r"[^A-Za-z0-9_./:-]", "_", f"{prefix}.{theirs}" if prefix else theirs)
    if not re.match(r"[A-Za-z_]", name) or name.lower() == "join":
        name = f"_{name}"
    name = name[:_LONGEST_NAME]
    free, number = name, 1
    while free in taken:
        number += 1
        ending = f"_{number}"
        free = name[: _LONGEST_NAME - len(ending)] + ending
    return free


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
