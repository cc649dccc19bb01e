"""Whole runs at a real vLLM that is asked for plans in JSON: the strict schema goes there, and plans come back."""

from __future__ import annotations

import json
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest
from traces import fault_in_trace
from vllm_place import SMOLLM2
from vllm_process import VllmProcess

from dovetail import Engine, Limits
from dovetail.demo import EXAMPLES, QUESTIONS, TOOLS
from dovetail.models.vllm import VllmModel
from dovetail.v1 import RunState

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.anyio, pytest.mark.vllm, pytest.mark.timeout(600)]

ENDED = {RunState.RUN_STATE_ANSWERED, RunState.RUN_STATE_FAILED}
# A schema does not say which ids there are.
MISTAKES = {"bad_id", "duplicate_id", "unknown_reference", "cut_off", "empty_plan"}


async def test_plans_in_json_are_written_read_and_run(tmp_path: Path) -> None:
    server = VllmProcess(SMOLLM2, tmp_path / "log")
    limits = Limits(deadline=300, max_replans=0)
    async with server.serving():
        model = VllmModel(
            server.model,
            base_url=server.base_url,
            api_key=server.api_key,
            temperature=0.0,
            timeout=300,
            max_tokens=400,
            grammar_dialect="json_schema",
        )
        async with aclosing(model), Engine(TOOLS, model, examples=EXAMPLES, limits=limits) as engine:
            succeeded = 0
            for question in QUESTIONS[:5]:
                run = engine.start(question.text)
                assert await run.wait() in ENDED
                events = [event async for event in run.events()]
                assert fault_in_trace(events) is None
                [started, *_] = [event.plan_started for event in events if event.HasField("plan_started")]
                assert started.grammar == "json_schema"
                text = "".join(event.plan_text.text for event in events if event.HasField("plan_text"))
                assert text.lstrip().startswith("{"), text
                codes = {event.plan_diagnosed.code for event in events if event.HasField("plan_diagnosed")}
                assert codes <= MISTAKES, text
                if not codes:
                    assert json.loads(text)["tasks"]
                succeeded += sum(event.HasField("task_succeeded") for event in events)
    assert succeeded > 0
