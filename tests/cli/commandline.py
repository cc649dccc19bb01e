"""The command line as a process of its own, and what it is given."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = [sys.executable, "-m", "dovetail.cli.main"]
BOUND = 60.0
"""How long any process may take, with the machine as busy as it may be."""

TOOLS = '''
import asyncio, sys, threading
from dovetail import tool

@tool(read_only=True)
async def double(number: float) -> float:
    """Twice the number."""
    return number * 2

@tool
async def say(text: str) -> str:
    """The text."""
    print("a tool printed this")
    return text

@tool
async def broken(text: str) -> str:
    """Fails."""
    raise ValueError("no " + text)

@tool
async def endless(text: str) -> str:
    """Never ends by itself."""
    await asyncio.Event().wait()
    return text

@tool
def hung(text: str) -> str:
    """Hangs in its thread."""
    threading.Event().wait()
    return text

@tool
async def blocking(text: str) -> str:
    """Blocks the event loop."""
    print("blocked", file=sys.stderr, flush=True)
    threading.Event().wait()
    return text

@tool
async def stubborn(text: str) -> str:
    """Leaves behind a thread that keeps a process from exiting."""
    threading.Thread(target=threading.Event().wait).start()
    return text
'''

SPECS = [
    {
        "name": "search",
        "inputSchema": {
            "type": "object",
            "properties": {"query": {"type": "string"}},
            "required": ["query"],
            "additionalProperties": False,
        },
    },
    {
        "name": "math",
        "inputSchema": {
            "type": "object",
            "properties": {"problem": {"type": "string"}, "context": {"type": "array", "items": {"type": "string"}}},
            "required": ["problem"],
            "additionalProperties": False,
        },
    },
]


def environment(folder: Path, **variables: str) -> dict[str, str]:
    """An environment in which nothing of the user's is found."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DOVETAIL_", "OPENAI_"))}
    return {**kept, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder / "config"), **variables}


def dovetail(folder: Path, *arguments: str, stdin: bytes = b"", **variables: str) -> subprocess.CompletedProcess[bytes]:
    """Run the command line in a folder, to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env=environment(folder, **variables),
        input=stdin,
        capture_output=True,
        timeout=BOUND,
        check=False,
    )


def recording(folder: Path, *replies: str, name: str = "calls.jsonl", wait_at_end: float = 0.0) -> str:
    """A model that gives these replies, one a call; named as ``--model`` takes it."""
    lines = []
    for reply in replies:
        pieces: list[list[object]] = [[0, reply[start : start + 4]] for start in range(0, len(reply), 4)]
        if wait_at_end:
            pieces.append([wait_at_end, ""])
        usage = {"prompt_tokens": 10, "completion_tokens": 5}
        lines.append(json.dumps({"pieces": pieces, "finish_reason": "stop", "usage": usage}))
    (folder / name).write_text("\n".join(lines), encoding="utf-8")
    return f"replay:{name}"
