"""A run that its client streams: its own tools are carried out once, and a broken stream is begun again."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from scripted_server import (
    PATIENCE,
    UNAVAILABLE,
    answered,
    ended,
    hang,
    refuse,
    reply,
    running,
    scripted,
    texts,
    within,
)

from dovetail import (
    CallContext,
    InvalidRequestError,
    NotFoundError,
    ServerUnavailableError,
    ToolDefinitionError,
    UsageError,
    tool,
    v1,
)
from dovetail.client import Approval
from dovetail.v1 import RunState

pytestmark = pytest.mark.anyio


def stream(*messages: v1.StreamRunResponse | Any, then: Any = None) -> Any:
    """An act of StreamRun: takes the start, gives messages (or what functions of the requests do), then ends."""

    async def act(requests: Any, context: Any) -> None:
        assert (await anext(requests)).HasField("start")
        for message in messages:
            if isinstance(message, v1.StreamRunResponse):
                await context.write(message)
            else:
                await message(requests, context)
        if then is not None:
            await then(requests, context)

    return act


def down(*events: list[v1.Event], **fields: Any) -> v1.StreamRunResponse:
    return v1.StreamRunResponse(events=[event for batch in events for event in batch], **fields)


def begun(*events: list[v1.Event], **fields: Any) -> v1.StreamRunResponse:
    return down(*events, run=running(create_time=Timestamp(seconds=7)), **fields)


def call(call_id: str, name: str, arguments: Any, task_id: int = 1, timeout: float | None = None) -> v1.ClientToolCall:
    made = v1.ClientToolCall(call_id=call_id, task_id=task_id, tool=name, arguments_json=json.dumps(arguments))
    if timeout is not None:
        made.timeout.CopyFrom(Duration(seconds=int(timeout), nanos=int(timeout % 1 * 1e9)))
    return made


async def result(requests: Any) -> v1.ClientToolResult:
    request = await asyncio.wait_for(anext(requests), PATIENCE)
    assert request.HasField("tool_result"), request
    return request.tool_result


async def test_a_tool_of_the_client_is_carried_out_and_its_output_goes_up() -> None:
    contexts = []
    left: list[float | None] = []

    @tool
    async def height(mountain: str, call: CallContext) -> int:
        """How high."""
        contexts.append(call)
        left.append(call.seconds_left())
        return 8849

    async def answer(requests: Any, context: Any) -> None:
        assert (await result(requests)).outcome.output_json == "8849"
        await context.write(down(answered(2, "8849 m")))

    async with scripted() as (server, client):
        calls = begun(texts(1), calls=[call("1.1", "height", {"mountain": "Everest"}, timeout=60)])
        server.on("StreamRun", stream(calls, answer))
        run = await within(client.stream("?", client_tools=[height], run_id="r", tools=["feet"]))
        assert await within(run.answer()) == "8849 m"
        assert [event.sequence async for event in run.events()] == [1, 2, 3]
        assert [event.sequence async for event in run.events(2)] == [3]
        assert await within(run.wait()) == RunState.RUN_STATE_ANSWERED
        start = server.requests["StreamRun"][0].start
    assert [spec.name for spec in start.client_tools] == ["height"]
    assert "call" not in start.client_tools[0].input_schema_json
    assert (contexts[0].run_id, contexts[0].task_id, contexts[0].call_id) == ("r", 1, "1.1")
    assert 30 < (left[0] or 0) <= 60


async def test_a_stream_that_breaks_is_begun_again_and_no_call_is_made_twice() -> None:
    made = []
    finish = asyncio.Event()

    @tool
    async def press(button: str) -> str:
        """Presses."""
        made.append(button)
        await finish.wait()
        return "pressed"

    pressing = call("1.1", "press", {"button": "red"})

    async def release(requests: Any, context: Any) -> None:
        finish.set()
        assert (await result(requests)).call_id == "1.1"
        # Lost on the way: the stream breaks before it is recorded.

    async def again(requests: Any, context: Any) -> None:
        assert (await result(requests)).outcome.output_json == '"pressed"'
        settled = v1.Event(sequence=4, task_succeeded=v1.TaskSucceeded(task_id=1, output_json='"pressed"'))
        await context.write(down([settled], calls=[pressing]))
        await context.write(down(ended(5)))

    async with scripted() as (server, client):
        server.on(
            "StreamRun",
            stream(begun(texts(1, 2), calls=[pressing]), then=UNAVAILABLE),
            UNAVAILABLE,
            stream(begun(texts(1, 2, 3), calls=[pressing]), release, then=UNAVAILABLE),
            stream(begun(texts(1, 2, 3)), again),
        )
        run = await within(client.stream("?", client_tools=[press], run_id="r"))
        assert [event.sequence async for event in run.events()] == [1, 2, 3, 4, 5]
        starts = [one.start for one in server.requests["StreamRun"] if one.HasField("start")]
    assert made == ["red"]
    assert all(start == starts[0] for start in starts)


async def test_a_stream_that_cannot_be_resumed_ends_for_all_who_wait() -> None:
    async with scripted(patience=0.3) as (server, client):
        server.on("StreamRun", stream(begun(texts(1)), then=UNAVAILABLE), UNAVAILABLE)
        run = await within(client.stream("?"))
        with pytest.raises(ServerUnavailableError, match="shutting down"):
            await within(run.answer())
        with pytest.raises(ServerUnavailableError, match="shutting down"):
            await within(run.wait())


async def test_a_run_that_its_server_lost_is_not_taken_for_the_one_begun_anew() -> None:
    async with scripted() as (server, client):
        anew = v1.StreamRunResponse(run=running(create_time=Timestamp(seconds=8)), events=texts(1))
        server.on("StreamRun", stream(begun(texts(1, 2)), then=UNAVAILABLE), stream(anew, then=hang))
        run = await within(client.stream("?", run_id="r"))
        with pytest.raises(ServerUnavailableError, match="lost run r and has begun it anew"):
            await within(run.answer())


async def test_a_run_that_is_refused_is_an_error_at_once() -> None:
    async with scripted() as (server, client):
        server.on("StreamRun", refuse(grpc.StatusCode.NOT_FOUND, "no tool feet", "TOOL_NOT_FOUND"))
        with pytest.raises(NotFoundError, match="no tool feet"):
            await within(client.stream("?", tools=["feet"]))


async def test_a_run_that_does_not_begin_in_time_says_what_was_met() -> None:
    async with scripted() as (server, client):
        server.on("StreamRun", UNAVAILABLE)
        with pytest.raises(ServerUnavailableError, match="shutting down"):
            await within(client.stream("?", timeout=2))
        server.on("StreamRun", hang)
        with pytest.raises(ServerUnavailableError, match=r"did not take the run on within 0\.2 s"):
            await within(client.stream("?", timeout=0.2))


async def test_what_goes_wrong_in_a_tool_is_its_failure() -> None:
    @tool
    async def broken() -> str:
        """Fails."""
        raise ValueError("no luck")

    @tool
    async def odd() -> object:
        """Returns what is no JSON."""
        return object()

    @tool(max_output_bytes=10)
    async def wordy() -> str:
        """Returns too much."""
        return "x" * 100

    @tool
    async def leaving() -> str:
        """Cancels itself."""
        raise asyncio.CancelledError

    @tool
    async def slow() -> str:
        """Swallows its cancellation."""
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "too late"
        return ""

    tools = [broken, odd, wordy, leaving, slow]
    outcomes: dict[str, v1.CallFailure] = {}

    async def gather(requests: Any, context: Any) -> None:
        while len(outcomes) < len(tools) + 1:
            one = await result(requests)
            assert one.call_id not in outcomes
            outcomes[one.call_id] = one.outcome.failure
        await context.write(down(ended(1)))

    async with scripted() as (server, client):
        calls = [call(one.name, one.name, {}, timeout=0.1 if one is slow else None) for one in tools]
        calls.append(call("unknown", "unknown", {}))
        server.on("StreamRun", stream(begun(calls=calls), gather))
        run = await within(client.stream("?", client_tools=tools))
        await within(run.wait())
    kinds = {name: v1.CallFailure.Kind.Name(failure.kind) for name, failure in outcomes.items()}
    assert kinds == {
        "broken": "KIND_ERROR",
        "odd": "KIND_OUTPUT_INVALID",
        "wordy": "KIND_OUTPUT_TOO_LARGE",
        "leaving": "KIND_ERROR",
        "slow": "KIND_TIMEOUT",
        "unknown": "KIND_ERROR",
    }
    assert outcomes["broken"].message == "ValueError: no luck"
    assert outcomes["slow"].message == "slow took longer than its timeout of 0.1 s"
    assert outcomes["unknown"].message.startswith("the client serves no tool 'unknown'; it serves broken, ")


async def test_a_call_that_is_cancelled_is_stopped_and_nothing_is_said_of_it() -> None:
    stopped = asyncio.Event()
    started = asyncio.Event()

    @tool
    async def endless(name: str) -> str:
        """Never ends by itself."""
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()
        return name

    @tool
    async def ping() -> str:
        """Answers."""
        return "pong"

    async def cancel(requests: Any, context: Any) -> None:
        await within(started.wait())
        both = [call("2.1", "ping", {}, 2), call("3.1", "endless", {"name": "never begun"}, 3)]
        await context.write(down(cancelled_call_ids=["1.1", "3.1"], calls=both))
        assert (await result(requests)).call_id == "2.1"
        await context.write(down(ended(1)))

    async with scripted() as (server, client):
        server.on("StreamRun", stream(begun(calls=[call("1.1", "endless", {"name": "x"})]), cancel))
        run = await within(client.stream("?", client_tools=[endless, ping]))
        await within(run.wait())
        assert stopped.is_set()


async def test_closing_the_run_ends_its_stream_and_its_calls() -> None:
    stopped = asyncio.Event()
    started = asyncio.Event()

    @tool
    async def endless() -> str:
        """Never ends by itself."""
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()
        return ""

    async with scripted() as (server, client):
        server.on("StreamRun", stream(begun(texts(1), calls=[call("1.1", "endless", {})]), then=hang))
        run = await within(client.stream("?", client_tools=[endless], cancel_on_disconnect=True))
        assert server.requests["StreamRun"][0].start.cancel_on_disconnect
        await within(started.wait())
        waiting = asyncio.create_task(run.answer())
        await within(run.aclose())
        await server.until_cancelled("StreamRun")
        with pytest.raises(UsageError, match="was closed before the run ended"):
            await within(waiting)
        assert stopped.is_set()


async def test_leaving_the_client_ends_the_streams_of_its_runs() -> None:
    async with scripted() as (server, client):
        server.on("StreamRun", stream(begun(texts(1)), then=hang))
        run = await within(client.stream("?"))
        events = run.events()
        assert (await within(anext(events))).sequence == 1
        await client.aclose()
        await server.until_cancelled("StreamRun")
        with pytest.raises(UsageError, match="was closed before the run ended"):
            await within(anext(events))


async def test_a_function_that_can_be_no_tool_is_refused_before_anything_is_sent() -> None:
    def nothing(*things: int) -> None:
        """Takes what no schema can say."""

    async with scripted() as (server, client):
        with pytest.raises(ToolDefinitionError):
            await client.stream("?", client_tools=[nothing])
        assert server.requests == {}


WAITING = [
    v1.Event(sequence=1, task_planned=v1.TaskPlanned(task_id=4, tool="delete")),
    v1.Event(sequence=2, task_ready=v1.TaskReady(task_id=4, arguments_json='{"path":"/"}')),
    v1.Event(sequence=3, approval_requested=v1.ApprovalRequested(task_id=4, reason="the rule delete")),
]


async def test_who_streams_a_run_is_asked_for_approval_until_the_decision_can_be_used() -> None:
    asked: list[Approval] = []
    resolved = asyncio.Event()

    async def decide(approval: Approval) -> v1.ApprovalDecision:
        asked.append(approval)
        return approval.approve({"path": 1} if not approval.refusal else {"path": "/tmp"}, reason="go on")

    async def accept(_: Any, __: Any) -> v1.ResolveApprovalResponse:
        resolved.set()
        return v1.ResolveApprovalResponse(run=running())

    async def after(_: Any, context: Any) -> None:
        await within(resolved.wait())
        await context.write(down(ended(4)))

    async with scripted() as (server, client):
        refused = refuse(grpc.StatusCode.INVALID_ARGUMENT, "path is no text", "INVALID_FIELD")
        server.on("ResolveApproval", UNAVAILABLE, refused, accept)
        server.on("StreamRun", stream(begun(WAITING), after))
        run = await within(client.stream("?", run_id="r", on_approval=decide))
        await within(run.wait())
        last = server.requests["ResolveApproval"][-1].decision
    assert asked[0] == Approval("r", 4, "delete", '{"path":"/"}', reason="the rule delete")
    assert asked[1].refusal == "path is no text"
    assert (last.approve, last.arguments_json, last.reason) == (True, '{"path":"/tmp"}', "go on")


async def test_what_cannot_be_decided_is_rejected() -> None:
    async def decide(_: Approval) -> v1.ApprovalDecision:
        raise LookupError("nobody is there")

    async with scripted() as (server, client):
        server.on("ResolveApproval", reply(v1.ResolveApprovalResponse(run=running())))
        server.on("StreamRun", stream(begun(WAITING), then=hang))
        run = await within(client.stream("?", on_approval=decide))
        await server.until_arrived("ResolveApproval")
        decision = server.requests["ResolveApproval"][0].decision
        await within(run.aclose())
    assert (decision.approve, decision.reason) == (False, "on_approval raised LookupError: nobody is there")


async def test_a_question_is_withdrawn_when_somebody_else_has_decided() -> None:
    withdrawn = asyncio.Event()
    asked = asyncio.Event()

    async def decide(approval: Approval) -> v1.ApprovalDecision:
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            withdrawn.set()
        return approval.reject()

    async def resolve(_: Any, context: Any) -> None:
        await within(asked.wait())
        resolved = v1.Event(sequence=4, approval_resolved=v1.ApprovalResolved(task_id=4, approved=True))
        await context.write(down([resolved]))
        await within(withdrawn.wait())
        await context.write(down(ended(5)))

    async with scripted() as (server, client):
        server.on("StreamRun", stream(begun(WAITING), resolve))
        run = await within(client.stream("?", on_approval=decide))
        await within(run.wait())
        assert "ResolveApproval" not in server.requests


async def test_a_stream_whose_approvals_are_refused_for_good_fails() -> None:
    async def decide(approval: Approval) -> v1.ApprovalDecision:
        return approval.approve()

    async with scripted() as (server, client):
        server.on("ResolveApproval", refuse(grpc.StatusCode.NOT_FOUND, "no run r", "RUN_NOT_FOUND"))
        server.on("StreamRun", stream(begun(WAITING), then=hang))
        run = await within(client.stream("?", on_approval=decide))
        with pytest.raises(NotFoundError, match="no run r"):
            await within(run.answer())


async def test_the_steps_of_a_plan_come_as_its_text_goes_up() -> None:
    outcomes = []

    async def act(requests: Any, context: Any) -> None:
        assert list((await anext(requests)).start.tools) == ["height"]
        assert (await anext(requests)).text == "1. height("
        assert (await anext(requests)).text == '"K2")\n2. join($1)'
        planned = v1.Step(task_planned=v1.TaskPlanned(task_id=1, tool="height"))
        await context.write(v1.CompilePlanResponse(steps=[planned, v1.Step(task_ready=v1.TaskReady(task_id=1))]))
        outcomes.append((await anext(requests)).outcome)
        await context.write(v1.CompilePlanResponse(steps=[v1.Step(plan_closed=v1.PlanClosed(plan=1))]))
        assert await anext(requests, None) is None

    async with scripted() as (server, client):
        server.on("CompilePlan", act)
        pieces = ["1. height(", "", '"K2")\n2. join($1)']
        steps = client.compile_plan(pieces, tools=["height"], outputs={1: 8611, 9: 0})
        kinds = [step.WhichOneof("step") async for step in steps]
    assert kinds == ["task_planned", "task_ready", "plan_closed"]
    assert outcomes == [v1.TaskOutcome(task_id=1, output_json="8611")]


async def test_what_the_source_of_a_plan_raises_is_raised() -> None:
    async def source() -> Any:
        yield "1. height("
        raise LookupError("the model is gone")

    async def listen(requests: Any, _: Any) -> None:
        async for _ in requests:
            pass

    async with scripted() as (server, client):
        server.on("CompilePlan", listen)
        with pytest.raises(LookupError, match="the model is gone"):
            await within(anext(client.compile_plan(source())))
        server.on("CompilePlan", refuse(grpc.StatusCode.INVALID_ARGUMENT, "no such schema", "INVALID_FIELD"))
        with pytest.raises(InvalidRequestError, match="no such schema"):
            await within(anext(client.compile_plan("1. height()")))
