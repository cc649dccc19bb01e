from __future__ import annotations

import json
import re
from typing import Any

import pytest
from gbnf import Gbnf
from tool_sets import INTEGER, LOOKUP, NUMBER, RATIO, STRING, tool

from dovetail.errors import UsageError
from dovetail.grammar import plan_grammar, uncallable
from dovetail.tools.definition import Tool
from dovetail.tools.tool_set import ToolSet


def _accepts(tools: list[dict[str, Any]], plan: str, **options: Any) -> bool:
    return Gbnf(plan_grammar(tools, **options).text).accepts(plan)


def _takes(value: str, schema: dict[str, Any]) -> bool:
    return _accepts([tool("f", "boolean", x=schema)], f"1. f({value})\n2. join()", max_tasks=1)


def test_a_plan_of_calls_and_references_to_earlier_tasks_follows_the_grammar() -> None:
    plan = '1. lookup("Peru")\n2. lookup("Chile")\n3. ratio($1, $2)\n4. join($3)'
    assert _accepts([LOOKUP, RATIO], plan)
    assert _accepts([LOOKUP, RATIO], plan.replace("join($3)", "join()"))


@pytest.mark.parametrize(
    "plan",
    [
        '2. lookup("Peru")\n3. join()',
        '1. lookup("Peru")\n1. lookup("Chile")\n2. join()',
        "1. ratio($1, 2)\n2. join()",
        "1. ratio(1, 2)\n2. ratio($2, 1)\n3. join()",
        "1. ratio(1, 2)\n2. ratio($3, 1)\n3. join()",
        '1. lookup("Peru")\n2. join($2)',
        '1. lookup("Peru")',
        "1. join()",
        '1. find("Peru")\n2. join()',
        "1. lookup(1)\n2. join()",
        "1. ratio(1)\n2. join()",
        "1. ratio(b=1, a=2)\n2. join()",
        "1. lookup('Peru')\n2. join()",
    ],
)
def test_what_is_no_plan_does_not_follow_the_grammar(plan: str) -> None:
    assert not _accepts([LOOKUP, RATIO], plan)


def test_a_plan_has_at_most_as_many_tasks_as_asked_for() -> None:
    assert _accepts([RATIO], "1. ratio(1, 2)\n2. ratio($1, 2)\n3. join($2)", max_tasks=2)
    assert not _accepts([RATIO], "1. ratio(1, 2)\n2. ratio($1, 2)\n3. ratio($1, 2)\n4. join($2)", max_tasks=2)


def test_ids_go_on_and_earlier_tasks_stay_referable_on_a_replan() -> None:
    options: dict[str, Any] = {"first_id": 5, "earlier_ids": (2, 1)}
    assert _accepts([RATIO], "5. ratio($1, $2)\n6. join($5)", **options)
    assert _accepts([RATIO], "5. join($2)", **options)
    assert not _accepts([RATIO], "5. ratio($1, $3)\n6. join($5)", **options)
    assert not _accepts([RATIO], "1. ratio(1, 2)\n2. join()", **options)


def test_a_thought_may_come_first_only_if_asked_for_and_is_bounded() -> None:
    plan = "Thought: both are needed.\n1. ratio(1, 2)\n2. join($1)"
    assert _accepts([RATIO], plan, thought=True)
    assert _accepts([RATIO], plan.partition("\n")[2], thought=True)
    assert not _accepts([RATIO], plan)
    assert not _accepts([RATIO], plan.replace("both", "both " * 40), thought=True)


