"""Tools in processes of their own: a fan-out that only computes, against threads; and what a call costs."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.paced_model import ReadyReply
from benchmarks.report import Row
from benchmarks.rounds import measure_async
from dovetail import CallContext, Engine, tool
from dovetail.embedding import run_loop
from dovetail.processes.pool import Processes, shared_processes

if TYPE_CHECKING:
    from benchmarks.original import Original
    from benchmarks.rounds import Settings

__all__ = ["run"]

_WIDTH = 8


def count(number: int) -> int:
    """Computes, and waits for nothing."""
    total = 0
    for one in range(number):
        total += one * one % 7
    return total


in_processes = tool(isolation="process")(count)
in_threads = tool(count)


@tool(isolation="process")
def nothing(number: int) -> int:
    """Does nothing, as it comes."""
    return number


def run(settings: Settings, original: Original | None) -> list[Row]:  # noqa: ARG001 - its tools run in its own process
    """Measure."""
    return run_loop(lambda: _processes(settings))


async def _processes(settings: Settings) -> list[Row]:
    number = _loops(0.2 if settings.quick else 0.5)
    rounds = settings.rounds(12)
    processes: list[float] = []
    threads: list[float] = []
    bare: list[float] = []
    # By turns, so that what else the machine does disturbs all alike; in processes that are there already.
    shared_processes.hold()
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        await _fan_out(in_processes, 1)
        await _fan_out_bare(pool, 1)
        for _ in range(rounds):
            processes.append(await _fan_out(in_processes, number))
            threads.append(await _fan_out(in_threads, number))
            bare.append(await _fan_out_bare(pool, number))
    middle = median(processes), median(threads), median(bare)
    best = min(processes), min(threads), min(bare)
    calls = await measure_async(_calls, things=200, rounds=settings.rounds(12))
    await shared_processes.release()
    cold = await measure_async(_cold, things=1, rounds=settings.rounds(12))
    return [
        Row(
            "processes",
            f"a run of {_WIDTH} calls at once that compute {_seconds(number):.1f} s each, 2 processes",
            middle[0],
            "s",
            target=middle[1] / 1.8,
            best=best[0],
            beside="in threads",
            beside_value=middle[1],
            note=f"{middle[1] / middle[0]:.2f} times as fast; best rounds {best[1] / best[0]:.2f}",
        ),
        Row(
            "processes",
            "the same work in a bare ProcessPoolExecutor of 2: what this machine's cores give",
            middle[2],
            "s",
            best=best[2],
            beside="in threads",
            beside_value=middle[1],
            note=f"{middle[1] / middle[2]:.2f} times as fast; best rounds {best[1] / best[2]:.2f}",
        ),
        Row(
            "processes",
            "a call of a function that does nothing, in a process that is there",
            calls.wall * 1e6,
            "us",
            cpu=calls.cpu * 1e6,
            best=calls.best * 1e6,
        ),
        Row("processes", "the same with a process started for it", cold.wall * 1e3, "ms", best=cold.best * 1e3),
    ]


async def _fan_out(called: Any, number: int) -> float:
    """How long a run takes."""
    text = "".join(f"{one}. count({number})\n" for one in range(1, _WIDTH + 1)) + f"{_WIDTH + 1}. join()"
    async with Engine([called], ReadyReply([text]), joiner=ReadyReply(["Action: Finish(done)"])) as engine:
        began = time.perf_counter()
        await engine.start("why?").answer()
        return time.perf_counter() - began


async def _fan_out_bare(pool: ProcessPoolExecutor, number: int) -> float:
    """How long the calls of a run take without one."""
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    await asyncio.gather(*(loop.run_in_executor(pool, count, number) for _ in range(_WIDTH)))
    return time.perf_counter() - began


async def _calls() -> None:
    for one in range(200):
        await shared_processes.call(nothing, f'{{"number": {one}}}', CallContext())


async def _cold() -> None:
    await Processes(1).call(nothing, '{"number": 1}', CallContext())


def _seconds(number: int) -> float:
    began = time.process_time()
    count(number)
    return time.process_time() - began


def _loops(seconds: float) -> int:
    """How often to go round to compute for so long."""
    return int(1_000_000 * seconds / min(_seconds(1_000_000) for _ in range(5)))
