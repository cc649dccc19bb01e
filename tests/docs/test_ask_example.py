"""The plan in the docs whose answers fit where they go."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Literal

import pytest

from dovetail.builtin import ask_tool
from dovetail.engine import Engine
from dovetail.tools.definition import tool
from scripted import PATIENCE, ScriptedModel

pytestmark = pytest.mark.anyio

PAGE = Path(__file__).parents[2] / "docs" / "tools.md"


@tool(read_only=True)
async def search(query: str) -> dict[str, str]:
    """Finds a text."""
    return {"title": query, "text": "Mount Everest is 8,849 metres high."}


@tool(read_only=True)
async def convert(value: float, unit: Literal["m", "km", "mi"]) -> str:
    """Writes a length in its unit."""
    return f"{value:g} {unit}"


async def test_each_answer_is_what_the_task_that_takes_it_needs() -> None:
    found = re.search(r"### Answers that fit\n\n```\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    asked = ScriptedModel('{"value": "8,849 m"}', '{"value": "metres"}', '{"value": "m"}')
    async with asyncio.timeout(PATIENCE), Engine([search, convert, ask_tool(asked)], ScriptedModel(found[1])) as engine:
        assert await engine.start("how high is it?").answer() == "8849 m"

    number, unit, again = asked.asked
    assert number[1]["content"].endswith("The value is a number.")
    assert unit[1]["content"].endswith('The value is one of these: "m", "km", "mi"')
    assert '"metres" is not one of' in again[-1]["content"]
