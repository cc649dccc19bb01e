"""The same questions to a server that answers as vLLM does, to llama.cpp and, in `make test-vllm`, to vLLM itself."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest
import twenty_tools
from served import ALIKE, HELLO, LLAMA, VLLM, Served, answer, serving, write_plan

from dovetail import Engine, Limits, _core
from dovetail.demo import EXAMPLES, QUESTIONS, TOOLS
from dovetail.errors import ModelError
from dovetail.models import Grammar
from dovetail.tools.tool_set import ToolSet
from dovetail.v1 import FailureReason, Purpose, RunState, Severity

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from dovetail.models import Message
    from dovetail.run_handle import Run

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(1200)]

COUNT = 'root ::= "1, 2, 3, " ("4" | "four")'
LONG = "root ::= [a-z ]{2000,4000}"
ENDED = {RunState.RUN_STATE_ANSWERED, RunState.RUN_STATE_FAILED}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    # A server outlives a test, and so must the loop that watches it.
    return "asyncio"


@pytest.fixture(scope="module", params=[ALIKE, LLAMA, *VLLM])
async def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with serving(request.param, tmp_path_factory.mktemp("served") / "log") as server:
        yield server


def _grammar(served: Served, text: str) -> Grammar:
    return Grammar(served.dialect, text)


async def test_a_text_follows_its_grammar_and_ends_with_its_usage(served: Served) -> None:
    text, completion = await answer(served.open(), grammar=_grammar(served, COUNT))
    assert text in {"1, 2, 3, 4", "1, 2, 3, four"}
    assert completion.finish_reason == "stop"
    assert completion.usage is not None
    assert completion.usage.prompt_tokens > 0
    assert completion.usage.completion_tokens > 3


async def test_a_stop_text_ends_the_stream_and_is_not_part_of_it(served: Served) -> None:
    text, completion = await answer(served.open(), grammar=_grammar(served, COUNT), stop=("3",))
    assert text == "1, 2, "
    assert completion.finish_reason == "stop"


async def test_the_number_of_tokens_is_bounded(served: Served) -> None:
    _, completion = await answer(served.open(), grammar=_grammar(served, LONG), max_tokens=7)
    assert completion.finish_reason == "length"
    assert completion.usage is not None
    assert completion.usage.completion_tokens == 7


async def test_most_of_a_prompt_seen_before_comes_from_the_cache(served: Served) -> None:
    messages: list[Message] = [{"role": "user", "content": "All of these words have been said before. " * 60}]
    _, first = await answer(served.open(), messages, max_tokens=1)
    _, second = await answer(served.open(), messages, max_tokens=1)
    assert first.usage is not None
    assert second.usage is not None
    assert second.usage.cached_tokens >= 0.9 * second.usage.prompt_tokens > first.usage.cached_tokens


async def test_the_prompt_of_twenty_tools_comes_from_the_cache_on_the_second_run(served: Served) -> None:
    limits = Limits(deadline=540, max_replans=0, max_tokens=60)
    shares = []
    async with Engine(twenty_tools.TOOLS, served.open(), examples=twenty_tools.EXAMPLES, limits=limits) as engine:
        for question in ("How good is the song Yesterday?", "How good is the song Yesterday?", "What is a Mazurka?"):
            run = engine.start(question)
            assert await run.wait() in ENDED
            shares.append(await _cached_share(run))
    _, same, other = shares
    assert same >= 0.9
    # Another question shares the tools, and not always the order of the examples.
    assert other >= 0.5


async def test_a_grammar_that_is_none_is_refused_and_hurts_nobody_else(served: Served) -> None:
    other = served.open().stream(HELLO, grammar=_grammar(served, LONG), max_tokens=30)
    async with aclosing(other) as pieces:
        assert await anext(pieces)
        with pytest.raises(ModelError) as caught:
            await answer(served.open(), grammar=_grammar(served, "root ::= nowhere"))
        assert caught.value.reason == FailureReason.FAILURE_REASON_MODEL_GRAMMAR_REFUSED
        assert [piece async for piece in pieces]


async def test_a_plan_under_its_grammar_compiles_without_an_error(served: Served) -> None:
    tools = ToolSet.of(TOOLS)
    machine = _core.Machine(tools.core)
    text, cut_off = await write_plan(served.open(), tools, "How many people live in Peru and Chile?", max_tokens=600)
    steps = [*machine.feed(text), *machine.finish(cut_off=cut_off)]
    assert any(isinstance(step, _core.Planned) for step in steps), text
    assert not [step for step in steps if isinstance(step, _core.Diagnostic) and step.severity == "error"], text


async def test_whole_runs_end_and_their_plans_have_no_error(served: Served) -> None:
    async with Engine(TOOLS, served.open(), examples=EXAMPLES, limits=Limits(deadline=540, max_replans=0)) as engine:
        runs = [engine.start(question.text) for question in QUESTIONS[:6]]
        for run in runs:
            assert await run.wait() in ENDED
            assert await _errors(run) == []
        if served.writes_sense:
            right = [question.accepts(await run.answer()) for question, run in zip(QUESTIONS, runs, strict=False)]
            assert sum(right) >= 5, right


async def test_a_plan_that_is_cut_off_runs_what_it_has(served: Served) -> None:
    limits = Limits(deadline=540, max_replans=0, max_tokens=24)
    async with Engine(TOOLS, served.open(), examples=EXAMPLES, limits=limits) as engine:
        run = engine.start("What is the total population of Spain and Portugal?")
        assert await run.wait() in ENDED
        facts = [event async for event in run.events()]
    planned = {event.task_planned.task_id for event in facts if event.WhichOneof("fact") == "task_planned"}
    settled = {
        getattr(event, fact).task_id
        for event in facts
        if (fact := event.WhichOneof("fact")) in {"task_succeeded", "task_failed", "task_skipped"}
    }
    assert planned == settled
    if served.writes_sense:
        assert any(event.WhichOneof("fact") == "task_succeeded" for event in facts)


async def _cached_share(run: Run) -> float:
    """How much of the prompt of a run's first plan the server had in its cache."""
    async for event in run.events():
        ended = event.model_call_ended
        if event.WhichOneof("fact") == "model_call_ended" and ended.purpose == Purpose.PURPOSE_PLAN:
            return float(ended.usage.cached_tokens / ended.usage.prompt_tokens)
    raise AssertionError("the model was not asked for a plan")


async def _errors(run: Run) -> list[str]:
    return [
        f"{event.plan_diagnosed.code}: {event.plan_diagnosed.message}"
        async for event in run.events()
        if event.WhichOneof("fact") == "plan_diagnosed" and event.plan_diagnosed.severity == Severity.SEVERITY_ERROR
    ]
