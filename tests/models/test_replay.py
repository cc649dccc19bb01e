from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest

from dovetail.errors import ModelError, UsageError
from dovetail.models import Completion, Message, Model, Recorder, Recording, ReplayModel, Usage
from dovetail.v1 import FailureReason

if TYPE_CHECKING:
    from pathlib import Path

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


@pytest.mark.parametrize(("speed", "least", "most"), [(1, 1.0, 60.0), (10, 0.1, 1.0), (0, 0, 1.0)])
async def test_the_timing_is_that_of_the_recording_at_the_given_speed(speed: float, least: float, most: float) -> None:
    model = ReplayModel([Recording([(0.5, "a"), (0.5, "")])], speed=speed)
    started = time.monotonic()
    assert await ask(model) == ["a", Completion("stop", None)]
    assert least <= time.monotonic() - started < most


async def test_the_readers_own_time_does_not_add_up() -> None:
    model = ReplayModel([Recording([(0.2, str(n)) for n in range(6)])])
    started = time.monotonic()
    async for _ in model.stream(QUESTION):
        await asyncio.sleep(0.16)  # a reader that takes its time: 2.2 s if it were added to the recording's 1.2
    assert time.monotonic() - started < 1.9


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


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nope", "line 2"),
        ("[]", "pieces"),
        ('{"pieces": ["a"]}', "seconds, text"),
        ('{"pieces": [[-1, "a"]]}', "seconds, text"),
        ('{"pieces": [], "speed": 1}', "'speed'"),
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
