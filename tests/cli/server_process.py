"""A server in a process of its own, whose model takes each question for its own plan."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from commandline import BOUND

from dovetail import tool

if TYPE_CHECKING:
    from collections.abc import Iterator

_SERVER_TESTS = Path(__file__).parents[1] / "server"


@tool(read_only=True)
async def double(number: int) -> int:
    """Twice the number."""
    return number * 2


@tool
async def endless(text: str = "") -> str:
    """Never ends by itself."""
    await asyncio.Event().wait()
    return text


@tool
async def broken(text: str) -> str:
    """Fails."""
    raise ValueError(f"no {text}\x1b[2J")


@tool(approval=True)
async def delete(path: str) -> str:
    """Deletes."""
    return f"deleted {path}"


@contextlib.contextmanager
def server_process(*arguments: str) -> Iterator[str]:
    """A server that runs until this is left; its address.

    Args:
        arguments: settings, as ``name=value``.
    """
    path = os.pathsep.join([str(_SERVER_TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
    with subprocess.Popen(
        [sys.executable, __file__, *arguments],
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        # A process that says nothing must not hold the tests up.
        bound = threading.Timer(BOUND, process.kill)
        bound.start()
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            assert address, "the server has ended"
            bound.cancel()
            yield address
        finally:
            bound.cancel()
            process.kill()


async def _serve(arguments: list[str]) -> None:
    from live import serving

    settings = dict(argument.split("=", 1) for argument in arguments)
    async with serving([double, endless, broken, delete], **settings) as live:
        print(live.address, flush=True)  # noqa: T201
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1:]))
