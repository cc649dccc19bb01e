"""Which arguments a tool has, by its input schema."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dovetail import _core
from dovetail.models.tool_calling import ToolNames, as_function
from dovetail.tool_arguments import arguments_of, declared_schema

STRING, INTEGER = {"type": "string"}, {"type": "integer"}


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object"},
        {"properties": {"a": STRING, "b": INTEGER}, "required": ["b"]},
        {"additionalProperties": True},
        {"additionalProperties": False, "patternProperties": {"^x": {}}},
        {"additionalProperties": STRING, "properties": {"a": STRING}},
        {"patternProperties": {"^x": {}}},
    ],
)
def test_a_schema_without_alternatives_has_the_arguments_that_the_machine_says(schema: dict[str, Any]) -> None:
    said = json.loads(_core.declared_arguments(json.dumps(schema)))
    properties, required, is_open = arguments_of(schema)
    assert said == {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": is_open,
    }


def test_the_first_part_that_speaks_of_an_argument_says_what_it_is() -> None:
    part = {"properties": {"a": {"minLength": 3}, "b": INTEGER}, "required": ["a"]}
    found = arguments_of({"properties": {"b": STRING}, "allOf": [{"properties": {"a": STRING}}, part]})
    assert found.properties == {"b": STRING, "a": STRING}
    assert list(found.required) == ["a"]


def test_of_alternatives_all_arguments_may_be_given_and_those_required_that_all_require() -> None:
    kinds = [STRING, INTEGER, {"type": "boolean"}]
    options = [{"properties": {"a": kind, f"own{index}": STRING}} for index, kind in enumerate(kinds)]
    required = [{**one, "required": [*one["properties"]]} for one in options]
    found = arguments_of({"oneOf": [*required, {"type": "null"}], "required": ["own0"]})
    assert found.properties == {"a": {"anyOf": kinds}, "own0": STRING, "own1": STRING, "own2": STRING}
    assert list(found.required) == ["own0", "a"]


@pytest.mark.parametrize(
    "schema",
    [{"$ref": "#"}, {"allOf": [{"$ref": "#"}] * 9}, {"anyOf": [{"$ref": "#"}, {"properties": {"a": STRING}}]}],
)
def test_a_schema_that_refers_to_itself_has_arguments(schema: dict[str, Any]) -> None:
    found = arguments_of({**schema, "properties": {"b": STRING}})
    assert list(found.properties)[:1] == ["b"]


def test_whether_there_may_be_others_is_for_all_parts_to_say() -> None:
    is_open, closed = {"additionalProperties": True}, {"additionalProperties": False}
    assert arguments_of({"allOf": [is_open, {}]}).is_open
    assert not arguments_of({"allOf": [is_open, closed]}).is_open
    assert arguments_of({"anyOf": [is_open, closed]}).is_open
    assert not arguments_of({"anyOf": [closed, {}]}).is_open


def test_an_api_of_a_model_is_given_the_arguments_without_alternatives_at_the_root() -> None:
    base = {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "required": ["a"]}
    schema = {"$ref": "#/$defs/Base", "$defs": {"Base": base, "A": STRING}}
    tool = {"name": "f", "inputSchema": schema}
    assert as_function(tool, ToolNames(["f"]))["parameters"] == {
        **base,
        "additionalProperties": False,
        "$defs": schema["$defs"],
    }
    assert declared_schema(base) is base
