"""Fifty secrets, pushed through everything that a tool can say: none is found in events, logs, prompts or answers."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import json
import logging
import random
from typing import Annotated, Any

import pydantic
import pytest
from google.protobuf.json_format import MessageToJson
from peer import serving as attach

from dovetail import CallContext, Secret, Tool, tool, v1
from dovetail.executor import ExecutorState
from dovetail_server.log import open_log
from live import PATIENCE, serving
from scripted import ScriptedModel, events_of, facts, finish

pytestmark = pytest.mark.anyio

COUNT = 50
PLAN = "\n".join([*(f"{n + 1}. leak{n}()" for n in range(COUNT)), "join()"])


class _OwnError(Exception):
    def __str__(self) -> str:
        return f"own: {self.args!r} {self.__dict__}"


class _Holder(pydantic.BaseModel):
    key: Secret


@dataclasses.dataclass
class _Record:
    key: Secret
    text: str


def _leak(number: int, key: Secret, call: CallContext) -> Any:
    """Each number is another way to let a secret out."""
    value = key.reveal()
    call.report(0.5, f"with {value} on {key}")
    logging.getLogger("dovetail.test").warning("called with %s and %r", key, key)
    match number % 10:
        case 0:
            return value
        case 1:
            return {"header": f"Bearer {value}", value: [value, {"deep": [value]}]}
        case 2:
            return [key, _Holder(key=key), _Record(key, value)]
        case 3:
            raise ValueError(f"401 for {value}")
        case 4:
            raise _OwnError(value, {"token": value})
        case 5:
            try:
                raise KeyError(value)
            except KeyError as error:
                raise RuntimeError("the request failed") from error
        case 6:
            raise ExceptionGroup(f"several: {value}", [ValueError(value)])
        case 7:
            raise asyncio.CancelledError(f"gave up with {value}")
        case 8:
            return object() if number % 20 == 8 else {value: float("nan")}
        case _:
            return f"{key} {key!r} {str(key) + value + str(key)}"


def _tools(values: dict[str, str], *, blocking: bool) -> list[Tool]:
    """A tool for each secret; what it may not say is what its variable holds."""
    made: list[Tool] = []
    for number, variable in enumerate(values):

        def leak(call: CallContext, key: Any, number: int = number) -> Any:
            return _leak(number, key, call)

        async def leak_async(call: CallContext, key: Any, number: int = number) -> Any:
            return _leak(number, key, call)

        function: Any = leak if blocking else leak_async
        function.__annotations__ = {"call": CallContext, "key": Annotated[Secret, variable], "number": int}
        made.append(tool(name=f"leak{number}")(function))
    return made


@pytest.fixture
def canaries(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    rng = random.Random(50)
    marks = ("", '"', "\\", "'", "é", "%", "+/=", "$1", "\n", "{}")
    values = {f"CANARY_{n}": f"canary{n}-{rng.randbytes(8).hex()}{marks[n % len(marks)]}x" for n in range(COUNT)}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return values


def _found(values: dict[str, str], *texts: str) -> list[str]:
    """The secrets that are in any of the texts: by what is random of them, which no quoting changes."""
    marks = {name: value.split("-")[1][:16] for name, value in values.items()}
    return [name for name, mark in marks.items() if any(mark in text for text in texts)]


@pytest.mark.parametrize("blocking", [True, False])
async def test_fifty_secrets_are_in_no_event_no_prompt_and_no_log(
    canaries: dict[str, str], blocking: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    tools = _tools(canaries, blocking=blocking)
    model = ScriptedModel(
        "\n".join([*(f"{n + 1}. leak{n}()" for n in range(COUNT)), "join()"]),
        "Action: Replan(more)",
        "join()",
        finish("x"),
    )
    events = await events_of(tools, model)
    assert len(facts(events, "task_succeeded")) + len(facts(events, "task_failed")) == COUNT
    said = [MessageToJson(event, ensure_ascii=False) for event in events]
    assert _found(canaries, *said, *map(str, events)) == []
    assert _found(canaries, json.dumps([list(messages) for messages in model.asked])) == []
    assert "CANARY" not in json.dumps(model.asked[0][0])
    assert _found(canaries, caplog.text) == []
    # They were there, and say so; but for errors that never had the secret in their own text, or lost it with it.
    assert sum("[secret CANARY_" in text for text in said) >= COUNT * 7 // 10


async def test_fifty_secrets_of_an_executor_never_reach_its_server(canaries: dict[str, str]) -> None:
    lines = io.StringIO()
    tools = _tools(canaries, blocking=False)
    with open_log("debug", "json", stream=lines):
        async with (
            asyncio.timeout(PATIENCE),
            serving(log_payloads=True) as live,
            attach(tools, live.address, max_parallel_calls=COUNT) as executor,
        ):
            await executor.state(ExecutorState.ATTACHED)
            events = await live.events(await live.create(PLAN))
    ended = [event for event in events if event.WhichOneof("fact") in ("task_succeeded", "task_failed")]
    assert len(ended) == COUNT
    assert _found(canaries, *map(str, events), lines.getvalue()) == []
    assert "[secret CANARY_3]" in "".join(map(str, events))


async def test_a_late_secret_that_is_missing_is_a_failure_that_names_the_variable_and_the_others_go_on(
    canaries: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CANARY_0")
    tools = [
        dataclasses.replace(one, secrets=tuple(dataclasses.replace(secret, late=True) for secret in one.secrets))
        for one in _tools(dict(list(canaries.items())[:2]), blocking=False)
    ]
    events = await events_of(tools, ScriptedModel("1. leak0()\n2. leak1()\njoin()", finish("x")))
    (failed,) = facts(events, "task_failed")
    assert "the environment variable CANARY_0 is not set" in failed.failure.message
    assert failed.failure.reason == v1.FailureReason.FAILURE_REASON_TOOL_ERROR
    assert [fact.task_id for fact in facts(events, "task_succeeded")] == [2]


async def test_a_plan_cannot_give_or_ask_for_a_secret(canaries: dict[str, str]) -> None:
    tools = _tools(dict(list(canaries.items())[:1]), blocking=False)
    plan = '1. leak0(key="mine")\n2. leak0(key="[secret CANARY_0]")\n3. leak0(CANARY_0)\njoin()'
    events = await events_of(tools, ScriptedModel(plan, finish("x")))
    assert facts(events, "call_started") == []
    assert len(facts(events, "task_failed")) == 3
