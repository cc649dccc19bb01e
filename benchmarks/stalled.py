"""A watcher that does not read: what it costs the server's memory, and another watcher's patience."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from statistics import median, quantiles
from typing import TYPE_CHECKING

import grpc

from benchmarks.grpc_server import serving
from benchmarks.report import Row
from dovetail import v1
from dovetail.embedding import run_loop
from dovetail.v1.run_service_pb2_grpc import RunServiceStub

if TYPE_CHECKING:
    from benchmarks.grpc_server import Served
    from benchmarks.original import Original
    from benchmarks.rounds import Settings

__all__ = ["run"]

_GROWTH = 10.0
_SLOWER = 2.0
_SIZE = 16_384
_TASKS_A_SECOND = 500
_BEGIN_SECONDS = 0.5
_SECONDS = 120.0


def run(settings: Settings, original: Original | None) -> list[Row]:  # noqa: ARG001
    """Measure."""
    return run_loop(lambda: _stalled(settings))


@dataclass(frozen=True, slots=True)
class _Round:
    """What a run did to the server's memory, in bytes, and how late its events came, in milliseconds."""

    grown: float
    p50: float
    p99: float


async def _stalled(settings: Settings) -> list[Row]:
    tasks = 500 if settings.quick else 4_000
    alone, beside = [], []
    for _ in range(settings.rounds(5)):
        # Each in a fresh server: what one run has left would be used by the next.
        alone.append(await _round(tasks, stalled=False, profile=settings.profile))
        beside.append(await _round(tasks, stalled=True, profile=settings.profile))
    grown = [(with_it.grown - without.grown) / 1e6 for with_it, without in zip(beside, alone, strict=True)]
    written = tasks * _SIZE / 1e6
    without_p99 = median(one.p99 for one in alone)
    return [
        Row(
            "stalled",
            f"memory of the server for a watcher that does not read, run of {written:.0f} MB of events",
            median(grown),
            "MB",
            target=_GROWTH,
            best=min(grown),
            note=f"without it the server grows by {median(one.grown for one in alone) / 1e6:.0f} MB",
        ),
        Row(
            "stalled",
            f"output recorded -> at another watcher of the run, p99 of {tasks:,}",
            median(one.p99 for one in beside),
            "ms",
            target=_SLOWER * without_p99,
            best=min(one.p99 for one in beside),
            beside="without a stalled one",
            beside_value=without_p99,
        ),
        Row(
            "stalled",
            "the same, p50",
            median(one.p50 for one in beside),
            "ms",
            beside="without a stalled one",
            beside_value=median(one.p50 for one in alone),
        ),
    ]


async def _round(tasks: int, *, stalled: bool, profile: bool) -> _Round:
    async with serving(profile=profile) as server:
        await server.watch(await server.create(_plan(10), "wait"))  # what the first run brings along stays
        before = await server.ask()
        run_id = await server.create(_plan(tasks), "wait")
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(server.address, options=options) as channel:
            if stalled:
                stuck = RunServiceStub(channel).WatchRun(v1.WatchRunRequest(run_id=run_id))
                await stuck.read()  # the first message, and no other
            async with asyncio.timeout(_SECONDS):
                late = await _latencies(server, run_id)
            grown = (await server.ask())["resident"] - before["resident"]
    percentiles = quantiles(late, n=100)
    return _Round(grown, percentiles[49], percentiles[98])


def _plan(tasks: int) -> str:
    """Outputs that come one after another, so that whoever reads them is never behind for long."""
    ends = (_BEGIN_SECONDS + number / _TASKS_A_SECOND for number in range(tasks))
    lines = (f"{number}. wait({end:.3f}, {_SIZE})\n" for number, end in enumerate(ends, 1))
    return "".join(lines) + f"{tasks + 1}. join($1)"


async def _latencies(server: Served, run_id: str) -> list[float]:
    """How late the events of the outputs come to a watcher that reads."""
    late = []
    async for message in server.runs.WatchRun(v1.WatchRunRequest(run_id=run_id)):
        now = time.time_ns()
        late += [
            (now - event.time.ToNanoseconds()) / 1e6 for event in message.events if event.HasField("task_succeeded")
        ]
    return late
