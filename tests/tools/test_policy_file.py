"""Policies in a file: applied by name and pattern, and precise about what cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from dovetail.errors import UsageError
from dovetail.tools.definition import Tool, tool
from dovetail.tools.policy import Policy, Rate
from dovetail.tools.policy_file import Policies, read_policies
from dovetail.tools.tool_set import ToolSet


@tool(read_only=True, retries=1)
async def look(place: str) -> str:
    """Looks."""
    return place


def named(name: str, *, read_only: bool = False) -> Tool:
    return Tool(name, "", {"type": "object"}, read_only=read_only)


def test_later_tables_change_what_earlier_ones_said_and_the_rest_stays(tmp_path: Path) -> None:
    file = tmp_path / "policies.toml"
    file.write_text(
        '["db.*"]\ntimeout = 5\nmax_parallel = 4\nexclusive = ["a", "b"]\n'
        '["db.drop"]\napproval = true\nmax_parallel = 1\n[look]\nrate = "10/s"\n',
        encoding="utf-8",
    )
    policies = read_policies(file)
    tools = policies.applied_to_all(ToolSet([look, named("db.read"), named("db.drop"), named("other")]))
    assert tools["db.read"].timeout == 5
    assert tools["db.read"].policy == Policy(max_parallel=4, exclusive=("a", "b"))
    assert not tools["db.read"].approval
    assert tools["db.drop"].approval
    assert tools["db.drop"].policy.max_parallel == 1
    assert tools["look"].policy == Policy(retries=1, rate=Rate(10))
    assert tools["other"].policy == Policy()


def test_a_tool_that_nothing_is_said_about_stays_the_same_object() -> None:
    assert Policies({"db.*": {"retries": 1}}).applied_to(look) is look


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"x": {"retry": 1}}, "no field 'retry'; did you mean retries"),
        ({"x": {"retries": 1000}}, "['x'] retries: is 1000"),
        ({"x": {"rate": "fast"}}, "['x'] rate: 'fast' is no rate"),
        ({"x": {"timeout": "5"}}, "timeout: is '5'; a float above 0"),
        ({"x": {"timeout": 0}}, "timeout: is 0"),
        ({"x": {"approval": 1}}, "approval: is 1; a bool"),
        ({"x": {"read_only": True}}, "no field 'read_only'"),
        ({"x": {"retries": "many"}}, "['x']"),
        ({"x": 5}, "'x' is no table"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_table(table: dict[str, dict[str, object]], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        Policies(table, "policies.toml")
    assert str(caught.value).startswith("policies.toml: ")
    assert said in str(caught.value)


def test_outputs_of_a_tool_that_changes_something_cannot_be_used_again() -> None:
    policies = Policies({"*": {"cache": 5}}, "policies.toml")
    assert policies.applied_to(named("x", read_only=True)).policy.cache == 5
    with pytest.raises(UsageError, match=r"policies\.toml: tool 'x': cache"):
        policies.applied_to(named("x"))


def test_a_file_that_is_none_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_policies(tmp_path / "missing.toml")
    file = tmp_path / "broken.toml"
    file.write_text("[", encoding="utf-8")
    with pytest.raises(UsageError, match="is no TOML"):
        read_policies(file)
