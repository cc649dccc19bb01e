"""What runs cost: prices of model calls, totals, and budgets that stop a run."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from dovetail.cli.board import Board
from dovetail.engine import Engine
from dovetail.errors import UsageError
from dovetail.models.protocol import Completion, Usage
from dovetail.prices import KNOWN_PRICES, Price, Prices, read_prices
from dovetail.runs.limits import Limits
from dovetail.tools.call_context import CallContext
from dovetail.tools.definition import Tool, tool
from dovetail.tools.tool_model_calls import believed
from dovetail.v1 import Event, FailureReason, ModelCallEnded, Purpose, RunState, ToolModelCall
from scripted import PATIENCE, ScriptedModel, facts, finish, plan

pytestmark = pytest.mark.anyio

PRICES = {"scripted:*": Price(input=2.0, output=10.0, cached_input=0.5)}
CALL = Usage(prompt_tokens=10, completion_tokens=5)
COST = (10 * 2.0 + 5 * 10.0) / 1e6
"""What a call of a `ScriptedModel` costs by these prices: it counts 10 tokens read and 5 written."""


@tool(read_only=True)
async def length(text: str) -> int:
    """The length of a text."""
    return len(text)


async def run(model: ScriptedModel, tools: list[object], limits: Limits | None = None) -> list[Event]:
    async with asyncio.timeout(PATIENCE), Engine(tools, model, limits=limits, prices=PRICES) as engine:  # type: ignore[arg-type]
        return [event async for event in engine.start("why?").events()]


async def test_each_model_call_has_its_cost_and_the_run_their_sum() -> None:
    model = ScriptedModel(plan('1. length("abc")', "2. join()"), finish("3"))

    events = await run(model, [length])

    assert [fact.cost for fact in facts(events, "model_call_ended")] == pytest.approx([COST, COST])
    assert events[-1].run_ended.cost == pytest.approx(2 * COST)


async def test_tokens_from_the_cache_cost_what_the_table_says() -> None:
    async def cached() -> AsyncGenerator[str | Completion, None]:
        yield finish("yes")
        yield Completion("stop", Usage(prompt_tokens=1_000, completion_tokens=10, cached_tokens=800))

    model = ScriptedModel(plan('1. length("abc")', "2. join()"), cached)

    events = await run(model, [length])

    (joined,) = (fact for fact in facts(events, "model_call_ended") if fact.purpose == Purpose.PURPOSE_JOIN)
    assert joined.cost == pytest.approx((200 * 2.0 + 800 * 0.5 + 10 * 10.0) / 1e6)


async def test_a_model_without_a_price_costs_nothing_that_is_told() -> None:
    model = ScriptedModel(plan('1. length("abc")', "2. join($1)"))

    async with asyncio.timeout(PATIENCE), Engine([length], model, limits=Limits(max_cost=0.01)) as engine:
        events = [event async for event in engine.start("why?").events()]

    assert not facts(events, "model_call_ended")[0].HasField("cost")
    assert not events[-1].run_ended.HasField("cost")
    assert events[-1].run_ended.state == RunState.RUN_STATE_ANSWERED


async def test_a_run_over_its_budget_makes_no_further_model_call_and_says_which_budget() -> None:
    model = ScriptedModel(plan('1. length("abc")', "2. join()"), finish("3"))

    events = await run(model, [length], Limits(max_cost=COST / 2))

    end = events[-1].run_ended
    assert end.state == RunState.RUN_STATE_FAILED
    assert end.failure.reason == FailureReason.FAILURE_REASON_LIMIT_EXCEEDED
    assert "max_cost" in end.failure.message
    assert len(model.asked) == 1
    assert end.cost == pytest.approx(COST)
    assert events[0].run_started.limits.max_cost == pytest.approx(COST / 2)


async def test_an_answer_that_the_plan_names_is_given_however_much_the_plan_has_cost() -> None:
    model = ScriptedModel(plan('1. length("abc")', "2. join($1)"))

    events = await run(model, [length], Limits(max_cost=COST / 2))

    assert facts(events, "run_answered")[0].answer == "3"


async def test_the_last_line_of_a_run_tells_what_it_cost() -> None:
    events = await run(ScriptedModel(plan('1. length("abc")', "2. join($1)")), [length])
    board = Board()
    for event in events:
        board.add(event)

    assert "15 tokens · cost $7e-05" in board.summary()


def test_a_name_goes_before_a_pattern_and_a_table_before_the_known_prices() -> None:
    prices = Prices({"openai:*": Price(1, 1), "openai:gpt-4*": Price(2, 2), "openai:gpt-4.1": Price(3, 3)})

    assert prices.of("openai:gpt-4.1") == Price(3, 3)
    assert prices.of("openai:gpt-4o") == Price(2, 2)
    assert prices.of("openai:gpt-5") == Price(1, 1)


def test_known_models_have_prices_and_their_snapshots_too() -> None:
    prices = Prices()

    assert prices.of("openai:gpt-5-mini-2025-08-07") == prices.of("openai:gpt-5-mini") != prices.of("openai:gpt-5")
    assert prices.of("azure:gpt-6.1-sol") == prices.of("openai:gpt-6.1-sol") != prices.of("openai:gpt-6-sol")
    assert prices.of("friendli:zai-org/GLM-5.2") == Price(1.4, 4.4, 0.26)
    assert prices.cost("openai:gpt-5", CALL) == pytest.approx((10 * 1.25 + 5 * 10) / 1e6)
    assert prices.cost("openai:gpt-5", None) is None


def test_what_is_written_to_a_cache_costs_more_where_the_provider_says_so() -> None:
    usage = Usage(prompt_tokens=2_000, completion_tokens=10, cached_tokens=500, cache_write_tokens=1_200)
    price = Price(input=2.0, output=10.0, cached_input=0.2, cache_write=2.5)

    assert price.of(usage) == pytest.approx((300 * 2.0 + 500 * 0.2 + 1_200 * 2.5 + 10 * 10.0) / 1e6)
    assert Price(2.0, 10.0, 0.2).of(usage) == pytest.approx((1_500 * 2.0 + 500 * 0.2 + 10 * 10.0) / 1e6)
    for model, known in KNOWN_PRICES.items():
        charges = model.startswith(("openai:gpt-6", "azure:gpt-6", "openai:gpt-5.6", "azure:gpt-5.6"))
        assert known.cache_write == (pytest.approx(1.25 * known.input) if charges else None), model


async def test_a_run_counts_the_tokens_written_to_a_cache_among_those_read() -> None:
    async def writing() -> AsyncGenerator[str | Completion, None]:
        yield finish("yes")
        yield Completion("stop", Usage(prompt_tokens=1_000, completion_tokens=10, cache_write_tokens=800))

    events = await run(ScriptedModel(plan('1. length("abc")', "2. join()"), writing), [length])

    assert events[-1].run_ended.usage.prompt_tokens == 1_010
    assert events[-1].run_ended.cost == pytest.approx(COST + (1_000 * 2.0 + 10 * 10.0) / 1e6)


def test_a_snapshot_with_a_price_of_its_own_has_that() -> None:
    prices = Prices()

    assert prices.of("openai:gpt-4o-2024-05-13") == Price(5, 15)
    assert prices.of("openai:gpt-4o-2024-11-20") == prices.of("openai:gpt-4o") == Price(2.5, 10, 1.25)


def test_a_price_that_was_given_goes_for_the_snapshots_of_its_model_too() -> None:
    prices = Prices({"openai:gpt-5": Price(7, 7), "openai:*": Price(1, 1)})

    assert prices.of("openai:gpt-5-2025-08-07") == Price(7, 7)
    assert prices.of("openai:gpt-5-mini-2025-08-07") == Price(1, 1)


def test_a_model_that_a_tool_tells_with_a_slash_has_its_price() -> None:
    assert Prices().of("openai/gpt-5-mini") == Prices().of("openai:gpt-5-mini") is not None
    assert Prices({"own/model": Price(1, 2)}).of("own/model") == Price(1, 2)
    assert Prices({"own:*": Price(1, 2)}).of("own/model") == Price(1, 2)


@pytest.mark.parametrize(
    "model",
    [
        *("openai:gpt-7", "openai:gpt-5-turbo", "openai:ft:gpt-4.1-2025-04-14:org::id", "openai:gpt-5-20250807"),
        *("azure:my-deployment", "friendli:an-endpoint-of-mine", "vllm:Qwen/Qwen3-8B", "local:", "gpt-5", ""),
    ],
)
def test_a_model_that_is_not_known_has_no_price_rather_than_none_to_pay(model: str) -> None:
    assert Prices().of(model) is None
    assert Prices().cost(model, CALL) is None


def test_a_call_that_reads_more_than_a_long_prompt_is_charged_as_a_long_one_whole() -> None:
    price = Price(2, 10, 0.1, long_prompt=272_000)

    assert price.of(Usage(272_000, 1_000, cached_tokens=72_000)) == pytest.approx(0.4 + 0.0072 + 0.01)
    assert price.of(Usage(272_001, 1_000, cached_tokens=72_001)) == pytest.approx(2 * (0.4 + 0.0072001) + 0.015)


def test_a_file_of_prices_is_read(tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_text('["azure:*"]\ninput = 1.25\ncached_input = 0.125\noutput = 10\nlong_prompt = 272000\n')

    assert read_prices(file) == {"azure:*": Price(1.25, 10, 0.125, 272_000)}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('["a:b"]\ninput = 1', "'a:b'.*output is missing"),
        ('["a:b"]\ninput = -1\noutput = 1', "'a:b'.*input is -1"),
        ('["a:b"]\ninput = nan\noutput = 1', "'a:b'.*input is nan"),
        ('["a:b"]\ninput = 1\noutput = 1\nlong_prompt = "much"', "'a:b'.*long_prompt is 'much'.*tokens"),
        ('["a:b"]\ninput = 1\noutput = 1\nreading = 1', "'a:b'.*'reading'"),
        ('"a:b" = 1', "'a:b'.*no table"),
        ("[", "no TOML"),
    ],
)
def test_a_file_of_prices_that_cannot_be_used_is_refused_with_its_place(
    text: str, problem: str, tmp_path: Path
) -> None:
    file = tmp_path / "prices.toml"
    file.write_text(text)

    with pytest.raises(UsageError, match=problem):
        read_prices(file)


@pytest.mark.parametrize("bound", [-1.0, 0.0, float("nan")])
def test_a_budget_is_above_nothing(bound: float) -> None:
    with pytest.raises(UsageError, match="max_cost"):
        Limits(max_cost=bound)


@tool(read_only=True)
async def tells(ctx: CallContext, calls: int = 1) -> str:
    """Makes model calls by itself."""
    for _ in range(calls):
        ctx.record_model_call("scripted:other", prompt_tokens=100, completion_tokens=10, duration=0.5)
    return "told"


@tool
def tells_from_a_thread(ctx: CallContext) -> str:
    """Makes a model call by itself, and knows what it cost."""
    ctx.record_model_call("own:model", prompt_tokens=7, completion_tokens=1, cost=0.25)
    return "told"


@tool
async def tells_and_fails(ctx: CallContext) -> str:
    """Makes a model call by itself, and fails."""
    ctx.record_model_call("own:model", prompt_tokens=7, completion_tokens=1, cost=0.25)
    raise ValueError("in vain")


@tool(timeout=0.05)
async def tells_and_hangs(ctx: CallContext) -> str:
    """Makes a model call by itself, and then takes too long; what it uses afterwards counts too."""
    try:
        await asyncio.Event().wait()
    finally:
        ctx.record_model_call("own:model", prompt_tokens=7, completion_tokens=1, cost=0.25)
    return "never"


@tool
async def tells_nonsense(ctx: CallContext) -> str:
    """Would give back what was spent."""
    ctx.record_model_call("own:model", prompt_tokens=-7, completion_tokens=1)
    return "told"


def told_calls(events: list[Event]) -> list[ModelCallEnded]:
    return [fact for fact in facts(events, "model_call_ended") if fact.purpose == Purpose.PURPOSE_TOOL]


async def test_model_calls_of_tools_are_events_of_their_task_and_count() -> None:
    events = await run(ScriptedModel(plan("1. tells()", "2. join($1)")), [tells])

    (told,) = told_calls(events)
    assert (told.task_id, told.plan, told.model) == (1, 1, "scripted:other")
    assert (told.usage.prompt_tokens, told.usage.completion_tokens) == (100, 10)
    assert told.duration.ToMilliseconds() == 500
    assert told.cost == pytest.approx((100 * 2.0 + 10 * 10.0) / 1e6)
    end = events[-1].run_ended
    assert end.usage.prompt_tokens == 110
    assert end.model_calls == 2
    assert end.cost == pytest.approx(COST + told.cost)


@pytest.mark.parametrize("teller", [tells_from_a_thread, tells_and_fails, tells_and_hangs])
async def test_what_a_tool_spent_counts_wherever_it_runs_and_whatever_came_of_it(teller: Tool) -> None:
    events = await run(ScriptedModel(plan(f"1. {teller.name}()", "2. join()"), finish("so")), [teller])

    (told,) = told_calls(events)
    assert told.cost == 0.25
    assert events[-1].run_ended.cost == pytest.approx(0.25 + 2 * COST)


async def test_model_calls_of_a_tool_in_a_process_count() -> None:
    teller = dataclasses.replace(tells, isolation="process")

    events = await run(ScriptedModel(plan("1. tells(calls=2)", "2. join($1)")), [teller])

    assert [(told.task_id, told.usage.prompt_tokens) for told in told_calls(events)] == [(1, 100), (1, 100)]


async def test_the_spending_of_tools_stops_the_run_at_its_budget() -> None:
    model = ScriptedModel(plan("1. tells(calls=3)", "2. join()"), finish("so"))

    events = await run(model, [tells], Limits(max_tokens=300))

    assert "max_tokens" in events[-1].run_ended.failure.message
    assert len(model.asked) == 1


async def test_sixty_four_model_calls_are_counted_of_a_call() -> None:
    events = await run(ScriptedModel(plan("1. tells(calls=70)", "2. join($1)")), [tells])

    assert len(told_calls(events)) == 64


async def test_a_negative_number_of_tokens_is_an_error_of_the_tool() -> None:
    events = await run(ScriptedModel(plan("1. tells_nonsense()", "2. join()"), finish("so")), [tells_nonsense])

    assert "prompt_tokens is -7" in facts(events, "task_failed")[0].failure.message
    assert not told_calls(events)


def test_what_another_process_tells_gives_nothing_back() -> None:
    made = believed(ToolModelCall(model="m" * 999, usage={"prompt_tokens": -5, "completion_tokens": 2**62}, cost=-1))  # type: ignore[arg-type]

    assert len(made.model) <= 200
    assert made.usage.prompt_tokens == 0
    assert made.usage.completion_tokens == 2**40
    assert not made.HasField("cost")
    assert not believed(ToolModelCall(model="m", cost=float("nan"))).HasField("cost")
