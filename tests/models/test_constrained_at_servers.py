"""Runs whose models sit behind local servers: verdicts held to a JSON schema, and grammars that a server refuses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest

from asking import DONE, KEY, closing, refusal
from dovetail import Engine, Limits
from dovetail.models import AzureModel, FriendliModel, Model, OpenAIModel
from dovetail.models.vllm import VllmModel
from dovetail.tools.definition import tool
from dovetail.v1 import Event
from fault_server import FaultServer, Script, chunk, serve, sse
from responses_wire import planned, said
from scripted import PATIENCE, ScriptedModel, facts, plan

pytestmark = pytest.mark.anyio

HEIGHT = {
    "type": "object",
    "properties": {"metres": {"type": "integer"}, "name": {"type": "string"}},
    "required": ["metres"],
}
REPLY = {"thought": "known.", "action": "finish", "answer": {"metres": 8849, "name": None}, "reason": None}
WORDS = {"thought": "known.", "action": "finish", "answer": "It is 8,849 m (29,032 ft) high.", "reason": None}
REPLAN = {"thought": "no.", "action": "replan", "answer": None, "reason": "the height of K2"}

MODELS: dict[str, Callable[[FaultServer], Model]] = {
    "friendli": lambda server: FriendliModel("m", base_url=server.base_url, api_key=KEY),
    "azure": lambda server: AzureModel("m", base_url=server.origin, api_key=KEY),
    "chat": lambda server: OpenAIModel("m", base_url=server.base_url, grammar_dialect="json_schema"),
}


@tool(read_only=True)
async def look(what: str) -> dict[str, Any]:
    """Looks something up."""
    return {"metres": 8849, "of": what}


TO_JOIN = plan('1. look("height")', "2. join()")


def chat(value: object) -> Script:
    text = json.dumps(value) if not isinstance(value, str) else value
    return Script([*(chunk(text[at : at + 9]) for at in range(0, len(text), 9)), *DONE])


async def events_of(planner: Model, joiner: Model, **options: Any) -> list[Event]:
    async with asyncio.timeout(PATIENCE), Engine([look], planner, joiner=joiner, **options) as engine:
        return [event async for event in engine.start("how high?").events()]


def asked_schema(server: FaultServer, number: int = 0) -> dict[str, Any]:
    form = server.requests[number].body["response_format"]
    assert (form["type"], form["json_schema"]["strict"]) == ("json_schema", True)
    schema: dict[str, Any] = form["json_schema"]["schema"]
    return schema


@pytest.mark.parametrize("provider", MODELS)
async def test_a_verdict_is_held_to_a_schema_where_a_provider_takes_nothing_else(provider: str) -> None:
    async with serve(chat(WORDS)) as server, closing(MODELS[provider](server)) as joiner:
        events = await events_of(ScriptedModel(TO_JOIN), joiner)
    assert facts(events, "run_answered")[0].answer == "It is 8,849 m (29,032 ft) high."
    pieces = [fact.text for fact in facts(events, "answer_text")]
    assert "".join(pieces) == "It is 8,849 m (29,032 ft) high."
    assert len(pieces) > 2
    jsonschema.Draft202012Validator(asked_schema(server)).validate(WORDS)
    jsonschema.Draft202012Validator(asked_schema(server)).validate(REPLAN)
    assert "Reply with JSON alone" in server.requests[0].body["messages"][0]["content"]


@pytest.mark.parametrize("provider", MODELS)
async def test_an_answer_by_schema_is_held_to_it_there(provider: str) -> None:
    async with serve(chat(REPLY)) as server, closing(MODELS[provider](server)) as joiner:
        events = await events_of(ScriptedModel(TO_JOIN), joiner, answer_schema=HEIGHT)
    assert facts(events, "run_answered")[0].answer == '{"metres":8849}'
    schema = asked_schema(server)
    jsonschema.Draft202012Validator(schema).validate(REPLY)
    assert not jsonschema.Draft202012Validator(schema).is_valid(WORDS)


async def test_a_joiner_held_to_a_schema_asks_for_another_plan() -> None:
    again = plan('3. look("K2")', "4. join()")
    async with serve(chat(REPLAN), chat(WORDS)) as server, closing(MODELS["friendli"](server)) as joiner:
        events = await events_of(ScriptedModel(TO_JOIN, again), joiner)
    assert facts(events, "replan_requested")[0].reason == "the height of K2"
    assert facts(events, "run_answered")[0].answer == WORDS["answer"]


async def test_a_joiner_that_must_answer_can_do_nothing_else() -> None:
    async with serve(chat(REPLAN), chat(WORDS)) as server, closing(MODELS["chat"](server)) as joiner:
        limits = Limits(max_replans=0)
        events = await events_of(ScriptedModel(TO_JOIN), joiner, limits=limits)
    assert facts(events, "run_answered")[0].incomplete
    assert not jsonschema.Draft202012Validator(asked_schema(server, 1)).is_valid(REPLAN)
    assert 'Reply with "finish"' in server.requests[1].body["messages"][1]["content"]


async def test_responses_hold_the_verdict_to_a_grammar_and_in_need_to_a_schema() -> None:
    refused = refusal("Hosted tool 'custom' is not supported with gpt-4o.", param="tools")
    async with serve(planned("Thought: known.\n", "Action: Finish(8,849 m)")) as server:
        model = OpenAIModel("m", base_url=server.base_url, api="responses")
        async with closing(model):
            events = await events_of(ScriptedModel(TO_JOIN), model)
        assert server.requests[0].body["tools"][0]["format"]["syntax"] == "lark"
    assert facts(events, "run_answered")[0].answer == "8,849 m"
    text = json.dumps(WORDS)
    async with serve(refused, said(text[:30], text[30:])) as server:
        async with closing(OpenAIModel("m", base_url=server.base_url, api="responses", max_retries=0)) as model:
            events = await events_of(ScriptedModel(TO_JOIN), model)
        lines, in_json = (request.body["input"][0]["content"] for request in server.requests)
        assert server.requests[1].body["text"]["format"]["type"] == "json_schema"
    assert facts(events, "run_answered")[0].answer == WORDS["answer"]
    assert ("Action: Finish(" in lines, "Action: Finish(" in in_json) == (True, False)
    [hint] = facts(events, "plan_diagnosed")
    assert "is asked for the answer with one in json_schema: the grammar in lark was refused" in hint.message


async def test_a_server_that_ignores_the_schema_is_read_all_the_same() -> None:
    replies = ["```json\n" + json.dumps(WORDS) + "\n```", "Thought: known.\nAction: Finish(8,849 m)", "It is 8,849 m."]
    answers = []
    for reply in replies:
        async with serve(chat(reply)) as server, closing(MODELS["chat"](server)) as joiner:
            events = await events_of(ScriptedModel(TO_JOIN), joiner)
        answers.append(facts(events, "run_answered")[0].answer)
    assert answers == [WORDS["answer"], "8,849 m", "It is 8,849 m."]


async def test_a_server_that_refuses_inside_of_its_stream_is_asked_in_the_next_notation() -> None:
    # As vLLM does: 200, and an error in the stream.
    error = {"message": "Failed to compile the grammar", "type": "BadRequestError", "param": None, "code": 400}
    refused = Script([sse({"error": error}), sse(b"[DONE]")])
    by_status = refusal("The structured_outputs backend does not support it")
    scripts = [refused, by_status, chat('1. look("height")\n2. join($1.metres)')]
    async with serve(*scripts) as server, closing(VllmModel("m", base_url=server.base_url, max_retries=0)) as model:
        events = await events_of(model, model)
    assert facts(events, "run_answered")[0].answer == "8849"
    asked = [request.body.get("structured_outputs", {}) for request in server.requests]
    assert [list(constraint) for constraint in asked] == [["grammar"], ["json"], []]
    assert [bool(call.failure.message) for call in facts(events, "model_call_ended")] == [True, True, False]
    assert [hint.code for hint in facts(events, "plan_diagnosed")] == ["grammar_refused", "grammar_refused"]


@pytest.mark.parametrize("provider", MODELS)
async def test_a_plan_is_held_to_a_schema_where_a_provider_takes_nothing_else_and_runs_while_it_is_written(
    provider: str,
) -> None:
    tasks = [{"tool": "look", "id": 1, "arguments": {"what": "the height of Everest"}}]
    first = json.dumps({"tasks": tasks})[:-2]  # the list of tasks and the plan are still open
    rest = asyncio.Event()

    @tool(read_only=True)
    async def look(what: str) -> dict[str, Any]:
        """Looks something up."""
        rest.set()
        return {"metres": 8849, "of": what}

    script = Script([chunk(first), rest, chunk('], "join": null}'), *DONE])
    async with serve(script, chat(WORDS)) as server, closing(MODELS[provider](server)) as model:
        async with asyncio.timeout(PATIENCE), Engine([look], model) as engine:
            events = [event async for event in engine.start("how high?").events()]
        schema = asked_schema(server)
        asked = server.requests[0].body
    assert facts(events, "run_answered")[0].answer == WORDS["answer"]
    assert facts(events, "plan_started")[0].grammar == "json_schema"
    jsonschema.Draft202012Validator(schema).validate({"tasks": tasks, "join": None})
    assert 'The plan is JSON: {"tasks":' in asked["messages"][0]["content"]
    assert "stop" not in asked
