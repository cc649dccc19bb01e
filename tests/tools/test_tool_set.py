"""A tool set gathers tools from where they are and shows them in MCP's shape."""

from __future__ import annotations

import json
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from dovetail.errors import ToolDefinitionError, UsageError
from dovetail.tools.definition import Tool, tool
from dovetail.tools.tool_set import ToolSet

if TYPE_CHECKING:
    from pathlib import Path


@tool
def one(x: int) -> int:
    """One."""
    return x


def plain(y: str = "") -> str:
    return y


def _module() -> ModuleType:
    module = ModuleType("some_module")
    module.first = tool(name="first")(lambda: None)  # type: ignore[attr-defined]
    module.one = module.again = one  # type: ignore[attr-defined]
    return module


def test_tools_come_from_tools_functions_modules_sets_and_specs(tmp_path: Path) -> None:
    file = tmp_path / "more.json"
    file.write_text('[{"name": "far", "inputSchema": {"type": "object"}}]')
    tools = ToolSet.of([one, plain, _module(), ToolSet([one]), str(file), file.with_name("more.json")][:5])
    assert tools.names == ["one", "plain", "first", "far"]
    assert tools["one"] is one
    assert [each.name for each in tools] == tools.names
    assert "far" in tools
    assert tools.get("none") is None
    assert len(tools) == 4


def test_a_single_spec_is_taken_for_what_it_is(tmp_path: Path) -> None:
    file = tmp_path / "far.json"
    file.write_text('[{"name": "far", "inputSchema": {"type": "object"}}]')
    assert ToolSet.of(str(file)).names == ["far"]


def test_two_different_tools_of_one_name_are_refused() -> None:
    other = Tool("one", "", {"type": "object"})
    with pytest.raises(ToolDefinitionError, match="two tools are named 'one'"):
        ToolSet.of([one, other])


def test_what_is_no_source_of_tools_is_refused() -> None:
    with pytest.raises(UsageError, match="5 is no source of tools"):
        ToolSet.of([5])  # type: ignore[list-item]


def test_the_json_is_mcps_shape_and_keeps_the_order_of_properties() -> None:
    @tool
    def many(z: int, a: int) -> None: ...

    (shape,) = json.loads(ToolSet([many]).to_json())
    assert list(shape) == ["name", "description", "inputSchema", "outputSchema"]
    assert list(shape["inputSchema"]["properties"]) == ["z", "a"]


def test_the_machine_takes_the_set_and_it_is_compiled_once() -> None:
    tools = ToolSet.of([one, plain])
    assert tools.core.names == ["one", "plain"]
    assert tools.core is tools.core


def test_a_schema_that_does_not_compile_is_an_error_that_names_the_tool() -> None:
    broken = Tool("broken", "", {"type": "object", "properties": {"x": {"type": "nothing"}}})
    with pytest.raises(ToolDefinitionError, match="broken"):
        _ = ToolSet([broken]).core
