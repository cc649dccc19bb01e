"""Whatever a grammar accepts, the plan machine reads without an error: plans are drawn from the rules at random."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest
from outputs import output_of
from sentences import sentence
from tool_sets import NASTY, random_tools

from dovetail import _core
from dovetail.grammar import ToolShape, uncallable
from dovetail.grammar.plan_rules import plan_rules
from dovetail.grammar.signature import signature
from dovetail.grammar.terms import Terms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dovetail.grammar.expression import Rules

_TERMS = Terms(max_tasks=5, thought=True)


def _rules(tools: Sequence[ToolShape], terms: Terms = _TERMS) -> Rules:
    read = [signature(one, terms.max_string) for one in tools]
    return plan_rules([one for one in read if one.forms], terms)


def _errors(steps: Sequence[_core.Step]) -> list[str]:
    return [
        f"{one.code}: {one.message}" for one in steps if isinstance(one, _core.Diagnostic) and one.severity == "error"
    ]


def _check(plan: str, tools: Sequence[ToolShape], machine: _core.Machine, source: random.Random) -> None:
    """Read a plan and carry it out with outputs as the tools promise them."""
    steps = [*machine.feed(plan), *machine.finish()]
    assert _errors(steps) == [], plan
    assert any(isinstance(step, _core.Closed) for step in steps), plan
    schemas = {one["name"]: one.get("outputSchema") for one in tools}
    ready = [step for step in steps if isinstance(step, _core.Ready)]
    while ready:
        task = ready.pop()
        steps = machine.succeed(task.task_id, json.dumps(output_of(schemas[task.tool], source)))
        ready += [step for step in steps if isinstance(step, _core.Ready)]
    # What an output turns out not to have fails the task that wants it: none of the plan is left hanging.
    assert machine.unsettled == 0


@pytest.mark.parametrize("name", NASTY)
def test_plans_with_tool_sets_that_fight_the_grammar_are_read_without_an_error(name: str) -> None:
    tools = NASTY[name]
    assert uncallable(tools) == {}
    rules, core = _rules(tools), _core.ToolSet(json.dumps(tools))
    for seed in range(40):
        source = random.Random(seed)
        _check(sentence(rules, source), tools, _core.Machine(core), source)


@pytest.mark.parametrize("seed", range(0, 300, 20))
def test_plans_with_random_tool_sets_are_read_without_an_error(seed: int) -> None:
    for one in range(seed, seed + 20):
        source = random.Random(one)
        tools = random_tools(source)
        if len(uncallable(tools)) == len(tools):
            continue
        rules, core = _rules(tools), _core.ToolSet(json.dumps(tools))
        for _ in range(10):
            _check(sentence(rules, source), tools, _core.Machine(core), source)


def test_a_plan_that_goes_on_from_earlier_ones_is_read_without_an_error() -> None:
    tools = NASTY["rich"]
    core = _core.ToolSet(json.dumps(tools))
    first = _rules(tools)
    for seed in range(60):
        source = random.Random(seed)
        machine = _core.Machine(core)
        earlier = [
            step.task_id
            for step in [*machine.feed(sentence(first, source)), *machine.finish()]
            if isinstance(step, _core.Planned)
        ]
        next_id = machine.next_id
        second = _rules(tools, Terms(max_tasks=3, first_id=next_id, earlier_ids=tuple(earlier)))
        plan = sentence(second, source)
        steps = [*machine.feed(plan), *machine.finish()]
        assert _errors(steps) == [], plan
        planned = [step.task_id for step in steps if isinstance(step, _core.Planned)]
        assert planned == list(range(next_id, next_id + len(planned)))


def test_ids_run_on_and_references_name_earlier_tasks_in_every_plan() -> None:
    rules, core = _rules(NASTY["rich"]), _core.ToolSet(json.dumps(NASTY["rich"]))
    referring = 0
    for seed in range(200):
        machine = _core.Machine(core)
        steps = [*machine.feed(sentence(rules, random.Random(seed))), *machine.finish()]
        planned = [step for step in steps if isinstance(step, _core.Planned)]
        assert [step.task_id for step in planned] == list(range(1, len(planned) + 1))
        assert all(earlier < step.task_id for step in planned for earlier in step.depends_on)
        referring += sum(bool(step.depends_on) for step in planned)
    assert referring > 50


def test_a_constant_with_dollars_arrives_as_its_schema_has_it() -> None:
    values = ["$1", "$$1", "${1}", "$", "$x", "a$1b", "$1.name", "$$", "$$$"]
    tools: list[dict[str, Any]] = [
        {"name": "f", "inputSchema": {"type": "object", "properties": {"x": {"enum": values}}, "required": ["x"]}}
    ]
    rules, core = _rules(tools), _core.ToolSet(json.dumps(tools))
    seen = set()
    for seed in range(60):
        machine = _core.Machine(core)
        steps = [*machine.feed(sentence(rules, random.Random(seed))), *machine.finish()]
        seen |= {json.loads(step.arguments)["x"] for step in steps if isinstance(step, _core.Ready)}
    assert seen == set(values)
