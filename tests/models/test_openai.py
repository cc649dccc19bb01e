from __future__ import annotations

import asyncio
import gc
import gzip
import json
import socket
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from anyio.from_thread import start_blocking_portal

from dovetail.errors import ModelError, UsageError
from dovetail.models import Completion, Grammar, Message, OpenAIModel, Usage
from dovetail.v1 import FailureReason
from fault_server import Fault, Script, chunk, serve, sse, usage_chunk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

QUESTION: list[Message] = [{"role": "user", "content": "how high?"}]
KEY = "sk-canary-0123456789"
PATIENCE = 60.0
"""The bound of every wait in these tests, in seconds; far above what any of them takes."""
STOP = chunk(finish_reason="stop")
DONE = sse(b"[DONE]")
UNREACHABLE = FailureReason.FAILURE_REASON_MODEL_UNREACHABLE
UNAUTHENTICATED = FailureReason.FAILURE_REASON_MODEL_UNAUTHENTICATED
REJECTED = FailureReason.FAILURE_REASON_MODEL_REJECTED
RATE_LIMITED = FailureReason.FAILURE_REASON_MODEL_RATE_LIMITED
UNAVAILABLE = FailureReason.FAILURE_REASON_MODEL_UNAVAILABLE
STREAM_CUT = FailureReason.FAILURE_REASON_MODEL_STREAM_CUT
PROTOCOL = FailureReason.FAILURE_REASON_MODEL_PROTOCOL
TIMEOUT = FailureReason.FAILURE_REASON_MODEL_TIMEOUT


@asynccontextmanager
async def model_at(base_url: str, **settings: Any) -> AsyncIterator[OpenAIModel]:
    model = OpenAIModel("m", **{"base_url": base_url, "api_key": KEY, "max_retries": 0, "timeout": 60.0, **settings})
    try:
        async with asyncio.timeout(PATIENCE):
            yield model
    finally:
        await model.aclose()


async def ask(model: OpenAIModel, **options: Any) -> tuple[list[str], Completion]:
    items = [item async for item in model.stream(QUESTION, **options)]
    completion = items.pop()
    assert isinstance(completion, Completion)
    pieces = [item for item in items if isinstance(item, str)]
    assert len(pieces) == len(items)
    assert all(pieces)
    return pieces, completion


async def collect(model: OpenAIModel, items: list[str | Completion]) -> None:
    """Keep what came even if an error follows."""
    async for item in model.stream(QUESTION):
        items.append(item)  # noqa: PERF401


async def failure(*scripts: Script, text: str = "", **settings: Any) -> ModelError:
    """The error that a call ends with, after this text."""
    async with serve(*scripts) as server, model_at(server.base_url, **settings) as model:
        pieces: list[str | Completion] = []
        with pytest.raises(ModelError) as raised:
            await collect(model, pieces)
        assert "".join(map(str, pieces)) == text
        message = str(raised.value)
        assert server.base_url in message
        assert "openai:m" in message
        assert KEY not in message
        return raised.value


async def test_a_stream_gives_its_pieces_then_its_completion() -> None:
    script = Script([chunk("1. se"), chunk("arch()"), STOP, usage_chunk(), DONE])
    async with serve(script) as server, model_at(server.base_url) as model:
        pieces, completion = await ask(model)
    assert "".join(pieces) == "1. search()"
    assert completion == Completion("stop", Usage(11, 7))
    assert model.name == "openai:m"


@pytest.mark.parametrize("size", [1, 3, 10_000])
async def test_the_bytes_may_be_cut_anywhere(size: int) -> None:
    body = b": hello\r\n\r\n" + b"".join([chunk("Zürich "), chunk("🏔"), STOP, usage_chunk(), DONE])
    script = Script([body[start : start + size] for start in range(0, len(body), size)])
    async with serve(script) as server, model_at(server.base_url) as model:
        pieces, completion = await ask(model)
    assert "".join(pieces) == "Zürich 🏔"
    assert completion == Completion("stop", Usage(11, 7))


async def test_a_piece_is_given_before_the_next_one_is_sent() -> None:
    seen = asyncio.Event()
    script = Script([chunk("a"), seen, chunk("b"), STOP, DONE])
    async with serve(script) as server, model_at(server.base_url) as model:
        items = []
        async for item in model.stream(QUESTION):
            items.append(item)
            seen.set()
    assert items == ["a", "b", Completion("stop", None)]


