"""A plan in lines, written in JSON: what a strict schema has a model write, read by the machine as the same tasks."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from sentences import sentence
from tool_sets import INTEGER, LOOKUP, NASTY, RATIO, STRING, random_tools, tool

from dovetail import _core
from dovetail.grammar import plan_grammar, uncallable
from dovetail.grammar.plan_rules import plan_rules
from dovetail.grammar.signature import signature
from dovetail.grammar.terms import Terms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dovetail.grammar import ToolShape

_TERMS = Terms(max_tasks=5, thought=True)
# What a strict schema cannot say: see docs/grammar.md.
_UNSAYABLE = {"objects", "tuples", "conditions", "combined", "no properties"}
_WITH_FREE_OBJECTS = {"any", "keywords", "beside"}


def _plans(tools: Sequence[ToolShape], times: int) -> list[str]:
    read = [signature(one, _TERMS.max_string) for one in tools]
    rules = plan_rules([one for one in read if one.forms], _TERMS)
    return [sentence(rules, random.Random(seed)) for seed in range(times)]


def _without_nulls(value: Any) -> Any:
    match value:
        case list():
            return [_without_nulls(item) for item in value]
        case dict():
            return {name: _without_nulls(item) for name, item in value.items() if item is not None}
        case _:
            return value


def _tasks(core: _core.ToolSet, plan: str) -> list[Any]:
    """What each task of a plan is: its tool, what it waits for, and what it is called with if it waits for nothing."""
    machine = _core.Machine(core)
    found: list[Any] = []
    for step in [*machine.feed(plan), *machine.finish()]:
        match step:
            case _core.Planned():
                found.append((step.task_id, step.tool, step.depends_on))
            case _core.Ready():
                found.append((step.task_id, _without_nulls(json.loads(step.arguments))))
            case _core.Diagnostic(severity="error"):
                found.append((step.code, step.task_id))
            case _core.Closed():
                found.append(step.answer_task)
            case _:
                pass
    return found


@pytest.mark.parametrize("name", NASTY)
def test_plans_drawn_from_a_grammar_are_the_same_tasks_in_json(name: str) -> None:
    core = _core.ToolSet(json.dumps(NASTY[name]))
    for plan in _plans(NASTY[name], 40):
        written = _core.plan_in_json(core, plan)
        assert _tasks(core, written) == _tasks(core, plan), (plan, written)


@pytest.mark.parametrize("seed", range(0, 120, 20))
def test_plans_with_random_tools_are_the_same_tasks_in_json(seed: int) -> None:
    for one in range(seed, seed + 20):
        tools = random_tools(random.Random(one))
        if len(uncallable(tools)) < len(tools):
            core = _core.ToolSet(json.dumps(tools))
            for plan in _plans(tools, 5):
                written = _core.plan_in_json(core, plan)
                assert _tasks(core, written) == _tasks(core, plan), (plan, written)


@pytest.mark.parametrize("name", [name for name in NASTY if name not in _UNSAYABLE])
def test_a_plan_in_json_is_what_its_strict_schema_has_a_model_write(name: str) -> None:
    tools = [one for one in NASTY[name] if one["name"] not in _WITH_FREE_OBJECTS]
    core = _core.ToolSet(json.dumps(tools))
    schema = json.loads(plan_grammar(tools, dialect="json_schema", max_tasks=5).text)
    valid = jsonschema.Draft202012Validator(schema)
    for plan in _plans(tools, 40):
        written = _core.plan_in_json(core, plan, thought=False)
        error = next(valid.iter_errors(json.loads(written)), None)
        assert error is None, (plan, written, error)


def test_a_plan_in_json_goes_on_from_earlier_tasks() -> None:
    core = _core.ToolSet(json.dumps([LOOKUP, RATIO, tool("search", required=["query"], query=STRING, limit=INTEGER)]))
    earlier = '1. lookup("Everest")\n2. lookup("K2")\n'
    plan = "Thought: both are known\n3. ratio($1, b=$2.height)\n4. search('$$5 of $3')\n5. join($3)"
    assert json.loads(_core.plan_in_json(core, plan, earlier=earlier)) == {
        "thought": "both are known",
        "tasks": [
            {"tool": "ratio", "id": 3, "arguments": {"a": "$1", "b": "$2.height"}},
            {"tool": "search", "id": 4, "arguments": {"query": "$$5 of $3", "limit": None}},
        ],
        "join": 3,
    }


def test_an_error_in_a_plan_is_told_with_its_line_and_column() -> None:
    core = _core.ToolSet(json.dumps([RATIO]))
    with pytest.raises(ValueError, match=r"^line 2, column 10: missing_argument: the argument \"b\" is missing"):
        _core.plan_in_json(core, "1. ratio(1, 2)\n2. ratio($1)\n3. join()")
    with pytest.raises(ValueError, match=r"^the earlier plan, line 1, column 1: unknown_tool: "):
        _core.plan_in_json(core, "2. ratio(1, 2)", earlier="1. ration(1, 2)")
