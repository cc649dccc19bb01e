"""What other servers were seen to send: LiteLLM, `transformers serve`, LitServe, and llama.cpp by Responses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from asking import DONE, KEY, ask, closing, refusal
from dovetail.errors import ModelError
from dovetail.models import Completion, Grammar, OpenAIModel, Usage
from dovetail.v1 import FailureReason
from fault_server import Script, chunk, serve, sse, usage_chunk
from responses_wire import event, message_item, response, said, taken

if TYPE_CHECKING:
    from dovetail.models import Message

pytestmark = pytest.mark.anyio

EARLIER: list[Message] = [
    {"role": "user", "content": "how high is K2?"},
    {"role": "assistant", "content": "8,611 m."},
    {"role": "user", "content": "and Everest?"},
]
JSON = {"content-type": "application/json"}


def answered(status: int, body: object) -> Script:
    return Script([json.dumps(body).encode()], status, JSON)


def proxied(message: str, status: int = 400, kind: str = "invalid_request_error") -> Script:
    """An error as LiteLLM's proxy passes it on: the words of the server behind it within its own."""
    words = f"litellm.{message}\n\nLiteLLM: model group 'm' failed with the error above. No fallback was attempted."
    return answered(status, {"error": {"message": words, "type": kind, "param": None, "code": str(status)}})


async def told(script: Script, **options: Any) -> tuple[ModelError, int]:
    """The error that a call ends with, and how often the server was asked."""
    async with serve(script) as server:
        settings = {"grammar_dialect": options["grammar"].dialect} if "grammar" in options else {}
        model = OpenAIModel("m", base_url=server.base_url, api_key=KEY, max_retries=1, **settings)
        async with closing(model):
            with pytest.raises(ModelError) as raised:
                await ask(model, **options)
        return raised.value, len(server.requests)


@pytest.mark.parametrize(
    "rest",
    [
        [chunk(finish_reason="stop"), usage_chunk()],
        [chunk(" three"), chunk(" four"), *DONE],
    ],
    ids=["sent, and stopped at", "not known"],
)
async def test_a_stop_is_no_part_of_the_text_where_a_server_sends_it_or_does_not_know_it(rest: list[bytes]) -> None:
    async with serve(Script([chunk("One "), chunk("t"), chunk("wo"), *rest])) as server:
        async with closing(OpenAIModel("m", base_url=server.base_url)) as model:
            assert await ask(model, stop=["two", "\n"]) == ("One ", Completion("stop", Usage(11, 7)))
        assert server.requests[0].body["stop"] == ["two", "\n"]


async def test_what_looks_like_the_beginning_of_a_stop_is_part_of_a_text_that_ends_with_it() -> None:
    async with (
        serve(Script([chunk("One t"), *DONE])) as server,
        closing(OpenAIModel("m", base_url=server.base_url)) as model,
    ):
        assert (await ask(model, stop=["two"]))[0] == "One t"


async def test_a_temperature_that_is_refused_by_its_value_is_left_out() -> None:
    why = proxied(
        "UnsupportedParamsError: m doesn't support temperature=0.2 while reasoning is active. Only temperature=1 is "
        "supported unless reasoning_effort resolves to 'none'. To drop unsupported params set "
        "`litellm.drop_params = True`"
    )
    async with serve(why, Script([chunk("x"), *DONE])) as server:
        model = OpenAIModel("m", base_url=server.base_url, temperature=0.2, reasoning_effort="low", max_retries=0)
        async with closing(model):
            assert (await ask(model))[0] == "x"
        assert "temperature" not in server.requests[1].body
        assert server.requests[1].body["reasoning_effort"] == "low"


@pytest.mark.parametrize(("limit", "reason"), [(9, "length"), (10, "stop"), (None, "stop")])
async def test_a_response_that_took_all_its_tokens_is_cut_off_though_its_server_calls_it_completed(
    limit: int | None, reason: str
) -> None:
    async with (
        serve(said("1. delete(", '"a')) as server,
        closing(OpenAIModel("m", base_url=server.base_url, api="responses", max_tokens=limit)) as model,
    ):
        text, completion = await ask(model)
    assert text == '1. delete("a'
    assert completion == Completion(reason, Usage(20, 9, 16, 4))


async def test_earlier_words_of_the_model_are_spelled_out_for_a_server_that_takes_no_plain_text_of_it() -> None:
    why = answered(400, {"error": {"code": 400, "message": "Cannot determine type of 'item'", "type": "invalid"}})
    async with serve(why, taken(message_item("8,849 m."))) as server:
        model = OpenAIModel("m", base_url=server.base_url, api="responses", max_retries=0)
        async with closing(model):
            for _ in range(2):
                pieces = [piece async for piece in model.stream(EARLIER)]
                assert "".join(map(str, pieces[:-1])) == "8,849 m."
        inputs = [request.body["input"] for request in server.requests]
    assert inputs[0] == EARLIER
    part = {"type": "output_text", "text": "8,611 m.", "annotations": []}
    spelled = {"type": "message", "role": "assistant", "status": "completed", "content": [part]}
    assert inputs[1:] == [[EARLIER[0], spelled, EARLIER[2]]] * 2


