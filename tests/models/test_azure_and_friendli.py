from __future__ import annotations

import json
from typing import Any

import pytest

from asking import DONE, KEY, TOKEN, ask, closing
from dovetail.errors import ModelError, UsageError
from dovetail.models import AzureModel, Completion, FriendliModel, Grammar, Usage, open_model
from dovetail.v1 import FailureReason
from fault_server import Script, chunk, serve, sse, usage_chunk
from responses_wire import planned

pytestmark = pytest.mark.anyio

LARK = Grammar("lark", 'start: "1. search()"')
SCHEMA = Grammar("json_schema", '{"type": "object", "additionalProperties": false}')
REJECTED = FailureReason.FAILURE_REASON_MODEL_REJECTED


FILTERED = {
    "hate": {"filtered": False, "severity": "safe"},
    "jailbreak": {"filtered": False, "detected": False},
}


def azure_stream(text: str, finish_reason: str = "stop") -> Script:
    """As Azure streams: results of its filter first, in a chunk without choices, and beside each choice."""
    first = {
        "choices": [],
        "created": 0,
        "id": "",
        "model": "",
        "object": "",
        "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": FILTERED}],
    }
    said = {"content_filter_results": FILTERED, "delta": {"content": text}, "finish_reason": None, "index": 0}
    end = {"content_filter_results": {}, "delta": {}, "finish_reason": finish_reason, "index": 0, "logprobs": None}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "gpt-4o", "system_fingerprint": "fp"}
    return Script(
        [
            sse(first),
            sse({**head, "choices": [said]}),
            sse({**head, "choices": [end]}),
            usage_chunk(),
            sse(b"[DONE]"),
        ]
    )


async def test_azure_is_asked_for_a_deployment_with_a_key_and_a_version(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serve(azure_stream("hi")) as server:
        monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", server.origin)
        monkeypatch.setenv("AZURE_OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_API_VERSION", "2025-01-01")
        async with closing(open_model("azure:plans", max_tokens=9)) as model:
            assert isinstance(model, AzureModel)
            assert (model.name, model.grammar_dialects) == ("azure:plans", ("json_schema",))
            assert await ask(model) == ("hi", Completion("stop", Usage(11, 7)))
        [request] = server.requests
        assert request.path == "/openai/deployments/plans/chat/completions?api-version=2025-01-01"
        assert request.headers["api-key"] == KEY
        assert "authorization" not in request.headers
        assert (request.body["model"], request.body["max_completion_tokens"]) == ("plans", 9)


async def test_a_token_of_the_environment_goes_before_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", KEY)
    monkeypatch.setenv("AZURE_OPENAI_AD_TOKEN", TOKEN)
    async with serve(azure_stream("hi")) as server:
        async with closing(AzureModel("plans", base_url=server.origin)) as model:
            await ask(model)
        [request] = server.requests
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        assert "api-key" not in request.headers
        assert "api-version=2024-10-21" in request.path


async def test_a_key_that_is_given_goes_before_a_token_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_AD_TOKEN", TOKEN)
    async with serve(azure_stream("hi")) as server:
        async with closing(AzureModel("plans", base_url=server.origin, api_key=KEY)) as model:
            await ask(model)
        headers = server.requests[0].headers
    assert (headers["api-key"], "authorization" in headers) == (KEY, False)


async def test_a_token_is_asked_for_before_each_request() -> None:
    given = iter(["one", "two"])

    async def token() -> str:
        return next(given)

    async with serve(azure_stream("hi")) as server:
        async with closing(AzureModel("plans", base_url=server.origin, ad_token_provider=token)) as model:
            await ask(model)
            await ask(model)
        assert [request.headers["authorization"] for request in server.requests] == ["Bearer one", "Bearer two"]


async def test_a_token_that_was_asked_for_is_no_part_of_a_message() -> None:
    error = {"error": {"code": "401", "message": f"token {TOKEN} is expired"}}
    script = Script([json.dumps(error).encode()], 401, {"content-type": "application/json"})
    async with serve(script) as server:
        async with closing(AzureModel("plans", base_url=server.origin, ad_token_provider=lambda: TOKEN)) as model:
            with pytest.raises(ModelError, match=r"token \[API key\] is expired"):
                await ask(model)
        assert server.requests[0].headers["authorization"] == f"Bearer {TOKEN}"


def _no_token() -> str:
    raise OSError("nobody is signed in")


@pytest.mark.parametrize(
    ("provider", "why"), [(_no_token, "OSError: nobody is signed in"), (lambda: "", "it gave no token")]
)
async def test_without_a_token_azure_is_not_asked(provider: Any, why: str) -> None:
    async with serve(azure_stream("hi")) as server:
        async with closing(AzureModel("plans", base_url=server.origin, ad_token_provider=provider)) as model:
            with pytest.raises(ModelError, match=why) as raised:
                await ask(model)
        assert raised.value.reason == FailureReason.FAILURE_REASON_MODEL_UNAUTHENTICATED
        assert server.requests == []


async def test_a_chunk_of_azures_filter_behind_the_end_costs_neither_text_nor_usage() -> None:
    offsets = {"check_offset": 44, "start_offset": 44, "end_offset": 198}
    annotation = {"index": 0, "finish_reason": None, "content_filter_results": {}, "content_filter_offsets": offsets}
    end = chunk(finish_reason="stop")
    body = [chunk("hi"), end, sse({"id": "", "choices": [annotation], "usage": None}), usage_chunk(), sse(b"[DONE]")]
    async with (
        serve(Script(body)) as server,
        closing(AzureModel("plans", base_url=server.origin, api_key=KEY)) as model,
    ):
        assert await ask(model) == ("hi", Completion("stop", Usage(11, 7)))


async def test_a_text_that_azure_filters_ends_with_its_word() -> None:
    async with (
        serve(azure_stream("half", "content_filter")) as server,
        closing(AzureModel("plans", base_url=server.origin, api_key=KEY)) as model,
    ):
        assert (await ask(model))[1].finish_reason == "content_filter"


async def test_a_prompt_that_azure_filters_is_rejected_and_no_credential_is_shown() -> None:
    error = {
        "message": f"The response was filtered due to the prompt triggering the policy. {KEY}",
        "type": None,
        "param": "prompt",
        "code": "content_filter",
        "status": 400,
        "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": FILTERED},
    }
    script = Script([json.dumps({"error": error}).encode()], 400, {"content-type": "application/json"})
    async with serve(script) as server, closing(AzureModel("plans", base_url=server.origin, api_key=KEY)) as model:
        with pytest.raises(ModelError, match="was filtered") as raised:
            await ask(model)
    assert raised.value.reason == REJECTED
    assert KEY not in str(raised.value)


