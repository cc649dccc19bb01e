"""An MCP server with tools that behave well and badly, on stdio, or on HTTP at the socket whose descriptor is given."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from pathlib import Path

import uvicorn
from mcp.server import MCPServer
from mcp.server.mcpserver import Context, Image
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations
from pydantic import BaseModel

server = MCPServer("Trouble", log_level="ERROR")
NOTES = Path(os.environ.get("NOTES", os.devnull))

READ_ONLY = ToolAnnotations(read_only_hint=True)


class Mountain(BaseModel):
    name: str
    height: int


def note(line: str) -> None:
    with NOTES.open("a", encoding="utf-8") as notes:
        notes.write(line + "\n")


@server.tool(annotations=READ_ONLY)
async def mountain(name: str) -> Mountain:
    """The height of a mountain."""
    return Mountain(name=name, height=8849)


@server.tool(structured_output=False)
async def say(text: str) -> str:
    """The text."""
    return text


@server.tool(structured_output=False)
async def say_twice(text: str) -> list[str]:
    """The text, in two blocks."""
    return [text, text]


@server.tool(structured_output=False)
async def picture() -> Image:
    """A picture."""
    return Image(data=b"\0" * 300, format="png")


@server.tool(structured_output=False, annotations=ToolAnnotations(idempotent_hint=True, destructive_hint=True))
async def wrong(text: str) -> str:
    """Fails."""
    raise ToolError(f"no {text}")


@server.tool(structured_output=False)
async def slow(ctx: Context, text: str) -> str:
    """Says how far it is, and then never ends."""
    await ctx.report_progress(1, 4, f"begun with {text}")
    note("slow began")
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        note("slow was cancelled")
        raise
    return text


@server.tool(structured_output=False)
async def die(status: int) -> str:
    """Takes the server with it."""
    sys.stderr.write("out of luck\n")
    sys.stderr.flush()
    os._exit(status)


@server.tool(structured_output=False, annotations=READ_ONLY)
def die_once(mark: str) -> str:
    """Takes the server with it, the first time."""
    if Path(mark).exists():
        return "alive"
    Path(mark).touch()
    os._exit(7)


@server.tool(structured_output=False)
async def flood(size: int) -> str:
    """Very much text."""
    return "x" * size


@server.tool(name="odd name!", structured_output=False)
async def odd() -> str:
    """Has a name that plans cannot write."""
    return "odd"


@server.tool(name="join", structured_output=False)
async def joins() -> str:
    """Has the name that closes a plan."""
    return "joined"


@server.tool(structured_output=False)
async def variable(name: str) -> str:
    """A variable of the server's environment."""
    return os.environ.get(name, "none")


@server.tool(structured_output=False)
async def learn(name: str, ctx: Context) -> str:
    """Has a further tool from now on."""
    server.add_tool(odd, name=name, structured_output=False)
    await ctx.notify_tools_changed()
    return "learnt"


if __name__ == "__main__":
    note(f"started {os.getpid()}")
    if len(sys.argv) > 1:
        serving = uvicorn.Server(uvicorn.Config(server.streamable_http_app(), log_level="error"))
        asyncio.run(serving.serve(sockets=[socket.socket(fileno=int(sys.argv[1]))]))
    else:
        server.run("stdio")
