"""Calls through a backend that is not this process: lost and made again, too large, too slow, telling of progress."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from dovetail import CallContext, Engine, Limits
from dovetail.tools.call import Call
from dovetail.tools.definition import Tool, tool
from dovetail.v1 import Event, FailureReason
from scripted import PATIENCE, ScriptedModel, events_of, facts, failures, finish, kinds, outputs, plan

pytestmark = pytest.mark.anyio

CALL_IT = plan("1. there()", "2. join()")


class Elsewhere:
    """Does with each call what the test says, one loop iteration later, as executors do."""

    def __init__(self, *acts: Callable[[Call], None]) -> None:
        self._acts = list(acts)
        self.cancelled: list[str] = []

    def begin(self, call: Call) -> None:
        act = self._acts.pop(0) if len(self._acts) > 1 else self._acts[0]
        asyncio.get_running_loop().call_soon(act, call)

    def cancel(self, call: Call) -> None:
        self.cancelled.append(call.call_id)


def there(backend: Elsewhere, **spec: object) -> Tool:
    return Tool("there", "Is somewhere else.", {"type": "object"}, backend=backend, **spec)  # type: ignore[arg-type]


async def run(backend: Elsewhere, **spec: object) -> list[Event]:
    return await events_of([there(backend, **spec)], ScriptedModel(CALL_IT, finish("x")))


def lose(call: Call) -> None:
    call.start("ex-1")
    call.lose("ex-1", "its plug was pulled")


def succeed(call: Call) -> None:
    call.start("ex-2")
    call.succeed('"here"')


async def test_a_lost_call_of_a_repeatable_tool_is_made_again() -> None:
    for hint in ("read_only", "idempotent"):
        events = await run(Elsewhere(lose, succeed), **{hint: True})
        assert outputs(events) == {1: '"here"'}
        started = [(fact.call_id, fact.executor_id) for fact in facts(events, "call_started")]
        assert started == [("1.1", "ex-1"), ("1.2", "ex-2")]
        lost = [(fact.call_id, fact.executor_id, fact.message) for fact in facts(events, "call_lost")]
        assert lost == [("1.1", "ex-1", "its plug was pulled")]


async def test_a_lost_call_that_must_not_be_repeated_has_an_unknown_outcome() -> None:
    events = await run(Elsewhere(lose, succeed))
    assert failures(events) == {1: "OUTCOME_UNKNOWN"}
    assert len(facts(events, "call_started")) == 1


async def test_a_call_that_takes_every_executor_with_it_is_given_up() -> None:
    events = await run(Elsewhere(lose), read_only=True)
    assert failures(events) == {1: "EXECUTOR_LOST"}
    why = "its plug was pulled"
    poisonous = f"{why}; it is executor 3 that was lost to this task"
    assert [fact.message for fact in facts(events, "call_lost")] == [why, why, poisonous]


async def test_waiting_for_a_place_is_an_event_and_no_part_of_the_timeout() -> None:
    place_is_free = asyncio.Event()

    def wait(call: Call) -> None:
        call.wait(4)
        # Longer than the tool's timeout: whoever waits has not begun.
        asyncio.get_running_loop().call_later(0.1, lambda: (succeed(call), place_is_free.set()))

    events = await run(Elsewhere(wait), timeout=0.02)
    assert place_is_free.is_set()
    assert outputs(events) == {1: '"here"'}
    assert facts(events, "call_waiting")[0].ahead == 4
    assert kinds(events).index("call_waiting") < kinds(events).index("call_started")


async def test_a_call_past_its_timeout_is_cancelled_where_it_is() -> None:
    elsewhere = Elsewhere(lambda call: call.start("ex-1"))
    events = await run(elsewhere, timeout=0.02)
    assert failures(events) == {1: "TIMEOUT"}
    assert elsewhere.cancelled == ["1.1"]


async def test_what_comes_after_the_outcome_is_not_heard() -> None:
    def twice(call: Call) -> None:
        succeed(call)
        call.succeed('"again"')
        call.fail(FailureReason.FAILURE_REASON_TOOL_ERROR, "no")
        call.lose("ex-2")
        call.progress(1.0, "late")

    events = await run(Elsewhere(twice))
    assert outputs(events) == {1: '"here"'}
    assert [kind for kind in kinds(events) if kind in ("task_failed", "call_lost", "call_progressed")] == []


async def test_an_output_over_the_limit_fails_whoever_made_it() -> None:
    def flood(call: Call) -> None:
        call.start("ex-1")
        call.succeed('"' + "é" * 60 + '"')

    events = await run(Elsewhere(flood), max_output_bytes=100)
    assert failures(events) == {1: "OUTPUT_TOO_LARGE"}
    assert "122 bytes" in facts(events, "task_failed")[0].failure.message


async def test_an_output_that_is_no_json_fails_with_its_own_reason() -> None:
    def garbage(call: Call) -> None:
        call.start("ex-1")
        call.succeed("{nonsense")

    events = await run(Elsewhere(garbage))
    assert failures(events) == {1: "OUTPUT_INVALID"}


async def test_progress_is_told_bounded_and_not_too_often() -> None:
    def report(call: Call) -> None:
        call.start("ex-1")
        call.progress(7.5, "x" * 5_000)
        for _ in range(1_000):
            call.progress(0.5, "flood")
        succeed(call)

    progress = facts(await run(Elsewhere(report)), "call_progressed")
    assert [fact.fraction for fact in progress] == [1.0]
    assert 900 < len(progress[0].message) <= 1_000


async def test_a_function_of_this_process_reports_its_progress_through_its_context() -> None:
    seen: list[CallContext] = []

    @tool
    def count(up_to: int, call: CallContext) -> int:
        """Counts, in a thread."""
        seen.append(call)
        call.report(0.25, "counting")
        return up_to

    model = ScriptedModel(plan("1. count(3)", "2. join($1)"))
    async with asyncio.timeout(PATIENCE), Engine([count], model) as engine:
        run = engine.start("why?", run_id="a-run")
        assert await run.answer() == "3"
        events = [event async for event in run.events()]
    assert [(fact.call_id, fact.fraction, fact.message) for fact in facts(events, "call_progressed")] == [
        ("1.1", 0.25, "counting")
    ]
    assert (seen[0].run_id, seen[0].task_id, seen[0].call_id) == ("a-run", 1, "a-run/1.1")
    assert 0 < (seen[0].seconds_left() or 0) <= 60
    assert "call" not in count.input_schema["properties"]


async def test_arguments_that_grew_too_large_fail_their_task_alone() -> None:
    @tool
    async def book() -> str:
        """A long text."""
        return "x" * 900_000

    @tool
    async def compare(books: list[str]) -> int:
        """Compares."""
        return len(books)

    model = ScriptedModel(
        plan("1. book()", '2. compare(["$1", "$1", "$1"])', '3. compare(["$1"])', "4. join()"), finish("one")
    )
    events = await events_of([book, compare], model, limits=Limits())
    assert failures(events) == {2: "ARGUMENTS_TOO_LARGE"}
    assert outputs(events)[3] == "1"


async def test_a_thousand_calls_that_fail_at_once_are_no_deep_recursion() -> None:
    elsewhere = Elsewhere(lambda call: call.fail(FailureReason.FAILURE_REASON_OVERLOADED, "full"))
    text = plan(*(f"{one}. there()" for one in range(1, 1001)), "1001. join()")
    model = ScriptedModel(text, finish("x"))
    events = await events_of([there(elsewhere)], model, limits=Limits(max_parallel_calls=1))
    assert len(failures(events)) == 1000
