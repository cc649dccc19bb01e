"""Whole embedded runs: 8 calls and a joiner, with models that need no time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from benchmarks.paced_model import ReadyReply
from benchmarks.plans import pieces
from benchmarks.report import Row
from benchmarks.rounds import measure_async
from dovetail import Engine, tool
from dovetail.embedding import run_loop

if TYPE_CHECKING:
    from benchmarks.original import Original
    from benchmarks.rounds import Settings

__all__ = ["run"]

_CALLS = 8
_RUNS = 200


@tool
async def look_up(query: str) -> str:
    """Look something up."""
    return query


def run(settings: Settings, original: Original | None) -> list[Row]:  # noqa: ARG001 - it needs a model of langchain's
    """Measure."""
    return run_loop(lambda: _runs(settings))


async def _runs(settings: Settings) -> list[Row]:
    text = "Thought: all at once.\n"
    text += "".join(f'{one}. look_up("question {one}")\n' for one in range(1, _CALLS + 1))
    plan = pieces(f"{text}{_CALLS + 1}. join()<END_OF_PLAN>")
    reply = pieces("Thought: they say it.\nAction: Finish(It is forty-two.)")
    rows = []
    async with Engine([look_up], ReadyReply(plan), joiner=ReadyReply(reply)) as engine:

        async def one() -> None:
            await engine.start("How many?").answer()

        for at_once in (1, 32):

            async def many(at_once: int = at_once) -> None:
                for _ in range(_RUNS // at_once):
                    await asyncio.gather(*(one() for _ in range(at_once)))

            count = _RUNS // at_once * at_once
            rounds = await measure_async(many, things=count, rounds=settings.rounds(12))
            rows.append(
                Row(
                    "runs",
                    f"a run of {_CALLS} calls and a joiner, {len(plan) + len(reply)} pieces, {at_once} at a time",
                    rounds.wall * 1e3,
                    "ms",
                    cpu=rounds.cpu * 1e3,
                    best=rounds.best * 1e3,
                    note=f"{1 / rounds.cpu:,.0f} runs a second of processor time",
                )
            )
    return rows
