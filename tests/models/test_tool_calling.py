from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest

from asking import DONE, KEY, closing
from dovetail.errors import ModelError
from dovetail.models import Completion, FallbackModel, OpenAIModel, ToolRequest, Usage, tool_calling_model
from dovetail.models.tool_calling import ToolNames, chat_messages
from dovetail.v1 import FailureReason
from fault_server import Fault, Script, chunk, serve, sse, usage_chunk

if TYPE_CHECKING:
    from dovetail.models import ToolCallingModel, TurnMessage

pytestmark = pytest.mark.anyio

QUESTION: list[TurnMessage] = [{"role": "user", "content": "which is higher?"}]
SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
TOOLS = [
    {"name": "geo.height", "description": "How high it is.", "inputSchema": SCHEMA},
    {"name": "now"},
]
END = [chunk(finish_reason="tool_calls"), usage_chunk(), sse(b"[DONE]")]


def call(index: int, *, id: str | None = None, name: str | None = None, arguments: str = "") -> bytes:  # noqa: A002
    """A piece of a call, as OpenAI streams it: id and name first, then the arguments bit by bit."""
    piece: dict[str, Any] = {"index": index, "function": {"arguments": arguments}}
    if id is not None:
        piece |= {"id": id, "type": "function"}
        piece["function"]["name"] = name
    return sse({"choices": [{"index": 0, "delta": {"tool_calls": [piece]}, "finish_reason": None}]})


async def turn(model: ToolCallingModel, messages: list[TurnMessage] = QUESTION, **options: Any) -> list[Any]:
    return [item async for item in model.stream_turn(messages, TOOLS, **options)]


def model_at(base_url: str, **settings: Any) -> OpenAIModel:
    return OpenAIModel("m", base_url=base_url, api_key=KEY, max_retries=0, timeout=5.0, **settings)


async def test_a_turn_gives_text_requests_and_its_completion() -> None:
    body = [
        chunk("Both heights."),
        call(0, id="call_a", name="geo_height"),
        call(0, arguments='{"name": "Eve'),
        call(0, arguments='rest"}'),
        call(1, id="call_b", name="now"),
        *END,
    ]
    async with serve(Script(body)) as server, closing(model_at(server.base_url)) as model:
        items = await turn(model, max_tokens=50)
        [request] = server.requests
    assert items == [
        "Both heights.",
        ToolRequest("call_a", "geo.height", '{"name": "Everest"}'),
        ToolRequest("call_b", "now", "{}"),
        Completion("tool_calls", Usage(11, 7)),
    ]
    assert request.body["tools"] == [
        {
            "type": "function",
            "function": {"name": "geo_height", "description": "How high it is.", "parameters": SCHEMA},
        },
        {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}},
    ]
    assert request.body["max_tokens"] == 50


async def test_a_request_is_given_as_soon_as_the_next_one_begins() -> None:
    seen = asyncio.Event()
    body = [
        call(0, id="a", name="now", arguments="{}"),
        call(1, id="b", name="now", arguments="{}"),
        seen,
        *END,
    ]
    async with (
        serve(Script(body)) as server,
        closing(model_at(server.base_url)) as model,
        aclosing(model.stream_turn(QUESTION, TOOLS)) as items,
    ):
        assert await anext(items) == ToolRequest("a", "now", "{}")
        seen.set()
        assert await anext(items) == ToolRequest("b", "now", "{}")


async def test_earlier_requests_and_their_outputs_are_part_of_the_chat() -> None:
    chat: list[TurnMessage] = [
        *QUESTION,
        {
            "role": "assistant",
            "content": "",
            "tool_requests": [ToolRequest("a", "geo.height", '{"name": "K2"}'), ToolRequest("b", "now", "no JSON")],
        },
        {"role": "tool", "request_id": "a", "content": "8611"},
        {"role": "tool", "request_id": "b", "content": "the arguments are no JSON"},
    ]
    async with serve(Script([chunk("Everest."), *DONE])) as server, closing(model_at(server.base_url)) as model:
        assert await turn(model, chat) == ["Everest.", Completion("stop", Usage(11, 7))]
        sent = server.requests[0].body["messages"]
    assert sent == [
        QUESTION[0],
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "a",
                    "type": "function",
                    "function": {"name": "geo_height", "arguments": '{"name": "K2"}'},
                },
                {"id": "b", "type": "function", "function": {"name": "now", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "a", "content": "8611"},
        {"role": "tool", "tool_call_id": "b", "content": "the arguments are no JSON"},
    ]


