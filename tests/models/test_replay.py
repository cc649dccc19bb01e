from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest

from dovetail.errors import ModelError, UsageError
from dovetail.models import (
    Completion,
    FallbackModel,
    Message,
    Model,
    Recorder,
    Recording,
    ReplayModel,
    ToolCallingModel,
    ToolRequest,
    Usage,
    tool_calling_model,
)
from dovetail.v1 import FailureReason

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence
    from pathlib import Path

    from dovetail.models import TurnMessage

pytestmark = pytest.mark.anyio

QUESTION: list[Message] = [{"role": "user", "content": "?"}]


async def ask(model: Model) -> list[str | Completion]:
    return [item async for item in model.stream(QUESTION)]


async def test_calls_are_answered_in_their_order_and_one_more_is_an_error() -> None:
    model = ReplayModel([Recording.cut("one two"), Recording([(0, "three")], "length", Usage(1, 2, 3, 4))])
    assert await ask(model) == ["one ", "two", Completion("stop", None)]
    assert await ask(model) == ["three", Completion("length", Usage(1, 2, 3, 4))]
    with pytest.raises(ModelError, match="holds 2 model calls") as raised:
        await ask(model)
    assert raised.value.reason == FailureReason.FAILURE_REASON_MODEL_UNAVAILABLE
    await model.aclose()


async def test_a_recorded_error_comes_after_its_pieces() -> None:
    error = ModelError(FailureReason.FAILURE_REASON_MODEL_STREAM_CUT, "cut")
    stream = ReplayModel([Recording([(0, "a"), (0, "b")], error=error)]).stream(QUESTION)
    assert [await anext(stream), await anext(stream)] == ["a", "b"]
    with pytest.raises(ModelError, match="cut") as raised:
        await anext(stream)
    assert raised.value.reason == error.reason


@pytest.mark.parametrize(
    ("pause", "speed", "least", "most"), [(0.3, 1, 0.6, 60.0), (30.0, 100, 0.6, 30.0), (30.0, 0, 0, 30.0)]
)
async def test_the_timing_is_that_of_the_recording_at_the_given_speed(
    pause: float, speed: float, least: float, most: float
) -> None:
    model = ReplayModel([Recording([(pause, "a"), (pause, "")])], speed=speed)
    started = time.monotonic()
    assert await ask(model) == ["a", Completion("stop", None)]
    assert least <= time.monotonic() - started < most


async def test_the_readers_own_time_does_not_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr("dovetail.models.replay.monotonic", lambda: now)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    came = []
    async for _ in ReplayModel([Recording([(0.2, str(n)) for n in range(6)])]).stream(QUESTION):
        came.append(now)
        await asyncio.sleep(0.16)  # a reader that takes its time
    assert came == pytest.approx([100.2, 100.4, 100.6, 100.8, 101.0, 101.2, 101.36])


async def test_without_speed_no_piece_goes_through_the_event_loop() -> None:
    turns = 0

    def count() -> None:
        nonlocal turns
        turns += 1
        asyncio.get_running_loop().call_soon(count)

    stream = ReplayModel([Recording.cut("x" * 4_000, delay=1.0)], speed=0).stream(QUESTION)
    asyncio.get_running_loop().call_soon(count)
    assert len([item async for item in stream]) == 1_001
    assert turns == 0


