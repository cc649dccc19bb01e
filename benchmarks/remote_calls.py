"""Remote calls that do nothing: server and executor in a process each, one call at a time and 64."""

from __future__ import annotations

import asyncio
from statistics import median, quantiles
from typing import TYPE_CHECKING

from benchmarks.grpc_executor import executors
from benchmarks.grpc_floor import bare_server
from benchmarks.grpc_server import fan_out, serving
from benchmarks.report import Row
from dovetail import v1
from dovetail.embedding import run_loop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.grpc_floor import Floor
    from benchmarks.grpc_server import Served
    from benchmarks.original import Original
    from benchmarks.process import Process
    from benchmarks.rounds import Settings

__all__ = ["run"]

_AT_ONCE = 64
# Of a bare ping-pong of messages of these sizes: a call down, its result up.
_HOP = 3.0
_DOWN, _UP = 85, 40
# 20,000 calls a second.
_PER_CALL = 50.0
_SERVER_CPU = 40.0
_POLL = 0.02
_SECONDS = 60.0


def run(settings: Settings, original: Original | None) -> list[Row]:  # noqa: ARG001
    """Measure."""
    return run_loop(lambda: _remote_calls(settings))


async def _remote_calls(settings: Settings) -> list[Row]:
    async with (
        serving(profile=settings.profile) as server,
        executors(server.address, places=_AT_ONCE) as executor,
        bare_server() as floor,
    ):
        return [
            *await _one_at_a_time(server, executor, floor, 200 if settings.quick else 1_000, settings.rounds(12)),
            *await _many_at_once(server, executor, floor, 4_000 if settings.quick else 20_000, settings.rounds(12)),
        ]


async def _one_at_a_time(server: Served, executor: Process, floor: Floor, length: int, rounds: int) -> list[Row]:
    lines = (
        f'{number}. no_op("${number - 1}")\n' if number > 1 else "1. no_op(1)\n" for number in range(1, length + 1)
    )
    plan = "".join(lines) + f"{length + 1}. join(${length})"
    hops: list[float] = []
    calls: list[float] = []
    bare: list[float] = []
    await floor.ping_pong(_UP, _DOWN, 10)
    for _ in range(rounds):
        bare += await floor.ping_pong(_UP, _DOWN, length)
        made = await _made(executor)
        run_id = await server.create(plan, "no_op")
        await _carried_out(executor, made + length)
        ready: dict[int, float] = {}
        started: dict[int, float] = {}
        for event in _events(await server.watch(run_id)):
            moment = event.time.ToNanoseconds() / 1e3
            if event.HasField("task_ready"):
                ready[event.task_ready.task_id] = moment
            elif event.HasField("call_started"):
                started[event.call_started.task_id] = moment
            elif event.HasField("task_succeeded"):
                hops.append(moment - ready[event.task_succeeded.task_id])
                calls.append(moment - started[event.task_succeeded.task_id])
    floors = quantiles((one * 1e6 for one in bare), n=100)
    rows = []
    for measure, took, target in (
        ("task ready -> executor -> output in the machine, next task ready", hops, _HOP * floors[49]),
        ("of this, call given to the executor -> output", calls, None),
    ):
        for percentile, which in (("p50", 49), ("p99", 98)):
            rows.append(
                Row(
                    "remote_calls",
                    f"one at a time: {measure}, {percentile} of {len(took):,}",
                    quantiles(took, n=100)[which],
                    "µs",
                    target=target if percentile == "p50" else None,
                    beside="bare bidirectional ping-pong",
                    beside_value=floors[which],
                )
            )
    return rows


async def _many_at_once(server: Served, executor: Process, floor: Floor, calls: int, rounds: int) -> list[Row]:
    plan = fan_out(calls, "no_op({})")
    rows = []
    bare_wall, bare_cpu = await floor.ping_pong_at_once(_UP, _DOWN, calls, _AT_ONCE)
    for how in ("nobody watching", "every event watched"):
        walls, server_cpu, executor_cpu = [], [], []
        for _ in range(rounds):
            made, executor_used, used = await _made(executor), await executor.cpu(), await server.cpu()
            run_id = await server.create(plan, "no_op", v1.Limits(max_parallel_calls=_AT_ONCE))
            if how == "nobody watching":
                await _carried_out(executor, made + calls)
            else:
                await server.watch(run_id)
            used = await server.cpu() - used
            executor_cpu.append((await executor.cpu() - executor_used) / calls * 1e6)
            server_cpu.append(used / calls * 1e6)
            times = [event.time.ToNanoseconds() for event in _events(await server.watch(run_id))]
            walls.append((times[-1] - times[0]) / calls / 1e3)
        rows += [
            Row(
                "remote_calls",
                f"{_AT_ONCE} in flight, {how}: a call, run of {calls:,}",
                median(walls),
                "µs",
                target=_PER_CALL,
                best=min(walls),
                beside="bare ping-pong, as many in flight",
                beside_value=bare_wall * 1e6,
                note=f"{1e6 / median(walls):,.0f} calls a second",
            ),
            Row(
                "remote_calls",
                f"{_AT_ONCE} in flight, {how}: CPU of the server for a call",
                median(server_cpu),
                "µs",
                target=_SERVER_CPU,
                best=min(server_cpu),
                beside="of the bare server",
                beside_value=bare_cpu * 1e6,
                note=f"of the executor {median(executor_cpu):.1f} µs",
            ),
        ]
    return rows


async def _carried_out(executor: Process, calls: int) -> None:
    """Wait until so many calls were made. Asks the executor: nobody watches, and the server does nothing else."""
    async with asyncio.timeout(_SECONDS):
        while await _made(executor) < calls:  # noqa: ASYNC110
            await asyncio.sleep(_POLL)
    await asyncio.sleep(_POLL)


async def _made(executor: Process) -> int:
    return sum((await executor.ask())["calls"].values())


def _events(messages: list[v1.WatchRunResponse]) -> Iterator[v1.Event]:
    for message in messages:
        yield from message.events
