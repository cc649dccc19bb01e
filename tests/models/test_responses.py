from __future__ import annotations

import json
from typing import Any

import pytest

from asking import KEY, QUESTION, ask, closing
from dovetail.errors import ModelError
from dovetail.models import Completion, Grammar, OpenAIModel, Usage
from dovetail.v1 import FailureReason
from fault_server import Fault, serve
from responses_wire import event, planned, response, said

pytestmark = pytest.mark.anyio

LARK = Grammar("lark", 'start: "1. search()"')
SCHEMA = Grammar("json_schema", '{"type": "object", "additionalProperties": false}')


async def test_a_grammar_in_lark_is_the_format_of_a_tool_whose_input_is_the_text() -> None:
    async with serve(planned("1. se", "arch()")) as server:
        model = OpenAIModel("gpt-5", base_url=server.base_url, api_key=KEY, api="responses", reasoning_effort="low")
        async with closing(model):
            assert model.grammar_dialects == ("lark", "json_schema")
            assert await ask(model, grammar=LARK, max_tokens=99) == (
                "1. search()",
                Completion("stop", Usage(20, 9, 16, 4)),
            )
        [request] = server.requests
        form = {"type": "grammar", "syntax": "lark", "definition": LARK.text}
        [plan_tool] = request.body.pop("tools")
        assert (plan_tool["type"], plan_tool["name"], plan_tool["format"]) == ("custom", "write_plan", form)
        assert request.body == {
            "model": "gpt-5",
            "input": QUESTION,
            "stream": True,
            "store": False,
            "reasoning": {"effort": "low"},
            "max_output_tokens": 99,
            "tool_choice": {"type": "custom", "name": "write_plan"},
            "parallel_tool_calls": False,
        }
        assert request.path == "/v1/responses"


async def test_a_strict_schema_is_the_format_of_the_text() -> None:
    async with serve(said('{"ta', 'sks": []}')) as server:
        model = OpenAIModel("gpt-4o", base_url=server.base_url, api_key=KEY, api="responses", temperature=0.0)
        async with closing(model):
            text, completion = await ask(model, grammar=SCHEMA)
        assert (text, completion.finish_reason) == ('{"tasks": []}', "stop")
        [request] = server.requests
        assert request.body["text"] == {
            "format": {"type": "json_schema", "name": "plan", "strict": True, "schema": json.loads(SCHEMA.text)}
        }
        assert request.body["temperature"] == 0.0


async def test_text_is_stopped_here_where_the_api_knows_no_stop() -> None:
    async with serve(said("1. join()<EN", "D_OF_PLAN> and", " more")) as server:
        async with closing(OpenAIModel("m", base_url=server.base_url, api_key=KEY, api="responses")) as model:
            text, completion = await ask(model, stop=["<END_OF_PLAN>"])
        assert (text, completion) == ("1. join()", Completion("stop", Usage(20, 9, 16, 4)))
        assert "stop" not in server.requests[0].body


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (Fault.DROP, FailureReason.FAILURE_REASON_MODEL_STREAM_CUT),
        (
            event("error", code="rate_limit_exceeded", message="slow down", param=None),
            FailureReason.FAILURE_REASON_MODEL_RATE_LIMITED,
        ),
        (
            event("response.failed", response=response("failed", error={"code": "server_error", "message": "broke"})),
            FailureReason.FAILURE_REASON_MODEL_UNAVAILABLE,
        ),
    ],
)
async def test_a_response_that_fails_has_its_reason(end: Any, reason: FailureReason) -> None:
    async with (
        serve(planned("1. se", end=end)) as server,
        closing(OpenAIModel("m", base_url=server.base_url, api_key=KEY, api="responses")) as model,
    ):
        with pytest.raises(ModelError) as raised:
            await ask(model, grammar=LARK)
    assert raised.value.reason == reason


async def test_a_response_that_ran_out_of_tokens_is_cut_off() -> None:
    end = event(
        "response.incomplete",
        response=response("incomplete", incomplete_details={"reason": "max_output_tokens"}, output=[]),
    )
    async with (
        serve(planned("1. se", end=end)) as server,
        closing(OpenAIModel("m", base_url=server.base_url, api_key=KEY, api="responses")) as model,
    ):
        assert await ask(model, grammar=LARK) == ("1. se", Completion("length", Usage(20, 9, 16, 4)))
