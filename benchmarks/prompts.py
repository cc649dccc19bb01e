"""How long a planner's prompt is: 20 tools and two examples, in tokens, beside the original's for the same.

Tokens are those of the local model, as its server counts them; where it cannot be started, characters stand in, and the
row says so. The original's prompt comes from the user's own checkout; without one, only ours is counted.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from benchmarks.report import Row
from dovetail import ToolSet
from dovetail.errors import ModelError, UsageError
from dovetail.examples import Example
from dovetail.lessons import Lessons
from dovetail.models.local import LocalModel
from dovetail.models.protocol import Completion
from dovetail.prompts import planner_messages, signature
from dovetail.tools import Tool

if TYPE_CHECKING:
    from benchmarks.original import Original
    from benchmarks.rounds import Settings

__all__ = ["run"]

_TOOLS = 20
_SHARE = 0.6
_THINGS = ("page", "river", "city", "film", "song", "flight", "hotel", "recipe", "stock", "match")


def run(settings: Settings, original: Original | None) -> list[Row]:  # noqa: ARG001 - a count needs no rounds
    """Measure."""
    tools = ToolSet(_tool(index) for index in range(_TOOLS))
    plans = ['1. find_page("Nile")\n2. find_river("Amazon")\n3. join()', '1. rate_film("Alien", limit=3)\n2. join($1)']
    examples = [Example(f"What is known of number {number}?", plan) for number, plan in enumerate(plans)]
    messages = planner_messages("How long is the Nile?", tools.shapes, Lessons(examples, tools).of(tools))
    ours = "\n".join(message["content"] for message in messages)
    theirs = None
    if original is not None:
        shown = "\n\n".join(f"Question: {one.question}\n{one.plan}\n###" for one in examples)
        theirs = original.prompt([signature(shape) for shape in tools.shapes], shown) + messages[-1]["content"]
    counts, unit, note = _counted([ours] if theirs is None else [ours, theirs])
    beside = counts[1] if theirs is not None else None
    if beside is None:
        note = "; ".join(part for part in (note, "the target, 60% of the original's, needs --original") if part)
    return [
        Row(
            "prompts",
            f"a planner's prompt of {_TOOLS} tools and 2 examples",
            counts[0],
            unit,
            target=None if beside is None else beside * _SHARE,
            beside="the original's, its tools described in our words" if beside is not None else "",
            beside_value=beside,
            note=note,
        )
    ]


def _tool(index: int) -> Tool:
    verb = "find" if index < len(_THINGS) else "rate"
    thing = _THINGS[index % len(_THINGS)]
    properties: dict[str, Any] = {
        "name": {"type": "string"},
        "limit": {"type": "integer", "default": 5},
        "order": {"enum": ["newest", "nearest", "best"], "default": "best"},
    }
    schema = {"type": "object", "properties": properties, "required": ["name"]}
    output = {"type": "array", "items": {"type": "string"}}
    return Tool(f"{verb}_{thing}", f"What is known of a {thing} by its name, the best first.", schema, output)


def _counted(texts: list[str]) -> tuple[list[float], str, str]:
    try:
        return asyncio.run(_tokens(texts)), "tokens", ""
    except (ModelError, UsageError) as problem:
        return [float(len(text)) for text in texts], "characters", f"characters, because {problem}"


async def _tokens(texts: list[str]) -> list[float]:
    model = LocalModel()
    try:
        # What the chat's own marks take is in each of them.
        empty, *counts = [await _prompt_tokens(model, text) for text in ("", *texts)]
        return [float(count - empty) for count in counts]
    finally:
        await model.aclose()


async def _prompt_tokens(model: LocalModel, text: str) -> int:
    used = 0
    async with aclosing(model.stream([{"role": "user", "content": text}], max_tokens=1)) as pieces:
        async for piece in pieces:
            if isinstance(piece, Completion) and piece.usage is not None:
                used = piece.usage.prompt_tokens
    return used
