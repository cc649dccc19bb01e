"""Whole plans in the syntax that LLMCompiler's prompts teach, with the shapes of its benchmarks' plans.

HotpotQA searches twice, Movie searches eight times and leaves out quotes, ParallelQA calculates with what was found and
forgets parentheses, WebShop goes from one page to the next.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from vectors import to_json

from dovetail import _core
from dovetail.prompts.examples import Example
from dovetail.prompts.lessons import ExampleError, Lessons
from dovetail.tools.definition import Tool
from dovetail.tools.tool_set import ToolSet

TEXT = {"type": "string"}


def shape(name: str, *required: str, **properties: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": list(required)}
    return {"name": name, "description": name, "inputSchema": schema}


SHAPES = [
    shape("search", "query", query=TEXT),
    shape("math", "problem", problem=TEXT, context={"type": "array", "items": TEXT}),
    shape("open_item", "item", item=TEXT, options={"type": "array", "items": TEXT}),
]
TOOLS = ToolSet([Tool(one["name"], one["description"], one["inputSchema"]) for one in SHAPES])


@dataclass(frozen=True)
class Whole:
    """A plan, what of it is mended, and what its tasks are called with once each has given ``out ID``."""

    text: str
    calls: list[tuple[str, dict[str, Any]]]
    hints: list[tuple[str, int, int]] = field(default_factory=list)


def search(query: str) -> tuple[str, dict[str, Any]]:
    return "search", {"query": query}


def math(problem: str, *context: str) -> tuple[str, dict[str, Any]]:
    return "math", {"problem": problem} | ({"context": list(context)} if context else {})


PLANS = {
    "two searches": Whole(
        """\
1. search("Ada's Notebook")
2. search("Weekly Star (newspaper)")
Thought: I know enough to answer.
3. join()<END_OF_PLAN>
###
""",
        [search("Ada's Notebook"), search("Weekly Star (newspaper)")],
        [("after_close", 5, 1)],
    ),
    "searches without quotes, between thoughts": Whole(
        """\
