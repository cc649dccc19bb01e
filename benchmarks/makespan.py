"""How long runs of 50 ms tools take, over the ideal of the feeding times that were observed in the same run."""

from __future__ import annotations

import asyncio
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING

from benchmarks.paced_model import PacedModel, ReadyReply
from benchmarks.plans import Plan, chain, diamond, fan_out, random_graph, silent, skewed
from benchmarks.report import Row
from dovetail import Engine, tool
from dovetail.embedding import run_loop

if TYPE_CHECKING:
    from benchmarks.original import Original
    from benchmarks.rounds import Settings

__all__ = ["run"]

_OVER_IDEAL = 1.02
_TASKS = 200
# Timers of event loops are good to a millisecond; the rest is waited for in turns of the loop.
_TIMER_SECONDS = 0.002


@tool
async def wait(milliseconds: int, inputs: list[str]) -> str:  # noqa: ARG001 - the inputs only order the calls
    """Take so many milliseconds, to a few microseconds."""
    ends = perf_counter() + milliseconds / 1000
    await asyncio.sleep(max(0.0, milliseconds / 1000 - _TIMER_SECONDS))
    while perf_counter() < ends:  # noqa: ASYNC110 - a clock is what is waited for
        await asyncio.sleep(0)
    return "done"


def run(settings: Settings, original: Original | None) -> list[Row]:
    """Measure."""
    rows = []
    for plan in (fan_out(8), chain(5), diamond(), skewed(), silent()):
        plans = [plan] * settings.rounds(8)
        rows.append(_row(f"{plan.name}, over its ideal", plans, plans[:3], original))
    graphs = [random_graph(_TASKS, seed) for seed in range(5 if settings.quick else 20)]
    ours = [_over_ideal(plan) for plan in graphs]
    theirs = [_original_over_ideal(original, plan) for plan in graphs] if original is not None else []
    for name, pick in (("median", median), ("worst", max)):
        rows.append(
            Row(
                "makespan",
                f"{len(graphs)} random graphs of {_TASKS}, over their ideals, {name}",
                pick(ours),
                "",
                target=_OVER_IDEAL,
                best=min(ours),
                beside="original" if theirs else "",
                beside_value=pick(theirs) if theirs else None,
            )
        )
    return rows


def _row(measure: str, plans: list[Plan], original_plans: list[Plan], original: Original | None) -> Row:
    ours = [_over_ideal(plan) for plan in plans]
    theirs = None
    if original is not None:
        theirs = median(_original_over_ideal(original, plan) for plan in original_plans)
    return Row(
        "makespan",
        measure,
        median(ours),
        "",
        target=_OVER_IDEAL,
        best=min(ours),
        beside="original" if theirs is not None else "",
        beside_value=theirs,
    )


def _over_ideal(plan: Plan) -> float:
    """The whole run, from the question to the answer of a joiner that needs no time."""

    async def whole() -> float:
        model = PacedModel(plan.schedule())
        async with Engine([wait], model, joiner=ReadyReply(["Action: Finish(done)"])) as engine:
            began = perf_counter()
            await engine.start("How long?").answer()
            ended = perf_counter()
        return (ended - began) / (plan.ideal(model.fed) - began)

    return run_loop(whole)


def _original_over_ideal(original: Original, plan: Plan) -> float:
    """The original's parser and scheduler alone: it asks no joiner here."""
    run = original.run(plan)
    return (run.ended - run.began) / (plan.ideal(run.fed) - run.began)