async def test_a_proxy_of_the_environment_is_not_asked_for_a_server_on_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        script = Script([chunk("hi"), STOP, DONE])
        async with serve(script) as server, model_at(server.base_url) as model:
            pieces, _ = await ask(model)
    assert pieces == ["hi"]


async def test_a_server_that_ignores_streaming_is_understood() -> None:
    choice = {"message": {"role": "assistant", "content": "whole"}, "finish_reason": "stop"}
    usage = {
        "prompt_tokens": 5,
        "completion_tokens": 3,
        "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 1},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    body = json.dumps({"choices": [choice], "usage": usage}, indent=1).encode()
    headers = {"content-type": "application/json"}
    script = Script([body[:20], body[20:]], headers=headers)
    async with serve(script) as server, model_at(server.base_url) as model:
        assert await ask(model) == (["whole"], Completion("stop", Usage(5, 3, 4, 2, 1)))


async def test_a_compressed_stream_is_read() -> None:
    body = gzip.compress(chunk("zip") + STOP + DONE)
    headers = {"content-type": "text/event-stream", "content-encoding": "gzip"}
    async with serve(Script([body], headers=headers)) as server, model_at(server.base_url) as model:
        assert await ask(model) == (["zip"], Completion("stop", None))


@pytest.mark.parametrize("end", [[STOP, usage_chunk(), DONE], [STOP, usage_chunk()], [DONE]])
async def test_reading_stops_at_the_end_even_if_the_connection_stays_open(
    end: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whoever read on would read for as long as that.
    monkeypatch.setattr("dovetail.models.openai_stream._USAGE_GRACE", PATIENCE)
    async with serve(Script([chunk("x"), *end, Fault.HANG])) as server, model_at(server.base_url) as model:
        async with asyncio.timeout(PATIENCE / 3):
            pieces, _ = await ask(model)
        assert pieces == ["x"]
        await server.gone.wait()


@pytest.mark.parametrize("fault", [Fault.HANG, Fault.DROP])
async def test_a_fault_after_the_finish_reason_costs_only_the_usage(fault: Fault) -> None:
    async with serve(Script([chunk("x"), STOP, fault])) as server, model_at(server.base_url) as model:
        assert await ask(model) == (["x"], Completion("stop", None))


async def test_the_connection_of_a_stream_read_to_its_end_is_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    # The end of the body comes, and on a busy machine it may be late.
    monkeypatch.setattr("dovetail.models.openai_stream._DRAIN_GRACE", PATIENCE)
    async with serve(Script([chunk("x"), STOP, usage_chunk(), DONE])) as server:
        async with model_at(server.base_url) as model:
            await ask(model)
            async with aclosing(model.stream(QUESTION)) as stream:
                async for item in stream:
                    if isinstance(item, Completion):
                        break
            await ask(model)
        assert (len(server.requests), server.connections) == (3, 1)


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_model_may_serve_one_event_loop_after_another() -> None:
    async def once(last: bool) -> list[str]:
        async with serve(Script([chunk("x"), STOP, DONE]), port=port):
            pieces, _ = await ask(model)
            if last:
                await model.aclose()
            return pieces

    # Nobody else is given the port between the two.
    with socket.socket() as kept:
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.bind(("127.0.0.1", 0))
        port = kept.getsockname()[1]
        model = OpenAIModel("m", base_url=f"http://127.0.0.1:{port}/v1", api_key=KEY)
        assert [asyncio.run(once(last=False)), asyncio.run(once(last=True))] == [["x"], ["x"]]
    gc.collect()  # the first loop's connection, which nobody could close


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_model_can_be_closed_when_the_loop_that_it_served_is_gone() -> None:
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(serve(Script([chunk("x"), STOP, DONE]))) as server,
    ):
        model = OpenAIModel("m", base_url=server.base_url, api_key=KEY)
        assert asyncio.run(ask(model))[0] == ["x"]
        asyncio.run(model.aclose())
        gc.collect()  # the connection


async def test_the_request_carries_the_settings() -> None:
    async with serve(Script([STOP, DONE])) as server:
        settings = {"temperature": 0.5, "max_tokens": 9, "extra_body": {"seed": 1}, "grammar_dialect": "gbnf"}
        async with model_at(server.base_url, **settings) as model:
            await ask(model, grammar=Grammar("gbnf", 'root ::= "x"'), stop=["<END>"])
            await ask(model, max_tokens=3)
        first, second = (request.body for request in server.requests)
        assert first == {
            "model": "m",
            "messages": QUESTION,
            "stream": True,
            "stream_options": {"include_usage": True},
            "temperature": 0.5,
            "max_tokens": 9,
            "seed": 1,
            "grammar": 'root ::= "x"',
            "stop": ["<END>"],
        }
        assert (second["max_tokens"], "grammar" in second, "stop" in second) == (3, False, False)
        assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_openai_itself_is_told_the_new_name_of_the_token_limit() -> None:
    model = OpenAIModel("o3", api_key=KEY)
    request = model._requests.chat(QUESTION, max_tokens=5)
    assert request["max_completion_tokens"] == 5
    assert "max_tokens" not in request


async def test_a_grammar_in_a_notation_the_server_does_not_take_is_refused() -> None:
    async with model_at("http://127.0.0.1:9/v1") as model:
        with pytest.raises(UsageError, match="gbnf"):
            await ask(model, grammar=Grammar("gbnf", "root ::= x"))


async def test_a_refused_connection_is_unreachable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        async with model_at(url) as model:
            with pytest.raises(ModelError, match=url) as raised:
                await ask(model)
    assert raised.value.reason == UNREACHABLE


async def test_a_host_without_an_address_is_unreachable() -> None:
    async with model_at("http://nowhere.invalid/v1") as model:
        with pytest.raises(ModelError) as raised:
            await ask(model)
    assert raised.value.reason == UNREACHABLE


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, UNAUTHENTICATED),
        (403, UNAUTHENTICATED),
        (400, REJECTED),
        (404, REJECTED),
        (422, REJECTED),
        (408, TIMEOUT),
        (429, RATE_LIMITED),
        (500, UNAVAILABLE),
        (503, UNAVAILABLE),
        (304, PROTOCOL),
    ],
)
async def test_a_status_has_its_reason_and_the_servers_message(status: int, reason: FailureReason) -> None:
    body = json.dumps({"error": {"message": f"said with {KEY}", "type": "x", "code": "y"}}).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body))}
    error = await failure(Script([body] if status != 304 else [], status, headers, chunked=False))
    assert error.reason == reason
    assert status in {304, 408} or f"(status {status}): said with [API key]" in str(error)