Thought: the films of the question come first.
1. search("Night Train")
2. search("Dune: Part One - The Beginning")
3. search('The Lion's Share')
Thought: then those among the options.
4. search(Harold and the Purple Boat)
5. search(2001: A Space Opera)
6. search(Rashomon (film))
7. search(A Fish, Called Wanda)
Thought: I know enough to answer.
8. join()<END_OF_PLAN>
""",
        [
            *map(search, ("Night Train", "Dune: Part One - The Beginning", "The Lion's Share")),
            *map(
                search, ("Harold and the Purple Boat", "2001: A Space Opera", "Rashomon (film)", "A Fish, Called Wanda")
            ),
        ],
        [
            ("inner_quote", 4, 12),
            ("unquoted_text", 6, 11),
            ("unquoted_text", 7, 11),
            ("unquoted_text", 8, 11),
            ("unquoted_text", 9, 11),
        ],
    ),
    "calculations with what was found": Whole(
        """\
1. search('River Elbe')
2. math("a third of the Elbe's length in km?", ["$1"])
3. search("River Oder")
4. math('twice the Oder\\'s length in km?', context=['${3}', "$1"])
5. math("abs($2 - ${4})")
6. math("max($2, $4) / min($2, $4)", [])
Thought: I can compare them by myself.
7. join()<END_OF_PLAN>
###
""",
        [
            search("River Elbe"),
            math("a third of the Elbe's length in km?", "out 1"),
            search("River Oder"),
            math("twice the Oder's length in km?", "out 3", "out 1"),
            math("abs(out 2 - out 4)"),
            ("math", {"problem": "max(out 2, out 4) / min(out 2, out 4)", "context": []}),
        ],
        [("after_close", 9, 1)],
    ),
    "parentheses that are forgotten": Whole(
        """\
1. search("hare")
2. math("a hare's top speed in km/h, 1.2 times slower?", ["$1"]
3. search("hound")
4. math("a hound's top speed in km/h, 1.4 times faster?", ["$3"]
5. math("max($2, $4) / min($2, $4)")
Thought: I know enough to answer.
6. join()<END_OF_PLAN>
""",
        [
            search("hare"),
            math("a hare's top speed in km/h, 1.2 times slower?", "out 1"),
            search("hound"),
            math("a hound's top speed in km/h, 1.4 times faster?", "out 3"),
            math("max(out 2, out 4) / min(out 2, out 4)"),
        ],
        [("missing_parenthesis", 2, 1), ("missing_parenthesis", 4, 1)],
    ),
    "from one page to the next": Whole(
        """\
1. search("red kettle, 1.7 l, under 40 euros")
2. open_item("$1", ["red", "1.7 l"])
3. open_item(item=${1}, options=["crimson"])
4. join().
<END_OF_PLAN>
""",
        [
            search("red kettle, 1.7 l, under 40 euros"),
            ("open_item", {"item": "out 1", "options": ["red", "1.7 l"]}),
            ("open_item", {"item": "out 1", "options": ["crimson"]}),
        ],
        [("after_close", 4, 10)],
    ),
    "dots behind the calls": Whole(
        """\
Thought: one after the other.
1. search("hare").
2. math("half of $1?", ["$1"])...
3. join()...<END_OF_PLAN>
""",
        [search("hare"), math("half of out 1?", "out 1")],
        [("trailing_text", 2, 18), ("trailing_text", 3, 31), ("after_close", 4, 10)],
    ),
}
EVERY_PLAN = pytest.mark.parametrize("plan", PLANS.values(), ids=list(PLANS))


def play(*pieces: bytes) -> list[dict[str, Any]]:
    machine = _core.Machine(_core.ToolSet(json.dumps(SHAPES)))
    steps = [step for piece in pieces for step in machine.feed(piece)]
    steps += machine.finish()
    waiting = [step for step in steps if isinstance(step, _core.Ready)]
    while waiting:
        task = waiting.pop(0)
        further = machine.succeed(task.task_id, json.dumps(f"out {task.task_id}"))
        steps += further
        waiting += [step for step in further if isinstance(step, _core.Ready)]
    return [to_json(step) for step in steps]


def diagnostics(steps: list[dict[str, Any]]) -> list[tuple[str, int, int]]:
    return [(step["code"], step["line"], step["column"]) for step in steps if step["step"] == "diagnostic"]


@EVERY_PLAN
def test_a_whole_plan_is_read_and_carried_out_with_hints_at_the_most(plan: Whole) -> None:
    steps = play(plan.text.encode())
    assert diagnostics(steps) == plan.hints
    assert all(step.get("severity", "hint") == "hint" for step in steps)
    ready = sorted((step["task_id"], step["tool"], step["arguments"]) for step in steps if step["step"] == "ready")
    assert [(tool, arguments) for _, tool, arguments in ready] == plan.calls
    assert steps[[step["step"] for step in steps].index("closed")] == {"step": "closed", "answer_task": None}


@EVERY_PLAN
def test_a_whole_plan_that_is_cut_anywhere_gives_the_same_steps(plan: Whole) -> None:
    text = plan.text.encode()
    whole = play(text)
    assert play(*(bytes([byte]) for byte in text)) == whole
    for cut in range(1, len(text)):
        assert play(text[:cut], text[cut:]) == whole, text[:cut]


@EVERY_PLAN
def test_a_whole_plan_is_an_example_unless_something_of_it_must_be_mended(plan: Whole) -> None:
    # What stands between the examples of a prompt is no part of any.
    text = plan.text.removesuffix("###\n")
    example = Example("What is it?", text)
    if not plan.hints or text != plan.text:
        [lesson] = Lessons([example], TOOLS).of(TOOLS)
        assert lesson.example is example
        return
    code, line, column = plan.hints[0]
    with pytest.raises(ExampleError, match=rf"^example 1, plan, line {line}, column {column}: {code}: "):
        Lessons([example], TOOLS)
