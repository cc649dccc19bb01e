"""Ten thousand runs in flight that wait on slow tools: their memory, an idle server, and how late events come."""

from __future__ import annotations

import asyncio
import time
from statistics import quantiles
from typing import TYPE_CHECKING

from benchmarks.grpc_server import serving
from benchmarks.report import Row
from dovetail import v1
from dovetail.embedding import run_loop

if TYPE_CHECKING:
    from benchmarks.grpc_server import Served
    from benchmarks.original import Original
    from benchmarks.rounds import Settings

__all__ = ["run"]

_MEMORY = 20.0
_LATENCY = 250.0
# Of a second: what is left of an idle server's time for heartbeats, keepalive and this question.
_IDLE = 10.0
_LANES = 64
_WATCHERS = 500
_PAGE = 1_000
_LATE_SECONDS = 120.0


def run(settings: Settings, original: Original | None) -> list[Row]:  # noqa: ARG001
    """Measure."""
    return run_loop(lambda: _many_runs(settings))


async def _many_runs(settings: Settings) -> list[Row]:
    # Long enough for all to be created and for the server to be idle for a while before the first one ends.
    runs, begin, spread, idle = (2_000, 6.0, 1.0, 2.0) if settings.quick else (10_000, 40.0, 5.0, 10.0)
    async with serving(profile=settings.profile) as server:
        await server.watch(await server.create(_plan(0.0), "wait"))  # what the first run brings along stays
        before, began = await server.ask(), time.monotonic()
        names = await _create(server, runs, began + begin, spread)
        took = time.monotonic() - began
        created = await server.ask()
        own = await _event_bytes(server, names[0])
        memory = (created["resident"] - before["resident"]) / runs - own
        began, used = time.monotonic(), await server.cpu()
        await asyncio.sleep(idle)
        idle_cpu = (await server.cpu() - used) / (time.monotonic() - began) * 1e3
        latencies = [one for watched in await _watch(server, names) for one in watched]
        lost = runs - await _answered(server, set(names))
    count = f"{runs:,} runs in flight"
    return [
        Row(
            "many_runs",
            f"{count}: memory of the server for each, beyond its events",
            memory / 1000,
            "kB",
            target=_MEMORY,
            note=f"events {own / 1000:.1f} kB; {created['tasks'] / runs:.1f} asyncio tasks a run; "
            f"created in {took:.0f} s, {(created['cpu'] - before['cpu']) / runs * 1e3:.2f} ms of CPU each",
        ),
        Row("many_runs", f"{count}: CPU of the idle server in a second", idle_cpu, "ms", target=_IDLE),
        *(
            Row(
                "many_runs",
                f"{count}, all ending within {spread:g} s: event recorded -> at its watcher, {percentile}",
                quantiles(latencies, n=100)[which],
                "ms",
                target=_LATENCY if percentile == "p99" else None,
                note=f"{_WATCHERS} watchers of a run each",
            )
            for percentile, which in (("p50", 49), ("p99", 98))
        ),
        Row("many_runs", f"{count}: lost", lost, "", target=0),
    ]


def _plan(seconds: float) -> str:
    return f"1. wait({seconds:.3f})\n2. join($1)"


async def _create(server: Served, runs: int, first_end: float, spread: float) -> list[str]:
    names = [""] * runs

    async def lane(first: int) -> None:
        for number in range(first, runs, _LANES):
            seconds = first_end + spread * number / runs - time.monotonic()
            names[number] = await server.create(_plan(max(seconds, 0.0)), "wait")

    await asyncio.gather(*(lane(first) for first in range(_LANES)))
    return names


async def _event_bytes(server: Served, run_id: str) -> int:
    """How large the events of a run that waits are."""
    last = (await server.runs.GetRun(v1.GetRunRequest(run_id=run_id))).run.last_sequence
    watching = server.runs.WatchRun(v1.WatchRunRequest(run_id=run_id))
    size = 0
    async for message in watching:
        size += sum(event.ByteSize() for event in message.events)
        if message.events[-1].sequence >= last:
            break
    watching.cancel()
    return size


async def _watch(server: Served, names: list[str]) -> list[list[float]]:
    """Follow some of the runs to their ends: of each event that comes, after how many milliseconds."""

    async def one(run_id: str) -> list[float]:
        last = (await server.runs.GetRun(v1.GetRunRequest(run_id=run_id))).run.last_sequence
        took = []
        request = v1.WatchRunRequest(run_id=run_id, after_sequence=last)
        async for message in server.runs.WatchRun(request):
            now = time.time_ns()
            took += [(now - event.time.ToNanoseconds()) / 1e6 for event in message.events]
        return took

    async with asyncio.timeout(_LATE_SECONDS):
        return await asyncio.gather(*(one(run_id) for run_id in names[:: max(1, len(names) // _WATCHERS)]))


async def _answered(server: Served, names: set[str]) -> int:
    """How many of the runs have their answer, once none is on its way any more."""
    async with asyncio.timeout(_LATE_SECONDS):
        while await _in_state(server, v1.RunState.RUN_STATE_RUNNING):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    return len(names & await _in_state(server, v1.RunState.RUN_STATE_ANSWERED))


async def _in_state(server: Served, state: v1.RunState) -> set[str]:
    found: set[str] = set()
    token = ""
    while True:
        request = v1.ListRunsRequest(page_size=_PAGE, states=[state], page_token=token)
        page = await server.runs.ListRuns(request)
        found.update(one.run_id for one in page.runs)
        token = page.next_page_token
        if not token:
            return found
