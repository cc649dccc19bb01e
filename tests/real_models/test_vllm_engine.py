"""vLLM in this process, for real: the engine, its grammars, its cache, and its end."""

from __future__ import annotations

import asyncio
import json
import os
import time
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import twenty_tools
from served import write_plan
from vllm_place import ENGINE_OPTIONS, ENVIRONMENT, SMOLLM2
from vllm_process import kill_engine_of

from dovetail import Engine, Limits, _core
from dovetail.demo import EXAMPLES, QUESTIONS, TOOLS
from dovetail.errors import ModelError, UsageError
from dovetail.models import Completion, Grammar
from dovetail.models.vllm_engine import VllmEngineModel
from dovetail.tools.tool_set import ToolSet
from dovetail.v1 import FailureReason, RunState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from dovetail.models import Message

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.vllm,
    pytest.mark.timeout(600),
    # What torch and vLLM warn of while they are imported is not ours to mend.
    pytest.mark.filterwarnings("default"),
]

HELLO: list[Message] = [{"role": "user", "content": "Say hello."}]
COUNT = Grammar("ebnf", 'root ::= "1, 2, 3, " ("4" | "four")')
LONG = Grammar("ebnf", "root ::= [a-z ]{2000,4000}")
ABORT_SECONDS = 0.2


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    # An engine belongs to one event loop: all of this file's.
    return "asyncio"


@pytest.fixture(scope="module")
async def model() -> AsyncIterator[VllmEngineModel]:
    os.environ.update(ENVIRONMENT)
    model = VllmEngineModel(str(SMOLLM2), temperature=0.0, options=ENGINE_OPTIONS)
    try:
        yield model
    finally:
        await model.aclose()


async def _answer(model: VllmEngineModel, messages: list[Message] = HELLO, **options: Any) -> tuple[str, Completion]:
    items = [item async for item in model.stream(messages, **options)]
    assert all(items[:-1]), "no piece is empty"
    completion = items.pop()
    assert isinstance(completion, Completion)
    return "".join(str(item) for item in items), completion


def _unfinished(model: VllmEngineModel) -> int:
    assert model._started is not None
    return int(model._started.result().get_num_unfinished_requests())


async def test_a_text_follows_its_grammar_and_ends_with_its_usage(model: VllmEngineModel) -> None:
    text, completion = await _answer(model, grammar=COUNT)
    assert text in {"1, 2, 3, 4", "1, 2, 3, four"}
    assert completion.finish_reason == "stop"
    assert completion.usage is not None
    assert completion.usage.prompt_tokens > 20
    assert completion.usage.completion_tokens == 11


async def test_a_text_follows_its_json_schema(model: VllmEngineModel) -> None:
    schema = {"type": "object", "properties": {"n": {"enum": [7]}}, "required": ["n"], "additionalProperties": False}
    text, _ = await _answer(model, grammar=Grammar("json_schema", json.dumps(schema)), max_tokens=60)
    assert json.loads(text) == {"n": 7}


async def test_most_of_a_prompt_seen_before_comes_from_the_cache(model: VllmEngineModel) -> None:
    messages: list[Message] = [{"role": "user", "content": "All of these words have been said before. " * 40}]
    _, first = await _answer(model, messages, max_tokens=1)
    _, second = await _answer(model, messages, max_tokens=1)
    assert first.usage is not None
    assert second.usage is not None
    assert second.usage.cached_tokens >= 0.9 * second.usage.prompt_tokens > first.usage.cached_tokens


async def test_the_prompt_of_twenty_tools_comes_from_the_cache_on_the_second_run(model: VllmEngineModel) -> None:
    limits = Limits(deadline=300, max_replans=0, max_tokens=60)
    engine = Engine(twenty_tools.TOOLS, model, examples=twenty_tools.EXAMPLES, limits=limits)
    shares = []
    for _ in range(2):
        run = engine.start("How good is the song Yesterday?")
        await run.wait()
        [usage, *_] = [
            event.model_call_ended.usage async for event in run.events() if event.HasField("model_call_ended")
        ]
        shares.append(usage.cached_tokens / usage.prompt_tokens)
    assert shares[1] >= 0.9 > shares[0]


async def test_a_stop_text_ends_the_stream_and_is_not_part_of_it(model: VllmEngineModel) -> None:
    text, completion = await _answer(model, grammar=COUNT, stop=("3",))
    assert text == "1, 2, "
    assert completion.finish_reason == "stop"


async def test_the_number_of_tokens_is_bounded(model: VllmEngineModel) -> None:
    _, completion = await _answer(model, grammar=LONG, max_tokens=7)
    assert completion.finish_reason == "length"
    assert completion.usage is not None
    assert completion.usage.completion_tokens == 7


async def test_a_grammar_that_is_none_is_refused_and_hurts_nobody_else(model: VllmEngineModel) -> None:
    async with aclosing(model.stream(HELLO, grammar=LONG, max_tokens=40)) as other:
        assert await anext(other)
        with pytest.raises(ModelError, match="refused the grammar") as caught:
            await _answer(model, grammar=Grammar("ebnf", "root ::= nowhere"))
        assert caught.value.reason == FailureReason.FAILURE_REASON_MODEL_GRAMMAR_REFUSED
        assert await anext(other)