@pytest.mark.parametrize(
    ("schema", "right", "wrong"),
    [
        (STRING, ['""', r'"a \"b\" \\ \n \u00e4"', '"ä→"'], ["a", "1", '"a\nb"', '"' + "a" * 121 + '"']),
        ({"type": "string", "maxLength": 2}, ['"ab"'], ['"abc"']),
        (INTEGER, ["0", "-12"], ["1.5", "01", '"1"', "true"]),
        ({"type": "integer", "minimum": 0}, ["7"], ["-7"]),
        (NUMBER, ["0", "-1.5", "2e10"], ["1.", ".5", '"1"']),
        ({"type": "boolean"}, ["true", "false"], ["True", "0", '"true"']),
        ({"enum": ["km", 'a "b"', 1, None]}, ['"km"', r'"a \"b\""', "1", "null"], ["km", '"m"', "2"]),
        ({"const": "x"}, ['"x"'], ['"y"']),
        ({"type": ["integer", "null"]}, ["1", "null"], ['"a"']),
        ({"anyOf": [INTEGER, {"type": "null"}], "default": None}, ["1", "null"], ['"a"']),
        ({"type": "array", "items": INTEGER}, ["[]", "[1, 2]"], ["[1,2]", '["a"]', "[" + "1, " * 8 + "1]"]),
        ({"type": "array", "items": INTEGER, "minItems": 1, "maxItems": 2}, ["[1]", "[1, 2]"], ["[]", "[1, 2, 3]"]),
        (
            {"type": "object", "properties": {"a": INTEGER, "b": STRING, "c": STRING}, "required": ["a"]},
            ['{"a": 1}', '{"a": 1, "c": "x"}', '{"a": 1, "b": "x", "c": "y"}'],
            ["{}", '{"b": "x"}', '{"a": "x"}', '{"c": "x", "a": 1}'],
        ),
        (
            {"type": "object", "properties": {"a": INTEGER, "b": STRING}},
            ["{}", '{"a": 1}', '{"b": "x"}', '{"a": 1, "b": "x"}'],
            ['{"c": 1}', '{, "b": "x"}'],
        ),
        ({}, ['"a"', "1.5", "null", "[1, [2]]", '{"a": {"b": [true]}}'], ["a", "{a: 1}"]),
        ({"type": "object"}, ["{}", '{"a": 1}'], ["a"]),
        ({"not": STRING}, ["1", "[]"], ["a"]),
        ({"$ref": "#/nowhere"}, ["1"], ["a"]),
    ],
)
def test_a_schema_decides_which_values_may_be_written(
    schema: dict[str, Any], right: list[str], wrong: list[str]
) -> None:
    assert [value for value in right if not _takes(value, schema)] == []
    assert [value for value in wrong if _takes(value, schema)] == []


def test_a_schema_may_be_defined_elsewhere_in_the_input_schema() -> None:
    one = tool("f", x={"$ref": "#/$defs/Unit"})
    one["inputSchema"]["$defs"] = {"Unit": {"enum": ["km", "mi"]}}
    assert _accepts([one], '1. f("mi")\n2. join()')
    assert not _accepts([one], '1. f("m")\n2. join()')


def test_a_definition_may_be_named_by_its_anchor() -> None:
    one = tool("f", x={"$ref": "#unit"})
    one["inputSchema"]["$defs"] = {"Unit": {"$anchor": "unit", "enum": ["km", "mi"]}}
    assert _accepts([one], '1. f("mi")\n2. join()')
    assert not _accepts([one], '1. f("m")\n2. join()')


def test_a_schema_that_contains_itself_ends_in_any_literal() -> None:
    one = tool("f", x={"$ref": "#/$defs/Tree"})
    tree = {"type": "object", "properties": {"child": {"$ref": "#/$defs/Tree"}}}
    one["inputSchema"]["$defs"] = {"Tree": tree, "Loop": {"$ref": "#/$defs/Loop"}}
    assert _accepts([one], '1. f({"child": {"child": {}}})\n2. join()')


def test_optional_arguments_are_written_by_name_after_the_required_ones() -> None:
    one = tool("search", required=["query"], query=STRING, limit=INTEGER, exact={"type": "boolean"})
    for arguments in ('"x"', '"x", limit=3', '"x", exact=true', '"x", limit=3, exact=true'):
        assert _accepts([one], f"1. search({arguments})\n2. join()")
    for arguments in ('"x", 3', "limit=3", '"x", exact=true, limit=3', '"x",'):
        assert not _accepts([one], f"1. search({arguments})\n2. join()")


def test_a_required_argument_behind_an_optional_one_is_named() -> None:
    one = tool("f", required=["b"], a=INTEGER, b=INTEGER)
    assert _accepts([one], "1. f(b=2)\n2. join()")
    assert not _accepts([one], "1. f(2)\n2. join()")


def test_a_tool_may_have_no_arguments_at_all_or_only_optional_ones() -> None:
    assert _accepts([tool("now")], "1. now()\n2. join($1)")
    assert _accepts([{"name": "now", "inputSchema": {"type": "object"}}], "1. now()\n2. join($1)")
    one = tool("f", required=[], a=INTEGER, b=INTEGER)
    for arguments in ("", "a=1", "b=2", "a=1, b=2"):
        assert _accepts([one], f"1. f({arguments})\n2. join()")


def test_a_bare_reference_is_offered_where_an_output_can_fit() -> None:
    number, text = tool("n", "number", x=NUMBER), tool("s", "string", x=STRING)
    assert _accepts([number], "1. n(1)\n2. n($1)\n3. join()")
    assert not _accepts([text, tool("n", "string", x=NUMBER)], '1. s("a")\n2. n($1)\n3. join()')
    unknown = tool("u", x={"type": "array", "items": NUMBER})
    assert _accepts([unknown], "1. u([1])\n2. u($1)\n3. u([$1, 2, $2[0].height])\n4. join()")
    assert not _accepts([number], "1. n(1)\n2. n($1.height)\n3. join()")


