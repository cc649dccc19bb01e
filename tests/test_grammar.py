from __future__ import annotations

import json
import random
from typing import Any

import pytest
from gbnf import Gbnf

from dovetail import _core
from dovetail.grammar import plan_grammar


def _tool(
    name: str, output: str | None = None, /, required: list[str] | None = None, **properties: Any
) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": properties,
        "required": list(properties) if required is None else required,
    }
    return {"name": name, "inputSchema": schema} | ({} if output is None else {"outputSchema": {"type": output}})


STRING, INTEGER, NUMBER = {"type": "string"}, {"type": "integer"}, {"type": "number"}
LOOKUP = _tool("lookup", "number", name=STRING)
RATIO = _tool("ratio", "number", a=NUMBER, b=NUMBER)


def _accepts(tools: list[dict[str, Any]], plan: str, **options: Any) -> bool:
    return Gbnf(plan_grammar(tools, **options).text).accepts(plan)


def _takes(value: str, schema: dict[str, Any]) -> bool:
    return _accepts([_tool("f", "boolean", x=schema)], f"1. f({value})\n2. join()", max_tasks=1)


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
    tool = _tool("f", x={"$ref": "#/$defs/Unit"})
    tool["inputSchema"]["$defs"] = {"Unit": {"enum": ["km", "mi"]}}
    assert _accepts([tool], '1. f("mi")\n2. join()')
    assert not _accepts([tool], '1. f("m")\n2. join()')


def test_a_schema_that_contains_itself_ends_in_any_literal() -> None:
    tool = _tool("f", x={"$ref": "#/$defs/Tree"})
    tree = {"type": "object", "properties": {"child": {"$ref": "#/$defs/Tree"}}}
    tool["inputSchema"]["$defs"] = {"Tree": tree, "Loop": {"$ref": "#/$defs/Loop"}}
    assert _accepts([tool], '1. f({"child": {"child": {}}})\n2. join()')


def test_optional_arguments_are_written_by_name_after_the_required_ones() -> None:
    tool = _tool("search", required=["query"], query=STRING, limit=INTEGER, exact={"type": "boolean"})
    for arguments in ('"x"', '"x", limit=3', '"x", exact=true', '"x", limit=3, exact=true'):
        assert _accepts([tool], f"1. search({arguments})\n2. join()")
    for arguments in ('"x", 3', "limit=3", '"x", exact=true, limit=3', '"x",'):
        assert not _accepts([tool], f"1. search({arguments})\n2. join()")


def test_a_required_argument_behind_an_optional_one_is_named() -> None:
    tool = _tool("f", required=["b"], a=INTEGER, b=INTEGER)
    assert _accepts([tool], "1. f(b=2)\n2. join()")
    assert not _accepts([tool], "1. f(2)\n2. join()")


def test_a_tool_may_have_no_arguments_at_all_or_only_optional_ones() -> None:
    assert _accepts([_tool("now")], "1. now()\n2. join($1)")
    assert _accepts([{"name": "now", "inputSchema": {"type": "object"}}], "1. now()\n2. join($1)")
    tool = _tool("f", required=[], a=INTEGER, b=INTEGER)
    for arguments in ("", "a=1", "b=2", "a=1, b=2"):
        assert _accepts([tool], f"1. f({arguments})\n2. join()")


def test_a_bare_reference_is_offered_where_an_output_can_fit() -> None:
    number, text = _tool("n", "number", x=NUMBER), _tool("s", "string", x=STRING)
    assert _accepts([number], "1. n(1)\n2. n($1)\n3. join()")
    assert not _accepts([text, _tool("n", "string", x=NUMBER)], '1. s("a")\n2. n($1)\n3. join()')
    unknown = _tool("u", x={"type": "array", "items": NUMBER})
    assert _accepts([unknown], "1. u([1])\n2. u($1)\n3. u([$1, 2, $2[0].height])\n4. join()")
    assert not _accepts([number], "1. n(1)\n2. n($1.height)\n3. join()")


def test_a_reference_to_a_place_that_takes_only_text_is_written_inside_the_string() -> None:
    text = _tool("s", "string", x=STRING)
    assert _accepts([text], '1. s("a")\n2. s("about $1")\n3. s("$2")\n4. join($3)')
    assert not _accepts([text], '1. s("a")\n2. s($1)\n3. join()')


def test_the_same_tool_set_gives_the_same_text_and_is_compiled_once() -> None:
    again = json.loads(json.dumps([LOOKUP, RATIO]))
    assert plan_grammar([LOOKUP, RATIO]) is plan_grammar(again)
    assert plan_grammar([LOOKUP, RATIO]).text != plan_grammar([RATIO, LOOKUP]).text
    assert plan_grammar([LOOKUP]).dialect == "gbnf"


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


RICH = [
    LOOKUP,
    RATIO,
    _tool("search", "array", required=["query"], query=STRING, limit=INTEGER, unit={"enum": ["km", 'it\'s "odd"']}),
    _tool(
        "note", "string", required=["b"], a={"anyOf": [INTEGER, {"type": "null"}]}, b={"type": "array", "items": NUMBER}
    ),
    _tool("any", x={}, y={"type": "object", "properties": {"z": NUMBER, "w": STRING}, "required": ["z"]}),
]


@pytest.mark.parametrize("seed", range(150))
def test_whatever_the_grammar_allows_the_machine_plans_without_an_error(seed: int) -> None:
    plan = Gbnf(plan_grammar(RICH, max_tasks=5, thought=True).text).sentence(random.Random(seed))
    machine = _core.Machine(_core.ToolSet(json.dumps(RICH)))
    steps = [*machine.feed(plan), *machine.finish()]
    errors = [step for step in steps if isinstance(step, _core.Diagnostic) and step.severity == "error"]
    assert [f"{error.code}: {error.message}" for error in errors] == [], plan
    assert any(isinstance(step, _core.Closed) for step in steps)
    planned = [step.task_id for step in steps if isinstance(step, _core.Planned)]
    assert planned == list(range(1, len(planned) + 1))
    assert planned
