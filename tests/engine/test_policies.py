"""Policies at work: retries, limits, breakers, outputs used again, order. Over one run and over many."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from dovetail import CallContext, Engine, Limits, RetryableError
from dovetail.tools.definition import Tool, tool
from dovetail.v1 import Event
from scripted import PATIENCE, ScriptedModel, events_of, facts, failures, finish, outputs, plan

pytestmark = pytest.mark.anyio


def calls_of(name: str, count: int, arguments: Callable[[int], str] = str) -> str:
    """A plan of calls that need nothing of one another."""
    return plan(*(f"{one}. {name}({arguments(one)})" for one in range(1, count + 1)), f"{count + 1}. join()")


async def run(text: str, *tools: Tool, limits: Limits | None = None) -> list[Event]:
    return await events_of(tools, ScriptedModel(text, finish("x")), limits=limits)


class Overlap:
    """Counts how many are inside at once; each leaves when all that could come have come."""

    def __init__(self) -> None:
        self.now = 0
        self.most = 0
        self.order: list[int] = []

    async def visit(self, number: int) -> int:
        self.now += 1
        self.most = max(self.most, self.now)
        self.order.append(number)
        for _ in range(5):
            await asyncio.sleep(0)
        self.now -= 1
        return number


class Clock:
    """The time of this loop, which goes on only when a test says so: a busy machine makes nothing late."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        self.now = loop.time()
        monkeypatch.setattr(loop, "time", lambda: self.now)

    async def settled(self) -> None:
        """Let everything happen that can happen now."""
        for _ in range(500):
            await asyncio.sleep(0)

    async def goes_on(self, seconds: float) -> None:
        """Let so much time pass, and happen what it brings."""
        self.now += seconds
        await self.settled()

    async def come_to(self, work: Awaitable[Any]) -> Any:
        """What comes of work that needs no time; pytest's own time limit bounds it, for this clock stands still."""
        task = asyncio.ensure_future(work)
        while not task.done():  # noqa: ASYNC110 - to wait for it would be to wait for the clock
            await asyncio.sleep(0)
        return task.result()


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


# Retries ----------------------------------------------------------------------------------------------------------


async def test_a_call_that_failed_is_made_again_with_an_event_that_says_why() -> None:
    tries: list[int] = []

    @tool(read_only=True, retries=3, backoff=0.001)
    async def flaky() -> str:
        """Works the third time."""
        tries.append(1)
        if len(tries) < 3:
            raise OSError("not yet")
        return "done"

    events = await run(plan("1. flaky()", "2. join()"), flaky)
    assert outputs(events) == {1: '"done"'}
    retried = facts(events, "call_failed")
    assert [(fact.call_id, fact.failure.message) for fact in retried] == [
        ("1.1", "OSError: not yet"),
        ("1.2", "OSError: not yet"),
    ]
    assert all(fact.pause.nanos > 0 for fact in retried)
    assert [fact.call_id for fact in facts(events, "call_started")] == ["1.1", "1.2", "1.3"]


async def test_a_call_with_effects_is_not_repeated_unless_its_error_says_that_it_had_none() -> None:
    tries: list[str] = []

    @tool(retries=3, backoff=0.001)
    async def press(button: str) -> str:
        """Presses."""
        tries.append(button)
        if tries.count(button) > 1:
            return "pressed"
        raise RetryableError("busy") if button == "careful" else ValueError("broken")

    events = await run(plan('1. press("rash")', '2. press("careful")', "3. join()"), press)
    assert sorted(tries) == ["careful", "careful", "rash"]
    assert failures(events) == {1: "TOOL_ERROR"}
    assert outputs(events) == {2: '"pressed"'}


async def test_retries_end_and_the_last_failure_is_the_tasks_own() -> None:
    @tool(idempotent=True, retries=2, backoff=0.001)
    async def broken() -> str:
        """Never works."""
        raise ValueError("broken")

    events = await run(plan("1. broken()", "2. join()"), broken)
    assert len(facts(events, "call_failed")) == 2
    assert len(facts(events, "call_started")) == 3
    assert facts(events, "task_failed")[0].failure.message == "ValueError: broken"


