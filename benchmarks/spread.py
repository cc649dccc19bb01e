"""Two hundred executors and 20,000 calls: whether each call is carried out once, and how evenly they are spread."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.grpc_executor import executors
from benchmarks.grpc_server import fan_out, serving
from benchmarks.report import Row
from dovetail import v1
from dovetail.embedding import run_loop

if TYPE_CHECKING:
    from benchmarks.grpc_server import Served
    from benchmarks.original import Original
    from benchmarks.process import Process
    from benchmarks.rounds import Settings

__all__ = ["run"]

_PROCESSES = 4
_PLACES = 64
# Of 200 executors 256: what a run may have out if neither it nor the server's settings say otherwise.
_IN_FLIGHT = 256 / 200
_UNEVEN = 10.0
_SECONDS = 120.0


def run(settings: Settings, original: Original | None) -> list[Row]:  # noqa: ARG001
    """Measure."""
    return run_loop(lambda: _spread(settings))


async def _spread(settings: Settings) -> list[Row]:
    # As many calls for each executor in a quick run: what they are spread over is what a percentage is of.
    count = 40 if settings.quick else 200
    calls = count * 100
    in_flight = int(count * _IN_FLIGHT)
    async with serving(profile=settings.profile) as server, AsyncExitStack() as stack:
        starting = (
            stack.enter_async_context(executors(server.address, count=count // _PROCESSES, places=_PLACES))
            for _ in range(_PROCESSES)
        )
        processes = await asyncio.gather(*starting)
        rows = []
        await _round(server, processes, "no_op({})", count, in_flight)  # opens the connections
        for what, call, at_once in (
            (f"no-op calls, {in_flight} in flight", "no_op({})", in_flight),
            (f"calls of 10 ms, {in_flight} in flight", "work({}, 0.01)", in_flight),
            ("no-op calls, all at once", "no_op({})", calls),
        ):
            measured = [
                await _round(server, processes, call, calls, at_once) for _ in range(2 if settings.quick else 4)
            ]
            title = f"{count} executors, {calls:,} {what}"
            rows += [
                Row("spread", f"{title}: lost or done twice", max(one.wrong for one in measured), "", target=0),
                Row(
                    "spread",
                    f"{title}: furthest from an even share",
                    max(one.uneven for one in measured),
                    "%",
                    # What comes at once goes to whoever is done first, and not in equal shares.
                    target=_UNEVEN if at_once < calls else None,
                    note=f"the worst of {len(measured)} rounds",
                ),
                Row(
                    "spread",
                    f"{title}: a call",
                    median(one.wall for one in measured),
                    "µs",
                    cpu=median(one.cpu for one in measured),
                    best=min(one.wall for one in measured),
                    note=f"{1e6 / median(one.wall for one in measured):,.0f} calls a second",
                ),
            ]
        return rows


class _Round:
    """What one round came to.

    Args:
        made: how many calls each executor carried out, as it says.
        succeeded: how many tasks have their output.
        calls: how many tasks there were.
        executor_count: how many executors there are.
        wall: microseconds for a call.
        cpu: of the server's processor time.
    """

    def __init__(self, made: Counter[str], succeeded: int, calls: int, executor_count: int, wall: float, cpu: float):
        # A task with an output was called, so that as many calls as tasks are one for each.
        self.wrong = (calls - succeeded) + abs(made.total() - calls)
        even = calls / executor_count
        shares = [*made.values(), *([0] * (executor_count - len(made)))]
        self.uneven = max(abs(one - even) for one in shares) / even * 100
        self.wall = wall
        self.cpu = cpu


async def _round(server: Served, processes: list[Process], call: str, calls: int, at_once: int) -> _Round:
    before = await _made(processes)
    used = await server.cpu()
    limits = v1.Limits(max_parallel_calls=at_once)
    async with asyncio.timeout(_SECONDS):
        messages = await server.watch(await server.create(fan_out(calls, call), call.partition("(")[0], limits))
    used = await server.cpu() - used
    made = await _made(processes)
    events = [event for message in messages for event in message.events]
    succeeded = sum(event.HasField("task_succeeded") for event in events)
    wall = (events[-1].time.ToNanoseconds() - events[0].time.ToNanoseconds()) / calls / 1e3
    return _Round(made - before, succeeded, calls, len(made), wall, used / calls * 1e6)


async def _made(processes: list[Process]) -> Counter[str]:
    made: Counter[str] = Counter()
    for process in processes:
        made.update((await process.ask())["calls"])
    return made
