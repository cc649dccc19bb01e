from __future__ import annotations

import json
from typing import Any

import pytest

from asking import DONE, KEY, ask, closing, refusal
from dovetail.errors import ModelError
from dovetail.models import Completion, Grammar, OpenAIModel, Usage
from dovetail.v1 import FailureReason
from fault_server import Script, chunk, serve, sse

pytestmark = pytest.mark.anyio

SCHEMA = Grammar("json_schema", '{"type": "object", "additionalProperties": false}')
REFUSED = FailureReason.FAILURE_REASON_MODEL_GRAMMAR_REFUSED
REJECTED = FailureReason.FAILURE_REASON_MODEL_REJECTED


def test_openai_itself_takes_grammars_by_responses_and_others_by_chat() -> None:
    assert OpenAIModel("m", api_key=KEY).grammar_dialects == ("lark", "json_schema")
    assert OpenAIModel("m", api_key=KEY, api="chat").grammar_dialects == ("json_schema",)
    assert OpenAIModel("m", base_url="http://gpu/v1").grammar_dialects == ()
    assert OpenAIModel("m", base_url="http://gpu/v1", grammar_dialect="ebnf").grammar_dialects == ("ebnf",)


@pytest.mark.parametrize(
    ("grammar", "fields"),
    [
        (Grammar("gbnf", "root ::= x"), {"grammar": "root ::= x"}),
        (Grammar("ebnf", "root ::= x"), {"structured_outputs": {"grammar": "root ::= x"}}),
        (Grammar("lark", "start: x"), {"structured_outputs": {"grammar": "start: x"}}),
        (
            SCHEMA,
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "plan", "strict": True, "schema": json.loads(SCHEMA.text)},
                }
            },
        ),
    ],
)
async def test_a_chat_has_a_grammar_where_servers_look_for_it(grammar: Grammar, fields: dict[str, Any]) -> None:
    async with serve(Script([chunk("x"), *DONE])) as server:
        model = OpenAIModel("m", base_url=server.base_url, grammar_dialect=grammar.dialect)
        async with closing(model):
            await ask(model, grammar=grammar)
        body = server.requests[0].body
    common = {"model", "messages", "stream", "stream_options"}
    assert {name: value for name, value in body.items() if name not in common} == fields


def _object(*names: str) -> dict[str, Any]:
    return {"type": "object", "properties": {name: {"type": "string"} for name in names}, "required": list(names)}


def _tasks(*names: str, first: str = "id") -> dict[str, Any]:
    """Tasks of these tools, as a plan in JSON has them."""
    tasks = []
    for name in names:
        keys = {
            "id": {"type": "integer"},
            "tool": {"type": "string", "enum": [name]},
            "n": {"type": ["number", "null"]},
        }
        ordered = {first: keys[first], **keys}
        tasks.append(
            {"type": "object", "properties": ordered, "required": list(ordered), "additionalProperties": False}
        )
    items = tasks[0] if len(tasks) == 1 else {"anyOf": tasks}
    return {"type": "object", "properties": {"tasks": {"type": "array", "items": items, "maxItems": 9, "minItems": 2}}}


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        # OpenAI refuses objects among which the first key does not tell.
        (_tasks("a", "b"), _tasks("a", "b", first="tool")),
        (_tasks("a"), _tasks("a")),
        (_tasks("a", "a"), _tasks("a", "a")),
        (_tasks("a", "b", first="tool"), _tasks("a", "b", first="tool")),
        ({"$defs": {"x": _tasks("a", "b")}}, {"$defs": {"x": _tasks("a", "b", first="tool")}}),
        (
            {"anyOf": [_object("path", "position"), _object("path", "line"), _object("path")]},
            {"anyOf": [_object("position", "path"), _object("line", "path"), _object("path")]},
        ),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
    ],
)
@pytest.mark.parametrize("api", ["chat", "responses"])
async def test_alternatives_of_a_schema_are_told_apart_by_their_first_key(api: Any, asked: Any, sent: Any) -> None:
    async with serve(Script([chunk("x"), *DONE])) as server:
        model = OpenAIModel("m", base_url=server.base_url, api=api, grammar_dialect="json_schema")
        async with closing(model):
            await ask(model, grammar=Grammar("json_schema", json.dumps(asked)))
        body = server.requests[0].body
    got = body["text"]["format"] if api == "responses" else body["response_format"]["json_schema"]
    # The order of keys counts.
    assert json.dumps(got["schema"]) == json.dumps(sent)


@pytest.mark.parametrize(
    ("message", "param", "status"),
    [
        ("Invalid schema for response_format 'plan': 'oneOf' is not permitted.", "response_format", 400),
        ("Invalid grammar: unexpected character", "tools[0].format", 400),
        ("Hosted tool 'custom' is not supported with gpt-4o.", "tools", 400),
        ("Failed to initialize samplers: failed to parse grammar", None, 400),
        ("The structured_outputs backend does not support it", None, 422),
        ("Invalid value", "text.format.schema", 400),
        ("Invalid schema: Objects provided via 'anyOf' must not share identical first keys.", None, 400),
    ],
)
async def test_a_refused_grammar_is_told_from_a_refused_request(message: str, param: str | None, status: int) -> None:
    script = refusal(message, param=param, status=status)
    async with serve(script) as server:
        model = OpenAIModel("m", base_url=server.base_url, api_key=KEY, grammar_dialect="json_schema")
        async with closing(model):
            with pytest.raises(ModelError, match="refused the grammar") as raised:
                await ask(model, grammar=SCHEMA)
            assert raised.value.reason == REFUSED
            with pytest.raises(ModelError) as raised:
                await ask(model)
            assert raised.value.reason == REJECTED


