"""Plans that are planned again: repairs, failed tasks, calls that are not repeated, and where it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from typing import Any

import pytest

from dovetail import Engine, Limits
from dovetail.models.protocol import Completion, Usage
from dovetail.tools.definition import tool
from dovetail.v1 import Event, FailureReason, ReplanRequested
from scripted import PATIENCE, ScriptedModel, events_of, facts, failures, finish, kinds, outputs, plan

pytestmark = pytest.mark.anyio

CAUSE = ReplanRequested


@tool(read_only=True)
async def length(text: str) -> int:
    """Measures a text."""
    return len(text)


@tool(read_only=True)
async def total(first: int, second: int) -> int:
    """Adds two numbers."""
    return first + second


def causes(events: Iterable[Event]) -> list[int]:
    return [fact.cause for fact in facts(events, "replan_requested")]


async def run(tools: Iterable[Any], model: ScriptedModel, **options: Any) -> list[Event]:
    async with asyncio.timeout(PATIENCE), Engine(tools, model, **options) as engine:
        return [event async for event in engine.start("why?").events()]


# Repairs ------------------------------------------------------------------------------------------------------


async def test_only_the_broken_part_of_a_plan_is_planned_again() -> None:
    model = ScriptedModel(
        plan('1. length("abc")', '2. lenght("four")', "3. total($1, $2)", "4. join($3)"),
        plan('5. length("four")', "6. total($1, $5)", "7. join($6)"),
    )
    events = await run([length, total], model)
    assert facts(events, "run_answered")[0].answer == "7"
    assert causes(events) == [CAUSE.CAUSE_INVALID_TASKS]
    assert "task 2: unknown_tool" in facts(events, "replan_requested")[0].reason
    assert [(started.first_task_id, started.repair) for started in facts(events, "plan_started")] == [
        (1, False),
        (5, True),
    ]
    asked = model.asked[1][-1]["content"]
    assert '\n2. lenght("four") (unknown_tool: ' in asked
    assert "\n3. total($1, $2) (it needs one that was not made)\n" in asked
    assert "1. length(" in asked
    assert "Write only these again" in asked
    assert "IDs continue at 5" in asked


async def test_the_valid_part_of_a_plan_runs_while_the_rest_is_repaired() -> None:
    repaired = asyncio.Event()

    @tool
    async def slow() -> str:
        """Ends once the repair is running."""
        await repaired.wait()
        return "slow"

    @tool
    async def tell(text: str) -> str:
        """Tells that the repair is running."""
        repaired.set()
        return text

    model = ScriptedModel(plan("1. slow()", "2. tell()", "3. join()"), plan('4. tell("now")', "5. join()"), finish("x"))
    events = await run([slow, tell], model)
    assert outputs(events) == {1: '"slow"', 4: '"now"'}
    assert "1. slow({}) is running" in model.asked[1][-1]["content"]
    assert facts(events, "run_answered")[0].answer == "x"


async def test_a_repair_may_refer_to_tasks_that_are_still_running() -> None:
    asked_again = asyncio.Event()

    @tool
    async def slow() -> int:
        """Ends once the repair is written."""
        await asked_again.wait()
        return 40

    async def repair() -> AsyncGenerator[str | Completion, None]:
        yield "4. total($1, 2)\n5. join($4)"
        asked_again.set()
        yield Completion("stop", None)

    events = await run([slow, total], ScriptedModel(plan("1. slow()", "2. total($1)", "3. join($2)"), repair))
    assert facts(events, "run_answered")[0].answer == "42"
    assert outputs(events) == {1: "40", 4: "42"}


async def test_what_does_not_fit_when_it_is_bound_is_repaired_with_the_output_in_view() -> None:
    @tool
    async def look() -> dict[str, int]:
        """Looks."""
        return {"height": 8849}

    model = ScriptedModel(
        plan("1. look()", "2. total($1.hight, 1)", "3. join($2)"), plan("4. total($1.height, 1)", "5. join($4)")
    )
    events = await run([look, total], model)
    assert facts(events, "run_answered")[0].answer == "8850"
    assert causes(events) == [CAUSE.CAUSE_INVALID_TASKS]
    assert 'returned <<<{"height":8849}>>>' in model.asked[1][-1]["content"]
    assert "2. total($1.hight, 1) (missing_path: " in model.asked[1][-1]["content"]


async def test_a_plan_whose_named_answer_is_sound_is_not_repaired() -> None:
    model = ScriptedModel(plan('1. length("abc")', "2. nothing()", "3. join($1)"))
    events = await run([length], model)
    assert facts(events, "run_answered")[0].answer == "3"
    assert failures(events) == {2: "INVALID"}
    assert len(model.asked) == 1


async def test_ids_that_begin_again_are_repaired() -> None:
    model = ScriptedModel(
        plan('1. length("abc")', '1. length("four")', "2. join()"),
        plan('3. length("four")', "4. join()"),
        finish("7"),
    )
    events = await run([length], model)
    assert outputs(events) == {1: "3", 3: "4"}
    assert '1. length("four") (duplicate_id: ' in model.asked[1][-1]["content"]


async def test_a_repair_that_makes_the_same_mistake_again_is_the_last() -> None:
    model = ScriptedModel(
        plan('1. length("abc")', "2. nothing()", "3. join()"),
        plan("4. nothing()", "5. join()"),
        finish("what I have"),
    )
    events = await run([length], model, limits=Limits(max_replans=9))
    answered = facts(events, "run_answered")[0]
    assert (answered.answer, answered.incomplete) == ("what I have", True)
    assert causes(events) == [CAUSE.CAUSE_INVALID_TASKS]
    assert "Nothing more can be looked up" in model.asked[2][-1]["content"]


async def test_a_mistake_that_comes_back_in_a_later_plan_is_repaired_again() -> None:
    broken, mended = plan('1. length("abc")', "2. nothing()", "3. join()"), plan('4. length("four")', "5. join()")
    model = ScriptedModel(
        broken, mended, "Action: Replan(more)", plan("6. nothing()", "7. join()"), plan("8. join($4)"), finish("x")
    )
    events = await run([length], model, limits=Limits(max_replans=9))
    assert causes(events) == [CAUSE.CAUSE_INVALID_TASKS, CAUSE.CAUSE_JOINER, CAUSE.CAUSE_INVALID_TASKS]
    assert facts(events, "run_answered")[0].answer == "4"


async def test_repairs_count_as_replans() -> None:
    model = ScriptedModel(
        plan('1. length("abc")', "2. nothing()", "3. join()"),
        plan("4. nobody()", "5. join()"),
        finish("what I have"),
    )
    events = await run([length], model, limits=Limits(max_replans=1))
    assert len(facts(events, "plan_started")) == 2
    answered = facts(events, "run_answered")[0]
    assert (answered.answer, answered.incomplete) == ("what I have", True)


async def test_without_replans_a_broken_plan_is_answered_from_what_it_gave() -> None:
    model = ScriptedModel(plan('1. length("abc")', "2. nothing()", "3. join()"), finish("three"))
    events = await run([length], model, limits=Limits(max_replans=0))
    answered = facts(events, "run_answered")[0]
    assert (answered.answer, answered.incomplete) == ("three", True)
    assert outputs(events) == {1: "3"}


async def test_a_repair_of_a_plan_on_one_line_shows_what_stands_around_the_mistake() -> None:
    good = " ".join(f'{n}. length("{"x" * 40}")' for n in range(1, 21))
    model = ScriptedModel(f"{good} 21. nothing(5) {good.replace('. ', '0. ')} 22. join()", finish("x"))
    events = await run([length], model, limits=Limits(max_replans=1))
    assert "21. nothing(5)" in model.asked[1][-1]["content"]
    assert events


# Failed tasks -------------------------------------------------------------------------------------------------


async def test_a_failed_task_leads_to_another_plan_where_that_is_asked_for() -> None:
    @tool(read_only=True)
    async def fetch(page: str) -> str:
        """Fetches."""
        if page == "down":
            raise ValueError("it was down")
        return page

    scripts = (
        plan('1. fetch("up")', '2. fetch("down")', "3. join()"),
        plan('4. fetch("mirror")', "5. join()"),
        finish("done"),
    )
    model = ScriptedModel(*scripts)
    events = await run([fetch], model, replan_on_failure=True)
    assert causes(events) == [CAUSE.CAUSE_FAILED_TASKS]
    assert facts(events, "replan_requested")[0].reason == "task 2 (fetch) failed: TOOL_ERROR: ValueError: it was down"
    assert kinds(events).index("replan_requested") < kinds(events).index("join_started")
    assert facts(events, "run_answered")[0].answer == "done"
    assert not facts(events, "run_answered")[0].incomplete
    plain = await run([fetch], ScriptedModel(scripts[0], finish("done")))
    assert causes(plain) == []


async def test_a_task_that_failed_leads_to_one_plan_and_not_to_one_after_another() -> None:
    @tool
    async def broken() -> str:
        """Is broken."""
        raise ValueError("no such luck")

    model = ScriptedModel(plan("1. broken()", "2. join()"), plan("2. join()"), finish("done"))
    events = await run([broken], model, replan_on_failure=True)
    assert facts(events, "run_answered")[0].answer == "done"
    assert len(facts(events, "plan_started")) == 2


async def test_each_cause_of_another_plan_is_named() -> None:
    model = ScriptedModel("", plan('1. length("abc")', "2. join()"), "Action: Replan(more)", "4. join()", finish("3"))
    assert causes(await run([length], model)) == [CAUSE.CAUSE_CUT_OFF, CAUSE.CAUSE_JOINER]


# Calls that are not repeated ----------------------------------------------------------------------------------


async def test_a_call_that_is_still_out_is_not_made_again_but_shared() -> None:
    calls: list[str] = []
    planned_again = asyncio.Event()

    @tool(read_only=True)
    async def look(place: str) -> str:
        """Looks for as long as the repair is not read."""
        calls.append(place)
        await planned_again.wait()
        return f"seen {place}"

    async def repair() -> AsyncGenerator[str | Completion, None]:
        yield '4. look(place="here")\n5. length("$4")\n6. join($5)'
        planned_again.set()
        yield Completion("stop", None)

    events = await run([look, length], ScriptedModel(plan('1. look("here")', "2. nothing()", "3. join()"), repair))
    assert calls == ["here"]
    assert facts(events, "run_answered")[0].answer == "9"
    assert [fact.reused_task_id for fact in facts(events, "task_succeeded")] == [0, 1, 0]


async def test_a_shared_call_that_fails_fails_all_that_share_it() -> None:
    planned_again = asyncio.Event()

    @tool(read_only=True)
    async def look(place: str) -> str:
        """Looks in vain."""
        await planned_again.wait()
        raise ValueError(f"{place} is dark")

    async def repair() -> AsyncGenerator[str | Completion, None]:
        yield '4. look("here")\n5. length("$4")\n6. join()'
        planned_again.set()
        yield Completion("stop", None)

    model = ScriptedModel(plan('1. look("here")', "2. nothing()", "3. join()"), repair, finish("dark"))
    events = await run([look, length], model)
    assert failures(events) == {1: "TOOL_ERROR", 2: "INVALID", 4: "TOOL_ERROR"}
    assert "task 1 made the same call" in facts(events, "task_failed")[-1].failure.message
    assert len(facts(events, "call_started")) == 1


@pytest.mark.parametrize(("retries", "made"), [(0, 1), (1, 3)])
async def test_a_failed_call_is_made_again_by_another_plan_only_if_its_policy_lets_it(retries: int, made: int) -> None:
    calls: list[str] = []

    @tool(read_only=True, retries=retries, backoff=0.001)
    async def flaky(text: str) -> str:
        """Fails at first."""
        calls.append(text)
        if len(calls) <= 2:
            raise ValueError("not yet")
        return text

    model = ScriptedModel(
        plan('1. flaky("a")', "2. join()"), "Action: Replan(again)", plan('3. flaky("a")', "4. join()"), finish("x")
    )
    events = await run([flaky], model)
    assert len(calls) == made
    assert (3 in outputs(events)) == (retries > 0)
    assert failures(events).get(3) == (None if retries else "TOOL_ERROR")


async def test_arguments_are_the_same_whatever_their_order_but_not_their_type() -> None:
    calls: list[object] = []

    @tool(read_only=True)
    async def take(value: dict[str, Any]) -> str:
        """Takes anything."""
        calls.append(value)
        return "taken"

    model = ScriptedModel(
        plan('1. take({"a": 1, "b": 2})', "2. join()"),
        "Action: Replan(again)",
        plan('3. take({"b": 2, "a": 1})', '4. take({"a": true, "b": 2})', "5. join()"),
        finish("x"),
    )
    await run([take], model)
    assert calls == [{"a": 1, "b": 2}, {"a": True, "b": 2}]


@pytest.mark.parametrize("cache", [None, 60.0])
async def test_a_number_of_thousands_of_digits_is_an_argument_like_any_other_to_another_plan(
    cache: float | None,
) -> None:
    @tool(read_only=True, cache=cache)
    async def take(value: Any) -> str:
        """Takes anything."""
        return str(value)

    call = f"take({'9' * 5_000})"
    model = ScriptedModel(
        plan(f"1. {call}", "2. join()"),
        "Action: Replan(again)",
        plan(f"3. {call}", '4. take("b")', "5. join()"),
        finish("x"),
    )
    events = await run([take], model)
    assert outputs(events)[4] == '"b"'
    assert facts(events, "run_answered")[0].answer == "x"


async def test_the_same_call_twice_in_one_plan_is_made_twice() -> None:
    calls: list[str] = []

    @tool(read_only=True)
    async def look(place: str) -> str:
        """Looks."""
        calls.append(place)
        return place

    model = ScriptedModel(
        plan('1. look("a")', "2. join()"), "Action: Replan(x)", plan('3. look("b")', '4. look("b")', "5. join($4)")
    )
    await run([look], model)
    assert calls == ["a", "b", "b"]


# What it costs ------------------------------------------------------------------------------------------------


async def test_a_replan_after_one_failed_task_of_ten_repeats_no_call_and_takes_a_part_of_the_tokens() -> None:
    calls: list[str] = []

    @tool(read_only=True)
    async def population(city: str) -> int:
        """Looks up a city."""
        calls.append(city)
        if city == "Gotham":
            raise ValueError("there is no such city")
        return len(city)

    cities = ["Paris", "Rome", "Gotham", "Oslo", "Bern", "Riga", "Kyiv", "Lima", "Cairo"]

    first = plan(*[f'{n}. population("{city}")' for n, city in enumerate(cities, 1)], "10. total($1, $3)", "11. join()")
    second = plan('12. population("New York")', "13. total($1, $12)", "14. join($13)")

    def counted(text: str) -> Any:
        async def script() -> AsyncGenerator[str | Completion, None]:
            yield text
            yield Completion("stop", Usage(prompt_tokens=100, completion_tokens=len(text) // 4))

        return script

    events = await run([population, total], ScriptedModel(counted(first), counted(second)), replan_on_failure=True)
    assert facts(events, "run_answered")[0].answer == "13"
    assert sorted(calls) == sorted([*cities, "New York"])
    tokens = [call.usage.completion_tokens for call in facts(events, "model_call_ended")]
    assert tokens[1] <= 0.4 * tokens[0]


async def test_what_is_known_is_told_in_bounded_size_and_is_whole_where_it_is_referred_to() -> None:
    @tool(read_only=True)
    async def read(number: int) -> str:
        """Reads a long page."""
        return f"{number}:" + "x" * 50_000

    lines = [f"{n}. read({n})" for n in range(1, 101)]
    model = ScriptedModel(
        plan(*lines, "101. join()"), "Action: Replan(their length)", plan('102. length("$7")', "103. join($102)")
    )
    events = await run([read, length], model)
    assert facts(events, "run_answered")[0].answer == "50002"
    assert len(model.asked[2][-1]["content"]) < 40_000
    assert "characters left out" in model.asked[2][-1]["content"]
    assert len(model.asked[1][-1]["content"]) < 80_000


async def test_a_planner_that_fails_at_a_repair_fails_the_run_and_leaves_nothing_behind() -> None:
    @tool
    async def hang() -> None:
        """Hangs."""
        await asyncio.Event().wait()

    before = asyncio.all_tasks()
    events = await events_of([hang], ScriptedModel(plan("1. hang()", "2. nothing()", "3. join()")))
    assert facts(events, "run_ended")[0].failure.reason == FailureReason.FAILURE_REASON_MODEL_UNAVAILABLE
    assert failures(events) == {2: "INVALID", 1: "CANCELLED"}
    assert asyncio.all_tasks() == before
