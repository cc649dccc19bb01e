"""Tools that raise, hang, flood, lie and die: by chance, but the same each time."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from dovetail import CallContext, RetryableError, Tool, tool

TIMEOUT = 0.3


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


def tools(prefix: str) -> list[Tool]:
    """A tool on the event loop and one in a thread, each with a policy and without."""

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

    return [loop, thread, governed]
