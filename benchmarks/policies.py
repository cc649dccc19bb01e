"""What a policy costs a call that it does not limit, and what single flight and a breaker save."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from benchmarks.paced_model import ReadyReply
from benchmarks.report import Row
from benchmarks.rounds import measure_async
from dovetail import Engine, Limits, tool
from dovetail.embedding import run_loop

if TYPE_CHECKING:
    from benchmarks.original import Original
    from benchmarks.rounds import Settings

__all__ = ["run"]

_TASKS = 2_000


@tool
async def plain(number: int) -> int:
    """Does nothing, as it comes."""
    return number


@tool(max_parallel=100_000, rate="1000000/s", breaker_failures=5, exclusive=())
async def governed(number: int) -> int:
    """Does nothing, under a policy that never holds it up."""
    return number


@tool(timeout=1.0, breaker_failures=5, max_parallel=1)
async def hang(number: int) -> int:
    """Never ends."""
    await asyncio.Event().wait()
    return number


def run(settings: Settings, original: Original | None) -> list[Row]:  # noqa: ARG001 - it has no policies
    """Measure."""
    return run_loop(lambda: _policies(settings))


async def _policies(settings: Settings) -> list[Row]:
    bare = await _calls(plain, settings)
    under = await _calls(governed, settings)
    overhead = (under.wall - bare.wall) * 1e6
    rows = [
        Row(
            "policies",
            "a policy that limits nothing, beyond a call without one",
            max(0.0, overhead),
            "us",
            target=10,
            cpu=max(0.0, (under.cpu - bare.cpu) * 1e6),
            beside="a task without a policy",
            beside_value=bare.wall * 1e6,
        )
    ]
    text = "".join(f"{one}. hang({one})\n" for one in range(1, 101)) + "101. join()"
    async with Engine([hang], ReadyReply([text]), joiner=_joiner(), limits=Limits(deadline=120)) as engine:
        began = asyncio.get_running_loop().time()
        await engine.start("why?").answer()
        took = asyncio.get_running_loop().time() - began
    rows.append(
        Row(
            "policies",
            "100 calls, one at a time, of a tool that hangs past its timeout of 1 s, behind a breaker of 5",
            took,
            "s",
            target=6,
            beside="without a breaker",
            beside_value=100.0,
            note="what is beside it is reckoned, not waited for",
        )
    )
    return rows


async def _calls(called: Any, settings: Settings) -> Any:
    text = "".join(f"{one}. {called.name}({one})\n" for one in range(1, _TASKS + 1)) + f"{_TASKS + 1}. join()"
    limits = Limits(max_tasks=10_000, max_parallel_calls=None)
    async with Engine([called], ReadyReply([text]), joiner=_joiner(), limits=limits) as engine:

        async def one() -> None:
            await engine.start("why?").answer()

        return await measure_async(one, things=_TASKS, rounds=settings.rounds(20))


def _joiner() -> ReadyReply:
    return ReadyReply(["Action: Finish(done)"])
