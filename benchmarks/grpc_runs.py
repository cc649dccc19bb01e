"""Whole runs over gRPC: 8 calls in the server's process, a model that needs no time, 100 runs in flight."""

from __future__ import annotations

import asyncio
from statistics import median
from time import perf_counter, process_time
from typing import TYPE_CHECKING

from benchmarks.grpc_floor import bare_server
from benchmarks.grpc_server import Echo, fan_out, look_up, serving
from benchmarks.report import Row
from dovetail import Engine, v1
from dovetail.embedding import run_loop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from benchmarks.grpc_floor import Floor
    from benchmarks.grpc_server import Served
    from benchmarks.original import Original
    from benchmarks.rounds import Settings

__all__ = ["run"]

_CALLS = 8
_IN_FLIGHT = 100
# 500 and 1,000 runs a second of one processor.
_SERVED, _EMBEDDED = 2.0, 1.0
_PLAN = fan_out(_CALLS, 'look_up("question {}")')


def run(settings: Settings, original: Original | None) -> list[Row]:  # noqa: ARG001 - it needs a model of langchain's
    """Measure."""
    runs = 300 if settings.quick else 2_000
    rounds = settings.rounds(12)
    return [
        *run_loop(lambda: _served(runs, rounds, profile=settings.profile)),
        run_loop(lambda: _embedded(runs, rounds)),
    ]


async def _served(runs: int, rounds: int, *, profile: bool) -> list[Row]:
    async with serving(profile=profile) as server, bare_server() as floor:
        request = v1.CreateRunRequest(question=_PLAN, tools=["look_up"])

        async def stream() -> None:
            async for message in server.runs.StreamRun(iter([v1.StreamRunRequest(start=request)])):
                last = message
            _check(last.events[-1])

        async def create_and_watch() -> None:
            _check((await server.watch(await server.create(_PLAN, "look_up")))[-1].events[-1])

        sizes = [message.ByteSize() for message in await server.watch(await server.create(_PLAN, "look_up"))]

        async def bare_stream() -> None:
            await floor.stream(sizes)

        async def bare_both() -> None:
            await floor.echo(request.ByteSize(), request.ByteSize())
            await floor.stream(sizes)

        rows = []
        for measure, work, beside, bare in (
            ("StreamRun", stream, "bare stream of the same messages", bare_stream),
            ("CreateRun, then WatchRun", create_and_watch, "bare echo, then stream", bare_both),
        ):
            walls, used, bare_used = [], [], []
            for _ in range(rounds):
                wall, cpu = await _round(server, work, runs)
                walls.append(wall)
                used.append(cpu)
                bare_used.append((await _round(floor, bare, runs))[1])
            rows.append(
                Row(
                    "grpc_runs",
                    f"CPU of the server for a run of {_CALLS} calls, {_IN_FLIGHT} in flight, {measure}",
                    median(used),
                    "ms",
                    target=_SERVED,
                    best=min(used),
                    beside=f"{beside}, CPU",
                    beside_value=median(bare_used),
                    note=f"{1e3 / median(used):,.0f} runs a second a core; {1e3 / median(walls):,.0f} by the clock, "
                    "client beside it",
                )
            )
        return rows


async def _round(server: Served | Floor, work: Callable[[], Awaitable[None]], runs: int) -> tuple[float, float]:
    """Milliseconds for each run: by the wall clock, and of the server's processor time."""
    used, began = await server.cpu(), perf_counter()
    await _in_flight(work, runs)
    return (perf_counter() - began) / runs * 1e3, (await server.cpu() - used) / runs * 1e3


async def _in_flight(work: Callable[[], Awaitable[None]], runs: int) -> None:
    async def lane() -> None:
        for _ in range(runs // _IN_FLIGHT):
            await work()

    await asyncio.gather(*(lane() for _ in range(_IN_FLIGHT)))


async def _embedded(runs: int, rounds: int) -> Row:
    walls, used = [], []
    async with Engine([look_up], Echo()) as engine:

        async def one() -> None:
            await engine.start(_PLAN).answer()

        for _ in range(rounds):
            cpu, began = process_time(), perf_counter()
            await _in_flight(one, runs)
            walls.append((perf_counter() - began) / runs * 1e3)
            used.append((process_time() - cpu) / runs * 1e3)
    return Row(
        "grpc_runs",
        f"CPU of an embedded run of {_CALLS} calls, {_IN_FLIGHT} in flight",
        median(used),
        "ms",
        target=_EMBEDDED,
        best=min(used),
        note=f"{1e3 / median(used):,.0f} runs a second a core",
    )


def _check(last: v1.Event) -> None:
    if last.run_ended.state != v1.RunState.RUN_STATE_ANSWERED:
        raise RuntimeError(f"a run has no answer: {last.run_ended.failure.message}")