async def test_a_pause_between_calls_holds_no_place_and_ends_with_the_run() -> None:
    @tool(read_only=True, retries=1, backoff=50)
    async def broken() -> str:
        """Never works."""
        raise ValueError("broken")

    @tool
    async def other() -> str:
        """Works."""
        return "fine"

    events = await run(
        plan("1. broken()", "2. other()", "3. join()"),
        broken,
        other,
        limits=Limits(deadline=1, max_parallel_calls=1),
    )
    assert outputs(events) == {2: '"fine"'}
    assert failures(events) == {1: "CANCELLED"}


# Time -------------------------------------------------------------------------------------------------------------


async def test_a_task_has_a_time_of_its_own_whatever_its_calls_are_doing() -> None:
    @tool(read_only=True, retries=100, backoff=0.01, task_timeout=0.15)
    async def broken() -> str:
        """Never works."""
        raise ValueError("broken")

    @tool(max_parallel=1, task_timeout=0.15, timeout=None)
    async def endless() -> str:
        """Never ends."""
        await asyncio.Event().wait()
        return ""

    text = plan("1. broken()", "2. endless()", "3. endless()", "4. join()")
    events = await run(text, broken, endless)
    assert failures(events) == {1: "TIMEOUT", 2: "TIMEOUT", 3: "TIMEOUT"}
    assert all("task_timeout of 0.15 s" in fact.failure.message for fact in facts(events, "task_failed"))


async def test_a_call_that_gives_no_sign_of_life_is_ended_and_one_that_does_is_not() -> None:
    @tool(idle_timeout=1)
    async def silent() -> str:
        """Says nothing."""
        await asyncio.Event().wait()
        return ""

    @tool(idle_timeout=1)
    async def busy(call: CallContext) -> str:
        """Takes longer than it may be silent."""
        for done in range(15):
            await asyncio.sleep(0.1)
            call.report(done / 15)
        return "done"

    events = await run(plan("1. silent()", "2. busy()", "3. join()"), silent, busy)
    assert failures(events) == {1: "TIMEOUT"}
    assert outputs(events) == {2: '"done"'}


# Places, rates, exclusive keys --------------------------------------------------------------------------------------


async def test_a_tools_parallel_limit_holds_over_all_runs() -> None:
    overlap = Overlap()

    @tool(max_parallel=2)
    async def visit(number: int) -> int:
        """Visits."""
        return await overlap.visit(number)

    async with asyncio.timeout(PATIENCE):
        model = ScriptedModel(*[calls_of("visit", 5)] * 6)
        async with Engine([visit], model, joiner=ScriptedModel(*[finish("x")] * 6)) as engine:
            runs = [engine.start(f"question {number}") for number in range(6)]
            await asyncio.gather(*(one.answer() for one in runs))
            events = [event async for event in runs[-1].events()]
    assert overlap.most == 2
    assert len(overlap.order) == 30
    assert facts(events, "call_waiting")


async def test_no_more_calls_begin_in_a_period_than_the_rate_says(clock: Clock) -> None:
    began: list[int] = []

    @tool(rate="3/4s")
    async def visit(number: int) -> int:
        """Visits."""
        began.append(number)
        return number

    running = asyncio.create_task(run(calls_of("visit", 10), visit))
    await clock.settled()
    for most in (3, 6, 9):
        assert len(began) == most
        await clock.goes_on(3.9)
        assert len(began) == most
        await clock.goes_on(0.2)
    await clock.come_to(running)
    assert began == list(range(1, 11))


async def test_tools_that_share_a_key_never_overlap_and_others_do() -> None:
    dice = random.Random(1)
    inside: set[str] = set()
    together: set[frozenset[str]] = set()

    def make(name: str, *keys: str) -> Tool:
        @tool(name=name, exclusive=keys)
        async def use(number: int) -> int:
            """Uses what it needs."""
            assert name not in inside
            inside.add(name)
            together.update(frozenset((name, other)) for other in inside - {name})
            for _ in range(dice.randrange(5)):
                await asyncio.sleep(0)
            inside.discard(name)
            return number

        return use

    tools = [make("a", "x"), make("b", "x", "y"), make("c", "y"), make("d", "z")]
    lines = [f"{one}. {dice.choice('abcd')}({one})" for one in range(1, 101)]
    events = await run(plan(*lines, "101. join()"), *tools)
    assert len(outputs(events)) == 100
    assert not together & {frozenset("ab"), frozenset("bc")}
    assert frozenset("ac") in together
    assert any("d" in pair for pair in together)


