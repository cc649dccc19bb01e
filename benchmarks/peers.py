"""Runs of the same tools beside agents that take turns: LangGraph, pydantic-ai, OpenAI's Agents SDK, and a bare loop.

Every model needs the same time to its first piece and for each further one, and writes what its side has to write: a
plan here, requests of calls there. The peers' model is as good as one can be that takes turns: in each it asks for all
calls whose inputs exist. The bare loop does nothing but that: what no framework that waits for the end of a turn can be
faster than. Dovetail's own turns are its strategy ``tool-calls`` with the same script: there a call begins once the
model has written it.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any

from benchmarks.driven import Driven
from benchmarks.makespan import wait
from benchmarks.paced_model import PacedModel, PacedTurns
from benchmarks.plans import Plan, chain, diamond, fan_out, pieces, skewed
from benchmarks.report import Row
from dovetail import Engine
from dovetail.embedding import run_loop

if TYPE_CHECKING:
    from benchmarks.original import Original
    from benchmarks.rounds import Settings

__all__ = ["run"]

_DRIVER = Path(__file__).with_name("peer_driver.py")
_FIRST_SECONDS = 0.2
_ANSWER, _VERDICT = "done", "Action: Finish(done)"
_WIDTH = 100
_BARE = "a bare loop of turns"
_TURNS = "Dovetail's own turns"


def run(settings: Settings, original: Original | None) -> list[Row]:  # noqa: ARG001 - it has a row in makespan
    """Measure."""
    driven = None if settings.peers is None else Driven("a peer", _DRIVER, settings.peers)
    try:
        if driven is not None and not driven.greeting:
            raise RuntimeError(f"{settings.peers} has no framework to measure; see benchmarks/README.md")
        # What is imported at the first run is no part of any other.
        _rows(Plan("warm-up", [(0, [])]), driven, 1)
        rows = []
        for plan in (fan_out(8), diamond(), skewed(), chain(5)):
            rows += _rows(plan, driven, settings.rounds(5))
        return rows + _overhead(driven, settings.rounds(20))
    finally:
        if driven is not None:
            driven.close()


def _rows(plan: Plan, driven: Driven | None, rounds: int) -> list[Row]:
    ours: list[float] = []
    theirs: dict[str, list[float]] = {}
    turns = _turns(plan)
    seconds = [_FIRST_SECONDS + plan.pace * _pieces(calls) for calls in turns]
    # By turns, so that what else the machine does disturbs all alike.
    for _ in range(rounds):
        ours.append(run_loop(lambda: _ours(plan, _FIRST_SECONDS))[0])
        theirs.setdefault(_BARE, []).append(run_loop(lambda: _bare(turns, seconds))[0])
        theirs.setdefault(_TURNS, []).append(run_loop(lambda: _own_turns(turns, plan.pace, _FIRST_SECONDS))[0])
        for name, told in _asked(driven, turns, seconds, 1).items():
            theirs.setdefault(name, []).extend(told["wall"])
    return [
        Row(
            "peers",
            f"{plan.name}, from the question to the answer",
            median(ours) * 1e3,
            "ms",
            best=min(ours) * 1e3,
            beside=name,
            beside_value=median(took) * 1e3,
            note=f"model calls: 2 here, {len(turns)} there",
        )
        for name, took in theirs.items()
    ]


def _overhead(driven: Driven | None, rounds: int) -> list[Row]:
    """Calls that do nothing, all at once, by a model that needs no time: what is left is the framework."""
    plan = Plan("", [(0, [])] * _WIDTH, pace=0.0)
    turns = _turns(plan)
    seconds = [0.0 for _ in turns]
    ours = [run_loop(lambda: _ours(plan, 0.0)) for _ in range(rounds)]
    theirs = {name: told["cpu"] for name, told in _asked(driven, turns, seconds, rounds).items()}
    theirs[_BARE] = [run_loop(lambda: _bare(turns, seconds))[1] for _ in range(rounds)]
    theirs[_TURNS] = [run_loop(lambda: _own_turns(turns, 0.0, 0.0))[1] for _ in range(rounds)]
    wall, cpu = median(took for took, _ in ours), median(used for _, used in ours)
    return [
        Row(
            "peers",
            f"processor time of a no-op call, of {_WIDTH} at once, the run's own shared among them",
            cpu * 1e6 / _WIDTH,
            "µs",
            best=min(used for _, used in ours) * 1e6 / _WIDTH,
            beside=name,
            beside_value=median(took) * 1e6 / _WIDTH,
            note=f"by the clock {wall * 1e6 / _WIDTH:.1f} µs",
        )
        for name, took in theirs.items()
    ]


def _asked(
    driven: Driven | None, turns: list[list[dict[str, Any]]], seconds: list[float], runs: int
) -> dict[str, dict[str, list[float]]]:
    if driven is None:
        return {}
    request = {"do": "run", "turns": turns, "seconds": seconds, "runs": runs}
    return {f"{name} {version}": driven.ask({**request, "peer": name}) for name, version in driven.greeting.items()}


def _turns(plan: Plan) -> list[list[dict[str, Any]]]:
    """The calls of each turn of a model that asks for all it can; the last turn answers and calls nothing."""
    depths: list[int] = []
    for _, inputs in plan.calls:
        depths.append(1 + max((depths[one - 1] for one in inputs), default=-1))
    turns: list[list[dict[str, Any]]] = [[] for _ in range(max(depths) + 2)]
    for depth, (milliseconds, inputs) in zip(depths, plan.calls, strict=True):
        turns[depth].append({"milliseconds": milliseconds, "inputs": [_ANSWER for _ in inputs]})
    return turns


def _pieces(calls: list[dict[str, Any]]) -> int:
    """How many pieces a model writes to ask for calls, or to answer."""
    return len(pieces("".join(map(_asked_for, calls)) or _ANSWER))


def _asked_for(arguments: dict[str, Any]) -> str:
    return f"wait{json.dumps(arguments)}"


async def _ours(plan: Plan, first: float) -> tuple[float, float]:
    schedule = plan.schedule()
    schedule[0] = (schedule[0][0] + first, *schedule[0][1:])
    verdict: list[tuple[float, str, list[int]]] = [(plan.pace, text, []) for text in pieces(_VERDICT)]
    verdict[0] = (first + plan.pace, *verdict[0][1:])
    async with Engine([wait], PacedModel(schedule), joiner=PacedModel(verdict)) as engine:
        began, used = perf_counter(), process_time()
        await engine.start("How long?").answer()
        return perf_counter() - began, process_time() - used


async def _own_turns(turns: list[list[dict[str, Any]]], pace: float, first: float) -> tuple[float, float]:
    paced = []
    for calls in turns[:-1]:
        # Cut as the turn is: the pieces of a call are those that begin in it.
        ends = [_pieces(calls[: number + 1]) for number in range(len(calls))]
        took = [pace * (end - begun) for begun, end in zip([0, *ends], ends, strict=False)]
        took[0] += first
        paced.append([(json.dumps(arguments), seconds) for arguments, seconds in zip(calls, took, strict=True)])
    model = PacedTurns("wait", paced, (_ANSWER, first + pace * _pieces([])))
    async with Engine([wait], model, strategy="tool-calls") as engine:
        began, used = perf_counter(), process_time()
        await engine.start("How long?").answer()
        return perf_counter() - began, process_time() - used


async def _bare(turns: list[list[dict[str, Any]]], seconds: list[float]) -> tuple[float, float]:
    began, used = perf_counter(), process_time()
    for calls, taken in zip(turns, seconds, strict=True):
        if taken:
            await asyncio.sleep(taken)
        await asyncio.gather(*(wait.function(**arguments) for arguments in calls))
    return perf_counter() - began, process_time() - used