async def test_what_is_not_found_at_azure_is_told_with_the_form_of_its_endpoint() -> None:
    error = {"error": {"code": "404", "message": "Resource not found"}}
    script = Script([json.dumps(error).encode()], 404, {"content-type": "application/json"})
    async with (
        serve(script) as server,
        closing(AzureModel("plans", base_url=f"{server.origin}/openai/v1", api_key=KEY)) as model,
    ):
        with pytest.raises(ModelError, match=r"Resource not found; .*openai\.azure\.com, without a path"):
            await ask(model)


async def test_azure_takes_grammars_by_responses_if_asked_to() -> None:
    async with serve(planned("1. search()")) as server:
        model = AzureModel("plans", base_url=server.origin, api_key=KEY, api="responses", api_version="preview")
        async with closing(model):
            assert (await ask(model, grammar=LARK))[0] == "1. search()"
        assert server.requests[0].path == "/openai/responses?api-version=preview"


def test_azure_needs_an_endpoint_and_one_credential() -> None:
    with pytest.raises(UsageError, match="AZURE_OPENAI_ENDPOINT"):
        AzureModel("plans", api_key=KEY)
    with pytest.raises(UsageError, match="AZURE_OPENAI_API_KEY"):
        AzureModel("plans", base_url="https://x.openai.azure.com")
    with pytest.raises(UsageError, match="takes one of"):
        AzureModel("plans", base_url="https://x.openai.azure.com", api_key=KEY, ad_token=TOKEN)


async def test_friendli_takes_its_token_and_a_json_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRIENDLI_TOKEN", TOKEN)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    async with serve(Script([chunk("{}"), *DONE])) as server:
        async with closing(open_model("friendli:meta-llama-3.1-8b-instruct", base_url=server.base_url)) as model:
            assert model.grammar_dialects == ("json_schema",)
            assert await ask(model, grammar=SCHEMA) == ("{}", Completion("stop", Usage(11, 7)))
        [request] = server.requests
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        assert request.body["response_format"]["json_schema"]["schema"] == json.loads(SCHEMA.text)


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ({"type": "array", "items": {"type": "null"}, "minItems": 3, "maxItems": 4}, {"minItems": 1}),
        ({"type": "array", "items": {"type": "null"}, "minItems": 0}, {"minItems": 0}),
        ({"type": "integer", "minimum": 1, "maximum": 9}, {"minimum": 1, "maximum": 9}),
        ({"type": "number", "minimum": 0}, {}),
        ({"anyOf": [{"type": ["integer", "null"]}]}, {"anyOf": [{"anyOf": [{"type": "integer"}, {"type": "null"}]}]}),
        ({"anyOf": [{"type": ["integer", "null"], "enum": [1, None]}]}, {"anyOf": [{"enum": [1, None]}]}),
        ({"type": "string", "enum": ["a", None]}, {"enum": ["a", None]}),
        (
            {"enum": [{"a": [1, "x"]}]},
            {
                "properties": {
                    "a": {"type": "array", "items": {"anyOf": [{"enum": [1]}, {"enum": ["x"]}]}, "minItems": 1}
                },
                "required": ["a"],
                "additionalProperties": False,
            },
        ),
        (
            {"enum": ["x", []]},
            {"anyOf": [{"enum": ["x"]}, {"type": "array", "items": {"type": "null"}, "minItems": 0}]},
        ),
    ],
)
async def test_friendli_is_sent_what_it_knows_of_a_schema(asked: Any, sent: Any) -> None:
    schema = {"type": "object", "properties": {"x": asked}, "required": ["x"], "additionalProperties": False}
    async with serve(Script([chunk("{}"), *DONE])) as server:
        async with closing(FriendliModel("m", base_url=server.base_url, api_key=TOKEN)) as model:
            await ask(model, grammar=Grammar("json_schema", json.dumps(schema)))
        [request] = server.requests
    got = request.body["response_format"]["json_schema"]["schema"]["properties"]["x"]
    kept = {name: asked[name] for name in ("type", "items") if name in asked}
    assert got == ({"type": "object"} if "properties" in sent else kept) | sent


def test_friendli_needs_a_token_and_openais_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with pytest.raises(UsageError, match="FRIENDLI_TOKEN"):
        FriendliModel("m")
    assert vars(FriendliModel("m", api_key=TOKEN))["_endpoint"].address.shown == "https://api.friendli.ai/serverless/v1"
