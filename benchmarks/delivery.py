"""Events over gRPC: how fast a watcher in another process gets those of a run, and how soon the first one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from statistics import median, quantiles
from time import perf_counter
from typing import TYPE_CHECKING

from benchmarks.grpc_floor import bare_server
from benchmarks.grpc_server import fan_out, serving
from benchmarks.report import Row
from dovetail import v1
from dovetail.embedding import run_loop

if TYPE_CHECKING:
    from benchmarks.grpc_floor import Floor
    from benchmarks.grpc_server import Served
    from benchmarks.original import Original
    from benchmarks.rounds import Settings

__all__ = ["run"]

# 50,000 events a second.
_PER_EVENT = 20.0
_FIRST = 2.0
_PAUSE = 0.002


def run(settings: Settings, original: Original | None) -> list[Row]:  # noqa: ARG001
    """Measure."""
    return run_loop(lambda: _delivery(settings))


async def _delivery(settings: Settings) -> list[Row]:
    async with serving(profile=settings.profile) as server, bare_server() as floor:
        return [
            *await _bursts(server, floor, 2_000 if settings.quick else 5_000, settings.rounds(12)),
            *await _first_events(server, floor, 150 if settings.quick else 1_000),
        ]


@dataclass(slots=True)
class _Rounds:
    """Microseconds for each event, over some rounds."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)

    def row(self, measure: str) -> Row:
        rate = 1e6 / median(self.wall)
        return Row(
            "delivery",
            measure,
            median(self.wall),
            "µs",
            target=_PER_EVENT,
            cpu=median(self.cpu),
            best=min(self.wall),
            beside="bare stream of the same messages",
            beside_value=median(self.bare),
            note=f"{rate:,.0f} events a second",
        )


async def _bursts(server: Served, floor: Floor, tasks: int, rounds: int) -> list[Row]:
    plan = fan_out(tasks, 'look_up("question {}")')
    alive, ended = _Rounds(), _Rounds()
    for number in range(rounds + 1):
        used, began = await server.cpu(), perf_counter()
        run_id = await server.create(plan, "look_up")
        messages = await server.watch(run_id)
        took, used = perf_counter() - began, await server.cpu() - used
        events = sum(len(message.events) for message in messages)
        sizes = [message.ByteSize() for message in messages]
        _, bare = await floor.stream(sizes)
        again, began = await server.cpu(), perf_counter()
        await server.watch(run_id)
        caught_up, again = perf_counter() - began, await server.cpu() - again
        if number:  # the first one opens the connections
            for which, wall, cpu in ((alive, took, used), (ended, caught_up, again)):
                which.wall.append(wall / events * 1e6)
                which.cpu.append(cpu / events * 1e6)
                which.bare.append(bare / events * 1e6)
    return [
        alive.row(f"an event to one watcher, run of {tasks:,} no-op tasks from CreateRun to its end"),
        ended.row(f"an event to one watcher, catching up with an ended run of {tasks:,} tasks"),
    ]


async def _first_events(server: Served, floor: Floor, count: int) -> list[Row]:
    plan = '1. look_up("it")\n2. join($1)'
    request = v1.CreateRunRequest(question=plan, tools=["look_up"])
    streamed, watched, bare_stream, bare_both = [], [], [], []
    for _ in range(count):
        await asyncio.sleep(_PAUSE)
        began, first = perf_counter(), 0.0
        async for stream_message in server.runs.StreamRun(iter([v1.StreamRunRequest(start=request)])):
            if stream_message.events and not first:
                first = perf_counter() - began
        streamed.append(first * 1e3)
        await asyncio.sleep(_PAUSE)
        began, first = perf_counter(), 0.0
        run_id = (await server.runs.CreateRun(request)).run.run_id
        async for _ in server.runs.WatchRun(v1.WatchRunRequest(run_id=run_id)):
            first = first or perf_counter() - began
        watched.append(first * 1e3)
        await asyncio.sleep(_PAUSE)
        first, _ = await floor.stream([300, 300])
        bare_stream.append(first * 1e3)
        await asyncio.sleep(_PAUSE)
        unary = await floor.echo(request.ByteSize(), 200)
        first, _ = await floor.stream([300, 300])
        bare_both.append((unary + first) * 1e3)
    rows = []
    for name, took, beside, bare in (
        ("StreamRun", streamed, "bare stream", bare_stream),
        ("CreateRun, then WatchRun", watched, "bare echo, then bare stream", bare_both),
    ):
        for percentile, which in (("p50", 49), ("p99", 98)):
            rows.append(
                Row(
                    "delivery",
                    f"{name}: request -> first event, low load, {percentile} of {count:,}",
                    quantiles(took, n=100)[which],
                    "ms",
                    target=_FIRST,
                    beside=beside,
                    beside_value=quantiles(bare, n=100)[which],
                )
            )
    return rows