async def test_an_item_that_is_refused_however_it_is_written_is_told() -> None:
    why = answered(400, {"error": {"message": "Unsupported input item type: 'message'", "type": "invalid"}})
    async with serve(why) as server:
        async with closing(OpenAIModel("m", base_url=server.base_url, api="responses", max_retries=0)) as model:
            with pytest.raises(ModelError, match="Unsupported input item type"):
                _ = [piece async for piece in model.stream(EARLIER)]
        assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("script", "dialect"),
    [
        (answered(422, {"detail": "Unexpected fields in the request: {'grammar'}"}), "gbnf"),
        (answered(422, {"detail": "Unexpected fields in the request: {'structured_outputs'}"}), "ebnf"),
        (proxied("BadRequestError: OpenAIException - Failed to initialize samplers: failed to parse grammar"), "gbnf"),
        (proxied("UnsupportedParamsError: x does not support parameters: ['response_format']"), "json_schema"),
        (proxied("BadRequestError: OpenAIException - Invalid schema for response_format 'plan'"), "json_schema"),
    ],
)
async def test_a_grammar_that_is_refused_in_these_words_is_a_refused_grammar(script: Script, dialect: Any) -> None:
    error, asked = await told(script, grammar=Grammar(dialect, "{}"))
    assert (error.reason, asked) == (FailureReason.FAILURE_REASON_MODEL_GRAMMAR_REFUSED, 1)


@pytest.mark.parametrize(
    ("script", "remedy"),
    [
        (answered(400, {"detail": "Server is pinned to 'org/a'; requested 'm'."}), "check the model's name"),
        (proxied("BadRequestError: /chat/completions: Invalid model name passed in model=m"), "check the model's name"),
        (proxied("BadRequestError: The model `m` does not exist"), "check the model's name"),
        (
            proxied("ContextWindowExceededError: request (5021 tokens) exceeds the available context size (2048)"),
            "ask for less",
        ),
        (answered(400, {"error": {"message": "This model's maximum context length is 4096 tokens."}}), "ask for less"),
        (answered(400, {"error": {"message": "top_p must be at most 1"}}), "change the request"),
    ],
)
async def test_a_refusal_names_its_remedy(script: Script, remedy: str) -> None:
    error, asked = await told(script)
    assert (error.reason, asked) == (FailureReason.FAILURE_REASON_MODEL_REJECTED, 1)
    assert f"; {remedy}" in str(error)


async def test_an_error_that_comes_as_the_event_of_a_stream_is_told_in_its_words() -> None:
    error = {"message": "Error processing stream start", "type": "internal_server_error", "code": "500"}
    script = Script([sse({"error": error}), sse(b"[DONE]")], 500, {"content-type": "text/event-stream"})
    raised, asked = await told(script)
    assert (raised.reason, asked) == (FailureReason.FAILURE_REASON_MODEL_UNAVAILABLE, 2)
    assert "(status 500): Error processing stream start; try again later" in str(raised)


async def test_a_quota_that_is_used_up_behind_a_proxy_is_not_asked_for_again() -> None:
    behind = json.dumps({"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}})
    raised, asked = await told(proxied(f"RateLimitError: OpenAIException - {behind}", 429, "throttling_error"))
    assert (raised.reason, asked) == (FailureReason.FAILURE_REASON_MODEL_RATE_LIMITED, 1)


@pytest.mark.parametrize("key", ["x", "none", "EMPTY", "sk-1"])
async def test_a_key_that_only_fills_its_place_is_not_looked_for_in_messages(key: str) -> None:
    async with (
        serve(refusal(f"the model `{key}` is next to none, said EMPTY")) as server,
        closing(OpenAIModel("m", base_url=server.base_url, api_key=key)) as model,
    ):
        with pytest.raises(ModelError) as raised:
            await ask(model)
    assert f"the model `{key}` is next to none, said EMPTY" in str(raised.value)


async def test_a_server_that_counts_nothing_has_told_nothing() -> None:
    nothing = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    end = {"choices": [{"index": 0, "delta": {"content": None}, "finish_reason": "stop"}], "usage": nothing}
    async with (
        serve(Script([chunk("x"), sse(end), sse(b"[DONE]")])) as server,
        closing(OpenAIModel("m", base_url=server.base_url)) as model,
    ):
        assert await ask(model) == ("x", Completion("stop", None))


async def test_a_turn_whose_message_comes_once_more_behind_its_calls_is_read() -> None:
    message = message_item("On it.")
    call = {
        "type": "function_call",
        "id": "f",
        "call_id": "f",
        "name": "look",
        "arguments": "{}",
        "status": "completed",
    }
    body = [
        event("response.output_item.added", output_index=0, item={**message, "content": []}),
        event("response.output_text.delta", output_index=0, item_id="msg", delta="On it."),
        event("response.output_item.done", output_index=0, item=message),
        event("response.output_item.added", output_index=1, item=call),
        event("response.function_call_arguments.done", output_index=1, item_id="f", name="look", arguments="{}"),
        event("response.output_item.done", output_index=1, item=call),
        event("response.output_item.added", output_index=1, item={**message, "content": []}),
        event("response.output_item.done", output_index=1, item=message),
        event("response.completed", response=response(output=[message, call])),
    ]
    tool = {"name": "look", "inputSchema": {"type": "object", "properties": {}}}
    async with (
        serve(Script(body)) as server,
        closing(OpenAIModel("m", base_url=server.base_url, api="responses")) as model,
    ):
        text, request, completion = [item async for item in model.stream_turn(EARLIER, [tool])]
    assert (text, getattr(request, "name", None)) == ("On it.", "look")
    assert isinstance(completion, Completion)
    assert completion.finish_reason == "tool_calls"
