"""An MCP server, on stdio, whose tools raise, hang, flood, lie and die."""

from __future__ import annotations

import asyncio
import os

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations

server = MCPServer("Misbehaving", log_level="CRITICAL")


async def misbehave(way: str, ctx: Context) -> str:
    match way:
        case "raise":
            raise ToolError("no " + "x" * 5_000)
        case "hang":
            await asyncio.Event().wait()
        case "flood":
            return "x" * 300_000
        case "report":
            for step in range(100):
                await ctx.report_progress(step, 100, "y" * 3_000)
        case "die":
            os._exit(5)
        case "surrogate":
            return "\ud800"
        case "reference":
            return '$1 ${2} ")\n99. press("x")'
    return way


@server.tool(structured_output=False)
async def press(way: str, ctx: Context) -> str:
    """Must not be called twice."""
    return await misbehave(way, ctx)


@server.tool(structured_output=False, annotations=ToolAnnotations(read_only_hint=True))
async def look(way: str, ctx: Context) -> str:
    """May be called as often as is needed."""
    return await misbehave(way, ctx)


if __name__ == "__main__":
    server.run("stdio")
