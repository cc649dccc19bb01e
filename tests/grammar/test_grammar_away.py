"""Grammars that are made while the event loop goes on."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from dovetail import ToolSet, UsageError
from dovetail.grammar import away, plan_grammar
from dovetail.grammar.away import plan_grammar_away
from dovetail.tools.definition import Tool

pytestmark = pytest.mark.anyio
PATIENCE = 20.0


def tools_named(name: str, schema: dict[str, Any] | None = None) -> ToolSet:
    return ToolSet([Tool(name, "", schema or {"type": "object", "properties": {"x": {"type": "string"}}})])


async def wanted(tools: ToolSet) -> Any:
    return await plan_grammar_away(tools, dialect="gbnf", max_tasks=2, first_id=1, earlier_ids=())


async def test_a_grammar_is_made_in_a_thread_once_for_all_who_want_it_and_then_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads: list[int] = []

    def noted(*args: Any, **options: Any) -> Any:
        threads.append(threading.get_ident())
        return plan_grammar(*args, **options)

    monkeypatch.setattr(away, "plan_grammar", noted)
    tools = tools_named("made_away")
    async with asyncio.timeout(PATIENCE):
        made = await asyncio.gather(*(wanted(tools) for _ in range(20)))
        again = await wanted(ToolSet(tools))
    assert made == [again] * 20
    assert again == plan_grammar(tools, dialect="gbnf", max_tasks=2)
    assert len(threads) == 1
    assert threads[0] != threading.get_ident()


async def test_whoever_is_cancelled_leaves_the_grammar_to_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def held(*args: Any, **options: Any) -> Any:
        begun.set()
        assert may_end.wait(PATIENCE)
        return plan_grammar(*args, **options)

    monkeypatch.setattr(away, "plan_grammar", held)
    tools = tools_named("left_to_others")
    async with asyncio.timeout(PATIENCE):
        first, second = asyncio.create_task(wanted(tools)), asyncio.create_task(wanted(tools))
        await asyncio.to_thread(begun.wait, PATIENCE)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        may_end.set()
        assert (await second).dialect == "gbnf"


async def test_tools_that_fight_the_grammar_are_named_to_all_who_wait() -> None:
    stuck = tools_named("stuck", {"type": "object", "properties": {"x": False}, "required": ["x"]})
    async with asyncio.timeout(PATIENCE):
        ends = await asyncio.gather(wanted(stuck), wanted(stuck), return_exceptions=True)
    assert [type(end) for end in ends] == [UsageError, UsageError]
    assert "tool 'stuck'" in str(ends[0])
