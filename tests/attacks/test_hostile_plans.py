"""Plans of a model that was talked into something: smuggled references, paths, monsters of numbers and nesting."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hostile import Trap

from dovetail import Limits, tool
from dovetail.builtin import math
from scripted import ScriptedModel, events_of, facts, failures, finish, outputs

pytestmark = pytest.mark.anyio

BOUND = 60.0
"""Seconds that any of these may take: far above what they need, far below what an explosion would."""


@tool
async def echo(value: Any) -> Any:
    return value


@tool
async def say(text: str) -> str:
    return text


@tool
async def count(number: int) -> str:
    return "counted"


@tool
async def fetch() -> Any:
    return {"name": "Ada", "items": [1, 2], "a b": "$2", "secret": "s"}


async def run_plan(*lines: str, limits: Limits | None = None) -> list[Any]:
    began = time.monotonic()
    model = ScriptedModel("\n".join([*lines, "join()"]), *[finish("done")] * 3)
    events = await events_of([fetch, echo, say, count, math], model, limits=limits)
    assert time.monotonic() - began < BOUND
    assert events[-1].WhichOneof("fact") == "run_ended"
    return events


@pytest.mark.parametrize(
    "path",
    [
        ".__class__", ".__class__.__init__.__globals__", "[0]", '["__class__"]',
        '["../.."]', '["../../etc/passwd"]', ".name.upper", ".items.append", ".items[2]", '["$2"]',
        ".keys", ".constructor.prototype", ".__proto__",
    ],
)  # fmt: skip
async def test_a_path_leads_into_the_json_of_an_output_and_nowhere_else(path: str) -> None:
    events = await run_plan("1. fetch()", f"2. echo($1{path})", "3. echo($2)")
    assert failures(events) == {2: "INVALID"}
    assert [fact.task_id for fact in facts(events, "task_skipped")] == [3]


@pytest.mark.parametrize("path", ["[-1]", "[99999999999999999999]", "(1)", "{0}", "|upper", "!r"])
async def test_what_is_no_path_is_text_behind_the_output(path: str) -> None:
    events = await run_plan('1. say("abc")', f"2. echo('$1{path}')")
    assert json.loads(outputs(events)[2]) == f"abc{path}"


async def test_a_reference_that_an_output_holds_is_text_wherever_it_is_put() -> None:
    events = await run_plan(
        "1. fetch()",
        '2. echo($1["a b"])',
        "3. echo($2)",
        '4. say("$3.name")',
        '5. echo("${3}$3")',
        "6. echo({'$1': $3})",
    )
    given = outputs(events)
    assert given[2] == given[3] == '"$2"'
    assert failures(events) == {4: "INVALID"}
    assert given[5] == '"$2$2"'
    assert json.loads(given[6]) == {"$1": "$2"}


async def test_a_reference_cannot_name_a_tool_an_argument_or_a_later_task() -> None:
    trap = Trap()

    @tool
    async def name() -> str:
        return "delete"

    model = ScriptedModel(
        "1. name()\n2. $1()\n3. $1(what='all')\n4. echo($9)\n5. echo($5)\n6. echo($1='x')\n7. echo(**$1)\njoin()",
        finish("done"),
    )
    events = await events_of([name, echo, trap.tool], model)
    assert trap.calls == 0
    assert [fact.tool for fact in facts(events, "task_planned")][:1] == ["name"]
    assert all(fact.tool in {"name", "echo"} for fact in facts(events, "task_planned"))
    # What is no argument is read as text, with a hint; a text calls nothing.
    assert outputs(events) == {1: '"delete"', 6: "\"delete='x'\"", 7: '"**delete"'}


async def test_a_string_of_python_or_shell_is_a_string() -> None:
    code = "__import__('os').system('id'); $(id) `id` {0.__class__} %(x)s"
    events = await run_plan(f'1. say("{code}")', "2. say(f'{1+1}')", "3. echo(open('/etc/passwd'))", "4. echo(1+1)")
    given = outputs(events)
    assert json.loads(given[1]) == code
    assert "root:" not in "".join(given.values())
    assert given.get(4) != "2"


@pytest.mark.parametrize(
    "expression",
    [
        "9**9**9", "10**308*10**308", "10**100000", "1e308*1e308", "factorial(100000)", "2**2**2**2**2**2",
        "(" * 400 + "1" + ")" * 400, "9" * 900 + "*" + "9" * 90, "'a'*10**9", "[0]*10**9", "().__class__.__bases__",
        "__import__('os')", "open('/etc/passwd')", "pow(9, 9**9)", "exp(10**9)", "sum([9**9]*10**9)", "x" * 5000,
    ],
)  # fmt: skip
async def test_arithmetic_that_would_never_end_is_an_error_at_once(expression: str) -> None:
    events = await run_plan(f"1. math({json.dumps(expression)})")
    assert failures(events) == {1: "TOOL_ERROR"}


async def test_numbers_of_any_length_are_an_output_or_a_failure_and_never_the_end() -> None:
    long = "9" * 10_000
    events = await run_plan(
        f"1. echo({long})", f"2. count({long})", f'3. say("{long}")', "4. echo(1e999999999)", "5. echo(-1e-999999999)",
        f"6. echo(0.{long})", f"7. count({'1' * 300})", "8. echo(10000000000000000000000000000000)",
    )  # fmt: skip
    given, failed = outputs(events), failures(events)
    assert given.keys() | failed.keys() == set(range(1, 9))
    assert json.loads(given[3]) == long
    assert given[7] == '"counted"'
    assert given[8] == "10000000000000000000000000000000"
    assert set(failed.values()) <= {"INVALID", "TOOL_ERROR", "OUTPUT_INVALID"}


@pytest.mark.parametrize("opening", ["[", '{"a": ', "[[[[{'a': ", "echo(", "("])
async def test_arguments_nested_without_end_fail_their_task_alone(opening: str) -> None:
    events = await run_plan(f"1. echo({opening * 100_000})", '2. say("still here")')
    # Words are text without its quotes; what opens a list, an object or a parenthesis has to close it.
    assert (1 in outputs(events)) == (opening == "echo(")
    assert [fact.answer for fact in facts(events, "run_answered")] == ["done"]


async def test_outputs_nested_without_end_fail_their_task_alone() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    around: list[Any] = []
    around.append(around)

    @tool
    async def nested() -> Any:
        return deep

    @tool
    async def circular() -> Any:
        return around

    model = ScriptedModel('1. nested()\n2. circular()\n3. say("here")\njoin()', finish("done"))
    events = await events_of([nested, circular, say], model)
    assert failures(events) == {1: "OUTPUT_INVALID", 2: "OUTPUT_INVALID"}
    assert outputs(events) == {3: '"here"'}
    while deep:  # a chain so long is taken apart by hand
        deep = deep.pop()


async def test_an_output_cannot_grow_by_being_put_into_itself() -> None:
    """Each task puts the output before it in twice: forty of them would be a terabyte."""
    lines = [f'1. say("{"x" * 1000}")']
    lines += [f'{n}. say("${n - 1}${n - 1}")' for n in range(2, 41)]
    events = await run_plan(*lines)
    failed = failures(events)
    assert set(failed.values()) <= {"ARGUMENTS_TOO_LARGE", "OUTPUT_TOO_LARGE"}
    assert len(failed) == 1
    assert sum(len(output) for output in outputs(events).values()) < 4 * 1024 * 1024


async def test_a_plan_without_end_is_cut_at_its_limit_of_tasks() -> None:
    lines = [f'{n}. say("x")' for n in range(1, 5_001)]
    events = await run_plan(*lines, limits=Limits(max_tasks=100, max_replans=0))
    assert len(outputs(events)) <= 100


@pytest.mark.parametrize(
    "name", ["a" * 100_000, "../../bin/sh", "os.system", "__import__", "echo\x00", "echo\n", "ｅcho"]
)
async def test_a_tool_that_does_not_exist_fails_its_task_with_a_short_message(name: str) -> None:
    events = await run_plan(f'1. {name}("id")', '2. say("here")')
    for fact in facts(events, "task_failed"):
        assert len(fact.failure.message) < 2_500
    for fact in facts(events, "plan_diagnosed"):
        assert len(fact.message) < 2_500
    assert json.loads(next(reversed(outputs(events).values()), '"here"')) in ("here", "id")


async def test_a_megabyte_of_argument_arrives_and_three_are_a_failure() -> None:
    events = await run_plan(f'1. say("{"x" * 1_000_000}")', f'2. say("{"y" * 3_000_000}")')
    assert len(outputs(events)[1]) == 1_000_002
    assert failures(events) == {2: "ARGUMENTS_TOO_LARGE"}
