"""Tools that raise, hang, flood, lie and die: by chance, but the same each time."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import time
from typing import Any

from dovetail import CallContext, RetryableError, Tool, tool

TIMEOUT = 0.3
# At an executor, a call that waits for its process is on its way already.
ISOLATED_TIMEOUT = 3.0


async def misbehave(way: str, call: CallContext) -> Any:
    """Do what is asked, on the event loop."""
    match way:
        case "raise":
            raise ValueError("no " + "x" * 5_000)
        case "hang":
            await asyncio.Event().wait()
        case "swallow":
            for _ in range(3):
                try:
                    await asyncio.sleep(TIMEOUT * 2)
                except asyncio.CancelledError:
                    continue
        case "flood":
            return "x" * 300_000
        case "report":
            for step in range(500):
                call.report(step / 500, "y" * 3_000)
        case "retry":
            raise RetryableError("busy")
        case "exit":
            raise SystemExit(3)
        case "cancel":
            raise asyncio.CancelledError
        case _:
            return lie(way)
    return way


def block(way: str) -> Any:
    """Do what is asked, in a thread."""
    match way:
        case "raise":
            raise KeyError("no")
        case "hang":
            time.sleep(TIMEOUT * 2)
        case "exit":
            raise SystemExit(3)
        case "flood":
            return ["x" * 1_000] * 300
        case _:
            return lie(way)
    return way


def isolate(way: str, call: CallContext) -> Any:
    """Do what is asked, in a process of its own."""
    match way:
        case "hang":
            while True:
                pass
        case "die":
            os._exit(3)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "segment":
            ctypes.string_at(0)
        case "close":
            os.closerange(3, 64)
        case "leave":
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
            os._exit(0)
        case "print":
            print("z" * 100_000)  # noqa: T201
        case "report":
            for step in range(500):
                call.report(step / 500, "y" * 3_000)
        case "retry":
            raise RetryableError("busy")
        case _:
            return block(way)
    return way


def lie(way: str) -> Any:
    """Return something that is no output, or looks like more than it is."""
    return {
        "nan": float("nan"),
        "bytes": b"\xff\xfe",
        "object": object(),
        "reference": '$1 ${2} ")\n99. press("x")',
        "surrogate": "\ud800",
        "deep": _deep(),
        "none": None,
    }.get(way, way)


def _deep() -> Any:
    value: Any = 1
    for _ in range(200):
        value = [value]
    return value


WAYS = (
    *("raise", "hang", "swallow", "flood", "report", "retry", "exit", "cancel"),
    *("nan", "bytes", "object", "reference", "surrogate", "deep", "none", "fine"),
)
ISOLATED_WAYS = (
    *("raise", "hang", "flood", "report", "retry", "exit", "die", "kill", "segment", "close", "leave", "print"),
    *("nan", "object", "surrogate", "none", *["fine"] * 8),
)
MCP_WAYS = ("raise", "hang", "flood", "report", "die", "surrogate", "reference", *["fine"] * 9)


def tools(prefix: str) -> list[Tool]:
    """A tool on the event loop, one in a thread, one under a policy, and one in a process of its own."""

    @tool(name=f"{prefix}.loop", timeout=TIMEOUT, max_output_bytes=100_000)
    async def loop(way: str, call: CallContext) -> Any:
        """Misbehaves on the event loop."""
        return await misbehave(way, call)

    @tool(name=f"{prefix}.thread", timeout=TIMEOUT, max_output_bytes=100_000)
    def thread(way: str) -> Any:
        """Misbehaves in a thread."""
        return block(way)

    @tool(
        name=f"{prefix}.governed",
        read_only=True,
        timeout=TIMEOUT,
        max_output_bytes=100_000,
        retries=1,
        backoff=0.01,
        max_parallel=50,
        breaker_failures=1_000_000,
        large_output="cut",
    )
    async def governed(way: str, call: CallContext) -> Any:
        """Misbehaves under a policy."""
        return await misbehave(way, call)

    isolated = tool(name=f"{prefix}.isolated", isolation="process", timeout=ISOLATED_TIMEOUT, max_output_bytes=100_000)
    return [loop, thread, governed, isolated(isolate)]
