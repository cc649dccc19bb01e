"""How tools are shown to models that write calls."""

from __future__ import annotations

from typing import Any

import pytest

from dovetail.prompts.tool_lines import tool_line, tools_text


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"enum": ["km", "mi"]}, '"km"|"mi"'),
        ({"enum": list(range(20))}, "0|1|2|3|4|5|6|7|8|9|10|11|…"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "integer|null"),
        ({"anyOf": [{"type": "integer"}, {"type": "number"}]}, "number"),
        ({"type": ["string", "null"]}, "string|null"),
        ({"type": ["array", "null"]}, "list|null"),
        ({"type": "array"}, "list"),
        ({"type": "array", "items": {"type": "string"}}, "list"),
        ({"type": "array", "items": {"type": "number"}}, "[number]"),
        ({"type": "array", "items": {"type": "array", "items": {"type": "string"}}}, "[list]"),
        ({"type": "object", "properties": {"a": {"type": "number"}}}, "{a: number}"),
        ({"$ref": "#/$defs/Unit"}, '"km"'),
        ({"$ref": "#/$defs/Missing"}, "any"),
        ({}, "any"),
        (True, "any"),
    ],
)
def test_a_line_says_the_type_of_an_argument_in_short(schema: Any, text: str) -> None:
    root = {"properties": {"x": schema}, "required": ["x"], "$defs": {"Unit": {"const": "km"}}}
    assert tool_line({"name": "f", "inputSchema": root}) == f"f(x: {text})"


def test_a_schema_that_contains_itself_has_a_line() -> None:
    root = {
        "properties": {"x": {"$ref": "#/$defs/T"}},
        "$defs": {"T": {"type": "array", "items": {"$ref": "#/$defs/T"}}},
    }
    assert tool_line({"name": "f", "inputSchema": root}) == "f(x: [list]=null)"


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"$ref": "#/$defs/Find"}, "f(query, limit=5)"),
        ({"allOf": [{"$ref": "#/$defs/Find"}, {"properties": {"n": {"type": "number"}}}]}, "f(query, limit=5, n: nu"),
        (
            {"anyOf": [{"$ref": "#/$defs/Find"}, {"properties": {"query": {"type": "integer"}}}]},
            "f(query: string|integer=null, limit=5)",
        ),
    ],
)
def test_a_line_has_the_arguments_wherever_they_are_declared(schema: Any, text: str) -> None:
    find = {"properties": {"query": {"type": "string"}, "limit": {"type": "integer", "default": 5}}}
    root = {**schema, "$defs": {"Find": {**find, "type": "object", "required": ["query"]}}}
    assert tool_line({"name": "f", "inputSchema": root}).startswith(text)


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "integer", "default": 5}, "x=5"),
        ({"type": "number", "default": 0.5}, "x=0.5"),
        ({"type": "number", "default": 5}, "x: number=5"),
        ({"type": "boolean", "default": True}, "x=true"),
        ({"type": "string", "default": "km"}, 'x="km"'),
        ({"type": "string"}, "x=null"),
        ({"type": "integer"}, "x: integer=null"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None}, "x: integer=null"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}], "default": "km"}, 'x: string|null="km"'),
        ({"enum": ["km", "mi", "m"], "default": "mi"}, 'x="mi"|"km"|"m"'),
        ({"enum": ["km", "mi"], "default": "ell"}, 'x: "km"|"mi"="ell"'),
        ({"type": "array", "items": {"type": "string"}, "default": []}, "x: list=[]"),
        (True, "x: any=null"),
    ],
)
def test_a_default_tells_the_type_of_an_argument_where_it_can(schema: Any, text: str) -> None:
    assert tool_line({"name": "f", "inputSchema": {"properties": {"x": schema}}}) == f"f({text})"


def test_a_string_needs_no_type_and_a_tool_one_line() -> None:
    tool = {"name": "f", "inputSchema": {"properties": {"x": {"type": "string"}}, "required": ["x"]}}
    assert tools_text([tool, tool | {"name": "g"}]) == "f(x)\ng(x)"
    assert tools_text([]) == ""


@pytest.mark.parametrize("said", ["The name of the city.", "city name", "name", "Which city that is!", ""])
def test_what_is_said_of_an_argument_and_known_anyway_is_left_out(said: str) -> None:
    schema = {"properties": {"name": {"type": "string", "description": said}}, "required": ["name"]}
    tool = {"name": "get_city", "inputSchema": schema, "description": "Tells of a city."}
    assert tool_line(tool) == "get_city(name). Tells of a city"


def test_what_is_said_of_arguments_stands_behind_what_is_said_of_the_tool_on_one_line_of_bounded_length() -> None:
    schema = {
        "properties": {
            "when": {"type": "string", "description": "An ISO date,\n  in UTC."},
            "how": {"type": "string", "description": 3},
            "where": {"type": "string", "description": "place " * 1_000},
        },
        "required": ["when", "how", "where"],
    }
    line = tool_line({"name": "f", "inputSchema": schema, "description": "Finds\n it."})
    assert line.startswith("f(when, how, where). Finds it. when: An ISO date, in UTC; where: place place")
    assert len(line) < 500


@pytest.mark.parametrize(
    ("output", "text"),
    [
        ({"type": "number"}, ": number"),
        ({"type": "object"}, ""),
        ({}, ""),
        ({"type": "object", "properties": {"a": {"type": "string"}}}, ": {a: string}"),
    ],
)
def test_an_output_is_told_where_a_plan_could_use_what_is_known_of_it(output: Any, text: str) -> None:
    assert tool_line({"name": "f", "inputSchema": {}, "outputSchema": output}) == f"f(){text}"


def test_arguments_of_which_the_same_is_said_share_it() -> None:
    date = {"type": "string", "description": "An ISO date."}
    tool = {"name": "f", "inputSchema": {"properties": {"start": date, "end": date}, "required": ["start", "end"]}}
    assert tool_line(tool) == "f(start, end). start, end: An ISO date"


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("The degrees in Celsius.", ": number. How warm a place is. place: A town; returns: The degrees in Celsius"),
        ("How warm the town is.", ": number. How warm a place is. place: A town"),
        (None, ": number. How warm a place is. place: A town"),
    ],
)
def test_what_is_said_of_an_output_is_told_unless_it_is_known_anyway(said: Any, text: str) -> None:
    schema = {"properties": {"place": {"type": "string", "description": "A town."}}, "required": ["place"]}
    tool = {"name": "f", "description": "How warm a place is.", "inputSchema": schema}
    assert tool_line(tool | {"outputSchema": {"type": "number", "description": said}}) == f"f(place){text}"
