"""What a run does while it waits, and whether it ends when what it waits for will never be there."""

from __future__ import annotations

import asyncio
from statistics import median
from time import perf_counter, process_time
from typing import TYPE_CHECKING

from benchmarks.paced_model import PacedModel, ReadyReply
from benchmarks.report import Row
from dovetail import Engine, tool
from dovetail.embedding import run_loop

if TYPE_CHECKING:
    from benchmarks.original import Original
    from benchmarks.rounds import Settings

__all__ = ["run"]

_SECONDS = 2.0
_PATIENCE = 5.0
_Schedule = list[tuple[float, str, list[int]]]
_RESTING: _Schedule = [(0.0, f"1. rest({_SECONDS * 1000:.0f}, [])\n", [1]), (0.0, "2. join()<END_OF_PLAN>", [2])]
_FAILING: _Schedule = [
    (0.0, "1. fail([])\n", [1]),
    (0.0, '2. rest(10, ["$1"])\n', [2]),
    (0.0, "3. join()<END_OF_PLAN>", [3]),
]


@tool
async def rest(milliseconds: int, inputs: list[str]) -> str:  # noqa: ARG001 - the inputs only order the calls
    """Take so many milliseconds, about."""
    await asyncio.sleep(milliseconds / 1000)
    return "done"


@tool
async def fail(inputs: list[str]) -> str:  # noqa: ARG001
    """Raise."""
    raise ValueError("in vain")


def run(settings: Settings, original: Original | None) -> list[Row]:
    """Measure."""
    rounds = settings.rounds(8)
    resting = [_run(_RESTING) for _ in range(rounds)]
    failing = [_run(_FAILING) for _ in range(rounds)]
    cpu = theirs = None
    note = ""
    if original is not None:
        cpu = median(original.run_text(_RESTING).cpu for _ in range(rounds)) * 1e3
        stopped = original.run_text(_FAILING, _PATIENCE)
        theirs = (stopped.ended - stopped.began) * 1e3
        note = "" if stopped.finished else f"the original did not end; it was stopped after {_PATIENCE:.0f} s"
    return [
        Row(
            "waiting",
            f"processor time of a run whose only tool takes {_SECONDS:.0f} s",
            median(used for _, used in resting) * 1e3,
            "ms",
            best=min(used for _, used in resting) * 1e3,
            beside="original" if cpu is not None else "",
            beside_value=cpu,
        ),
        Row(
            "waiting",
            "a tool raises, and another task needs its output: from the question to the answer",
            median(took for took, _ in failing) * 1e3,
            "ms",
            best=min(took for took, _ in failing) * 1e3,
            beside="original" if theirs is not None else "",
            beside_value=theirs,
            note=note,
        ),
    ]


def _run(schedule: _Schedule) -> tuple[float, float]:
    """How long it took, and how much of it the processor was used, in seconds."""

    async def whole() -> tuple[float, float]:
        async with Engine([rest, fail], PacedModel(schedule), joiner=ReadyReply(["Action: Finish(done)"])) as engine:
            began, used = perf_counter(), process_time()
            await engine.start("How long?").answer()
            return perf_counter() - began, process_time() - used

    return run_loop(whole)
