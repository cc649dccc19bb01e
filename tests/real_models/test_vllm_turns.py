"""Strategies that go by turns at a real vLLM: its tool calls, as its parser reads them in what a model says.

A model without weights never calls a tool by itself. Held to tools (``tool_choice``), or by a grammar to a choice of
calls and an answer, it calls them with wild arguments: what is tested is the way there and back.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import twenty_tools
from tool_sets import NASTY
from traces import fault_in_trace
from vllm_place import DUMMY
from vllm_process import VllmProcess

from dovetail import Engine, Limits
from dovetail.errors import ModelError
from dovetail.models import Completion, ToolRequest, open_model, tool_calling_model
from dovetail.models.vllm import VllmModel
from dovetail.v1 import FailureReason, RunState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from dovetail.models import TurnMessage
    from dovetail.run_handle import Run

pytestmark = [pytest.mark.anyio, pytest.mark.vllm, pytest.mark.timeout(900)]

TEMPLATE = Path(__file__).with_name("chatml_tools.jinja")
QUESTION: list[TurnMessage] = [{"role": "user", "content": "What is known of the Nile?"}]
ENDED = {RunState.RUN_STATE_ANSWERED, RunState.RUN_STATE_FAILED}
ANSWER = '"It is " ("long" | "wide") "."'
ANSWERS = f"root ::= {ANSWER}"
# Calls as the parser reads them; some of tools that there are not, some with arguments that no tool takes.
CALLS_OR_ANSWER = f"""\
root ::= thought? call call? call? | {ANSWER}
thought ::= "I look it up."
call ::= "\\n<tool_call>{{\\"name\\": \\"" name "\\", \\"arguments\\": " arguments "}}</tool_call>"
name ::= "find_river" | "rate_film" | "find_nothing"
arguments ::= "{{}}" | "7" | "{{\\"name\\": \\"" [a-zA-Z ]{{1,9}} "\\"" (", \\"limit\\": " [1-9])? "}}"
"""
LIMITS = Limits(deadline=300, max_replans=3, max_tokens=1500, max_tasks=40)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    # The server outlives a test, and so must the loop that watches it.
    return "asyncio"


@pytest.fixture(scope="module", params=["guidance", "xgrammar"])
async def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[VllmProcess]:
    log = tmp_path_factory.mktemp("turns") / "log"
    options = ["--enable-auto-tool-choice", "--tool-call-parser", "hermes", "--chat-template", str(TEMPLATE)]
    if request.param == "xgrammar":  # guidance takes no such tags
        options += ["--tool-strict-level", "parameter"]
    vllm = VllmProcess(DUMMY, log, "--load-format", "dummy", *options, backend=request.param)
    async with vllm.serving():
        yield vllm


@asynccontextmanager
async def _opened(server: VllmProcess, **body: Any) -> AsyncIterator[VllmModel]:
    """A client, whose requests have further fields."""
    settings: dict[str, Any] = {"temperature": 1.0, "timeout": 300, "max_retries": 0, "extra_body": body}
    async with aclosing(VllmModel(server.model, base_url=server.base_url, api_key=server.api_key, **settings)) as model:
        yield model


async def _turn(
    model: VllmModel, messages: list[TurnMessage], tools: list[dict[str, Any]], **options: Any
) -> tuple[str, list[ToolRequest], Completion]:
    items = [item async for item in model.stream_turn(messages, tools, **options)]
    completion = items.pop()
    assert isinstance(completion, Completion)
    requests = [item for item in items if isinstance(item, ToolRequest)]
    return "".join(item for item in items if isinstance(item, str)), requests, completion


async def test_tools_that_must_be_called_are_called_with_what_they_take(server: VllmProcess) -> None:
    tools = NASTY["prefixes"]
    schemas = {tool["name"]: tool["inputSchema"] for tool in tools}

    async def one(model: VllmModel, seed: int) -> int:
        asked: list[TurnMessage] = [{"role": "user", "content": f"{seed}"}]
        _, requests, completion = await _turn(model, asked, tools, max_tokens=400)
        assert completion.usage is not None
        assert completion.finish_reason in {"tool_calls", "length"}
        assert len({request.id for request in requests}) == len(requests)
        for request in requests:
            jsonschema.validate(json.loads(request.arguments_json), schemas[request.name])
        return len(requests)

    async with _opened(server, tool_choice="required") as model:
        if server.backend == "guidance":
            with pytest.raises(ModelError, match="triggers") as caught:
                await one(model, 1)
            assert caught.value.reason == FailureReason.FAILURE_REASON_MODEL_REJECTED
        else:
            assert sum(await asyncio.gather(*(one(model, seed) for seed in range(10)))) > 0


async def test_whole_runs_call_several_tools_at_once_and_answer(server: VllmProcess) -> None:
    async with _opened(server, structured_outputs={"grammar": CALLS_OR_ANSWER}) as model:
        engine = Engine(twenty_tools.TOOLS, model, limits=LIMITS)
        runs = [engine.start("What is known of the Nile?", strategy="tool-calls") for _ in range(12)]
        states = [await run.wait() for run in runs]
        called = [await _checked(run) for run in runs]
    assert set(states) <= ENDED
    assert RunState.RUN_STATE_ANSWERED in states
    assert sum(called) > 0, "no run called a tool"


@pytest.mark.parametrize("strategy", ["tool-calls", "react"])
async def test_whole_runs_of_a_model_that_talks_nonsense_end(server: VllmProcess, strategy: Any) -> None:
    limits = Limits(deadline=300, max_replans=3, max_tokens=600)
    async with _opened(server) as model:
        engine = Engine(twenty_tools.TOOLS, model, limits=limits)
        runs = [engine.start("What is known of the Nile?", strategy=strategy) for _ in range(4)]
        assert {await run.wait() for run in runs} <= ENDED
        for run in runs:
            await _checked(run)


async def test_what_was_called_and_what_came_of_it_is_told_the_next_turn(server: VllmProcess) -> None:
    request = ToolRequest("call_1", "größe.messen", '{"länge": 3}')
    told: list[TurnMessage] = [
        *QUESTION,
        {"role": "assistant", "content": "", "tool_requests": [request]},
        {"role": "tool", "request_id": "call_1", "content": "<<<7>>>"},
    ]
    async with _opened(server, structured_outputs={"grammar": ANSWERS}) as model:
        _, _, before = await _turn(model, QUESTION, [])
        text, _, after = await _turn(model, told, [])
    assert text in {"It is long.", "It is wide."}
    assert before.usage is not None
    assert after.usage is not None
    assert after.usage.prompt_tokens > before.usage.prompt_tokens + 15


async def test_a_run_of_tool_calls_that_is_cancelled_writes_no_further(server: VllmProcess) -> None:
    async with _opened(server, structured_outputs={"grammar": "root ::= [a-z ]{2000,4000}"}) as model:
        run = Engine(twenty_tools.TOOLS, model).start("What is known of the Nile?", strategy="tool-calls")
        async for event in run.events():
            if event.WhichOneof("fact") in {"answer_text", "task_planned"}:
                break
        run.cancel()
        assert await run.wait() == RunState.RUN_STATE_CANCELLED
        async with asyncio.timeout(20):
            while await server.metric("num_requests_running"):  # noqa: ASYNC110  # vLLM tells nobody by itself
                await asyncio.sleep(0)


def test_a_server_of_vllm_is_taken_for_one_with_tool_calls(server: VllmProcess) -> None:
    assert tool_calling_model(open_model(f"vllm:{server.model}"))


async def _checked(run: Run) -> int:
    """Check the trace of a run; how many tasks succeeded."""
    events = [event async for event in run.events()]
    assert fault_in_trace(events) is None
    return sum(event.WhichOneof("fact") == "task_succeeded" for event in events)