async def test_what_a_recorder_wrote_plays_the_same(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    error = ModelError(FailureReason.FAILURE_REASON_MODEL_UNAVAILABLE, "überlastet")
    inner = ReplayModel(
        [
            Recording([(0.02, "Zü"), (0, "rich")], "stop", Usage(1, 2, 3, 4)),
            Recording([(0, "half")], error=error),
            Recording.cut("closed early"),
        ]
    )
    recorder = Recorder(inner, path)
    first = await ask(recorder)
    with pytest.raises(ModelError, match="überlastet"):
        await ask(recorder)
    async with aclosing(recorder.stream(QUESTION)) as stream:
        await anext(stream)
    await recorder.aclose()
    assert (recorder.name, recorder.grammar_dialects) == (inner.name, ())

    played = ReplayModel.from_file(path)
    started = time.monotonic()
    assert await ask(played) == first
    assert time.monotonic() - started >= 0.02
    with pytest.raises(ModelError, match="überlastet"):
        await ask(played)
    assert await ask(played) == ["clos", Completion(None, None)]


# Turns --------------------------------------------------------------------------------------------------------

TOOLS: list[Mapping[str, Any]] = [{"name": "length", "inputSchema": {"type": "object"}}]
REQUEST = ToolRequest("call_1", "length", '{"text": "größe"}')


async def turn(model: ToolCallingModel, tools: Sequence[Mapping[str, Any]] = TOOLS) -> list[Any]:
    return [item async for item in model.stream_turn(QUESTION, tools)]


async def test_a_recorded_turn_is_played_with_its_requests() -> None:
    model = ReplayModel([Recording([(0, "hm"), (0, REQUEST)], "tool_calls", turn=True), Recording.cut("so", turn=True)])
    assert await turn(model) == ["hm", REQUEST, Completion("tool_calls", None)]
    assert await turn(model, ()) == ["so", Completion("stop", None)]
    with pytest.raises(ModelError, match="holds 2 model calls"):
        await turn(model)


async def test_a_turn_that_a_recorder_wrote_plays_the_same(tmp_path: Path) -> None:
    path = tmp_path / "turns.jsonl"
    error = ModelError(FailureReason.FAILURE_REASON_MODEL_STREAM_CUT, "cut")
    inner = ReplayModel(
        [
            Recording([(0.02, "hm"), (0, REQUEST)], "tool_calls", Usage(1, 2, 3, 4), turn=True),
            Recording([(0, REQUEST)], error=error, turn=True),
            Recording.cut("text"),
        ]
    )
    recorder = Recorder(inner, path)
    first = await turn(recorder)
    with pytest.raises(ModelError, match="cut"):
        await turn(recorder)
    text = await ask(recorder)
    await recorder.aclose()
    played = ReplayModel.from_file(path)
    started = time.monotonic()
    assert await turn(played) == first
    assert time.monotonic() - started >= 0.02
    stream = played.stream_turn(QUESTION, TOOLS)
    assert await anext(stream) == REQUEST
    with pytest.raises(ModelError, match="cut"):
        await anext(stream)
    assert await ask(played) == text


async def test_what_was_recorded_otherwise_is_not_played_but_named() -> None:
    turns = ReplayModel([Recording([(0, REQUEST)], turn=True)] * 2, name="turns")
    with pytest.raises(ModelError, match=r"call 1 of replay:turns is a turn .* record the run again") as raised:
        await ask(turns)
    assert raised.value.reason == FailureReason.FAILURE_REASON_MODEL_PROTOCOL
    with pytest.raises(ModelError, match="call 2 of replay:turns requests length, and no tool may be called"):
        await turn(turns, ())
    with pytest.raises(ModelError, match="call 1 of replay:texts is a text, and a turn is asked for"):
        await turn(ReplayModel([Recording.cut("1. join()")], name="texts"))


async def test_a_recorder_has_tool_calls_if_its_model_has(tmp_path: Path) -> None:
    class Mute:
        name = "mute:model"
        grammar_dialects = ()

        async def stream(self, messages: Sequence[TurnMessage], **_: Any) -> AsyncGenerator[str | Completion, None]:
            yield Completion("stop", None)

        async def aclose(self) -> None:
            """Nothing to give back."""

    able = Recorder(ReplayModel([]), tmp_path / "a")
    assert tool_calling_model(able) is able
    await able.aclose()
    for model in (Mute(), FallbackModel([ReplayModel([]), Mute()])):
        recorder = Recorder(model, tmp_path / "b")
        with pytest.raises(UsageError, match="mute:model has no tool calls of its own"):
            tool_calling_model(recorder)
        await recorder.aclose()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nope", "line 2"),
        ("[]", "pieces"),
        ('{"pieces": ["a"]}', "seconds, text"),
        ('{"pieces": [[-1, "a"]]}', "seconds, text"),
        ('{"pieces": [], "speed": 1}', "'speed'"),
        ('{"pieces": [], "turn": 1}', "true or false"),
        ('{"pieces": [[0, {"id": "a", "name": "f", "arguments": "{}"}]]}', '"turn" is missing'),
        ('{"pieces": [[0, {"id": "a", "name": "f"}]], "turn": true}', "a request is"),
        ('{"pieces": [[0, {"id": "a", "name": "f", "arguments": {}}]], "turn": true}', "a request is"),
        ('{"pieces": [], "finish_reason": 1}', "finish_reason"),
        ('{"pieces": [], "usage": {"tokens": 1}}', "tokens"),
        ('{"pieces": [], "usage": {"prompt_tokens": "1"}}', "whole numbers"),
        ('{"pieces": [], "usage": 1}', "usage"),
        ('{"pieces": [], "error": {"reason": "BAD", "message": "m"}}', "known reason"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"pieces": []}\n' + line + "\n")
    with pytest.raises(UsageError, match=message) as raised:
        ReplayModel.from_file(path)
    assert "bad.jsonl, line 2" in str(raised.value)


def test_a_file_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.jsonl"):
        ReplayModel.from_file(tmp_path / "none.jsonl")
    with pytest.raises(UsageError, match="cannot write"):
        Recorder(ReplayModel([]), tmp_path / "no" / "such.jsonl")
    with pytest.raises(UsageError, match="below 0"):
        ReplayModel([], speed=-1)
