"""Whole runs at a real vLLM that is asked for plans in JSON: the strict schema goes there, and plans come back."""

from __future__ import annotations

import json
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest
from tool_sets import NASTY
from traces import fault_in_trace
from vllm_place import SMOLLM2
from vllm_process import VllmProcess

from dovetail import Engine, Limits
from dovetail.demo import EXAMPLES, QUESTIONS, TOOLS
from dovetail.models.vllm import VllmModel
from dovetail.tools.definition import Tool
from dovetail.v1 import RunState, Severity

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from dovetail.run_handle import Run
    from dovetail.v1 import Event

pytestmark = [pytest.mark.anyio, pytest.mark.vllm, pytest.mark.timeout(600)]

ENDED = {RunState.RUN_STATE_ANSWERED, RunState.RUN_STATE_FAILED}
# A schema does not say which ids there are.
MISTAKES = {"bad_id", "duplicate_id", "unknown_reference", "cut_off", "empty_plan"}
LIMITS = Limits(deadline=300, max_replans=0)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    # The server outlives a test, and so must the loop that watches it.
    return "asyncio"


@pytest.fixture(scope="module")
async def model(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[VllmModel]:
    server = VllmProcess(SMOLLM2, tmp_path_factory.mktemp("json") / "log")
    settings: dict[str, Any] = {"temperature": 0.0, "timeout": 300, "max_tokens": 400}
    settings |= {"base_url": server.base_url, "api_key": server.api_key, "grammar_dialect": "json_schema"}
    async with server.serving(), aclosing(VllmModel(server.model, **settings)) as model:
        yield model


async def test_plans_in_json_are_written_read_and_run(model: VllmModel) -> None:
    async with Engine(TOOLS, model, examples=EXAMPLES, limits=LIMITS) as engine:
        succeeded = 0
        for question in QUESTIONS[:5]:
            events = await _ended(engine.start(question.text))
            [started, *_] = [event.plan_started for event in events if event.HasField("plan_started")]
            assert started.grammar == "json_schema"
            text = _plan_text(events)
            assert text.lstrip().startswith("{"), text
            codes = {event.plan_diagnosed.code for event in events if event.HasField("plan_diagnosed")}
            assert codes <= MISTAKES, text
            if not codes:
                assert json.loads(text)["tasks"]
            succeeded += sum(event.HasField("task_succeeded") for event in events)
    assert succeeded > 0


async def test_a_plan_whose_schema_the_server_refuses_is_written_without_one_which_a_hint_tells_once(
    model: VllmModel,
) -> None:
    # A schema that contains itself is unrolled further than vLLM reads.
    tools = [*TOOLS, *(_spare(shape) for shape in NASTY["recursion"])]
    async with Engine(tools, model, examples=EXAMPLES, limits=LIMITS) as engine:
        first, later = [await _ended(engine.start("How many people live in Japan?")) for _ in range(2)]
    hints = [event.plan_diagnosed for event in first if event.HasField("plan_diagnosed")]
    [hint] = [hint for hint in hints if hint.code == "grammar_refused"]
    assert hint.severity == Severity.SEVERITY_HINT
    assert "is asked without a grammar: the grammar in json_schema was refused" in hint.message
    assert "nested too deeply" in hint.message
    assert "grammar_refused" not in {event.plan_diagnosed.code for event in later}
    for events in (first, later):
        assert _plan_text(events)
    calls = [[event for event in events if event.HasField("model_call_ended")] for events in (first, later)]
    assert calls[0][0].model_call_ended.failure.message
    assert not calls[1][0].model_call_ended.failure.message


async def _ended(run: Run) -> list[Event]:
    """The events of a run, once it has ended; they make sense."""
    assert await run.wait() in ENDED
    events = [event async for event in run.events()]
    assert fault_in_trace(events) is None
    return events


def _plan_text(events: list[Event]) -> str:
    return "".join(event.plan_text.text for event in events if event.HasField("plan_text"))


def _spare(shape: dict[str, Any]) -> Tool:
    """A tool that nobody has to call."""
    return Tool(shape["name"], "Does something else.", shape["inputSchema"], function=dict)