async def test_a_request_that_is_refused_for_something_else_is_no_refused_grammar() -> None:
    script = refusal("maximum context length is 8192", param="messages", code="context_length_exceeded")
    async with serve(script) as server:
        model = OpenAIModel("m", base_url=server.base_url, api_key=KEY, grammar_dialect="json_schema")
        async with closing(model):
            with pytest.raises(ModelError) as raised:
                await ask(model, grammar=SCHEMA)
    assert raised.value.reason == REJECTED


async def test_a_reasoning_model_is_asked_again_without_what_it_does_not_take() -> None:
    scripts = [
        refusal(
            "Unsupported value: 'temperature' does not support 0.2.", param="temperature", code="unsupported_value"
        ),
        refusal("Unsupported parameter: 'stop' is not supported.", param="stop", code="unsupported_parameter"),
        refusal(
            "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead.",
            param="max_tokens",
            code="unsupported_parameter",
        ),
        Script([chunk("1. join()<END>"), chunk("more"), *DONE]),
    ]
    async with serve(*scripts) as server:
        model = OpenAIModel(
            "o4", base_url=server.base_url, temperature=0.2, max_tokens=50, reasoning_effort="low", max_retries=0
        )
        async with closing(model):
            assert await ask(model, stop=["<END>"]) == ("1. join()", Completion("stop", Usage(11, 7)))
            assert await ask(model, stop=["<END>"]) == ("1. join()", Completion("stop", Usage(11, 7)))
        assert len(server.requests) == 5
        for request in server.requests[3:]:
            assert not {"temperature", "stop", "max_tokens"} & request.body.keys()
            assert request.body["max_completion_tokens"] == 50
            assert request.body["reasoning_effort"] == "low"


@pytest.mark.parametrize(
    "script",
    [
        refusal("Unrecognized request argument supplied: stream_options"),
        Script(
            [json.dumps({"detail": [{"type": "extra_forbidden", "loc": ["body", "stream_options"]}]}).encode()],
            422,
            {"content-type": "application/json"},
        ),
    ],
)
async def test_an_older_server_is_asked_again_without_the_usage(script: Script) -> None:
    async with (
        serve(script, Script([chunk("x"), chunk(finish_reason="stop"), sse(b"[DONE]")])) as server,
        closing(OpenAIModel("m", base_url=server.base_url, max_retries=0)) as model,
    ):
        assert await ask(model) == ("x", Completion("stop", None))


@pytest.mark.parametrize(
    ("api", "script"),
    [
        (
            "responses",
            refusal(
                "Unsupported parameter: 'reasoning.effort' is not supported with this model.",
                param="reasoning.effort",
                code="unsupported_parameter",
            ),
        ),
        ("chat", refusal("Unrecognized request argument supplied: reasoning_effort")),
        ("chat", refusal("property 'reasoning_effort' is unsupported")),
    ],
)
async def test_a_model_that_does_not_reason_is_asked_without_the_effort(api: Any, script: Script) -> None:
    async with serve(script, Script([chunk("x"), *DONE])) as server:
        model = OpenAIModel("m", base_url=server.base_url, api=api, reasoning_effort="low", max_retries=0)
        async with closing(model):
            assert (await ask(model))[0] == "x"
        assert not {"reasoning", "reasoning_effort"} & server.requests[1].body.keys()


async def test_an_effort_that_a_model_does_not_know_is_told() -> None:
    message = "Unsupported value: 'reasoning_effort' does not support 'tiny'. Supported values are: 'low' and 'high'."
    script = refusal(message, param="reasoning_effort", code="unsupported_value")
    async with serve(script) as server:
        async with closing(OpenAIModel("m", base_url=server.base_url, reasoning_effort="tiny")) as model:
            with pytest.raises(ModelError, match="Supported values"):
                await ask(model)
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("message", "times"),
    [
        ("`temperature` is deprecated for this model.", 2),
        ("Invalid value for 'temperature': expected at most 1, got 3", 1),
    ],
)
async def test_a_temperature_is_left_out_where_there_is_none_and_not_where_it_is_too_high(
    message: str, times: int
) -> None:
    async with serve(refusal(message), Script([chunk("x"), *DONE])) as server:
        async with closing(OpenAIModel("m", base_url=server.base_url, temperature=3.0)) as model:
            if times == 2:
                assert (await ask(model))[0] == "x"
            else:
                with pytest.raises(ModelError, match="at most 1"):
                    await ask(model)
        assert len(server.requests) == times


@pytest.mark.parametrize("status", [500, 501])
async def test_a_server_that_fails_over_a_grammar_has_refused_it(status: int) -> None:
    async with serve(refusal("failed to parse grammar", status=status)) as server:
        model = OpenAIModel("m", base_url=server.base_url, grammar_dialect="gbnf", max_retries=0)
        async with closing(model):
            with pytest.raises(ModelError) as raised:
                await ask(model, grammar=Grammar("gbnf", 'root ::= "x"'))
            assert raised.value.reason == REFUSED
            with pytest.raises(ModelError) as raised:
                await ask(model)
            assert raised.value.reason == FailureReason.FAILURE_REASON_MODEL_UNAVAILABLE


async def test_a_server_that_refuses_both_names_of_the_limit_is_asked_twice() -> None:
    script = refusal("Unknown parameter: 'max_tokens' or 'max_completion_tokens'")
    async with serve(script) as server:
        async with closing(OpenAIModel("m", base_url=server.base_url, max_tokens=5)) as model:
            with pytest.raises(ModelError, match="Unknown parameter"):
                await ask(model)
        assert len(server.requests) == 2
