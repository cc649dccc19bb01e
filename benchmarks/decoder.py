"""From the bytes of a model's server to ready tasks, beside the SDK's own objects on the same server."""

from __future__ import annotations

import json
from contextlib import aclosing
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

import httpx2
import openai

from benchmarks.report import Row
from benchmarks.rounds import Rounds, measure, measure_async
from benchmarks.stream_server import events, serving
from dovetail import _core
from dovetail.embedding import run_loop
from dovetail.models.openai import OpenAIModel

if TYPE_CHECKING:
    from benchmarks.original import Original
    from benchmarks.rounds import Settings
    from dovetail.models.protocol import Message

__all__ = ["run"]

_OWN, _WHOLE_PATH = 2.0, 15.0
_TOOLS = [
    {
        "name": "search",
        "description": "",
        "inputSchema": {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]},
    }
]


def run(settings: Settings, original: Original | None) -> list[Row]:  # noqa: ARG001 - it decodes nothing itself
    """Measure."""
    return _alone(settings) + run_loop(lambda: _whole_path(settings))


def _alone(settings: Settings) -> list[Row]:
    single = events(1_000)
    whole = b"".join(single)
    reads = [whole[start : start + 65_536] for start in range(0, len(whole), 65_536)]

    def decode(chunks: list[bytes]) -> None:
        decoder = _core.SseDecoder()
        for chunk in chunks:
            decoder.feed(chunk)
        if not decoder.done:
            raise RuntimeError("the stream was not decoded to its end")

    def parse() -> None:
        for chunk in single[:-1]:
            json.loads(chunk[6:])

    floor = measure(parse, things=len(single), rounds=settings.rounds(16)).wall * 1e6
    rows = []
    for name, chunks in (("one event a read", single), ("reads of 64 KB", reads)):
        rounds = measure(partial(decode, chunks), things=len(single), rounds=settings.rounds(40))
        measure_name = f"SseDecoder.feed, an event of {len(single[9])} bytes, {name}"
        rows.append(_row(measure_name, rounds, _OWN, "json.loads of it", floor))
    return rows


async def _whole_path(settings: Settings) -> list[Row]:
    rows = []
    for name, path, tasks, rounds in (
        ("64 KB a write", "bulk", 500, 8),
        ("each event an HTTP chunk", "events", 300, 8),
        ("one event a write, 1 ms apart", "paced", 60, 6),
    ):
        with serving(tasks) as address:
            ours, alone, theirs = await _three(f"{address}/{path}/v1", tasks, settings.rounds(rounds))
        rows.append(
            Row(
                "decoder",
                f"SSE bytes -> ready task, CPU a chunk, {name}",
                ours,
                "µs",
                # The target is of a stream in bulk; waking up the loop and httpx2 costs more than that already.
                target=None if path == "paced" else _WHOLE_PATH,
                beside="openai AsyncStream",
                beside_value=theirs,
                note=f"httpx2's bytes alone {alone:.3g} µs",
            )
        )
    return rows


async def _three(base_url: str, tasks: int, rounds: int) -> tuple[float, float, float]:
    """Microseconds of processor time a chunk: our whole path, the bytes alone, the SDK's objects.

    The server sets the pace, so the clock says little.
    """
    tools = _core.ToolSet(json.dumps(_TOOLS))
    count = len(events(tasks))
    question: Message = {"role": "user", "content": "?"}
    model = OpenAIModel("benchmark", base_url=base_url, api_key="none")

    async def ours() -> None:
        machine, ready = _core.Machine(tools), 0
        async with aclosing(model.stream([question])) as stream:
            async for piece in stream:
                if isinstance(piece, str):
                    ready += sum(isinstance(step, _core.Ready) for step in machine.feed(piece))
        if ready != tasks:
            raise RuntimeError(f"{ready} of {tasks} tasks became ready")

    async with openai.AsyncOpenAI(base_url=base_url, api_key="none") as client, httpx2.AsyncClient() as http:

        async def alone() -> None:
            async with http.stream("POST", f"{base_url}/chat/completions", json={}) as response:
                async for _ in response.aiter_bytes():
                    pass

        async def theirs() -> None:
            stream = await client.chat.completions.create(
                model="benchmark", messages=[{"role": "user", "content": "?"}], stream=True
            )
            async for chunk in stream:
                _ = chunk.choices and chunk.choices[0].delta.content

        took: dict[str, list[float]] = {}
        for number in range(rounds + 1):
            # One after the other in every round, so that what disturbs one disturbs the others.
            for work in (ours, alone, theirs):
                seconds = (await measure_async(work, things=count, rounds=1)).cpu
                if number:  # the first one opens the connections
                    took.setdefault(work.__name__, []).append(seconds * 1e6)
    await model.aclose()
    return median(took["ours"]), median(took["alone"]), median(took["theirs"])


def _row(measure_name: str, rounds: Rounds, target: float, beside: str, beside_value: float) -> Row:
    return Row(
        "decoder",
        measure_name,
        rounds.wall * 1e6,
        "µs",
        target=target,
        cpu=rounds.cpu * 1e6,
        best=rounds.best * 1e6,
        beside=beside,
        beside_value=beside_value,
    )
