"""From the closing parenthesis to the tool, and what the engine adds to tasks that do nothing."""

from __future__ import annotations

import asyncio
from statistics import median, quantiles
from time import perf_counter
from typing import TYPE_CHECKING

from benchmarks.paced_model import PacedModel, ReadyReply
from benchmarks.plans import Plan, pieces
from benchmarks.report import Row
from benchmarks.rounds import measure_async
from dovetail import Engine, Limits, tool
from dovetail.embedding import run_loop

if TYPE_CHECKING:
    from benchmarks.original import Original
    from benchmarks.rounds import Settings

__all__ = ["run"]

_P50, _P99 = 100.0, 1000.0
_PER_TASK = 20.0
_ANSWER = ["Action: Finish(done)"]
# The engine's usual bound on tasks is there to stop a model that has lost its way.
_LIMITS = Limits(max_tasks=None)


def run(settings: Settings, original: Original | None) -> list[Row]:
    """Measure."""
    return [
        *run_loop(lambda: _latency(200 if settings.quick else 2_000)),
        *run_loop(lambda: _overhead(settings, original)),
    ]


async def _latency(tasks: int) -> list[Row]:
    entered: dict[int, float] = {}

    @tool
    async def note(number: int) -> int:
        """Note the time."""
        entered[number] = perf_counter()
        return number

    # Half a millisecond of silence before each parenthesis: the loop is idle when it comes.
    schedule: list[tuple[float, str, list[int]]] = []
    for number in range(1, tasks + 1):
        schedule += [(0.0, f"{number}. note({number}", []), (0.0005, ")", [number]), (0.0, "\n", [])]
    schedule.append((0.0, f"{tasks + 1}. join()", []))
    model = PacedModel(schedule)
    async with Engine([note], model, joiner=ReadyReply(_ANSWER), limits=_LIMITS) as engine:
        await engine.start("How long does it take?").answer()
    took = [(entered[number] - fed) * 1e6 for number, fed in model.fed.items()]
    floor = await _create_task_latency(tasks)
    rows = []
    for name, target, which in (("p50", _P50, 49), ("p99", _P99, 98)):
        rows.append(
            Row(
                "dispatch",
                f"closing parenthesis fed -> tool entered, {name} of {tasks:,}",
                quantiles(took, n=100)[which],
                "µs",
                target=target,
                beside="asyncio.create_task -> entered",
                beside_value=quantiles(floor, n=100)[which],
            )
        )
    return rows


async def _create_task_latency(count: int) -> list[float]:
    took: list[float] = []

    async def enter(began: float) -> None:
        took.append((perf_counter() - began) * 1e6)

    for _ in range(count):
        await asyncio.sleep(0.0005)
        await asyncio.create_task(enter(perf_counter()))
    return took


async def _overhead(settings: Settings, original: Original | None) -> list[Row]:
    async def nothing() -> int:
        return 1

    async def floor() -> None:
        for _ in range(5_000):
            await asyncio.create_task(nothing())

    floor_rounds = await measure_async(floor, things=5_000, rounds=settings.rounds(9))
    beside = ("asyncio.create_task, awaited", floor_rounds.wall * 1e6)
    rows = []
    for shape, tasks, rounds in (("chain", 500, 21), ("fan-out", 5_000, 7)):
        text = "".join(
            f'{one}. noop("${one - 1}")\n' if shape == "chain" and one > 1 else f'{one}. noop("a")\n'
            for one in range(1, tasks + 1)
        )
        text += f"{tasks + 1}. join()"
        for name, cut, followed in (
            ("plan in one piece", [text], False),
            ("plan in pieces of 4", pieces(text), False),
            ("plan in pieces of 4, every event read", pieces(text), True),
        ):
            measured = await _noop_run(cut, tasks, settings.rounds(rounds), followed=followed)
            rows.append(
                Row(
                    "dispatch",
                    f"no-op task, {shape} of {tasks:,}, {name}",
                    measured[0] * 1e6,
                    "µs",
                    target=_PER_TASK,
                    cpu=measured[1] * 1e6,
                    best=measured[2] * 1e6,
                    beside=beside[0],
                    beside_value=beside[1],
                )
            )
    if original is not None:
        rows.append(_original_hop(original, 30 if settings.quick else 100))
    return rows


async def _noop_run(cut: list[str], tasks: int, rounds: int, *, followed: bool) -> tuple[float, float, float]:
    @tool
    async def noop(x: str) -> str:  # noqa: ARG001
        """Do nothing."""
        return "y"

    async with Engine([noop], ReadyReply(cut), joiner=ReadyReply(_ANSWER), limits=_LIMITS) as engine:

        async def one_run() -> None:
            run = engine.start("How much is it?")
            if followed:
                async for _ in run.events():
                    pass
            await run.answer()

        measured = await measure_async(one_run, things=tasks, rounds=rounds)
    return measured.wall, measured.cpu, measured.best


def _original_hop(original: Original, length: int) -> Row:
    """The original's scheduler, its whole plan at hand, in a chain of tasks that take no time."""
    plan = Plan("chain", [(0, [one] if one else []) for one in range(length)], pace=0.0)
    took = []
    for _ in range(3):
        run = original.run(plan)
        took.append((run.entered[-1] - run.entered[0]) / (length - 1))
    return Row("dispatch", f"original: a hop in a chain of {length} no-op tasks", median(took) * 1e6, "µs")
