"""The demo's tools and examples, and the ten questions asked of the real model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from pydantic_core import from_json

from dovetail import _core
from dovetail.demo import EXAMPLES, QUESTIONS, TOOLS, Question
from dovetail.demo.countries import FIGURES, Country
from dovetail.engine import Engine
from dovetail.errors import RunFailedError
from dovetail.grammar import plan_grammar
from dovetail.models.local import LocalModel

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.anyio

SHAPES = [tool.to_mcp() for tool in TOOLS]
BY_NAME = {tool.name: tool for tool in TOOLS}

# Of the user's own: none of these is a bundled question or an example.
OTHERS = (
    Question("what is the population of italy?", 59_300_000),
    Question("Is France larger than Spain?", "France"),
    Question("How many people live in France and Germany together?", 151_100_000),
    Question("What is the population density of Bangladesh?", 1173),
    Question("Which country has fewer inhabitants, Ireland or New Zealand?", "New Zealand"),
)


async def _run_plan(plan: str) -> str | None:
    machine = _core.Machine(_core.ToolSet(json.dumps(SHAPES)))
    steps = [*machine.feed(plan), *machine.finish()]
    for step in steps:  # grows while it is read
        assert not isinstance(step, _core.Diagnostic), f"{step.message}\n{plan}"
        if isinstance(step, _core.Ready):
            steps += machine.succeed(step.task_id, await BY_NAME[step.tool].call(step.arguments))
    return machine.answer()


async def test_every_example_is_a_plan_that_runs_to_its_answer() -> None:
    for example in EXAMPLES:
        answer = await _run_plan(example.plan)
        assert answer is not None, example.question
        assert isinstance(from_json(answer), int | float | str)


def test_every_example_follows_the_grammar_of_the_tools() -> None:
    from gbnf import Gbnf

    grammar = Gbnf(plan_grammar(SHAPES, max_tasks=8).text)
    assert [example.question for example in EXAMPLES if not grammar.accepts(example.plan)] == []


def test_no_bundled_question_is_an_example_nor_names_a_country_of_one() -> None:
    shown = " ".join(example.question for example in EXAMPLES)
    asked = " ".join(question.text for question in QUESTIONS)
    assert not {example.question for example in EXAMPLES} & {question.text for question in QUESTIONS}
    assert [country for country in Country if country in shown and country in asked] == []


def test_every_country_has_figures() -> None:
    assert set(FIGURES) == set(Country)
    assert all(figures.population > 100_000 and figures.area > 1000 for figures in FIGURES.values())


@pytest.mark.parametrize(
    ("tool", "arguments", "output"),
    [
        ("population", '{"country": "Japan"}', "123800000"),
        ("area", '{"country": "Japan"}', "378000"),
        ("total", '{"a": 1, "b": 2.5}', "3.5"),
        ("total", '{"a": 1000000, "b": 2}', "1000002"),
        ("difference", '{"a": 1, "b": 3}', "2"),
        ("ratio", '{"a": 10, "b": 3}', "3.333"),
        ("ratio", '{"a": 10, "b": 5}', "2"),
        ("larger", '{"first": "Peru", "a": 1, "second": "Chile", "b": 2}', '"Chile"'),
        ("smaller", '{"first": "Peru", "a": 1, "second": "Chile", "b": 2}', '"Peru"'),
    ],
)
async def test_a_tool_returns_a_plain_value(tool: str, arguments: str, output: str) -> None:
    assert await BY_NAME[tool].call(arguments) == output


async def test_nothing_is_a_multiple_of_zero() -> None:
    with pytest.raises(ZeroDivisionError, match="b is 0"):
        await BY_NAME["ratio"].call('{"a": 1, "b": 0}')


@pytest.mark.parametrize(
    ("expected", "answer", "right"),
    [
        (123_800_000, "123800000", True),
        (123_800_000, "About 123,800,000 people.", True),
        (123_800_000, "124800000", False),
        (4.126, "4.13", True),
        (4.126, "none", False),
        (4.126, "", False),
        ("India", "india", True),
        ("India", "China", False),
    ],
)
def test_an_answer_is_judged_by_its_number_or_its_name(expected: float | str, answer: str, right: bool) -> None:
    assert Question("?", expected).accepts(answer) is right


async def _right(questions: Sequence[Question]) -> list[str]:
    """Ask the real model; returns the questions that it got right, of all the others what it answered."""
    right: list[str] = []
    model = LocalModel()
    try:
        async with Engine(TOOLS, model, examples=EXAMPLES) as engine:
            for question in questions:
                try:
                    answer = await engine.start(question.text).answer()
                except RunFailedError as error:
                    answer = str(error)
                if question.accepts(answer):
                    right.append(question.text)
                else:
                    print(f"{question.text} {answer}")  # noqa: T201
    finally:
        await model.aclose()
    return right


@pytest.mark.local_model
@pytest.mark.timeout(600)
async def test_at_least_nine_of_the_ten_bundled_questions_come_out_right() -> None:
    assert len(QUESTIONS) == 10
    assert len(await _right(QUESTIONS)) >= 9


@pytest.mark.local_model
@pytest.mark.timeout(600)
async def test_questions_of_the_users_own_come_out_right_too() -> None:
    assert len(await _right(OTHERS)) >= len(OTHERS) - 1
