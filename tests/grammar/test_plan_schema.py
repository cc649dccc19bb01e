"""The strict JSON schema of plans: what it says, in which keywords, and that tools take what it allows."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from tool_sets import BOOLEAN, INTEGER, LOOKUP, NASTY, NUMBER, RATIO, RICH, STRING, random_tools, tool

from dovetail import _core
from dovetail.grammar import plan_grammar
from dovetail.grammar.plan_schema import plan_schema
from dovetail.grammar.shape import Array, Mapping, Record, Shape, Union
from dovetail.grammar.signature import signature
from dovetail.grammar.terms import Terms
from dovetail.models.provider_schema import with_unlike_first_keys

if TYPE_CHECKING:
    from collections.abc import Iterator

# What OpenAI's strict mode knows.
_KEYWORDS = {
    *("type", "enum", "anyOf", "$ref", "$defs", "properties", "required", "additionalProperties", "items"),
    *("minItems", "maxItems", "minimum", "maximum", "pattern"),
}
# What a strict schema cannot say, and leaves to the plan machine: keys that are not known, places of a list, more
# constants than OpenAI takes, and how long strings are.
_UNSAYABLE = {"objects", "tuples", "five thousand values", "conditions", "lengths"}


def _schema(tools: list[dict[str, Any]], **options: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(plan_grammar(tools, dialect="json_schema", **options).text)
    return found


def _takes(tools: list[dict[str, Any]], plan: Any, **options: Any) -> bool:
    return jsonschema.Draft202012Validator(_schema(tools, **options)).is_valid(plan)


def _plan(*calls: tuple[str, dict[str, Any]], join: int | None = None) -> dict[str, Any]:
    tasks = [{"tool": name, "id": index, "arguments": given} for index, (name, given) in enumerate(calls, 1)]
    return {"tasks": tasks, "join": join}


def _schemas_in(schema: Any) -> Iterator[dict[str, Any]]:
    yield schema
    for one in (*schema.get("properties", {}).values(), *schema.get("$defs", {}).values(), *schema.get("anyOf", ())):
        yield from _schemas_in(one)
    if "items" in schema:
        yield from _schemas_in(schema["items"])


def test_a_plan_has_its_keys_in_the_order_in_which_it_is_read() -> None:
    schema = _schema([LOOKUP], thought=True)
    assert list(schema["properties"]) == ["thought", "tasks", "join"]
    assert list(schema["properties"]["tasks"]["items"]["properties"]) == ["tool", "id", "arguments"]
    assert list(_schema([LOOKUP])["properties"]) == ["tasks", "join"]


def test_tasks_are_told_apart_by_their_first_key_in_what_every_provider_is_sent() -> None:
    schema = _schema([LOOKUP, RATIO])
    assert json.dumps(with_unlike_first_keys(schema)) == json.dumps(schema)
    written = json.loads(_core.plan_in_json(_core.ToolSet(json.dumps([RATIO])), "1. ratio(1, 2)\n2. join($1)"))
    [shown] = written["tasks"]
    assert [list(task["properties"]) for task in schema["properties"]["tasks"]["items"]["anyOf"]] == [list(shown)] * 2


def test_tools_arguments_and_types_are_fixed() -> None:
    good = _plan(("lookup", {"name": "Peru"}), ("ratio", {"a": "$1", "b": 2}), join=2)
    assert _takes([LOOKUP, RATIO], good)
    for wrong in (
        _plan(("find", {"name": "Peru"})),
        _plan(("lookup", {"name": 1})),
        _plan(("lookup", {"city": "Peru"})),
        _plan(("lookup", {})),
        _plan(("ratio", {"a": 1})),
        _plan(("ratio", {"a": "one", "b": 2})),
        _plan(("ratio", {"a": 1, "b": 2, "c": 3})),
        _plan(),
        {"tasks": good["tasks"]},
        good | {"join": "2"},
    ):
        assert not _takes([LOOKUP, RATIO], wrong), wrong


def test_ids_lie_within_the_bounds_of_the_plan() -> None:
    call = ("ratio", {"a": 1, "b": 2})
    assert _takes([RATIO], _plan(call, call, join=2), max_tasks=2)
    assert not _takes([RATIO], _plan(call, call, join=3), max_tasks=2)
    assert not _takes([RATIO], _plan(call), first_id=2)
    assert not _takes([RATIO], {"tasks": [{"tool": "ratio", "id": 123456, "arguments": call[1]}], "join": None})


def test_a_reference_is_a_string_where_an_output_can_fit() -> None:
    tools = [tool("f", "object", n=NUMBER, l={"type": "array", "items": INTEGER}, s=STRING, e={"enum": ["a"]})]
    first = {"n": 1, "l": [1], "s": "x", "e": "a"}
    for change, is_right in (
        ({"n": "$1.height"}, True),
        ({"n": "$1[0].a"}, True),
        ({"l": "$1"}, True),
        ({"l": ["$1", 2]}, True),
        ({"s": "about $1"}, True),
        ({"n": "about $1"}, False),
        ({"n": "$1 "}, False),
        ({"n": "$0"}, False),
        ({"e": "$1"}, False),
    ):
        assert _takes(tools, _plan(("f", first), ("f", first | change))) is is_right, change


def test_without_patterns_any_string_may_be_written_where_an_output_can_fit() -> None:
    read = [signature(RATIO, 120)]
    assert "pattern" in json.dumps(plan_schema(read, Terms()))
    schema = plan_schema(read, Terms(), patterns=False)
    assert "pattern" not in json.dumps(schema)
    assert jsonschema.Draft202012Validator(schema).is_valid(_plan(("ratio", {"a": "$1", "b": 2})))


def test_an_optional_argument_that_is_not_wanted_is_null() -> None:
    one = tool("search", required=["query"], query=STRING, limit=INTEGER, flag={"type": ["boolean", "null"]})
    assert _takes([one], _plan(("search", {"query": "x", "limit": None, "flag": None})))
    assert not _takes([one], _plan(("search", {"query": None, "limit": 1, "flag": True})))
    assert not _takes([one], _plan(("search", {"query": "x"})))


def test_constants_with_dollars_arrive_as_the_tool_has_them() -> None:
    values: list[Any] = ["$1", "$$", {"$1": "${2}", "$$": ["$3"]}]
    tools = [tool("f", x={"enum": values})]
    (written,) = [one["enum"] for one in _schemas_in(_schema(tools)) if "enum" in one and len(one["enum"]) == 3]
    core = _core.ToolSet(json.dumps(tools))
    for value, as_written in zip(values, written, strict=True):
        steps = _core.Machine(core).feed(json.dumps(_plan(("f", {"x": as_written}))))
        (ready,) = (step for step in steps if isinstance(step, _core.Ready))
        assert json.loads(ready.arguments) == {"x": value}


def test_a_plan_has_at_most_as_many_tasks_as_asked_for_and_a_later_one_may_have_none() -> None:
    call = ("ratio", {"a": 1, "b": 2})
    assert _takes([RATIO], _plan(call, call), max_tasks=2)
    assert not _takes([RATIO], _plan(call, call, call), max_tasks=2)
    assert not _takes([RATIO], _plan())
    assert _takes([RATIO], _plan(join=1), first_id=3, earlier_ids=[1, 2])


@pytest.mark.parametrize("name", NASTY)
def test_a_schema_has_only_what_strict_mode_knows(name: str) -> None:
    constants = 0
    for one in _schemas_in(_schema(NASTY[name], thought=True)):
        assert set(one) <= _KEYWORDS
        constants += len(one.get("enum", ()))
        if one.get("type") == "object":
            assert one["additionalProperties"] is False
            assert one["required"] == list(one["properties"])
    assert constants <= 1_000


@pytest.mark.parametrize("name", [name for name in NASTY if name not in _UNSAYABLE])
def test_tools_take_what_the_schema_of_a_tool_set_that_fights_it_allows(name: str) -> None:
    _check(NASTY[name], random.Random(name), times=40)


@pytest.mark.parametrize("seed", range(40))
def test_tools_take_what_the_schemas_of_random_tools_allow(seed: int) -> None:
    source = random.Random(seed)
    tools = [one for one in random_tools(source) if signature(one, 120).records]
    if tools:
        _check(tools, source, times=10, checked=lambda record: not _has_unsayable(record))


def _check(
    tools: list[dict[str, Any]], source: random.Random, *, times: int, checked: Any = lambda record: True
) -> None:
    core = _core.ToolSet(json.dumps(tools))
    read = [signature(one, 120) for one in tools]
    for one in read:
        for record in filter(checked, one.records):
            # A schema of this call alone, no output of which fits anywhere.
            alone = [type(one)(one.name, (record,), one.forms, frozenset())]
            items = plan_schema(alone, Terms())["properties"]["tasks"]["items"]
            for _ in range(max(1, times // len(read))):
                arguments = _drawn(items["properties"]["arguments"], source)
                task = {"tool": one.name, "id": 1, "arguments": arguments}
                steps = _core.Machine(core).feed(json.dumps({"tasks": [task], "join": None}))
                assert [type(step) for step in steps] == [_core.Planned, _core.Ready, _core.Closed], steps


def _drawn(schema: Any, source: random.Random) -> Any:
    """A random value that a strict schema allows."""
    if "anyOf" in schema:
        return _drawn(source.choice(schema["anyOf"]), source)
    if "enum" in schema:
        return source.choice(schema["enum"])
    kind = schema["type"]
    match source.choice(kind) if isinstance(kind, list) else kind:
        case "object":
            return {name: _drawn(one, source) for name, one in schema["properties"].items()}
        case "array":
            least, most = schema.get("minItems", 0), schema.get("maxItems", 3)
            return [_drawn(schema["items"], source) for _ in range(source.randint(least, min(most, least + 2)))]
        case "string":
            # Lengths are not said: those that are bound here are short.
            return source.choice(["abc", "xyz"])
        case "integer":
            least, most = schema.get("minimum"), schema.get("maximum")
            return source.randint(
                (most or 0) - 25 if least is None else least, (least or 0) + 25 if most is None else most
            )
        case "number":
            return source.choice([0, 1.5, 12])
        case "boolean":
            return source.random() < 0.5
        case _:
            return None


def _has_unsayable(shape: Shape) -> bool:
    match shape:
        case Mapping() | Union():
            # Alternatives that have the same keys are not told apart by the reader of this test.
            return True
        case Array(prefix, item):
            return bool(prefix) or _has_unsayable(item)
        case Record(members):
            return any(_has_unsayable(one.shape) for one in members)
        case _:
            return False


def test_the_rich_set_has_a_schema_that_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(_schema(RICH, thought=True))
    given = {"x": {"anything": True}, "y": {"z": 1, "w": None}}
    assert not _takes(RICH, _plan(("any", given))), "keys that are not known beforehand are not in the subset"
    assert _takes(RICH, _plan(("any", given | {"x": [1, "a"]})))
    assert _takes([tool("f", x=BOOLEAN)], _plan(("f", {"x": True})))
