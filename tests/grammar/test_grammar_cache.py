"""What is made of tools is kept by their digest, so much of it."""

from __future__ import annotations

from typing import Any

import pytest
from tool_sets import LOOKUP, NUMBER, RATIO, tool

from dovetail.grammar.digest import Kept, digests_of
from dovetail.tools.definition import Tool
from dovetail.tools.tool_set import ToolSet


def test_a_thing_is_made_once_and_kept_until_others_have_come() -> None:
    made: list[int] = []
    kept = Kept[int](2)

    def square(number: int) -> int:
        def make() -> int:
            made.append(number)
            return number * number

        return kept.get(number, make)

    assert [square(number) for number in (1, 2, 1, 3, 1, 2)] == [1, 4, 1, 9, 1, 4]
    assert made == [1, 2, 3, 2], "2 was not asked for the longest when 3 came"


def test_what_cannot_be_made_is_not_kept() -> None:
    kept = Kept[int](2)
    with pytest.raises(ZeroDivisionError):
        kept.get("key", lambda: 1 // 0)
    assert kept.get("key", lambda: 5) == 5


def test_a_digest_is_of_names_and_schemas_in_their_order() -> None:
    (one,) = digests_of([LOOKUP])
    assert digests_of([LOOKUP | {"description": "other"}]) == (one,)
    for other in (
        LOOKUP | {"name": "find"},
        LOOKUP | {"outputSchema": {"type": "string"}},
        tool("lookup", "number", name=NUMBER),
    ):
        assert digests_of([other]) != (one,)
    assert digests_of([tool("f", a=NUMBER, b=NUMBER)]) != digests_of([tool("f", b=NUMBER, a=NUMBER)])


def test_the_digests_of_a_set_are_computed_once_and_those_of_its_tools_for_every_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tools = [Tool(one["name"], "", one["inputSchema"], one["outputSchema"]) for one in (LOOKUP, RATIO)]
    asked: list[str] = []
    original = Tool.to_mcp

    def to_mcp(self: Tool) -> dict[str, Any]:
        asked.append(self.name)
        return original(self)

    monkeypatch.setattr(Tool, "to_mcp", to_mcp)
    whole = ToolSet(tools)
    assert digests_of(whole) == digests_of(whole) == digests_of([LOOKUP, RATIO])
    assert digests_of(ToolSet(tools[:1])) == digests_of([LOOKUP])
    assert asked == ["lookup", "ratio"]