async def test_a_prompt_beyond_the_context_is_rejected(model: VllmEngineModel) -> None:
    with pytest.raises(ModelError, match="4096") as caught:
        await _answer(model, [{"role": "user", "content": "much " * 5000}])
    assert caught.value.reason == FailureReason.FAILURE_REASON_MODEL_REJECTED


async def test_closing_a_stream_ends_its_generation_at_once(model: VllmEngineModel) -> None:
    async with aclosing(model.stream(HELLO, grammar=LONG)) as pieces:
        assert await anext(pieces)
        assert _unfinished(model) == 1
        closed = time.monotonic()
    assert _unfinished(model) == 0
    assert time.monotonic() - closed < ABORT_SECONDS


async def test_cancelling_a_run_takes_its_request_out_of_the_engine_at_once(model: VllmEngineModel) -> None:
    run = Engine(TOOLS, model, examples=EXAMPLES).start("How many people live in Japan?")
    async for event in run.events():
        if event.HasField("plan_text"):
            break
    assert _unfinished(model) == 1
    began = time.monotonic()
    run.cancel()
    assert await run.wait() == RunState.RUN_STATE_CANCELLED
    assert _unfinished(model) == 0
    assert time.monotonic() - began < ABORT_SECONDS


async def test_streams_are_written_together(model: VllmEngineModel) -> None:
    answers = await asyncio.gather(*(_answer(model, grammar=COUNT) for _ in range(8)))
    assert {text for text, _ in answers} <= {"1, 2, 3, 4", "1, 2, 3, four"}


async def test_a_plan_under_its_grammar_compiles_without_an_error(model: VllmEngineModel) -> None:
    tools = ToolSet.of(TOOLS)
    machine = _core.Machine(tools.core)
    text, cut_off = await write_plan(model, tools, "How many people live in Peru and Chile?", max_tokens=600)
    steps = [*machine.feed(text), *machine.finish(cut_off=cut_off)]
    assert any(isinstance(step, _core.Planned) for step in steps), text
    assert not [step for step in steps if isinstance(step, _core.Diagnostic) and step.severity == "error"], text


async def test_the_questions_of_the_demo_are_answered(model: VllmEngineModel) -> None:
    async with Engine(TOOLS, model, examples=EXAMPLES) as engine:
        runs = [engine.start(question.text) for question in QUESTIONS]
        answers = await asyncio.gather(*(run.answer() for run in runs))
    right = [question.accepts(str(answer)) for question, answer in zip(QUESTIONS, answers, strict=True)]
    assert sum(right) >= 9, dict(zip((question.text for question in QUESTIONS), answers, strict=True))


async def test_a_grammar_of_another_notation_is_a_usage_error(model: VllmEngineModel) -> None:
    with pytest.raises(UsageError, match="lark"):
        await _answer(model, grammar=Grammar("lark", 'start: "x"'))


def test_another_event_loop_is_a_usage_error(model: VllmEngineModel) -> None:
    with pytest.raises(UsageError, match="event loop"):
        asyncio.run(_answer(model))


async def test_an_engine_that_is_killed_fails_its_stream_and_is_replaced_for_the_next(model: VllmEngineModel) -> None:
    async with aclosing(model.stream(HELLO, grammar=LONG)) as pieces:
        assert await anext(pieces)
        kill_engine_of(os.getpid())
        with pytest.raises(ModelError) as caught:
            [piece async for piece in pieces]
    assert caught.value.reason == FailureReason.FAILURE_REASON_MODEL_UNAVAILABLE
    assert (await _answer(model, grammar=COUNT))[0].startswith("1, 2")


async def test_weights_that_are_none_are_unreachable_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    model = VllmEngineModel(str(tmp_path), options=ENGINE_OPTIONS)
    with pytest.raises(ModelError, match="did not start") as caught:
        await _answer(model)
    assert caught.value.reason == FailureReason.FAILURE_REASON_MODEL_UNREACHABLE
    await model.aclose()
    with pytest.raises(UsageError, match="is closed"):
        await _answer(model)


async def test_a_file_of_arguments_is_read_as_vllm_serve_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "engine.yaml"
    path.write_text(f"model: {SMOLLM2}\nmax-model-len: 1024\ndtype: float32\nenforce-eager: true\n")
    arguments = VllmEngineModel(str(path))._arguments()
    assert (arguments.model, arguments.max_model_len, arguments.enforce_eager) == (str(SMOLLM2), 1024, True)
    path.write_text("no-such-option: 1\n")
    with pytest.raises(UsageError, match="does not take these arguments"):
        VllmEngineModel(str(path))._arguments()
    with pytest.raises(UsageError, match="options belong into"):
        VllmEngineModel(str(path), options={"dtype": "float32"})
