"""Servers that say in their own way what others say: legal all the same, or at least told as what it is."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from typing import Any

import pytest

from asking import KEY, QUESTION, ask, closing
from dovetail.errors import ModelError
from dovetail.models import Completion, OpenAIModel, Usage
from dovetail.runs.model_call import ModelCall
from dovetail.v1 import FailureReason, Purpose
from fault_server import Fault, Script, chunk, serve, sse, usage_chunk

pytestmark = pytest.mark.anyio

DONE = sse(b"[DONE]")
PROTOCOL = FailureReason.FAILURE_REASON_MODEL_PROTOCOL
UNAVAILABLE = FailureReason.FAILURE_REASON_MODEL_UNAVAILABLE


def counted(content: str | None, completion: int, finish_reason: str | None = None) -> bytes:
    """A chunk with the usage up to it."""
    choice = {"index": 0, "delta": {} if content is None else {"content": content}, "finish_reason": finish_reason}
    return sse({"choices": [choice], "usage": {"prompt_tokens": 11, "completion_tokens": completion}})


async def told(*scripts: Script, text: str = "", **settings: Any) -> ModelError:
    """The error that a call ends with after this text."""
    async with serve(*scripts) as server:
        model = OpenAIModel("m", base_url=server.base_url, api_key=KEY, **{"max_retries": 0, **settings})
        call = ModelCall(model, Purpose.PURPOSE_PLAN, 1)
        async with closing(model), aclosing(call.stream(QUESTION)) as pieces:
            assert "".join([piece async for piece in pieces]) == text
    assert call.failure is not None
    return ModelError(call.failure.reason, call.failure.message)


@pytest.mark.parametrize(
    "body",
    [
        [counted("x", 1), counted(None, 2, "stop"), usage_chunk(11, 7), DONE],
        [counted("x", 7), counted(None, 7, "stop"), DONE],
        [counted("", 0), chunk("x"), chunk(finish_reason="stop"), usage_chunk(11, 7), DONE],
        [counted("", 0), chunk("x"), counted(None, 7, "stop"), sse({"choices": [], "usage": None}), DONE],
        [counted("", 0), chunk("x"), counted(None, 7, "stop")],
    ],
)
async def test_of_several_usages_the_last_one_counts(body: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    # Each stream says when it is over: on a busy machine a later usage may be late.
    monkeypatch.setattr("dovetail.models.openai_stream._LATER_USAGE_GRACE", 60.0)
    for parts in (body, [b"".join(body)]):
        async with serve(Script(parts)) as server, closing(OpenAIModel("m", base_url=server.base_url)) as model:
            assert await ask(model) == ("x", Completion("stop", Usage(11, 7)))


async def test_a_usage_that_came_with_the_end_is_not_waited_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dovetail.models.openai_stream._USAGE_GRACE", 60.0)
    script = Script([chunk("x"), counted(None, 7, "stop"), Fault.HANG])
    async with serve(script) as server, closing(OpenAIModel("m", base_url=server.base_url)) as model:
        async with asyncio.timeout(20):
            assert await ask(model) == ("x", Completion("stop", Usage(11, 7)))


async def test_a_refusal_is_what_the_model_says() -> None:
    refusal = [{"role": "assistant", "content": "", "refusal": None}, {"refusal": "I cannot"}, {"refusal": " help."}]
    said = [sse({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}) for delta in refusal]
    script = Script([*said, chunk(finish_reason="stop"), usage_chunk(11, 7), DONE])
    async with serve(script) as server, closing(OpenAIModel("m", base_url=server.base_url)) as model:
        assert await ask(model) == ("I cannot help.", Completion("stop", Usage(11, 7)))


async def test_of_several_choices_only_the_first_is_said() -> None:
    def other(content: str | None, finish_reason: str | None = None) -> dict[str, Any]:
        return {"index": 1, "delta": {"content": content}, "finish_reason": finish_reason}

    both = {"choices": [other("no"), {"index": 0, "delta": {"content": "y"}, "finish_reason": None}]}
    body = [sse(both), sse({"choices": [other(None, "length")]}), chunk("es"), chunk(finish_reason="stop"), DONE]
    async with serve(Script(body)) as server, closing(OpenAIModel("m", base_url=server.base_url)) as model:
        assert await ask(model) == ("yes", Completion("stop", None))


@pytest.mark.parametrize(
    "event",
    [
        b'event: error\ndata: {"message": "out of memory"}\n\n',
        b"event: error\ndata: out of memory\n\n",
        b'error: {"code": 500, "message": "out of memory", "type": "server_error"}\n\n',
    ],
)
async def test_an_error_behind_the_text_is_told_in_its_words_however_its_event_is_written(event: bytes) -> None:
    raised = await told(Script([chunk("half"), event]), text="half")
    assert raised.reason == UNAVAILABLE
    assert "(status 500): out of memory" in str(raised)


async def test_an_error_for_a_finish_reason_is_a_failure() -> None:
    raised = await told(Script([chunk("half"), chunk(finish_reason="error"), DONE]), text="half")
    assert raised.reason == UNAVAILABLE


@pytest.mark.parametrize(
    "reason", ["length", "content_filter", "abort", "model_length", "insufficient_system_resource"]
)
async def test_a_text_that_was_stopped_in_the_middle_is_cut_off_whatever_its_provider_calls_it(reason: str) -> None:
    script = Script([chunk('1. delete("a'), chunk(finish_reason=reason), DONE])
    async with serve(script) as server, closing(OpenAIModel("m", base_url=server.base_url)) as model:
        call = ModelCall(model, Purpose.PURPOSE_PLAN, 1)
        async with aclosing(call.stream(QUESTION)) as pieces:
            assert [piece async for piece in pieces] == ['1. delete("a']
        assert call.cut_off


@pytest.mark.parametrize(
    "script",
    [
        Script([json.dumps({"error": {"message": "x" * 490 + KEY}}).encode()], 401),
        Script([b"x" * 490 + KEY.encode()], 403, {"content-type": "text/plain"}),
        Script([sse({"error": {"message": "x" * 490 + KEY}})]),
        Script([b"<html>" + b"x" * 100 + KEY.encode() + b"</html>"], headers={"content-type": "text/html"}),
        Script([b"data: {no JSON " + b"x" * 95 + KEY.encode() + b"}\n\n"]),
    ],
)
async def test_no_part_of_a_key_is_shown_where_a_message_is_cut(script: Script) -> None:
    message = str(await told(script))
    assert not [start for start in range(len(KEY) - 6) if KEY[start : start + 6] in message]


async def test_redirections_without_an_end_are_followed_once() -> None:
    async with serve(Script([], 307, {"location": "/v1/chat/completions"})) as server:
        async with closing(OpenAIModel("m", base_url=server.base_url)) as model:
            with pytest.raises(ModelError, match="redirects without an end") as raised:
                await ask(model)
        assert raised.value.reason == PROTOCOL
        assert len(server.requests) < 30


async def test_a_key_does_not_follow_a_redirection_to_another_server() -> None:
    answer = Script([chunk("x"), chunk(finish_reason="stop"), DONE])
    async with (
        serve(answer) as other,
        serve(Script([], 307, {"location": f"{other.base_url}/there"})) as server,
        closing(OpenAIModel("m", base_url=server.base_url, api_key=KEY)) as model,
    ):
        assert (await ask(model))[0] == "x"
        assert KEY in str(server.requests[0].headers)
        assert KEY not in str(other.requests[0].headers)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ([{"error": {"code": 400, "message": "no such field", "status": "INVALID_ARGUMENT"}}], ": no such field;"),
        (
            {
                "detail": [
                    {"loc": ["body", "model"], "msg": "Field required"},
                    {"loc": ["body", "n"], "msg": "too large"},
                ]
            },
            ": body.model: Field required; body.n: too large;",
        ),
        ({"detail": [{"msg": 3}]}, "{'detail': [{'msg': 3}]}"),
    ],
)
async def test_what_is_wrong_is_found_in_other_servers_errors_too(body: Any, words: str) -> None:
    assert words in str(await told(Script([json.dumps(body).encode()], 400, {"content-type": "application/json"})))
