"""Examples are read by the plan machine before a planner is taught with them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from dovetail import Engine, ToolSet, UsageError
from dovetail.prompts.example_selection import AllExamples, EmbeddedExamples, NearestExamples
from dovetail.prompts.examples import Example, parse_examples
from dovetail.prompts.lessons import ExampleError, Lesson, Lessons
from dovetail.prompts.observations import Observation
from dovetail.prompts.planner_prompt import PlannerPrompt
from dovetail.runs.planner import Planner, ToolShow
from dovetail.tools.definition import Tool, tool

PATIENCE = 60.0


@tool(read_only=True)
def area(name: str) -> float:
    """The area of a country."""
    return float(len(name))


@tool(read_only=True)
def larger(one: float, other: float) -> bool:
    """Whether one number is larger."""
    return one > other


TOOLS = ToolSet([area, larger])
FOLLOWING = """\
Question: Is Malta larger than Cuba?
Earlier:
1. area("Malta")
-> 316
2. area("Kuba")
failed: no such country

Missing: the area of Cuba
3. area("Cuba")
4. larger($1, $3)
5. join($4)
"""


class Unasked:
    """A model that a test does not ask."""

    name = "unasked:model"
    grammar_dialects = ()


def taught(*plans: str) -> list[Example]:
    return [Example(f"question {number}?", text) for number, text in enumerate(plans, start=1)]


@pytest.mark.parametrize(
    ("plan", "place", "code"),
    [
        ('1. area("Malta"\n2. join()', "line 1, column 1", "missing_parenthesis"),
        ('Thought: x\n1. area(nom="Malta")\n2. join()', "line 2, column 9", "unknown_argument"),
        ('1. area("Malta")\n2. size("Cuba")\n3. join()', "line 2, column 1", "unknown_tool"),
        ('1. area("Malta")', "line 1, column 1", "missing_join"),
        ('1. area("Malta")\njoin($1)', "line 2, column 1", "missing_id"),
        ("1. area($2)\n2. join($1)", "line 1", "reference"),
        ("no plan at all", "line 1, column 1", "ignored_text"),
    ],
)
def test_an_example_with_an_error_or_something_to_mend_is_refused_with_its_place(
    plan: str, place: str, code: str
) -> None:
    with pytest.raises(ExampleError) as refused:
        Lessons(taught('1. area("Malta")\n2. join($1)', plan), TOOLS)
    assert refused.value.number == 2
    assert str(refused.value).startswith(f"example 2, plan, {place}")
    assert code in str(refused.value)
    assert isinstance(refused.value, UsageError)


def test_an_example_of_a_file_is_refused_with_the_line_of_the_file() -> None:
    text = (
        'Question: a?\n1. area("Malta")\n2. join($1)\n\nQuestion: b?\n\n1. area("Malta")\n2. larger(1 2)\n3. join()\n'
    )
    with pytest.raises(ExampleError, match=r"^plans\.txt:8:\d+: example 2: "):
        Lessons(parse_examples(text, source="plans.txt"), TOOLS)


def test_an_example_may_go_on_from_earlier_tasks() -> None:
    [lesson] = Lessons(parse_examples(FOLLOWING), TOOLS).of(TOOLS, again=True)
    assert lesson.replan is not None
    assert lesson.replan.observations == [
        Observation(1, "area", '{"name":"Malta"}', "316"),
        Observation(2, "area", '{"name":"Kuba"}', failure="no such country"),
    ]
    assert (lesson.replan.reason, lesson.replan.next_id) == ("the area of Cuba", 3)
    messages = PlannerPrompt().messages("q?", TOOLS.shapes, [lesson])
    assert "IDs continue at 3" in messages[1]["content"]
    assert messages[2]["content"].startswith('3. area("Cuba")')


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("-> 316", "-> 316 km", r"e\.txt:4:4: example 1: the output of task 1 is no JSON"),
        ("-> 316\n", "", r"e\.txt:3:1: example 1: what became of task 1 is not told"),
        ('1. area("Malta")\n', "", r"e\.txt:3:1: example 1: this stands below no call"),
        ("larger($1", "larger($2", r"e\.txt:10:1: example 1: "),
        ('area("Kuba")', "area(1, 2)", r"e\.txt:5:\d+: example 1: "),
        ("Missing: the area of Cuba\n", "", r"e\.txt:2: behind earlier tasks stands a line 'Missing: …'"),
    ],
)
def test_earlier_tasks_are_read_by_the_machine_too(old: str, new: str, told: str) -> None:
    with pytest.raises(UsageError, match=f"^{told}"):
        Lessons(parse_examples(FOLLOWING.replace(old, new), source="e.txt"), TOOLS)


def test_examples_of_other_plans_are_shown_for_other_plans_only() -> None:
    lessons = Lessons([*taught('1. area("Malta")\n2. join($1)'), *parse_examples(FOLLOWING)], TOOLS)
    assert [lesson.example.question for lesson in lessons.of(TOOLS)] == ["question 1?"]
    assert [lesson.example.question for lesson in lessons.of(TOOLS, again=True)] == ["Is Malta larger than Cuba?"]
    without = Lessons(taught('1. area("Malta")\n2. join($1)'), TOOLS)
    assert len(without.of(TOOLS, again=True)) == 1


def test_examples_whose_tools_were_left_out_are_not_shown_and_no_mistake() -> None:
    few = TOOLS.deny("larger")
    lessons = Lessons(taught('1. area("Malta")\n2. join($1)', "1. larger(1, 2)\n2. join($1)"), few)
    assert [lesson.example.question for lesson in lessons.of(few)] == ["question 1?"]
    assert len(Lessons(taught("1. larger(1, 2)\n2. join($1)"), TOOLS).of(few)) == 0


def test_examples_of_tools_that_may_still_come_are_looked_at_once_these_are_there() -> None:
    lessons = Lessons(taught("1. larger(1, 2)\n2. join($1)"), ToolSet([area]), awaits_tools=True)
    assert len(lessons) == 1
    assert lessons.of(ToolSet([area])) == []
    assert len(lessons.of(TOOLS)) == 1
    other = Tool("larger", "", {"type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"]})
    assert lessons.of(ToolSet([area, other])) == []
    assert len(lessons.of(TOOLS)) == 1


def test_an_engine_refuses_a_bad_example_when_it_is_made() -> None:
    with pytest.raises(ExampleError, match=r"^example 1, plan, line 1, column 1: missing_parenthesis"):
        Engine([area], Unasked(), examples=taught('1. area("Malta"\n2. join()'))  # type: ignore[arg-type]


QUESTIONS = ("How large is A?", "How many people live in A?", "Which is larger, A or B?")
EXAMPLES = [Example(question, '1. area("A")\n2. join($1)') for question in QUESTIONS]


@pytest.mark.anyio
async def test_examples_can_be_chosen_by_embeddings_and_theirs_are_made_once() -> None:
    embedded: list[str] = []

    async def embed(texts: Sequence[str]) -> list[list[float]]:
        embedded.extend(texts)
        return [[1.0, 0.0] if "people" in text or "inhabitants" in text else [0.0, 1.0] for text in texts]

    selector = EmbeddedExamples(embed, k=1)
    for _ in range(2):
        [chosen] = await selector.choose("What is the number of inhabitants?", EXAMPLES)
        assert chosen.question == "How many people live in A?"
    assert len(embedded) == len(EXAMPLES) + 2


@pytest.mark.anyio
async def test_all_examples_or_the_nearest_are_shown_and_a_selector_that_fails_is_replaced() -> None:
    class Failing:
        async def choose(self, question: str, examples: Sequence[Example]) -> Sequence[Example]:
            raise OSError("no embeddings today")

    async def shown(selector: object) -> list[str]:
        planner = Planner(Unasked(), TOOLS, EXAMPLES, ToolShow(), None, selector)  # type: ignore[arg-type]
        messages = await planner.messages("Which is larger, X or Y?", shown=TOOLS)
        return [message["content"] for message in messages[1:-1:2]]

    async with asyncio.timeout(PATIENCE):
        assert await shown(AllExamples()) == list(QUESTIONS)
        assert await shown(NearestExamples(1)) == [QUESTIONS[2]]
        assert (await shown(None))[-1] == QUESTIONS[2]
        assert (await shown(Failing()))[-1] == QUESTIONS[2]
    for made in (NearestExamples, lambda k: EmbeddedExamples(lambda _: asyncio.sleep(0, []), k)):
        with pytest.raises(UsageError, match="k is 0"):
            made(0)


def test_examples_in_the_system_prompt_stand_behind_the_tools_and_before_the_notes() -> None:
    lessons = [Lesson(example) for example in EXAMPLES]
    messages = PlannerPrompt(examples_as="system").messages("q?", TOOLS.shapes, lessons, notes="Be brief.")
    assert [message["role"] for message in messages] == ["system", "user"]
    bare = PlannerPrompt().messages("q?", TOOLS.shapes)[0]["content"]
    assert messages[0]["content"].startswith(f"{bare}\n\nExamples:\n\nQuestion: {QUESTIONS[0]}\n1. area")
    assert messages[0]["content"].endswith("\n2. join($1)\n\nBe brief.")