async def test_a_server_that_ignores_streaming_calls_tools_too() -> None:
    message = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "a", "type": "function", "function": {"name": "now", "arguments": "{}"}}],
    }
    body = json.dumps({"choices": [{"message": message, "finish_reason": "tool_calls"}]}).encode()
    script = Script([body], headers={"content-type": "application/json"})
    async with serve(script) as server, closing(model_at(server.base_url)) as model:
        assert await turn(model) == [ToolRequest("a", "now", "{}"), Completion("tool_calls", None)]


async def test_a_request_without_an_id_gets_one_of_its_own() -> None:
    body = [call(0, id="", name="now"), call(1, id="", name="now"), *END]
    async with serve(Script(body)) as server, closing(model_at(server.base_url)) as model:
        first, second, _ = await turn(model)
    assert first.id.startswith("call_")
    assert first.id != second.id


async def test_half_a_request_is_never_given() -> None:
    body = [call(0, id="a", name="now", arguments="{}"), call(1, id="b", name="now", arguments='{"x'), Fault.DROP]
    async with serve(Script(body)) as server, closing(model_at(server.base_url)) as model:
        items = model.stream_turn(QUESTION, TOOLS)
        async with aclosing(items):
            assert await anext(items) == ToolRequest("a", "now", "{}")
            with pytest.raises(ModelError) as raised:
                await anext(items)
    assert raised.value.reason == FailureReason.FAILURE_REASON_MODEL_STREAM_CUT


async def test_a_turn_without_tools_has_none_in_its_request() -> None:
    async with serve(Script([chunk("x"), *DONE])) as server, closing(model_at(server.base_url)) as model:
        items = [item async for item in model.stream_turn(QUESTION, [])]
        assert items == ["x", Completion("stop", Usage(11, 7))]
        assert "tools" not in server.requests[0].body


async def test_a_chain_takes_its_turn_at_the_model_that_is_up() -> None:
    down = Script([b"{}"], 503, {"content-type": "application/json"})
    up = Script([call(0, id="a", name="now", arguments="{}"), *END])
    async with serve(down) as first, serve(up) as second:
        chain = FallbackModel([model_at(first.base_url), model_at(second.base_url, provider="vllm")])
        async with closing(chain):
            items = await turn(tool_calling_model(chain))
    assert items == [ToolRequest("a", "now", "{}"), Completion("tool_calls", Usage(11, 7), "vllm:m")]


def test_names_that_a_provider_does_not_take_are_mapped_and_told_apart() -> None:
    long = "x" * 70
    names = ToolNames(["a.b", "a_b", "a/b", "ünïcode", long, f"{long}y", "🏔"])
    wire = [names.wire(name) for name in ("a.b", "a_b", "a/b", "ünïcode", long, f"{long}y", "🏔")]
    assert wire == ["a_b_2", "a_b", "a_b_3", "_n_code", "x" * 64, "x" * 62 + "_2", "_"]
    assert [names.own(name) for name in wire] == ["a.b", "a_b", "a/b", "ünïcode", long, f"{long}y", "🏔"]
    assert (names.own("unknown"), names.wire("not.known")) == ("unknown", "not_known")


@pytest.mark.parametrize("arguments", ["[1]", "", "null", "[" * 100_000])
def test_arguments_that_are_no_object_are_not_sent_back(arguments: str) -> None:
    message: TurnMessage = {
        "role": "assistant",
        "content": "hm",
        "tool_requests": [ToolRequest("a", "now", arguments)],
    }
    [sent] = chat_messages([message], ToolNames(["now"]))
    assert sent["tool_calls"][0]["function"]["arguments"] == "{}"
