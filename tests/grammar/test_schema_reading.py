"""What may be written for schemas that combine others, depend on something, or bound what is in them."""

from __future__ import annotations

import random
from typing import Any

import pytest
from gbnf import Gbnf
from tool_sets import BOOLEAN, INTEGER, NUMBER, STRING, shaped, tool

from dovetail.grammar import plan_grammar
from dovetail.grammar.bnf import to_bnf
from dovetail.grammar.expression import Rules
from dovetail.grammar.ranges import whole_numbers


def _accepts(one: dict[str, Any], arguments: str) -> bool:
    return Gbnf(plan_grammar([one], max_tasks=1).text).accepts(f"1. {one['name']}({arguments})\n2. join()")


def _object(required: list[str] | None = None, /, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties) if required is None else required}


KIND = {
    "type": "object",
    "properties": {"kind": {"enum": ["a", "b"]}, "size": INTEGER, "name": STRING},
    "required": ["kind"],
    "if": {"properties": {"kind": {"const": "a"}}},
    "then": {"required": ["size"]},
    "else": {"required": ["name"]},
}


@pytest.mark.parametrize(
    ("schema", "right", "wrong"),
    [
        (
            {"allOf": [_object(a=NUMBER), _object([], b=STRING), {"required": ["b"]}]},
            ['{"a": 1.5, "b": "x"}'],
            ['{"a": 1.5}', '{"b": "x"}'],
        ),
        ({"allOf": [{"type": ["integer", "string"]}, {"type": ["string", "null"]}]}, ['"x"'], ["1", "null"]),
        ({"allOf": [{"enum": [1, 2, 3]}, {"enum": [2, 3, 4]}]}, ["2", "3"], ["1", "4"]),
        ({"allOf": [NUMBER, INTEGER]}, ["1"], ["1.5"]),
        ({"type": "integer", "enum": [1, "a", 2.0, None]}, ["1", "2.0"], ['"a"', "null"]),
        (
            {"allOf": [_object(a=INTEGER) | {"additionalProperties": False}, _object([], b=INTEGER)]},
            ['{"a": 1}'],
            ['{"a": 1, "b": 1}'],
        ),
        (
            {"type": "object", "properties": {"b": BOOLEAN}, "anyOf": [_object(a=INTEGER), _object(a=STRING)]},
            ['{"a": 1}', '{"a": "x", "b": true}'],
            ['{"b": true}', '{"a": true}'],
        ),
        (
            {"oneOf": [_object(kind={"const": "x"}, n=INTEGER), _object(kind={"const": "y"})]},
            ['{"kind": "x", "n": 1}', '{"kind": "y"}'],
            ['{"kind": "y", "n": 1}', '{"kind": "z"}'],
        ),
        (
            _object([], a=INTEGER, b=INTEGER) | {"oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
            ['{"a": 1}', '{"b": 1}'],
            ["{}", '{"a": 1, "b": 1}'],
        ),
        ({"oneOf": [INTEGER, NUMBER]}, ["1.5"], ['"x"']),
        ({"not": {"type": ["string", "null"]}}, ["1", "true", "[]"], ['"x"', "null"]),
        ({"enum": ["a", "b"], "not": {"const": "b"}}, ['"a"'], ['"b"']),
        (_object([], a=INTEGER, b=INTEGER) | {"not": {"required": ["a"]}}, ["{}", '{"b": 1}'], ['{"a": 1}']),
        (
            KIND,
            ['{"kind": "a", "size": 1}', '{"kind": "b", "name": "x"}'],
            ['{"kind": "a"}', '{"kind": "b", "size": 1}'],
        ),
        (
            _object([], a=INTEGER, b=INTEGER) | {"dependentRequired": {"a": ["b"]}},
            ["{}", '{"b": 1}', '{"a": 1, "b": 1}'],
            ['{"a": 1}'],
        ),
        (
            {"type": "object", "propertyNames": {"enum": ["k", "l"]}, "additionalProperties": INTEGER},
            ["{}", '{"k": 1}', '{"k": 1, "l": 2}'],
            ['{"m": 1}', '{"k": "x"}'],
        ),
        ({"type": "object", "additionalProperties": INTEGER}, ["{}", '{"any": 1}'], ['{"any": "x"}']),
        (_object([], a=INTEGER, b=INTEGER) | {"minProperties": 1}, ['{"a": 1}', '{"a": 1, "b": 2}'], ["{}"]),
        (_object([], a=INTEGER, b=INTEGER) | {"maxProperties": 1}, ["{}", '{"a": 1}'], ['{"a": 1, "b": 2}']),
        ({"type": "object", "additionalProperties": False}, ["{}"], ['{"a": 1}']),
        ({"type": "object", "patternProperties": {"^a": INTEGER}, "additionalProperties": False}, ["{}"], ['{"b": 1}']),
        (
            {"type": "array", "prefixItems": [STRING, INTEGER], "items": False},
            ["[]", '["x"]', '["x", 1]'],
            ["[1]", '["x", 1, 2]'],
        ),
        (
            {"type": "array", "prefixItems": [STRING], "items": INTEGER, "minItems": 2, "maxItems": 3},
            ['["x", 1]', '["x", 1, 2]'],
            ["[]", '["x"]', '["x", 1, 2, 3]', '["x", "y"]'],
        ),
        ({"properties": {"a": INTEGER}, "required": ["a"]}, ['{"a": 1}'], ["1", "{}"]),
        ({"type": "number", "minimum": 0}, ["1.5"], ["-1.5"]),
        ({"type": "integer", "minimum": 1}, ["1", "9", "10", "123456789012345678"], ["0", "-1", "01", "1.0"]),
        ({"type": "integer", "exclusiveMinimum": 0, "maximum": 100}, ["1", "99", "100"], ["0", "101", "1000", "-5"]),
        ({"type": "integer", "minimum": 17, "exclusiveMaximum": 142}, ["17", "20", "99", "100", "141"], ["16", "142"]),
        ({"type": "integer", "minimum": -12, "maximum": 3}, ["-12", "-1", "0", "3"], ["-13", "4", "-0"]),
        ({"type": "integer", "maximum": -7}, ["-7", "-10", "-999"], ["-6", "0", "7"]),
        ({"type": "integer", "minimum": 7, "maximum": 7.5}, ["7"], ["8", "6", "77"]),
        ({"type": "integer", "minimum": 0.5, "maximum": 10**30}, ["1", "999999999999999999"], ["0"]),
        ({"type": "integer", "minimum": 0, "exclusiveMinimum": True}, ["1"], ["0"]),
        ({"allOf": [{"type": "integer", "minimum": 3}, {"maximum": 12}]}, ["3", "12"], ["2", "13"]),
        ({"anyOf": [{"type": "integer", "minimum": 5, "maximum": 4}, STRING]}, ['"x"'], ["4", "5"]),
        ({"type": "array", "items": False}, ["[]"], ["[1]"]),
        ({"type": ["null"]}, ["null"], ["1"]),
    ],
)
def test_what_may_be_written_for_a_schema(schema: dict[str, Any], right: list[str], wrong: list[str]) -> None:
    one = tool("f", x=schema)
    assert [value for value in right if not _accepts(one, value)] == []
    assert [value for value in wrong if _accepts(one, value)] == []


def test_each_of_many_kinds_has_members_of_its_own() -> None:
    kinds = range(25)
    chain = [
        {
            "if": {"properties": {"kind": {"const": f"k{kind}"}}, "required": ["kind"]},
            "then": {"required": [f"m{kind}"]},
        }
        for kind in kinds
    ]
    members = {f"m{kind}": INTEGER for kind in kinds}
    one = shaped(
        "send", properties={"kind": {"enum": [f"k{kind}" for kind in kinds]}, **members}, required=["kind"], allOf=chain
    )
    assert _accepts(one, '"k0", 1')
    for kind in kinds[1:]:
        assert _accepts(one, f'"k{kind}", m{kind}=1')
        assert not _accepts(one, f'"k{kind}", m{(kind + 1) % 25}=1')


def test_the_whole_numbers_of_a_range_can_be_written_and_no_others() -> None:
    source = random.Random(7)
    for _ in range(150):
        least = source.choice([source.randint(-130, 130), source.randint(-12_000, 12_000)])
        most = least + source.choice([0, 1, source.randint(0, 30), source.randint(0, 3_000)])
        rules = Rules()
        rules.define("root", whole_numbers(least, most))
        reader = Gbnf(to_bnf(rules))
        for number in {
            least,
            most,
            least - 1,
            most + 1,
            (least + most) // 2,
            -least,
            0,
            most * 10,
            source.randint(-200, 200),
        }:
            assert reader.accepts(str(number)) is (least <= number <= most), (least, most, number)


def test_alternatives_of_all_arguments_are_alternatives_of_calls() -> None:
    either = shaped(
        "find",
        properties={"name": STRING, "id": INTEGER, "limit": INTEGER},
        anyOf=[{"required": ["name"]}, {"required": ["id"]}],
    )
    for arguments in ('"x"', '"x", limit=1', "id=1", "id=1, limit=2"):
        assert _accepts(either, arguments), arguments
    for arguments in ("", "limit=1"):
        assert not _accepts(either, arguments), arguments


def test_arguments_may_be_declared_behind_a_reference_and_in_parts() -> None:
    base = {"type": "object", "properties": {"name": STRING, "age": INTEGER}, "required": ["name"]}
    behind = {"name": "f", "inputSchema": {"$ref": "#/definitions/Base", "definitions": {"Base": base}}}
    parts = shaped("f", allOf=[base, {"properties": {"seat": INTEGER}, "required": ["seat"]}])
    for arguments in ('"Ann"', '"Ann", age=3'):
        assert _accepts(behind, arguments), arguments
    for arguments in ('"Ann", seat=4', '"Ann", seat=4, age=3'):
        assert _accepts(parts, arguments), arguments
    for one, arguments in ((behind, ""), (behind, "3"), (parts, '"Ann"'), (parts, "seat=4")):
        assert not _accepts(one, arguments), arguments


def test_each_alternative_has_its_own_arguments_in_the_order_of_all() -> None:
    amount = {"amount": NUMBER, "card": STRING}, {"amount": STRING, "account": STRING}
    either = shaped("pay", oneOf=[{"properties": one, "required": list(one)} for one in amount])
    for arguments in ('4.5, "1"', '"4.50", account="5"'):
        assert _accepts(either, arguments), arguments
    for arguments in ("4.5", '"4.50", "5"', '4.5, account="5"', '4.5, "1", account="5"'):
        assert not _accepts(either, arguments), arguments


def test_an_argument_without_a_usable_name_is_given_by_its_place() -> None:
    one = tool("f", required=["a b"], **{"first": INTEGER, "a b": STRING, "last": INTEGER})
    assert _accepts(one, '1, "x"')
    assert _accepts(one, '1, "x", last=2')
    assert not _accepts(one, '"x"')
    spare = tool("g", required=[], **{"first": INTEGER, "a b": STRING})
    for arguments in ("", "first=1", '1, "x"'):
        assert _accepts(spare, arguments), arguments


def test_behind_an_argument_that_cannot_be_given_the_others_are_named() -> None:
    one = tool("f", required=["b"], a=False, b=INTEGER)
    assert _accepts(one, "b=1")
    assert not _accepts(one, "1")


def test_a_recursive_schema_is_followed_some_levels_deep_and_then_as_far_as_it_must_be() -> None:
    one = tool("f", x={"$ref": "#/$defs/Tree"})
    one["inputSchema"]["$defs"] = {"Tree": _object(["value"], value=INTEGER, next={"$ref": "#/$defs/Tree"})}

    def nested(depth: int) -> str:
        return '{"value": 1' + (f', "next": {nested(depth - 1)}' if depth else "") + "}"

    assert _accepts(one, nested(0))
    assert _accepts(one, nested(3))
    assert not _accepts(one, nested(4))