def test_a_reference_to_a_place_that_takes_only_text_is_written_inside_the_string() -> None:
    text = tool("s", "string", x=STRING)
    assert _accepts([text], '1. s("a")\n2. s("about $1")\n3. s("$2")\n4. join($3)')
    assert not _accepts([text], '1. s("a")\n2. s($1)\n3. join()')


def test_the_same_tool_set_gives_the_same_text_and_is_compiled_once() -> None:
    again = json.loads(json.dumps([LOOKUP, RATIO]))
    assert plan_grammar([LOOKUP, RATIO]) is plan_grammar(again)
    assert plan_grammar([LOOKUP, RATIO]).text != plan_grammar([RATIO, LOOKUP]).text
    assert plan_grammar([LOOKUP]).dialect == "gbnf"


def test_a_tool_set_has_the_grammar_of_its_tools() -> None:
    tools = ToolSet.of([Tool("lookup", "", LOOKUP["inputSchema"], LOOKUP["outputSchema"])])
    assert plan_grammar(tools) is plan_grammar([LOOKUP])
    again = ToolSet(tools)
    assert plan_grammar(again) is plan_grammar(tools)


@pytest.mark.parametrize("change", [{"max_tasks": 3}, {"first_id": 2}, {"thought": True}, {"max_string": 60}])
def test_other_terms_give_another_grammar(change: dict[str, Any]) -> None:
    assert plan_grammar([LOOKUP], **change).text != plan_grammar([LOOKUP]).text


def test_strings_are_as_long_as_asked_for() -> None:
    plan = '1. lookup("' + "a" * 500 + '")\n2. join()'
    assert _accepts([LOOKUP], plan, max_tasks=1, max_string=500)
    assert not _accepts([LOOKUP], plan, max_tasks=1, max_string=499)


@pytest.mark.parametrize("dialect", ["gbnf", "json_schema"])
def test_a_tool_that_no_arguments_fit_is_left_out_and_said(dialect: Any) -> None:
    endless = tool("endless", x={"$ref": "#/properties/x"})
    impossible = tool("impossible", x={"type": "string", "minLength": 3, "maxLength": 2})
    tools = [RATIO, endless, impossible]
    text = plan_grammar(tools, dialect=dialect).text
    assert "ratio" in text
    assert "endless" not in text
    assert "impossible" not in text
    assert set(uncallable(tools, dialect)) == {"endless", "impossible"}
    with pytest.raises(UsageError, match=r"endless.*inputSchema"):
        plan_grammar([endless, impossible], dialect=dialect)


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        (
            {"properties": {"x": INTEGER, "y": {"enum": []}}, "required": ["x", "y"]},
            "inputSchema.properties.y: it is req",
        ),
        (
            {"properties": {"x": {"$ref": "#/properties/x"}}, "required": ["x"]},
            "inputSchema.properties.x: it is required",
        ),
        ({"properties": {"x": INTEGER}, "required": ["z"]}, "argument 'z' is demanded, and is none of its properties"),
        ({"oneOf": [{"required": ["a"]}, {"required": ["b"]}]}, "argument 'a' is demanded, and is none"),
        (
            {"properties": {"opt": INTEGER, "a b": False, "c d": INTEGER}, "required": ["c d"]},
            "argument 'c d' has a name that a plan cannot write",
        ),
        (
            {"properties": {"x": INTEGER}, "required": ["x"], "not": {"required": ["x"]}, "allOf": [False]},
            "inputSchema: no arguments fit it",
        ),
    ],
)
def test_why_a_tool_is_left_out_is_said_with_the_place(schema: dict[str, Any], place: str) -> None:
    one = {"name": "f", "inputSchema": {"type": "object", **schema}}
    assert place in uncallable([one])["f"]
    with pytest.raises(UsageError, match=rf"^tool 'f': inputSchema.*{re.escape(place[12:])}"):
        plan_grammar([one])
    with pytest.raises(UsageError, match=r"; nor can the other 1 be called$"):
        plan_grammar([one, one | {"name": "g"}])


def test_a_description_is_not_part_of_a_grammar() -> None:
    assert plan_grammar([LOOKUP | {"description": "looks"}]) is plan_grammar([LOOKUP])


@pytest.mark.parametrize(
    ("tools", "options", "message"),
    [
        ([], {}, "at least one tool"),
        ([LOOKUP], {"max_tasks": 0}, "max_tasks"),
        ([LOOKUP], {"first_id": 3, "earlier_ids": [3]}, "not earlier"),
    ],
)
def test_a_grammar_that_could_say_nothing_is_refused(tools: list[Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan_grammar(tools, **options)