async def test_a_status_with_a_page_of_html_shows_the_beginning_of_it() -> None:
    error = await failure(Script([b"<html>bad gateway" + b"!" * 9_999], 502, {"content-type": "text/html"}))
    assert error.reason == UNAVAILABLE
    assert "<html>bad gateway" in str(error)
    assert len(str(error)) < 1_000


async def test_requests_are_sent_again_until_the_server_answers() -> None:
    again = {"retry-after-ms": "1"}
    scripts = [
        Script(status=429, headers=again),
        Script(status=500, headers=again),
        Script([chunk("x"), STOP, DONE]),
    ]
    async with serve(*scripts) as server, model_at(server.base_url, max_retries=2) as model:
        assert (await ask(model))[0] == ["x"]
        assert len(server.requests) == 3


async def test_a_server_that_keeps_asking_for_fewer_requests_is_given_up() -> None:
    error = await failure(Script(status=429, headers={"retry-after-ms": "1"}), max_retries=2)
    assert error.reason == RATE_LIMITED


async def test_a_connection_dropped_in_the_middle_is_a_cut_stream() -> None:
    error = await failure(Script([chunk("half "), Fault.DROP]), text="half ")
    assert error.reason == STREAM_CUT


@pytest.mark.parametrize("chunked", [True, False])
@pytest.mark.parametrize("body", [[chunk("half")], [chunk("half"), b'data: {"cho'], [chunk("half"), b"da"]])
async def test_a_clean_end_in_the_middle_is_a_cut_stream(body: list[bytes], chunked: bool) -> None:
    headers = {"content-type": "text/event-stream", "connection": "close"}
    error = await failure(Script(body, headers=headers, chunked=chunked), text="half")
    assert error.reason == STREAM_CUT


async def test_an_empty_body_is_a_cut_stream() -> None:
    assert (await failure(Script())).reason == STREAM_CUT


