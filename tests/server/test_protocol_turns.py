"""Runs that go by turns, over gRPC: ReAct, and the tool calls of a provider."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import grpc
import pytest

from dovetail import Client, v1
from dovetail.models.protocol import Completion, Message, ModelStream, ToolRequest, TurnMessage, TurnStream, Usage
from dovetail.tools.definition import tool
from dovetail.v1 import Purpose, Strategy
from live import Echo, serving

pytestmark = pytest.mark.anyio

QUESTION = "What is twice two?"


@tool(read_only=True)
async def double(n: int) -> int:
    """Twice the number."""
    return 2 * n


class Acting(Echo):
    """Makes one call, and finishes with what it is told of it."""

    name = "turns:acting"

    async def stream(self, messages: Sequence[Message], **_: Any) -> ModelStream:
        told = messages[-1]["content"]
        if told.startswith("Observation: "):
            yield f"Thought: known.\nAction: Finish(it is {told.rpartition('<<<')[2].partition('>>>')[0]})"
        else:
            yield "Thought: unknown.\nAction: double(2)"
        yield Completion("stop", Usage(prompt_tokens=10, completion_tokens=5))


class Calling(Echo):
    """The same by tool calls of its own."""

    name = "turns:calling"

    async def stream_turn(
        self,
        messages: Sequence[TurnMessage],
        tools: Sequence[Mapping[str, Any]],
        *,
        max_tokens: int | None = None,
    ) -> TurnStream:
        told = messages[-1]
        if told["role"] == "tool":
            yield f"it is {told['content'].rpartition('<<<')[2].partition('>>>')[0]}"
        else:
            yield ToolRequest("a", tools[0]["name"], '{"n":2}')
            yield ToolRequest("b", tools[0]["name"], '{"n":4}')
        yield Completion("stop", Usage(prompt_tokens=10, completion_tokens=5))


async def test_a_run_thinks_acts_and_observes() -> None:
    async with serving([double], models={"turns:acting": Acting()}) as live:
        run_id = await live.create(QUESTION, strategy=Strategy.STRATEGY_REACT)
        events = await live.events(run_id)
        shown = (await live.runs.GetRun(v1.GetRunRequest(run_id=run_id))).run
    assert (shown.answer, shown.strategy) == ("it is 4", Strategy.STRATEGY_REACT)
    assert shown.limits.max_replans == 15
    asked = [event.model_call_ended.purpose for event in events if event.HasField("model_call_ended")]
    assert asked == [Purpose.PURPOSE_TURN, Purpose.PURPOSE_TURN]


async def test_a_run_goes_by_tool_calls() -> None:
    async with serving([double], models={"turns:calling": Calling()}) as live:
        run_id = await live.create(QUESTION, strategy=Strategy.STRATEGY_TOOL_CALLS, limits=v1.Limits(max_replans=3))
        events = await live.events(run_id)
        shown = (await live.runs.GetRun(v1.GetRunRequest(run_id=run_id))).run
    assert (shown.answer, shown.strategy) == ("it is 8", Strategy.STRATEGY_TOOL_CALLS)
    assert shown.limits.max_replans == 3
    assert [event.task_succeeded.output_json for event in events if event.HasField("task_succeeded")] == ["4", "8"]


async def test_a_model_without_tool_calls_is_refused() -> None:
    async with serving([double]) as live:
        with pytest.raises(grpc.aio.AioRpcError, match=r"strategy: .* has no tool calls of its own") as refused:
            await live.create(QUESTION, strategy=Strategy.STRATEGY_TOOL_CALLS)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_a_tool_with_the_name_of_the_answer_is_refused_where_a_model_acts() -> None:
    @tool(name="Finish")
    async def end() -> None:
        """Ends something."""

    async with serving([end]) as live:
        with pytest.raises(grpc.aio.AioRpcError, match=r"strategy: .* tool named 'Finish'") as refused:
            await live.create(QUESTION, strategy=Strategy.STRATEGY_REACT)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_the_client_asks_for_turns() -> None:
    models = {"turns:acting": Acting(), "turns:calling": Calling()}
    async with serving([double], models=models) as live, Client(live.address) as client:
        acting = await client.create(QUESTION, strategy="react", model="turns:acting")
        assert await acting.answer() == "it is 4"
        calling = await client.create(QUESTION, strategy="tool-calls", model="turns:calling")
        assert await calling.answer() == "it is 8"