# Breakers -----------------------------------------------------------------------------------------------------------


async def test_a_tool_that_keeps_failing_is_not_called_for_a_while_and_then_tried_once(clock: Clock) -> None:
    healthy = False
    calls = 0

    @tool(breaker_failures=3, breaker_pause=2, max_parallel=1)
    async def ill(number: int) -> int:
        """Works when it is well."""
        nonlocal calls
        calls += 1
        if not healthy:
            raise ValueError("ill")
        return number

    async with asyncio.timeout(PATIENCE):
        joiner = ScriptedModel(*[finish("x")] * 4)
        model = ScriptedModel(*[calls_of("ill", 10)] * 4)
        async with Engine([ill], model, joiner=joiner) as engine:

            async def reasons() -> list[str]:
                started = engine.start("why?")
                await started.wait()
                return sorted(failures([event async for event in started.events()]).values())

            assert await clock.come_to(reasons()) == ["CIRCUIT_OPEN"] * 7 + ["TOOL_ERROR"] * 3
            await clock.goes_on(1.9)
            assert await clock.come_to(reasons()) == ["CIRCUIT_OPEN"] * 10
            await clock.goes_on(0.2)
            # One trial, which fails: the circuit is open again.
            assert await clock.come_to(reasons()) == ["CIRCUIT_OPEN"] * 9 + ["TOOL_ERROR"]
            await clock.goes_on(2.1)
            healthy = True
            assert await clock.come_to(reasons()) == []
    assert calls == 3 + 1 + 10


async def test_a_hundred_calls_of_a_tool_that_hangs_cost_what_a_few_do() -> None:
    @tool(timeout=0.1, breaker_failures=5, max_parallel=1)
    async def hang(number: int) -> int:
        """Never ends."""
        await asyncio.Event().wait()
        return number

    began = asyncio.get_running_loop().time()
    events = await run(calls_of("hang", 100), hang)
    took = asyncio.get_running_loop().time() - began
    reasons = list(failures(events).values())
    assert (reasons.count("TIMEOUT"), reasons.count("CIRCUIT_OPEN")) == (5, 95)
    assert took < 100 * 0.1


# Outputs that are used again ----------------------------------------------------------------------------------------


async def test_a_thousand_identical_calls_at_once_make_one() -> None:
    release = asyncio.Event()
    calls = 0

    @tool(read_only=True, cache=60)
    async def look(place: str, depth: int = 1) -> str:
        """Looks."""
        nonlocal calls
        calls += 1
        await release.wait()
        return f"seen {place}"

    @tool
    async def let_go() -> None:
        """Is ready last."""
        release.set()

    lines = [f'{one}. look("here"{", depth=1" * (one % 2)})' for one in range(1, 1001)]
    events = await run(
        plan(*lines, "1001. let_go()", "1002. join()"),
        look,
        let_go,
        limits=Limits(max_tasks=2000, max_parallel_calls=None),
    )
    seen = facts(events, "task_succeeded")
    # With the default written out the arguments are others.
    assert calls == 2
    assert len(seen) == 1001
    assert sum(fact.cached for fact in seen) == 998


async def test_an_output_is_used_again_in_other_runs_until_its_time_is_over(clock: Clock) -> None:
    calls: list[str] = []

    @tool(read_only=True, cache=3)
    async def look(place: str) -> str:
        """Looks."""
        calls.append(place)
        return f"seen {place}"

    async with asyncio.timeout(PATIENCE):
        text = plan('1. look("here")', "2. join($1)")
        async with Engine([look], ScriptedModel(*[text] * 3)) as engine:
            assert await clock.come_to(engine.start("why?").answer()) == "seen here"
            await clock.goes_on(2.9)
            assert await clock.come_to(engine.start("why?").answer()) == "seen here"
            assert calls == ["here"]
            await clock.goes_on(0.2)
            assert await clock.come_to(engine.start("why?").answer()) == "seen here"
    assert calls == ["here", "here"]