@pytest.mark.parametrize(
    ("error", "reason", "message"),
    [
        ({"message": "too much", "code": 429}, RATE_LIMITED, "too much"),
        ({"message": "who?", "type": "authentication_error"}, UNAUTHENTICATED, "who?"),
        ({"message": "long", "code": "context_length_exceeded"}, REJECTED, "long"),
        ({"message": "broke"}, UNAVAILABLE, "broke"),
        ("it broke", UNAVAILABLE, "it broke"),
    ],
)
async def test_an_error_inside_the_stream_has_its_reason(error: object, reason: FailureReason, message: str) -> None:
    raised = await failure(Script([chunk("a") + sse({"error": error}) + chunk("b"), DONE]), text="a")
    assert raised.reason == reason
    assert message in str(raised)


@pytest.mark.parametrize("body", [b"<!DOCTYPE html>\n<title>Log in</title>\n", b"data: {oops}\n\n", b'{"a": 1}', b"{]"])
async def test_a_body_that_is_no_model_response_is_a_protocol_error(body: bytes) -> None:
    assert (await failure(Script([body], headers={"content-type": "text/html"}))).reason == PROTOCOL


async def test_a_body_that_cannot_be_decompressed_is_a_protocol_error() -> None:
    error = await failure(Script([b"no gzip"], headers={"content-encoding": "gzip"}))
    assert error.reason == PROTOCOL


async def test_an_answer_that_is_no_http_is_a_protocol_error() -> None:
    assert (await failure(Script(head=b"-ERR unknown command\r\n\r\n"))).reason == PROTOCOL


async def test_a_server_that_closes_without_an_answer_is_unreachable() -> None:
    assert (await failure(Script(head=Fault.DROP))).reason == UNREACHABLE
    assert (await failure(Script(head=b""))).reason == UNREACHABLE


@pytest.mark.parametrize(
    "script", [Script(head=Fault.HANG), Script([Fault.HANG]), Script([b": alive\n\n", Fault.HANG])]
)
async def test_a_silent_server_is_a_timeout_and_not_asked_again(script: Script) -> None:
    async with serve(script) as server, model_at(server.base_url, timeout=1, max_retries=3) as model:
        with pytest.raises(ModelError, match=r"1 s") as raised:
            await ask(model)
        assert raised.value.reason == TIMEOUT
        assert len(server.requests) == 1
        await server.gone.wait()


async def test_a_server_that_falls_silent_in_the_middle_is_a_timeout() -> None:
    error = await failure(Script([chunk("half"), Fault.HANG]), text="half", timeout=1)
    assert error.reason == TIMEOUT


async def test_a_silent_error_page_is_a_timeout() -> None:
    assert (await failure(Script([b"{", Fault.HANG], status=400), timeout=1)).reason == TIMEOUT


async def test_closing_the_stream_closes_the_response_at_once() -> None:
    async with serve(Script([chunk("a"), Fault.HANG])) as server, model_at(server.base_url) as model:
        async with aclosing(model.stream(QUESTION)) as stream:
            assert await anext(stream) == "a"
        await asyncio.wait_for(server.gone.wait(), PATIENCE / 3)


@pytest.mark.parametrize("script", [Script([chunk("a"), Fault.HANG]), Script(head=Fault.HANG)])
async def test_cancelling_the_reader_closes_the_response_at_once(script: Script) -> None:
    async with serve(script) as server, model_at(server.base_url) as model:
        reader = asyncio.create_task(ask(model))
        await asyncio.wait_for(server.asked.wait(), PATIENCE / 3)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        await asyncio.wait_for(server.gone.wait(), PATIENCE / 3)


def test_openai_needs_a_key_and_a_server_of_ones_own_does_not() -> None:
    with pytest.raises(UsageError, match="OPENAI_API_KEY"):
        OpenAIModel("gpt")
    assert OpenAIModel("m", base_url="http://127.0.0.1:9/v1").grammar_dialects == ()


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://x", "http://", "http://x:port/v1", "http://[oops"])
def test_a_base_url_that_is_none_is_a_usage_error(url: str) -> None:
    with pytest.raises(UsageError, match="base URL"):
        OpenAIModel("m", base_url=url)


@pytest.mark.parametrize("settings", [{"timeout": 0}, {"connect_timeout": -1}, {"max_retries": -1}])
def test_a_number_out_of_range_is_a_usage_error(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="above 0"):
        OpenAIModel("m", api_key=KEY, **settings)


async def test_credentials_in_the_base_url_are_not_in_messages() -> None:
    async with model_at("http://user:hunter2@127.0.0.1:9/v1?token=hunter2") as model:
        with pytest.raises(ModelError) as raised:
            await ask(model)
    assert "hunter2" not in str(raised.value)
