"""The life of a run: plan, execute, join, replan."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator

import pytest

import dovetail
from dovetail import Engine, Limits, RunFailedError, UsageError
from dovetail.models.protocol import Completion
from dovetail.tools.definition import tool
from dovetail.v1 import RunState
from scripted import PATIENCE, ScriptedModel, events_of, facts, finish, kinds, outputs, plan

pytestmark = pytest.mark.anyio


@tool(read_only=True)
async def length(text: str) -> dict[str, int]:
    """Measures a text."""
    return {"length": len(text)}


@tool
async def join_words(words: list[str]) -> str:
    """Puts words together."""
    return "-".join(words)


async def test_a_question_becomes_a_plan_its_outputs_and_an_answer() -> None:
    model = ScriptedModel(
        plan("Thought: measure both.", '1. length("abc")', '2. length("$1.length letters")', "3. join()"),
        finish("Nine (9)"),
    )
    events = await events_of([length], model)
    assert outputs(events) == {1: '{"length":3}', 2: '{"length":9}'}
    assert [fact.text for fact in facts(events, "thought_written")] == ["measure both."]
    assert facts(events, "run_answered")[0].answer == "Nine (9)"
    assert "".join(fact.text for fact in facts(events, "answer_text")) == "Nine (9)"
    assert kinds(events)[0] == "run_started"
    assert kinds(events)[-1] == "run_ended"
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert facts(events, "run_ended")[0].state == RunState.RUN_STATE_ANSWERED
    assert facts(events, "run_ended")[0].usage.prompt_tokens == 20


async def test_the_recorded_plan_text_is_what_the_model_wrote() -> None:
    text = plan("some prose", '1. length("é√😀")', "2. join($1)") + "\n\n"
    events = await events_of([length], ScriptedModel(text))
    assert "".join(fact.text for fact in facts(events, "plan_text")) == text


async def test_an_answer_that_the_plan_names_costs_no_model_call() -> None:
    model = ScriptedModel(plan('1. join_words(["a", "b"])', "2. join($1)"))
    events = await events_of([join_words], model)
    answered = facts(events, "run_answered")[0]
    assert (answered.answer, answered.answer_task) == ("a-b", 1)
    assert len(model.asked) == 1


async def test_an_answer_that_is_no_string_is_given_as_json() -> None:
    model = ScriptedModel(plan('1. length("four")', "2. join($1)"))
    assert facts(await events_of([length], model), "run_answered")[0].answer == '{"length":4}'


async def test_a_part_of_an_output_can_be_the_answer() -> None:
    model = ScriptedModel(plan('1. length("four")', "2. join($1.length)"))
    assert facts(await events_of([length], model), "run_answered")[0].answer == "4"


async def test_a_named_answer_that_failed_is_left_to_the_joiner() -> None:
    @tool
    async def broken() -> str:
        """Is broken."""
        raise ValueError("no such luck")

    model = ScriptedModel(plan("1. broken()", "2. join($1)"), finish("no idea"))
    events = await events_of([broken], model)
    assert facts(events, "run_answered")[0].answer == "no idea"
    assert "no such luck" in model.asked[1][-1]["content"]


async def test_calls_and_their_dependents_run_while_the_model_is_silent() -> None:
    second_done = asyncio.Event()

    @tool
    async def last(text: str) -> str:
        """Tells that it ran."""
        second_done.set()
        return text

    async def silent_until_both_ran() -> AsyncGenerator[str | Completion, None]:
        yield '1. length("abc")\n2. last("$1")'
        await second_done.wait()
        yield "\n3. join($2)"
        yield Completion("stop", None)

    events = await events_of([length, last], ScriptedModel(silent_until_both_ran))
    assert facts(events, "run_answered")[0].answer == '{"length":3}'


async def test_the_plan_is_read_on_while_a_tool_is_slow() -> None:
    plan_read = asyncio.Event()

    @tool
    async def slow() -> str:
        """Waits until the whole plan was read."""
        await plan_read.wait()
        return "done"

    async def script() -> AsyncGenerator[str | Completion, None]:
        yield "1. slow()\n"
        yield '2. length("x")\n'
        yield "3. join($1)"
        plan_read.set()
        yield Completion("stop", None)

    events = await events_of([slow, length], ScriptedModel(script))
    assert facts(events, "run_answered")[0].answer == "done"


async def test_a_call_starts_at_its_closing_parenthesis() -> None:
    entered = asyncio.Event()

    @tool
    async def first() -> str:
        """Tells that it was entered."""
        entered.set()
        return "in"

    async def script() -> AsyncGenerator[str | Completion, None]:
        yield "1. first()"
        await entered.wait()
        yield "\n2. join($1)"
        yield Completion("stop", None)

    assert facts(await events_of([first], ScriptedModel(script)), "run_answered")[0].answer == "in"


async def test_a_replan_continues_ids_and_refers_to_earlier_outputs() -> None:
    model = ScriptedModel(
        plan('1. length("abc")', "2. join()"),
        "Thought: hm.\nAction: Replan(the sum is missing)",
        plan('3. join_words(["$1.length", "x"])', "4. join($3)"),
    )
    events = await events_of([length, join_words], model)
    assert facts(events, "run_answered")[0].answer == "3-x"
    assert [fact.first_task_id for fact in facts(events, "plan_started")] == [1, 3]
    assert [fact.reason for fact in facts(events, "replan_requested")] == ["the sum is missing"]
    replanning = model.asked[2][-1]["content"]
    assert "the sum is missing" in replanning
    assert '{"length":3}' in replanning


async def test_a_call_of_a_read_only_tool_is_not_made_again_by_a_replan() -> None:
    calls = []

    @tool(read_only=True)
    async def look(place: str, depth: int = 1) -> str:
        """Looks."""
        calls.append(place)
        return f"seen {place}"

    model = ScriptedModel(
        plan('1. look("here", depth=2)', "2. join()"),
        "Action: Replan(again)",
        plan('3. look(depth=2, place="here")', '4. look("there")', "5. join($3)"),
    )
    events = await events_of([look], model)
    assert calls == ["here", "there"]
    assert [fact.reused_task_id for fact in facts(events, "task_succeeded")] == [0, 1, 0]
    assert facts(events, "run_answered")[0].answer == "seen here"


async def test_a_call_that_changes_something_is_made_again_if_the_replan_says_so() -> None:
    calls = []

    @tool
    async def press(button: str) -> str:
        """Presses."""
        calls.append(button)
        return "pressed"

    model = ScriptedModel(
        plan('1. press("a")', "2. join()"), "Action: Replan(again)", plan('3. press("a")', "4. join($3)")
    )
    await events_of([press], model)
    assert calls == ["a", "a"]


async def test_calls_of_sequential_tools_never_overlap_and_keep_the_order_of_the_plan() -> None:
    order: list[str] = []
    others_done = asyncio.Event()

    @tool(sequential=True)
    async def write(line: str) -> None:
        """Writes, and must not be disturbed."""
        order.append(f"begin {line}")
        await others_done.wait()
        order.append(f"end {line}")

    @tool
    async def other() -> None:
        """Goes on meanwhile."""
        others_done.set()

    model = ScriptedModel(
        plan('1. write("a")', '2. write("b")', '3. write("c")', "4. other()", "5. join()"), finish("x")
    )
    await events_of([write, other], model, limits=Limits(max_parallel_calls=2))
    assert order == ["begin a", "end a", "begin b", "end b", "begin c", "end c"]


async def test_every_reader_sees_every_event_once_and_in_order() -> None:
    model = ScriptedModel(plan('1. length("abc")', "2. join($1)"))
    async with asyncio.timeout(PATIENCE), Engine([length], model) as engine:
        run = engine.start("why?")

        async def read(after: int) -> list[int]:
            return [event.sequence async for event in run.events(after)]

        whole, rest = await asyncio.gather(read(0), read(3))
        late = await read(0)
    assert whole == late == list(range(1, len(whole) + 1))
    assert rest == whole[3:]


async def test_one_engine_answers_many_questions_at_once() -> None:
    async with asyncio.timeout(PATIENCE):
        model = ScriptedModel(*[plan(f'1. join_words(["{n}"])', "2. join($1)") for n in range(20)])
        async with Engine([join_words], model) as engine:
            runs = [engine.start(f"question {n}") for n in range(20)]
            answers = await asyncio.gather(*(run.answer() for run in runs))
    assert sorted(answers, key=int) == [str(n) for n in range(20)]
    assert len({run.run_id for run in runs}) == 20


async def test_nothing_is_left_running_when_the_engine_is_closed() -> None:
    before = asyncio.all_tasks()
    await events_of([length], ScriptedModel(plan('1. length("abc")', "2. join()"), finish("3")))
    assert asyncio.all_tasks() == before


async def test_an_empty_question_is_refused() -> None:
    async with Engine([length], ScriptedModel()) as engine:
        with pytest.raises(UsageError, match="question is empty"):
            engine.start("  ")
        with pytest.raises(UsageError, match="no text"):
            engine.start("\udcff")


async def test_the_synchronous_face_refuses_to_run_inside_a_loop() -> None:
    with pytest.raises(UsageError, match="async with"):
        dovetail.run("why?", tools=[length], model=ScriptedModel())


def test_the_synchronous_face_answers() -> None:
    model = ScriptedModel(plan('1. join_words(["a"])', "2. join($1)"))
    assert dovetail.run("why?", tools=[join_words], model=model) == "a"


def test_the_synchronous_face_takes_whatever_an_engine_takes() -> None:
    taken = inspect.signature(dovetail.Engine).parameters
    assert list(inspect.signature(dovetail.run).parameters) == ["question", *taken]
    asked: list[str] = []

    async def decide(run: dovetail.Run, request: dovetail.ApprovalRequest) -> dovetail.Approve:
        asked.append(request.reason)
        return dovetail.Approve({"words": ["changed"]})

    class First:
        def choose(self, question: str, tools: dovetail.ToolSet) -> dovetail.ToolSet:
            return tools.allow("join_words")

    model = ScriptedModel('1. join_words(["a"])\n2. join($1)')
    answer = dovetail.run(
        "why?",
        [join_words, length],
        model,
        require_approval=["join_words"],
        on_approval=decide,
        retriever=First(),
        max_tools_shown=1,
    )
    assert (answer, asked) == ("changed", ["the rule join_words"])
    assert "length" not in str(model.asked[0])


def test_the_synchronous_face_raises_what_the_run_failed_with() -> None:
    with pytest.raises(RunFailedError, match="no further call"):
        dovetail.run("why?", tools=[length], model=ScriptedModel())


def test_the_public_names_are_these() -> None:
    assert dovetail.__all__ == [
        "AccessDeniedError",
        "AlreadyExistsError",
        "ApprovalRequest",
        "Approve",
        "CallContext",
        "Client",
        "DovetailError",
        "Engine",
        "Example",
        "ExampleError",
        "Executor",
        "InvalidRequestError",
        "LimitReachedError",
        "Limits",
        "ModelError",
        "NotFoundError",
        "NotPossibleError",
        "Price",
        "Reject",
        "RemoteRun",
        "RetryableError",
        "Run",
        "RunCancelledError",
        "RunFailedError",
        "Secret",
        "ServerError",
        "ServerUnavailableError",
        "SyncClient",
        "Tool",
        "ToolDefinitionError",
        "ToolSet",
        "UsageError",
        "open_model",
        "run",
        "tool",
    ]
    assert all(callable(getattr(dovetail, name)) for name in dovetail.__all__)
