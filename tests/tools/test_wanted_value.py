"""The schema of a place in the arguments of a tool, and values that have to fit it."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import Any

import jsonschema
import pytest

from dovetail.builtin.value_reply import ValueReplyError
from dovetail.builtin.wanted_value import WantedValue
from dovetail.errors import UsageError
from dovetail.grammar.compilation import can_compile, fault_in
from dovetail.runs.schema_place import all_of, schema_at

NUMBER, STRING, NULL = {"type": "number"}, {"type": "string"}, {"type": "null"}
POINT = {"type": "object", "properties": {"x": NUMBER, "next": {"$ref": "#/$defs/Point"}}, "required": ["x"]}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "n": NUMBER,
        "anything": {},
        "remark": {"description": "whatever"},
        "optional": {"anyOf": [{"$ref": "#/$defs/Point"}, NULL]},
        "point": {"$ref": "#/$defs/Point"},
        "pair": {"type": "array", "prefixItems": [NUMBER, STRING], "items": {"type": "boolean"}},
        "both": {"allOf": [{"properties": {"a": NUMBER}}, {"properties": {"a": {"minimum": 1}}}]},
        "either": {"oneOf": [{"type": "object", "properties": {"a": NUMBER}}, {"type": "array", "items": STRING}]},
        "each": {"anyOf": [{"properties": {"a": NUMBER}}, {"properties": {"a": STRING}}]},
        "open": {"anyOf": [{"properties": {"a": NUMBER}}, {"type": "object"}]},
        "map": {"type": "object", "additionalProperties": STRING},
        "loop": {"$ref": "#/properties/loop"},
        "closed": {"type": "object", "properties": {}, "additionalProperties": False},
    },
    "$defs": {"Point": POINT},
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (["n"], NUMBER),
        (["pair", 0], NUMBER),
        (["pair", 1], STRING),
        (["pair", 2], {"type": "boolean"}),
        (["both", "a"], {"allOf": [NUMBER, {"minimum": 1}]}),
        (["either", "a"], NUMBER),
        (["either", 3], STRING),
        (["each", "a"], {"anyOf": [NUMBER, STRING]}),
        (["map", "any"], STRING),
        (["point", "x"], NUMBER),
        (["optional", "next", "x"], NUMBER),
        (["open", "a"], None),
        (["anything"], None),
        (["anything", "a"], None),
        (["remark"], None),
        (["loop", "a"], None),
        (["closed", "a"], None),
        (["none"], None),
    ],
)
def test_the_schema_of_a_place_is_what_everything_around_it_says(path: list[str | int], found: Any) -> None:
    assert schema_at(SCHEMA, path) == found


def test_a_schema_may_be_made_of_mappings_of_any_kind() -> None:
    schema = MappingProxyType({"properties": MappingProxyType({"n": MappingProxyType(NUMBER)})})
    assert schema_at(schema, ["n"]) == NUMBER


def test_the_schema_of_a_place_stands_by_itself() -> None:
    found = schema_at(SCHEMA, ["optional"])
    assert found is not None
    valid = jsonschema.Draft202012Validator(found)
    assert valid.is_valid({"x": 1, "next": {"x": 2}})
    assert valid.is_valid(None)
    assert not valid.is_valid({"x": 1, "next": {"x": "two"}})


def test_schemas_with_definitions_of_their_own_stand_together() -> None:
    point = schema_at(SCHEMA, ["point"])
    other = schema_at({"properties": {"p": {"$ref": "#/$defs/P"}}, "$defs": {"P": {"required": ["y"]}}}, ["p"])
    assert point is not None
    assert other is not None
    valid = jsonschema.Draft202012Validator(all_of([point, other]))
    assert valid.is_valid({"x": 1, "y": 2})
    assert not valid.is_valid({"x": 1})
    assert not valid.is_valid({"y": 1})
    assert jsonschema.Draft202012Validator(all_of([point, other], "anyOf")).is_valid({"y": 1})


@pytest.mark.parametrize(
    ("schema", "kind", "words"),
    [
        ({"type": "integer"}, "number", "The value is a whole number."),
        ({"anyOf": [STRING, NULL]}, "string", "fits this schema"),
        ({"enum": ["a", 1]}, None, 'one of these: "a", 1'),
        ({"type": ["boolean", "null"]}, "boolean", "The value is true or false."),
        ({"type": "integer", "minimum": 3}, "number", '"minimum":3'),
        ({"anyOf": [STRING, {"minimum": 1}]}, None, "fits this schema"),
        ({"type": "array", "items": NUMBER}, None, "fits this schema"),
    ],
)
def test_a_model_is_told_what_the_value_is(schema: dict[str, Any], kind: str | None, words: str) -> None:
    wanted = WantedValue(schema)
    assert wanted.kind == kind
    assert words in wanted.words


def test_the_words_about_a_large_schema_are_bounded() -> None:
    assert len(WantedValue({"enum": [f"value {number}" for number in range(1_000)]}).words) < 2_200


def test_a_value_that_does_not_fit_is_refused_with_its_place() -> None:
    wanted = WantedValue({"type": "object", "properties": {"x": {"type": "integer"}}})
    assert wanted.read({"x": 1}) == {"x": 1}
    with pytest.raises(ValueReplyError, match=r"does not fit where it goes\.x: \"one\" is not of type"):
        wanted.read({"x": "one"})


def test_nulls_that_a_strict_schema_makes_a_model_write_are_taken_out() -> None:
    wanted = WantedValue({"type": "object", "properties": {"x": NUMBER, "y": NUMBER}, "required": ["x"]})
    strict = json.loads(wanted.grammar("json_schema").text)["properties"]["value"]["anyOf"]
    assert strict[0]["required"] == ["x", "y"]
    assert strict[-1] == NULL
    assert wanted.read({"x": 1, "y": None}) == {"x": 1}


def test_what_a_notation_cannot_say_is_not_asked_for_in_it() -> None:
    with pytest.raises(UsageError, match="strict"):
        WantedValue({"type": "object", "additionalProperties": NUMBER}).grammar("json_schema")
    with pytest.raises(UsageError, match="dollars"):
        WantedValue({"enum": ["$1", "$2"]}).grammar("lark")


@pytest.mark.skipif(not can_compile(), reason="llguidance is not installed")
@pytest.mark.parametrize("path", [["point"], ["optional"], ["pair"], ["both"], ["either"]])
def test_grammars_of_places_compile(path: list[str | int]) -> None:
    schema = schema_at(SCHEMA, path)
    assert schema is not None
    assert fault_in(WantedValue(schema).grammar("lark")) is None
