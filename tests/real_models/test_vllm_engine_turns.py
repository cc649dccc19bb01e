"""Tool calls of a model in this process: what vLLM's server makes of them, without the server."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema
import pytest
from tool_sets import NASTY
from traces import fault_in_trace
from vllm_place import DUMMY, ENGINE_OPTIONS, ENVIRONMENT

from dovetail import Engine, Limits, tool
from dovetail.errors import UsageError
from dovetail.models import Completion, ToolRequest
from dovetail.models.vllm_engine_turns import VllmEngineCallingModel, open_engine
from dovetail.v1 import RunState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from dovetail.models import TurnMessage

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.vllm,
    pytest.mark.timeout(600),
    # What torch and vLLM warn of while they are imported is not ours to mend.
    pytest.mark.filterwarnings("default"),
]

TEMPLATE = Path(__file__).with_name("chatml_tools.jinja")
QUESTION: list[TurnMessage] = [{"role": "user", "content": "What is known of the Nile?"}]
ENDED = {RunState.RUN_STATE_ANSWERED, RunState.RUN_STATE_FAILED}


@tool
def now() -> int:
    """Tells the time."""
    return 1


@tool
def later() -> int:
    """Tells a later time."""
    return 2


class EagerModel(VllmEngineCallingModel):
    """Must call a tool in each turn that has some; left to itself, a model without weights never does."""

    _tool_choice = "required"


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    # An engine belongs to one event loop: all of this file's.
    return "asyncio"


@pytest.fixture(scope="module")
async def model() -> AsyncIterator[EagerModel]:
    os.environ.update(ENVIRONMENT)
    model = EagerModel(
        str(DUMMY),
        tool_call_parser="hermes",
        tool_strict_level="parameter",
        temperature=1.0,
        options={**ENGINE_OPTIONS, "load_format": "dummy"},
        chat_template=str(TEMPLATE),
    )
    async with aclosing(model):
        yield model


async def test_tools_that_must_be_called_are_called_with_what_they_take(model: EagerModel) -> None:
    tools = NASTY["prefixes"]
    schemas = {tool["name"]: tool["inputSchema"] for tool in tools}

    async def one(seed: int) -> int:
        asked: list[TurnMessage] = [{"role": "user", "content": f"{seed}"}]
        items = [item async for item in model.stream_turn(asked, tools, max_tokens=400)]
        completion = items.pop()
        assert isinstance(completion, Completion)
        assert completion.usage is not None
        assert completion.finish_reason in {"tool_calls", "length"}
        requests = [item for item in items if isinstance(item, ToolRequest)]
        for request in requests:
            jsonschema.validate(json.loads(request.arguments_json), schemas[request.name])
        return len(requests)

    assert sum(await asyncio.gather(*(one(seed) for seed in range(10)))) > 0


async def test_whole_runs_call_tools_and_must_answer_in_the_end(model: EagerModel) -> None:
    engine = Engine([now, later], model, limits=Limits(deadline=300, max_replans=2, max_tokens=3000, max_tasks=40))
    runs = [engine.start("What is known of the Nile?", strategy="tool-calls") for _ in range(4)]
    assert {await run.wait() for run in runs} <= ENDED
    succeeded = 0
    for run in runs:
        events = [event async for event in run.events()]
        assert fault_in_trace(events) is None
        succeeded += sum(event.WhichOneof("fact") == "task_succeeded" for event in events)
    assert succeeded > 0


async def test_what_was_called_and_what_came_of_it_is_told_the_next_turn(model: EagerModel) -> None:
    request = ToolRequest("call_1", "größe.messen", '{"länge": 3}')
    told: list[TurnMessage] = [
        *QUESTION,
        {"role": "assistant", "content": "", "tool_requests": [request]},
        {"role": "tool", "request_id": "call_1", "content": "<<<7>>>"},
    ]
    lengths = []
    for messages in (QUESTION, told):
        *_, completion = [item async for item in model.stream_turn(messages, [], max_tokens=5)]
        assert isinstance(completion, Completion)
        assert completion.usage is not None
        lengths.append(completion.usage.prompt_tokens)
    assert lengths[1] > lengths[0] + 15


async def test_a_turn_that_is_closed_leaves_the_engine(model: EagerModel) -> None:
    assert model._started is not None
    async with aclosing(model.stream_turn(QUESTION, [], max_tokens=2000)) as items:
        assert await anext(items)
        assert model._started.result().get_num_unfinished_requests() == 1
    assert model._started.result().get_num_unfinished_requests() == 0


async def test_a_parser_that_vllm_does_not_have_is_a_usage_error(model: EagerModel) -> None:
    known, model._tool_call_parser = model._tool_call_parser, "no-such-parser"
    try:
        with pytest.raises(UsageError, match="no parser 'no-such-parser'"):
            [item async for item in model.stream_turn(QUESTION, NASTY["rich"])]
    finally:
        model._tool_call_parser = known


async def test_a_file_for_vllm_serve_names_the_parser_and_the_template(tmp_path: Path) -> None:
    path = tmp_path / "engine.yaml"
    path.write_text(
        f"model: {DUMMY}\nmax-model-len: 1024\nload-format: dummy\nenable-auto-tool-choice: true\n"
        f"tool-call-parser: hermes\ntool-strict-level: function\nchat-template: {TEMPLATE}\n"
    )
    model = open_engine(str(path), temperature=None, max_tokens=None)
    assert isinstance(model, VllmEngineCallingModel)
    assert model._arguments().max_model_len == 1024
    assert (model._tool_call_parser, model._tool_strict_level) == ("hermes", "function")
    assert model._template == TEMPLATE.read_text()
