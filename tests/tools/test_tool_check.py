"""A spec that cannot be used is refused where it is made, with the name of the field."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from dovetail import v1
from dovetail.errors import ToolDefinitionError
from dovetail.tools import tool_spec
from dovetail.tools.definition import Tool
from dovetail.tools.tool_wire import tool_from_wire

if TYPE_CHECKING:
    from pathlib import Path

OBJECT = {"type": "object"}


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        ({"name": "a b"}, "name", "the name must be"),
        ({"description": None}, "description", "description: is null; text is needed"),
        ({"description": "ü" * 8193}, "description", "description: has 16,386 bytes; 16,384 at the most"),
        ({"input_schema": []}, "input_schema", "input_schema: is a list; a JSON Schema of an object is needed"),
        ({"input_schema": {"type": "string"}}, "input_schema", "input_schema: must have type 'object'"),
        ({"input_schema": {"properties": []}}, "input_schema", "properties is a list; an object is needed"),
        ({"input_schema": {"properties": {"x": 5}}}, "input_schema", "properties.x is a number; a schema is needed"),
        (
            {"input_schema": {"properties": {"x": {"enum": "abc"}}}},
            "input_schema",
            "properties.x.enum is text; a list of values is needed",
        ),
        ({"input_schema": {"properties": {"x": {"enum": []}}}}, "input_schema", "properties.x.enum is empty"),
        ({"input_schema": {"required": "x"}}, "input_schema", "required is no list of names"),
        ({"output_schema": "string"}, "output_schema", "output_schema: is text; a JSON Schema is needed"),
    ],
)
def test_a_field_that_cannot_be_used_is_named(fields: dict[str, Any], field: str, message: str) -> None:
    with pytest.raises(ToolDefinitionError) as raised:
        Tool(**{"name": "t", "description": "", "input_schema": OBJECT, **fields})
    assert raised.value.field == field
    assert str(raised.value).startswith(f"tool {fields.get('name', 't')!r}: ")
    assert message in str(raised.value)


def test_what_schemas_may_have_is_let_through() -> None:
    schema = {"properties": {"a": True, "b": {"enum": [1, "x", None]}}, "required": ["a"]}
    assert Tool("t", "ü" * 8192, schema, {"type": "string"}).input_schema == schema


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"input_schema": OBJECT}, "there is no key 'input_schema'; did you mean 'inputSchema'?"),
        ({"inputSchema": OBJECT, "output_schema": {}}, "there is no key 'output_schema'; did you mean 'outputSchema'?"),
        ({"inputSchema": OBJECT, "descripton": ""}, "there is no key 'descripton'; did you mean 'description'?"),
        (
            {"inputSchema": OBJECT, "annotations": {"destructive_hint": True}},
            "annotations: there is no key 'destructive_hint'; did you mean 'destructiveHint'?",
        ),
        (
            {"inputSchema": OBJECT, "annotations": {"readOnlyHint": "yes"}},
            "annotations.readOnlyHint is text; true or false is needed",
        ),
        (
            {"inputSchema": OBJECT, "_meta": {"dovetail/approval": "true"}},
            "_meta.dovetail/approval is text; true or false is needed",
        ),
        (
            {"inputSchema": OBJECT, "outputSchema": {"type": "nothing"}},
            "output_schema: is no schema that can be compiled",
        ),
    ],
)
def test_a_slip_in_a_file_is_named_with_its_remedy(tmp_path: Path, entry: dict[str, Any], message: str) -> None:
    file = tmp_path / "tools.json"
    file.write_text(json.dumps([{"name": "t", **entry}]))
    with pytest.raises(ToolDefinitionError) as raised:
        tool_spec.load(str(file))
    assert f"{file}: tool 1 (t): " in str(raised.value)
    assert message in str(raised.value)


def test_what_mcp_and_others_add_to_a_file_is_passed_over(tmp_path: Path) -> None:
    entry = {
        "name": "t",
        "title": "T",
        "icons": [],
        "inputSchema": OBJECT,
        "outputSchema": {"$defs": {"n": {"type": "integer"}}, "type": "array", "items": {"$ref": "#/$defs/n"}},
        "annotations": {"title": "T", "openWorldHint": True, "readOnlyHint": True},
        "_meta": {"other/thing": 1},
    }
    (tmp_path / "tools.json").write_text(json.dumps({"tools": [entry], "nextCursor": None}))
    (made,) = tool_spec.load(str(tmp_path / "tools.json"))
    assert made.read_only


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": "a b"}, "name"),
        ({"description": "x" * 16_385}, "description"),
        ({"input_schema_json": "[]"}, "input_schema_json"),
        ({"input_schema_json": '{"type": "array"}'}, "input_schema_json"),
        ({"input_schema_json": '{"properties": {"x": {"enum": 1}}}'}, "input_schema_json"),
        ({"output_schema_json": '{"type": 5}'}, "output_schema_json"),
        ({"policy": {"cache": {"seconds": 5}}}, "policy"),
    ],
)
def test_on_the_wire_the_message_begins_with_the_field(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(ToolDefinitionError) as raised:
        tool_from_wire(v1.ToolSpec(**{"name": "t", "input_schema_json": "{}", **fields}))
    assert str(raised.value).startswith(f"{field}: ")