async def test_a_call_that_others_wait_for_and_that_fails_is_made_again_for_the_next_of_them() -> None:
    calls = 0

    @tool(read_only=True, cache=60)
    async def look() -> str:
        """Works the third time."""
        nonlocal calls
        calls += 1
        await asyncio.sleep(0)
        if calls < 3:
            raise ValueError("not yet")
        return "seen"

    events = await run(calls_of("look", 5, lambda _: ""), look)
    assert failures(events) == {1: "TOOL_ERROR", 2: "TOOL_ERROR"}
    assert sorted(outputs(events)) == [3, 4, 5]
    assert calls == 3


async def test_a_run_that_is_cancelled_leaves_the_call_that_another_run_waits_for() -> None:
    entered = asyncio.Event()
    release = asyncio.Event()
    calls = 0

    @tool(read_only=True, cache=60)
    async def look() -> str:
        """Looks."""
        nonlocal calls
        calls += 1
        entered.set()
        await release.wait()
        return "seen"

    async with asyncio.timeout(PATIENCE):
        text = plan("1. look()", "2. join($1)")
        async with Engine([look], ScriptedModel(text, text)) as engine:
            first = engine.start("why?")
            await entered.wait()
            entered.clear()
            second = engine.start("why?")
            async for event in second.events():
                if event.HasField("plan_closed"):
                    break
            first.cancel()
            await first.wait()
            await entered.wait()
            release.set()
            assert await second.answer() == "seen"
    assert calls == 2


# Sizes and order ----------------------------------------------------------------------------------------------------


async def test_an_output_that_is_too_large_is_cut_if_the_policy_says_so() -> None:
    @tool(max_output_bytes=500, large_output="cut")
    async def book() -> str:
        """A long text."""
        return "begin" + "x" * 5_000 + "end"

    text = outputs(await run(plan("1. book()", "2. join()"), book))[1]
    assert len(text) <= 500
    assert text.startswith('"begin')
    assert text.endswith('end"')


async def test_sequential_tools_keep_the_order_of_the_plan_also_when_a_later_one_is_ready_first() -> None:
    order: list[str] = []

    @tool
    async def slowly(text: str) -> str:
        """Takes some rounds of the loop."""
        for _ in range(20):
            await asyncio.sleep(0)
        return text

    @tool(sequential=True)
    async def write(text: str) -> str:
        """Writes."""
        order.append(text)
        return text

    events = await run(
        plan('1. slowly("a")', '2. write("$1")', '3. write("b")', '4. write("$7")', '5. write("c")', "6. join()"),
        slowly,
        write,
    )
    assert order == ["a", "b", "$7", "c"]
    assert len(outputs(events)) == 5


async def test_a_sequential_task_that_is_skipped_or_invalid_holds_up_nobody() -> None:
    order: list[str] = []

    @tool
    async def fail(text: str) -> str:
        """Fails, after a while."""
        await asyncio.sleep(0)
        raise ValueError(text)

    @tool(sequential=True)
    async def write(text: str) -> str:
        """Writes."""
        order.append(text)
        if text == "bad":
            raise ValueError(text)
        return text

    events = await run(
        plan(
            '1. fail("x")',
            '2. write("$1")',
            "3. write(text=3, more=4)",
            '4. write("bad")',
            '5. write("b")',
            "6. join()",
        ),
        fail,
        write,
    )
    assert order == ["bad", "b"]
    assert outputs(events) == {5: '"b"'}


async def test_a_call_that_was_cancelled_keeps_its_key_until_it_has_cleaned_up() -> None:
    order: list[str] = []

    @tool(exclusive="door", timeout=0.05)
    async def use(number: int) -> int:
        """Uses the door, and closes it behind itself."""
        order.append(f"open {number}")
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(3):
                await asyncio.sleep(0)
            order.append(f"close {number}")
        return number

    events = await run(calls_of("use", 3), use)
    assert failures(events) == {1: "TIMEOUT", 2: "TIMEOUT", 3: "TIMEOUT"}
    assert order == ["open 1", "close 1", "open 2", "close 2", "open 3", "close 3"]
