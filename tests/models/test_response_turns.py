"""Turns in which tools are called, by OpenAI's Responses API."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest

from asking import DONE, KEY, TOKEN, closing, refusal
from dovetail import Engine, tool
from dovetail.errors import ModelError
from dovetail.models import AzureModel, Completion, FallbackModel, OpenAIModel, ToolRequest, Usage, Verbatim
from dovetail.models.response_items import response_items
from dovetail.models.tool_calling import ToolNames
from dovetail.strategies.history import History
from dovetail.v1 import FailureReason
from fault_server import Fault, Script, chunk, serve
from responses_wire import call_item, called, event, message_item, reasoning_item, response, taken

if TYPE_CHECKING:
    from dovetail.models import Model, ToolCallingModel, TurnMessage
    from dovetail.models.protocol import AssistantMessage

pytestmark = pytest.mark.anyio

QUESTION: list[TurnMessage] = [{"role": "system", "content": "call"}, {"role": "user", "content": "which is higher?"}]
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "unit": {"type": "string"}},
    "required": ["name"],
}
TOOLS = [{"name": "geo.height", "description": "How high it is.", "inputSchema": SCHEMA}, {"name": "now"}]
EVEREST, K2 = call_item(1, "geo_height", '{"name": "Everest"}'), call_item(2, "geo_height", '{"name": "K2"}')
REQUESTS = [
    ToolRequest("call_1", "geo.height", '{"name": "Everest"}'),
    ToolRequest("call_2", "geo.height", '{"name": "K2"}'),
]
USAGE = Usage(20, 9, 16, 4)
IN_CHAT = (
    "Function tools with reasoning_effort are not supported for gpt-5.6 in /v1/chat/completions. "
    "To use function tools, use /v1/responses or set reasoning_effort to 'none'."
)


def model_at(base_url: str, *, api: Any = "responses", **settings: Any) -> OpenAIModel:
    return OpenAIModel("gpt-5.6", base_url=base_url, api_key=KEY, api=api, max_retries=0, timeout=5.0, **settings)


async def turn(model: ToolCallingModel, messages: list[TurnMessage] = QUESTION, **options: Any) -> list[Any]:
    return [item async for item in model.stream_turn(messages, TOOLS, **options)]


def followed(items: list[Any], *outputs: str) -> list[TurnMessage]:
    """The chat after a turn and the outputs of its calls."""
    requests = [item for item in items if isinstance(item, ToolRequest)]
    text = "".join(item for item in items if isinstance(item, str))
    told: AssistantMessage = {"role": "assistant", "content": text, "tool_requests": requests}
    told["verbatim"] = items[-1].verbatim
    answers: list[TurnMessage] = [
        {"role": "tool", "request_id": request.id, "content": output}
        for request, output in zip(requests, outputs, strict=True)
    ]
    return [*QUESTION, told, *answers]


def output(number: int, text: str) -> dict[str, str]:
    return {"type": "function_call_output", "call_id": f"call_{number}", "output": text}


async def test_a_turn_asks_with_tools_that_may_be_called_at_once_and_keeps_nothing_at_the_server() -> None:
    async with (
        serve(taken(message_item("Everest."))) as server,
        closing(model_at(server.base_url, reasoning_effort="low")) as model,
    ):
        *texts, completion = await turn(model, max_tokens=50)
        [request] = server.requests
    assert ("".join(texts), completion.finish_reason, completion.usage) == ("Everest.", "stop", USAGE)
    assert request.path == "/v1/responses"
    assert request.body == {
        "model": "gpt-5.6",
        "input": QUESTION,
        "stream": True,
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "max_output_tokens": 50,
        "reasoning": {"effort": "low"},
        "parallel_tool_calls": True,
        "tools": [
            {
                "type": "function",
                "name": "geo_height",
                "description": "How high it is.",
                "parameters": SCHEMA,
                "strict": False,
            },
            {"type": "function", "name": "now", "parameters": {"type": "object", "properties": {}}, "strict": False},
        ],
    }


async def test_each_of_several_calls_is_given_when_it_is_complete() -> None:
    first, second = asyncio.Event(), asyncio.Event()
    body: list[bytes | Fault | asyncio.Event] = [
        *called(1, EVEREST, '{"na', 'me": "Eve', "rest", '"}'),
        first,
        *called(2, K2, "", '{"name"', ': "K2"}'),
        second,
        event("response.completed", response=response(output=[EVEREST, K2])),
    ]
    async with (
        serve(Script(body)) as server,
        closing(model_at(server.base_url)) as model,
        aclosing(model.stream_turn(QUESTION, TOOLS)) as items,
    ):
        assert await anext(items) == REQUESTS[0]
        first.set()
        assert await anext(items) == REQUESTS[1]
        second.set()
        completion = await anext(items)
        assert isinstance(completion, Completion)
        assert (completion.finish_reason, completion.usage) == ("tool_calls", USAGE)


async def test_calls_whose_pieces_alternate_are_told_apart() -> None:
    one, other = called(0, EVEREST, '{"name": ', '"Everest"}'), called(1, K2, '{"name"', ': "K2"}')
    alternating = [piece for pair in zip(one, other, strict=True) for piece in pair]
    body = [*alternating, event("response.completed", response=response(output=[EVEREST, K2]))]
    async with serve(Script(body)) as server, closing(model_at(server.base_url)) as model:
        assert (await turn(model))[:-1] == REQUESTS


async def test_the_next_turn_gives_back_what_was_reasoned_said_and_called_as_it_was() -> None:
    items = [reasoning_item(1), message_item("Both."), reasoning_item(2), EVEREST, K2]
    async with (
        serve(taken(*items), taken(message_item("Everest."))) as server,
        closing(model_at(server.base_url)) as model,
    ):
        given = await turn(model)
        assert "gAAAA" not in repr(given)
        await turn(model, followed(given, "8849", "8611"))
        sent = server.requests[1].body
    assert sent["input"] == [*QUESTION, *items, output(1, "8849"), output(2, "8611")]
    assert sent["store"] is False


async def test_a_turn_of_another_model_is_told_in_items_of_its_own() -> None:
    async with serve(taken(reasoning_item(), message_item("Both."), EVEREST)) as server:
        async with closing(model_at(server.base_url)) as model:
            given = await turn(model)
            chat = followed(given, "8849")
        async with closing(OpenAIModel("other", base_url=server.base_url, api_key=KEY, api="responses")) as other:
            await turn(other, chat)
        sent = server.requests[1].body["input"]
    assert sent[2:] == [
        {"role": "assistant", "content": "Both."},
        {"type": "function_call", "call_id": "call_1", "name": "geo_height", "arguments": '{"name": "Everest"}'},
        output(1, "8849"),
    ]


def test_arguments_that_are_no_object_and_turns_without_words_are_told_as_the_api_takes_them() -> None:
    requests = [ToolRequest("a", "geo.height", "no JSON"), ToolRequest("b", "now", "{}")]
    told: AssistantMessage = {"role": "assistant", "content": "", "tool_requests": requests}
    silent: TurnMessage = {"role": "assistant", "content": ""}
    assert response_items([told, silent], ToolNames(["geo.height", "now"]), "m") == [
        {"type": "function_call", "call_id": "a", "name": "geo_height", "arguments": "{}"},
        {"type": "function_call", "call_id": "b", "name": "now", "arguments": "{}"},
        {"role": "assistant", "content": ""},
    ]


def given_back(*items: Any, calls: tuple[str, ...] = ("call_1",)) -> list[dict[str, Any]]:
    verbatim = Verbatim("m", [json.dumps(item) for item in items])
    requests = [ToolRequest(name, "geo.height", "{}") for name in calls]
    told: AssistantMessage = {"role": "assistant", "content": "", "tool_requests": requests, "verbatim": verbatim}
    return response_items([told], ToolNames(["geo.height"]), "m")


def nameless(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name != "id"}


def test_reasoning_that_only_its_server_could_read_is_left_out_with_the_ids_that_go_with_it() -> None:
    assert given_back(reasoning_item(1, None), EVEREST) == [nameless(EVEREST)]
    open_reasoning = {**reasoning_item(1, None), "content": [{"type": "reasoning_text", "text": "hm"}]}
    assert given_back(open_reasoning, EVEREST) == [open_reasoning, EVEREST]


def test_reasoning_that_nothing_follows_is_left_out() -> None:
    assert given_back(reasoning_item(1), EVEREST, reasoning_item(2)) == [reasoning_item(1), EVEREST]


def test_a_turn_whose_calls_are_others_than_those_that_have_outputs_is_told_in_items_of_its_own() -> None:
    plain = {"type": "function_call", "name": "geo_height", "arguments": "{}"}
    assert given_back(reasoning_item(), EVEREST, K2) == [{**plain, "call_id": "call_1"}]
    assert given_back(reasoning_item(), EVEREST, calls=("call_1", "call_2")) == [
        {**plain, "call_id": "call_1"},
        {**plain, "call_id": "call_2"},
    ]
    assert given_back(7, "x", []) == [{**plain, "call_id": "call_1"}]


async def test_a_turn_that_is_too_large_to_give_back_is_told_in_items_of_its_own() -> None:
    large = reasoning_item(1, "g" * 300_000)
    async with serve(taken(large, EVEREST)) as server, closing(model_at(server.base_url)) as model:
        items = await turn(model)
    assert items[:-1] == REQUESTS[:1]
    assert items[-1].verbatim is None


def test_only_the_latest_turns_are_told_as_their_provider_wrote_them() -> None:
    history = History()
    for number in range(4):
        told: AssistantMessage = {"role": "assistant", "content": f"turn {number}", "tool_requests": ()}
        told["verbatim"] = Verbatim("m", ["x" * 200_000])
        history.add([told, {"role": "user", "content": "go on"}])
    messages = history.messages()
    assert [message["content"] for message in messages if message["role"] == "assistant"] == [
        f"turn {number}" for number in range(4)
    ]
    assert [bool(message.get("verbatim")) for message in messages if message["role"] == "assistant"] == [
        *(False, False),
        *(True, True),
    ]


@pytest.mark.parametrize(
    "why",
    [
        refusal("The encrypted content gAAA...whole could not be verified.", code="invalid_encrypted_content"),
        refusal("Item with id 'rs_1' not found. Items are not persisted when `store` is set to false.", param="input"),
        refusal("Item with id 'rs_1' not found.", param="input", status=404),
        refusal("The provided data does not match the expected schema", code="invalid_payload"),
    ],
)
async def test_a_server_that_takes_no_reasoning_back_is_asked_without(why: Script) -> None:
    async with (
        serve(taken(reasoning_item(), EVEREST), why, taken(message_item("Everest."))) as server,
        closing(model_at(server.base_url)) as model,
    ):
        given = await turn(model)
        texts = await turn(model, followed(given, "8849"))
        assert "".join(texts[:-1]) == "Everest."
        _, refused, sent = (request.body["input"] for request in server.requests)
    assert refused[2:] == [reasoning_item(), EVEREST, output(1, "8849")]
    assert sent[2:] == [nameless(EVEREST), output(1, "8849")]


async def test_another_refusal_is_told_at_once() -> None:
    async with (
        serve(taken(reasoning_item(), EVEREST), refusal("max_output_tokens is too small")) as server,
        closing(model_at(server.base_url)) as model,
    ):
        given = await turn(model)
        with pytest.raises(ModelError, match="too small"):
            await turn(model, followed(given, "8849"))
        assert len(server.requests) == 2


async def test_a_model_that_does_not_reason_is_asked_without_what_is_for_reasoning() -> None:
    why = refusal("Encrypted content is not supported with this model.", param="include")
    async with (
        serve(why, taken(message_item("Everest."))) as server,
        closing(model_at(server.base_url)) as model,
    ):
        await turn(model)
        await turn(model)
        assert ["include" in request.body for request in server.requests] == [True, False, False]


async def test_a_refusal_to_answer_is_text() -> None:
    async with (
        serve(taken(message_item("I cannot help with that.", refusal=True))) as server,
        closing(model_at(server.base_url)) as model,
    ):
        *texts, completion = await turn(model)
    assert ("".join(texts), completion.finish_reason) == ("I cannot help with that.", "stop")


HALF = called(1, K2, '{"name": "K2"}')[:2]
INCOMPLETE = {**K2, "status": "incomplete", "arguments": '{"na'}
DONE_IN_HALF = event("response.output_item.done", output_index=1, item=INCOMPLETE)


@pytest.mark.parametrize("ending", [[], [DONE_IN_HALF]])
@pytest.mark.parametrize(("reason", "finish"), [("max_output_tokens", "length"), ("content_filter", "content_filter")])
async def test_a_call_in_which_the_response_ended_is_not_made(ending: list[bytes], reason: str, finish: str) -> None:
    begun = event("response.function_call_arguments.delta", output_index=1, delta='{"na')
    end = event(
        "response.incomplete",
        response=response("incomplete", incomplete_details={"reason": reason}, output=[EVEREST]),
    )
    body = [*called(0, EVEREST), HALF[0], begun, *ending, end]
    async with serve(Script(body)) as server, closing(model_at(server.base_url)) as model:
        *requests, completion = await turn(model)
    assert requests == REQUESTS[:1]
    assert (completion.finish_reason, completion.usage) == (finish, USAGE)


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (
            event("response.failed", response=response("failed", error={"code": "server_error", "message": "broke"})),
            FailureReason.FAILURE_REASON_MODEL_UNAVAILABLE,
        ),
        (
            event("error", code="rate_limit_exceeded", message="slow down", param=None),
            FailureReason.FAILURE_REASON_MODEL_RATE_LIMITED,
        ),
        (Fault.DROP, FailureReason.FAILURE_REASON_MODEL_STREAM_CUT),
    ],
)
async def test_a_failure_inside_a_call_is_told_after_the_calls_before_it(end: Any, reason: FailureReason) -> None:
    async with (
        serve(Script([*called(0, EVEREST), *HALF, end])) as server,
        closing(model_at(server.base_url)) as model,
        aclosing(model.stream_turn(QUESTION, TOOLS)) as items,
    ):
        assert await anext(items) == REQUESTS[0]
        with pytest.raises(ModelError) as raised:
            await anext(items)
    assert raised.value.reason == reason


async def test_a_response_that_is_not_streamed_calls_tools_too() -> None:
    whole = json.dumps(response(output=[reasoning_item(), EVEREST], error=None)).encode()
    async with (
        serve(Script([whole], headers={"content-type": "application/json"})) as server,
        closing(model_at(server.base_url)) as model,
    ):
        request, completion = await turn(model)
    assert (request, completion.finish_reason) == (REQUESTS[0], "tool_calls")
    assert [json.loads(item)["type"] for item in completion.verbatim.items_json] == ["reasoning", "function_call"]


def turn_api(model: OpenAIModel) -> str:
    return model._turn_api


@pytest.mark.parametrize(
    ("api", "base_url", "used"),
    [
        ("auto", None, "responses"),
        ("chat", None, "chat"),
        ("responses", None, "responses"),
        ("auto", "http://localhost:1/v1", "chat"),
        ("responses", "http://localhost:1/v1", "responses"),
    ],
)
def test_turns_go_by_responses_at_openai_and_where_they_are_told_to(api: Any, base_url: str | None, used: str) -> None:
    assert turn_api(OpenAIModel("m", api_key=KEY, api=api, base_url=base_url)) == used


async def test_a_server_without_responses_is_asked_by_chat_unless_it_asks_for_responses() -> None:
    chat = Script([chunk("Everest."), *DONE])
    async with (
        serve(chat, refusal(IN_CHAT, param="reasoning_effort"), taken(message_item("K2."))) as server,
        closing(model_at(server.base_url, api="auto", reasoning_effort="high")) as model,
    ):
        assert (await turn(model))[0] == "Everest."
        assert "".join((await turn(model))[:-1]) == "K2."
        await turn(model)
        assert [request.path.removeprefix("/v1/") for request in server.requests] == [
            *("chat/completions", "chat/completions"),
            *("responses", "responses"),
        ]
        assert server.requests[2].body["reasoning"] == {"effort": "high"}


async def test_a_chat_that_is_asked_for_by_name_fails_with_the_remedy() -> None:
    async with (
        serve(refusal(IN_CHAT, param="reasoning_effort")) as server,
        closing(model_at(server.base_url, api="chat", reasoning_effort="high")) as model,
    ):
        with pytest.raises(ModelError, match=r"ask it by the Responses API \(api='responses'\)") as raised:
            await turn(model)
        assert raised.value.reason == FailureReason.FAILURE_REASON_MODEL_REJECTED
        assert len(server.requests) == 1


async def test_azure_takes_its_turns_by_responses_if_asked_to() -> None:
    async with serve(taken(reasoning_item(), EVEREST), taken(message_item("Everest."))) as server:
        model = AzureModel("plans", base_url=server.origin, ad_token=TOKEN, api="responses", api_version="preview")
        async with closing(model):
            given = await turn(model)
            await turn(model, followed(given, "8849"))
        assert {request.path for request in server.requests} == {"/openai/responses?api-version=preview"}
        assert server.requests[1].body["model"] == "plans"
        assert server.requests[1].body["input"][2:] == [reasoning_item(), EVEREST, output(1, "8849")]


async def test_a_chain_gives_reasoning_back_to_the_model_alone_that_reasoned() -> None:
    down = Script([b"{}"], 503, {"content-type": "application/json"})
    chat = Script([chunk("Everest."), *DONE])
    async with serve(taken(reasoning_item(), EVEREST), down) as first, serve(chat) as second:
        chain = FallbackModel([model_at(first.base_url), model_at(second.base_url, api="chat", provider="vllm")])
        async with closing(chain):
            given = await turn(chain)
            assert (await turn(chain, followed(given, "8849")))[0] == "Everest."
        assert "gAAAA" in str(first.requests[1].body)
        assert "gAAAA" not in str(second.requests[0].body)


async def test_a_run_goes_by_tool_calls_from_turn_to_turn_and_shows_nothing_of_the_reasoning() -> None:
    both = asyncio.Barrier(2)

    @tool(read_only=True)
    async def height(name: str) -> int:
        """How high a mountain is, in metres."""
        await both.wait()
        return {"Everest": 8849, "K2": 8611}[name]

    calls = [call_item(1, "height", '{"name": "Everest"}'), call_item(2, "height", '{"name": "K2"}')]
    items = [reasoning_item(), message_item("Both heights."), *calls]
    async with serve(taken(*items), taken(reasoning_item(2), message_item("Everest."))) as server:
        model: Model = model_at(server.base_url)
        async with closing(model), Engine([height], model, strategy="tool-calls") as engine:
            run = engine.start("which is higher?")
            events = [happened async for happened in run.events()]
            assert await run.answer() == "Everest."
        first, second = (request.body for request in server.requests)
    assert [shape["name"] for shape in first["tools"]] == ["height"]
    assert second["input"][:2] == first["input"]
    assert second["input"][2:-2] == items
    answers = second["input"][-2:]
    assert [(answer["type"], answer["call_id"]) for answer in answers] == [
        ("function_call_output", "call_1"),
        ("function_call_output", "call_2"),
    ]
    assert "returned <<<8849>>>" in answers[0]["output"]
    assert "returned <<<8611>>>" in answers[1]["output"]
    assert not [happened for happened in events if "gAAAA" in str(happened)]


async def test_a_turn_that_says_too_much_is_cut_and_not_given_back_as_it_was() -> None:
    @tool(read_only=True)
    async def now() -> int:
        """What time it is."""
        return 12

    items = [reasoning_item(), message_item("x" * 9_000), call_item(1, "now", "{}")]
    async with serve(taken(*items), taken(message_item("12."))) as server:
        async with closing(model_at(server.base_url)) as model, Engine([now], model, strategy="tool-calls") as engine:
            assert await engine.start("what time is it?").answer() == "12."
        sent = server.requests[1].body["input"][2:]
    assert len(sent[0]["content"]) < 5_000
    assert sent[1:-1] == [{"type": "function_call", "call_id": "call_1", "name": "now", "arguments": "{}"}]
