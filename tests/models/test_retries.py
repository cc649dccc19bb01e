from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime
from email.utils import formatdate
from typing import TYPE_CHECKING

import pytest

from asking import DONE, KEY, ask, closing
from dovetail.errors import ModelError
from dovetail.models import OpenAIModel
from dovetail.models.retry_pause import retry_pause
from dovetail.models.stop_text import StopText
from dovetail.v1 import FailureReason
from fault_server import Script, chunk, serve

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.anyio

ANSWER = Script([chunk("x"), *DONE])


def limited(code: str = "rate_limit_exceeded", **headers: str) -> Script:
    """A 429 as OpenAI sends it."""
    message = "Rate limit reached for gpt-5 in organization org-x on requests per min (RPM): Limit 3, Used 3."
    error = {"message": message, "type": "requests", "param": None, "code": code}
    body = json.dumps({"error": error}, indent=4).encode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    head = {"content-type": "application/json", "content-length": str(len(body)), **names}
    return Script([body], 429, head, chunked=False)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after": "20"}, 20),
        ({"retry-after-ms": "250", "retry-after": "20"}, 0.25),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1s"}, 1),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "20ms"}, 0.02),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m0s"}, 360),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1m26.4s"}, 86.4),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "7.5"}, 7.5),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "2m 30 s"}, 150),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "3"}, 3),
        (
            {
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "2s",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "5s",
            },
            5,
        ),
        (
            {
                "x-ratelimit-remaining-requests": "9",
                "x-ratelimit-reset-requests": "9s",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "1s",
            },
            1,
        ),
    ],
)
def test_a_pause_is_as_long_as_the_server_says_and_up_to_a_quarter_longer(
    headers: dict[str, str], seconds: float
) -> None:
    pauses = {retry_pause(headers) for _ in range(20)}
    assert len(pauses) > 1
    assert all(pause is not None and seconds <= pause <= seconds * 1.25 for pause in pauses)


@pytest.mark.parametrize(
    ("headers", "moment"),
    [
        ({}, "retry-after"),
        ({"x-ratelimit-remaining": "0"}, "x-ratelimit-reset"),
        ({"x-ratelimit-remaining-requests": "0"}, "x-ratelimit-reset-requests"),
    ],
)
@pytest.mark.parametrize(
    "written",
    [
        lambda moment: formatdate(moment, usegmt=True),
        lambda moment: datetime.fromtimestamp(moment, UTC).isoformat(),
        lambda moment: datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        lambda moment: f"{moment:.0f}",
        lambda moment: f"{moment * 1000:.0f}",
    ],
)
def test_a_pause_may_end_at_a_moment(headers: dict[str, str], moment: str, written: Callable[[float], str]) -> None:
    pause = retry_pause({**headers, moment: written(time.time() + 30)})
    assert pause is not None
    assert 25 < pause < 40


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"retry-after": "soon"},
        {"retry-after": "-3"},
        {"retry-after": "nan"},
        {"retry-after-ms": "inf"},
        {"retry-after": formatdate(1, usegmt=True)},
        {"x-ratelimit-remaining-requests": "0"},
        {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "a while"},
        {"x-ratelimit-remaining-requests": "4", "x-ratelimit-reset-requests": "1s"},
    ],
)
def test_a_server_that_states_no_pause_leaves_it_to_the_client(headers: dict[str, str]) -> None:
    assert retry_pause(headers) is None


async def test_a_request_is_sent_again_when_the_limit_is_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        if seconds > 0:
            pauses.append(seconds)
        await asyncio.sleep(seconds)

    monkeypatch.setattr("anyio.sleep", pause)  # by which the SDK waits
    refused = limited(x_ratelimit_remaining_requests="0", x_ratelimit_reset_requests="50ms")
    async with (
        serve(refused, refused, ANSWER) as server,
        closing(OpenAIModel("m", base_url=server.base_url, api_key=KEY)) as model,
    ):
        assert (await ask(model))[0] == "x"
        assert len(server.requests) == 3
    # The client's own pauses are half a second and a second.
    assert len(pauses) == 2
    assert all(0.05 <= seconds <= 0.0625 for seconds in pauses)


@pytest.mark.parametrize("code", ["insufficient_quota", "billing_hard_limit_reached"])
async def test_a_quota_that_no_waiting_lifts_is_not_waited_for(code: str) -> None:
    async with (
        serve(limited(code, retry_after_ms="1")) as server,
        closing(OpenAIModel("m", base_url=server.base_url, api_key=KEY)) as model,
    ):
        with pytest.raises(ModelError) as raised:
            await ask(model)
        assert raised.value.reason == FailureReason.FAILURE_REASON_MODEL_RATE_LIMITED
        assert len(server.requests) == 1


async def test_a_pause_above_two_minutes_is_a_failure_at_once() -> None:
    async with (
        serve(limited(retry_after="3600")) as server,
        closing(OpenAIModel("m", base_url=server.base_url, api_key=KEY)) as model,
    ):
        with pytest.raises(ModelError) as raised:
            await ask(model)
        assert raised.value.reason == FailureReason.FAILURE_REASON_MODEL_RATE_LIMITED
        assert len(server.requests) == 1


async def test_waiting_for_a_limit_can_be_cancelled() -> None:
    async with (
        serve(limited(retry_after="60")) as server,
        closing(OpenAIModel("m", base_url=server.base_url, api_key=KEY)) as model,
    ):
        asking = asyncio.create_task(ask(model))
        await asyncio.wait_for(server.asked.wait(), 50)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(asking, 50)


@pytest.mark.parametrize("size", range(1, 12))
def test_a_text_ends_at_its_first_stop_however_it_is_cut(size: int) -> None:
    text = "1. f(<EN)\n2. join()<END>and on\nObservation"
    stop = StopText(["\nObservation", "<END>"])
    pieces = [stop.feed(text[start : start + size]) for start in range(0, len(text), size)]
    assert "".join(pieces) + stop.finish() == "1. f(<EN)\n2. join()"
    assert stop.stopped


def test_what_was_held_back_as_a_stop_and_is_none_comes_at_the_end() -> None:
    stop = StopText(["<END>"])
    assert [stop.feed("a<E"), stop.feed("N"), stop.finish()] == ["a", "", "<EN"]
    assert not stop.stopped


def test_text_without_stops_is_passed_on_as_it_is() -> None:
    stop = StopText([])
    assert [stop.feed("a"), stop.feed(""), stop.feed("b<"), stop.finish()] == ["a", "", "b<", ""]
