"""The plan machine from Python, piece by piece, beside an empty call into Rust and the original's parser."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from benchmarks.plans import flat, flat_json, pieces
from benchmarks.report import Row
from benchmarks.rounds import measure
from dovetail import _core

if TYPE_CHECKING:
    from benchmarks.original import Original
    from benchmarks.rounds import Rounds, Settings

__all__ = ["run"]

_TOOLS = [
    {
        "name": "search",
        "description": "Find an article.",
        "inputSchema": {
            "type": "object",
            "properties": {"query": {"type": "string"}},
            "required": ["query"],
            "additionalProperties": False,
        },
    }
]
_PER_PIECE = 0.5
# The original's parser takes minutes beyond.
_ORIGINAL_TASKS = 10_000
_STRING_BYTES = 10_000_000


def run(settings: Settings, original: Original | None) -> list[Row]:
    """Measure."""
    tools = _core.ToolSet(json.dumps(_TOOLS))
    empty = _empty_call(tools)
    rows = [
        Row(
            "parser",
            "an empty call into Rust (the floor)",
            empty.wall * 1e6,
            "µs",
            cpu=empty.cpu * 1e6,
            best=empty.best * 1e6,
        )
    ]
    sizes = (10, 100, 1_000, 10_000, 100_000)
    rows += [_plan(tools, tasks, empty, settings, original) for tasks in sizes]
    rows += [_json_plan(tools, tasks, empty, settings) for tasks in (10, 1_000, 100_000)]
    return rows + _string(tools, settings)


def _empty_call(tools: _core.ToolSet) -> Rounds:
    machine = _core.Machine(tools)
    count = 100_000

    def work() -> None:
        for _ in range(count):
            machine.answer()

    return measure(work, things=count, rounds=9)


def _read(tools: _core.ToolSet, cut: list[str], tasks: int, settings: Settings) -> Rounds:
    """How long a piece of a plan takes."""
    repeats = max(1, 20_000 // len(cut))

    def work() -> None:
        for _ in range(repeats):
            machine = _core.Machine(tools)
            planned = 0
            for piece in cut:
                planned += len(machine.feed(piece))
            if planned < 2 * tasks:
                raise RuntimeError(f"{planned} steps of a plan of {tasks} tasks")

    return measure(work, things=repeats * len(cut), rounds=settings.rounds(8))


def _plan(tools: _core.ToolSet, tasks: int, empty: Rounds, settings: Settings, original: Original | None) -> Row:
    cut = pieces(flat(tasks))
    rounds = _read(tools, cut, tasks, settings)
    theirs = None
    if original is not None and tasks <= (1_000 if settings.quick else _ORIGINAL_TASKS):
        theirs = original.parse(cut) * 1e6
    return Row(
        "parser",
        f"a piece of 4 characters beyond the floor, plan of {tasks:,} tasks",
        (rounds.wall - empty.wall) * 1e6,
        "µs",
        target=_PER_PIECE,
        cpu=(rounds.cpu - empty.cpu) * 1e6,
        best=(rounds.best - empty.best) * 1e6,
        beside="original" if theirs is not None else "",
        beside_value=theirs,
    )


def _json_plan(tools: _core.ToolSet, tasks: int, empty: Rounds, settings: Settings) -> Row:
    rounds = _read(tools, pieces(flat_json(tasks)), tasks, settings)
    return Row(
        "parser",
        f"a piece of 4 characters beyond the floor, plan of {tasks:,} tasks in JSON",
        (rounds.wall - empty.wall) * 1e6,
        "µs",
        target=_PER_PIECE,
        cpu=(rounds.cpu - empty.cpu) * 1e6,
        best=(rounds.best - empty.best) * 1e6,
    )


def _string(tools: _core.ToolSet, settings: Settings) -> list[Row]:
    """One long string argument: the time of a megabyte must be the same in one and in ten."""

    def took(size: int, cut_to: int) -> float:
        cut = pieces(f'1. search("{"x" * size}")\n', cut_to)

        def work() -> None:
            machine = _core.Machine(tools)
            for piece in cut:
                machine.feed(piece)

        return measure(work, things=1, rounds=settings.rounds(8)).cpu * 1e3 / (size / 1e6)

    rows = []
    for name, cut_to in (("whole", _STRING_BYTES * 2), ("in pieces of 4 KB", 4096), ("in pieces of 4", 4)):
        small, large = took(_STRING_BYTES // 10, cut_to), took(_STRING_BYTES, cut_to)
        row = Row(
            "parser",
            f"a megabyte of a string argument of 10 MB, {name}, CPU",
            large,
            "ms",
            # Linear, with room for caches and noise.
            target=2 * small,
            beside="of 1 MB",
            beside_value=small,
            note=f"{1000 / large:,.0f} MB/s",
        )
        rows.append(row)
    return rows
