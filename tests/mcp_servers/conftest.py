"""MCP servers in processes of their own, and how they are named."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SERVER = Path(__file__).parent / "python_server.py"


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """Where the server notes what it lives through."""
    return tmp_path / "notes"


@pytest.fixture
def servers(tmp_path: Path, notes: Path) -> str:
    """A file that names the server as ``trouble``."""
    file = tmp_path / "servers.toml"
    command = [sys.executable, str(SERVER)]
    file.write_text(f'[mcp.trouble]\ncommand = {command!r}\nenv = {{NOTES = "{notes}"}}\n', encoding="utf-8")
    return str(file)


@pytest.fixture
async def url(notes: Path) -> AsyncIterator[str]:
    """Where the server speaks streamable HTTP."""
    # The place is there before its server, which inherits it: nobody else is given the port, and who comes early waits.
    with socket.create_server(("127.0.0.1", 0)) as place:
        port = place.getsockname()[1]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(SERVER),
            str(place.fileno()),
            env={**os.environ, "NOTES": str(notes)},
            pass_fds=[place.fileno()],
        )
    try:
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.kill()
        await process.wait()
