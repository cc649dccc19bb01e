"""StreamRun as `docs/protocol.md` has it: joined, cut and taken up again. Of bare gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from dovetail import v1
from dovetail.models.protocol import Message, ModelStream
from dovetail.tools.definition import tool
from dovetail.v1 import RunState
from dovetail_server.client_tools import ClientMailbox
from dovetail_server.refusal import Refusal
from live import PATIENCE, Echo, Live, serving
from raw_executor import OK, End, end_of, failures, in_order, names, outputs, spec

pytestmark = pytest.mark.anyio

MINE = spec("mine")
ONE = "1. mine(1)\n2. join($1)"


@tool(read_only=True)
async def blob(n: int) -> str:
    """So many letters."""
    return "x" * n


@tool(approval=True)
async def ask(n: int) -> int:
    """Asks first."""
    return n


class Listening(Echo):
    """Remembers what its joiner was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def stream(self, messages: Sequence[Message], **rest: Any) -> ModelStream:
        self.asked.append("\n".join(str(message["content"]) for message in messages))
        async for piece in super().stream(messages, **rest):
            yield piece


class RawStream:
    """A stream of a run, and what came on it."""

    def __init__(self, live: Live) -> None:
        self.call = live.runs.StreamRun()
        self.events: list[v1.Event] = []

    async def send(self, **fields: Any) -> None:
        async with asyncio.timeout(PATIENCE):
            await self.call.write(v1.StreamRunRequest(**fields))

    async def settle(self, call: v1.ClientToolCall, output_json: str = "1") -> None:
        outcome = v1.CallOutcome(output_json=output_json)
        await self.send(tool_result=v1.ClientToolResult(call_id=call.call_id, outcome=outcome))

    async def receive(self) -> v1.StreamRunResponse:
        async with asyncio.timeout(PATIENCE):
            message = await self.call.read()
        assert isinstance(message, v1.StreamRunResponse), "the stream has ended"
        self.events += message.events
        return message

    async def until(self, wanted: Callable[[v1.StreamRunResponse], object]) -> v1.StreamRunResponse:
        while not wanted(message := await self.receive()):
            pass
        return message

    async def fact(self, name: str) -> None:
        """Read until an event with this fact has come."""
        while name not in names(self.events):
            await self.receive()

    async def one_call(self) -> v1.ClientToolCall:
        calls = (await self.until(lambda message: message.calls)).calls
        assert len(calls) == 1
        return calls[0]

    async def end(self) -> End:
        """Read to the end."""
        try:
            async with asyncio.timeout(PATIENCE):
                while (message := await self.call.read()) is not grpc.aio.EOF:
                    self.events += message.events
        except grpc.aio.AioRpcError:
            pass
        return await end_of(self.call)


@asynccontextmanager
async def streaming(live: Live, question: str, **fields: Any) -> AsyncIterator[RawStream]:
    """A stream that started a run, or joined it. At the end it is dropped."""
    stream = RawStream(live)
    try:
        await stream.send(start=v1.CreateRunRequest(question=question, **fields))
        yield stream
    finally:
        stream.call.cancel()
        await stream.call.code()


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [v1.StreamRunRequest()],
        [v1.StreamRunRequest(cancel=v1.StreamCancel())],
        [v1.StreamRunRequest(tool_result=v1.ClientToolResult(call_id="1.1"))],
        [v1.StreamRunRequest(start=v1.CreateRunRequest(question=ONE, client_tools=[MINE]))] * 2,
    ],
    ids=["nothing", "empty", "cancel", "result", "start twice"],
)
async def test_a_start_comes_first_and_once(messages: list[v1.StreamRunRequest]) -> None:
    async with serving() as live:
        call = live.runs.StreamRun(iter(messages))
        assert await end_of(call) == End("FAILED_PRECONDITION", "WRONG_MESSAGE")


async def test_a_stream_tells_of_its_run_from_the_first_event_to_the_last() -> None:
    async with serving([blob]) as live, streaming(live, "1. blob(3)\n2. join($1)", run_id="mine") as stream:
        first = await stream.receive()
        assert (first.run.run_id, first.run.question) == ("mine", "1. blob(3)\n2. join($1)")
        await stream.call.done_writing()
        assert await stream.end() == OK
        assert in_order(stream.events)
        assert (names(stream.events)[0], names(stream.events)[-1]) == ("run_started", "run_ended")
        # Whoever asks the same again, also when all is over, is told all of it again.
        async with streaming(live, "1. blob(3)\n2. join($1)", run_id="mine") as again:
            assert (await again.receive()).run.state == RunState.RUN_STATE_ANSWERED
            assert await again.end() == OK
            assert again.events == stream.events


async def test_a_client_carries_out_its_own_tools() -> None:
    tools = [spec("mine", timeout=Duration(seconds=60)), spec("other")]
    async with (
        serving([blob]) as live,
        streaming(live, "1. mine(7)\n2. other($1)\n3. join($2)", client_tools=tools) as s,
    ):
        run = (await s.receive()).run
        assert list(run.tools) == ["mine", "other"]  # and none of the server's, of which none was named
        call = await s.one_call()
        assert (call.task_id, call.tool, call.arguments_json) == (1, "mine", '{"a":7}')
        assert 30e9 < call.timeout.ToNanoseconds() <= 60e9
        await s.send(tool_result=v1.ClientToolResult(call_id="never was"))
        await s.settle(call, '"first"')
        await s.settle(call, '"second"')  # which is ignored
        call = await s.one_call()
        assert call.arguments_json == '{"a":"first"}'
        failure = v1.CallFailure(message="no", kind=v1.CallFailure.KIND_ERROR)
        outcome = v1.CallOutcome(failure=failure)
        await s.send(tool_result=v1.ClientToolResult(call_id=call.call_id, outcome=outcome))
        assert await s.end() == OK
        assert (outputs(s.events), failures(s.events)) == ({1: '"first"'}, {2: "TOOL_ERROR"})


async def test_tools_of_the_client_and_of_the_server_go_together_unless_their_names_clash() -> None:
    async with serving([blob]) as live:
        both = "1. blob(2)\n2. mine($1)\n3. join($2)"
        async with streaming(live, both, client_tools=[MINE], tools=["blob"]) as stream:
            await stream.settle(await stream.one_call(), "5")
            assert await stream.end() == OK
            assert outputs(stream.events) == {1: '"xx"', 2: "5"}
        for tools, field in (([spec("blob")], "[0].name"), ([MINE, MINE], "[1].name"), ([MINE] * 129, "")):
            async with streaming(live, both, client_tools=tools, tools=["blob"]) as stream:
                assert await stream.end() == End("INVALID_ARGUMENT", "INVALID_FIELD", f"client_tools{field}")


async def test_calls_that_are_not_answered_come_again_on_the_next_stream() -> None:
    asked: dict[str, Any] = {
        "question": "1. mine(1)\n2. mine(2)\n3. join()",
        "run_id": "mine",
        "client_tools": [spec("mine", timeout=Duration(seconds=50))],
    }
    async with serving() as live:
        async with streaming(live, **asked) as first:
            calls: list[v1.ClientToolCall] = []
            while len(calls) < 2:
                calls += (await first.receive()).calls
            await first.settle(calls[0], '"before"')
            await first.fact("task_succeeded")
        async with streaming(live, **asked) as second:
            call = await second.one_call()
            assert (call.call_id, call.arguments_json) == (calls[1].call_id, calls[1].arguments_json)
            assert call.timeout.ToNanoseconds() < calls[1].timeout.ToNanoseconds()
            await second.settle(calls[0], '"again"')
            await second.settle(call, '"after"')
            assert await second.end() == OK
            assert in_order(second.events)
            assert outputs(second.events) == {1: '"before"', 2: '"after"'}
            assert names(second.events).count("call_started") == 2


async def test_calls_go_to_the_stream_that_came_last() -> None:
    asked: dict[str, Any] = {"question": "1. mine(1)\n2. mine($1)\n3. join($2)", "run_id": "m", "client_tools": [MINE]}
    async with serving() as live, streaming(live, **asked) as first:
        call = await first.one_call()
        async with streaming(live, **asked) as second:
            assert (await second.one_call()).call_id == call.call_id
            await first.settle(call, "1")  # any stream of the run may say it
            await second.settle(await second.one_call(), "2")
            assert await second.end() == OK
        assert await first.end() == OK
        assert first.events == second.events


async def test_more_calls_than_a_message_may_carry_come_in_several() -> None:
    lines = ["1. blob(900000)", *(f"{number}. mine($1)" for number in range(2, 9)), "9. join($2)"]
    asked: dict[str, Any] = {"tools": ["blob"], "client_tools": [MINE]}
    async with serving([blob]) as live, streaming(live, "\n".join(lines), **asked) as stream:
        calls: list[v1.ClientToolCall] = []
        while len(calls) < 7:
            calls += (await stream.receive()).calls
        assert {len(call.arguments_json) for call in calls} == {900_008}
        for call in calls:
            await stream.settle(call)
        assert await stream.end() == OK
        assert len(outputs(stream.events)) == 8


async def test_the_time_of_a_clients_call_ends_at_the_server() -> None:
    tools = [spec("mine", timeout=Duration(nanos=500_000_000))]
    async with serving() as live, streaming(live, ONE, client_tools=tools) as stream:
        call = await stream.one_call()
        assert (await stream.until(lambda message: message.cancelled_call_ids)).cancelled_call_ids == [call.call_id]
        assert await stream.end() == OK
        assert failures(stream.events) == {1: "TIMEOUT"}


async def test_a_client_tells_how_far_its_calls_are_and_what_is_no_call_is_ignored() -> None:
    async with serving() as live, streaming(live, ONE, client_tools=[MINE]) as stream:
        call = await stream.one_call()
        for progress in (
            v1.ClientToolProgress(call_id="never was", fraction=0.1),
            v1.ClientToolProgress(call_id=call.call_id, fraction=7, message="x" * 2_000),
        ):
            await stream.send(tool_progress=progress)
        await stream.fact("call_progressed")
        await stream.settle(call)
        await stream.send(tool_progress=v1.ClientToolProgress(call_id=call.call_id, message="late"))
        assert await stream.end() == OK
    told = [event.call_progressed for event in stream.events if event.HasField("call_progressed")]
    assert [(one.task_id, one.call_id, one.fraction) for one in told] == [(1, "1.1", 1.0)]
    assert 900 < len(told[0].message) <= 1_000


async def test_progress_of_a_clients_call_puts_off_its_idle_timeout() -> None:
    tool = spec("mine", policy=v1.ToolPolicy(idle_timeout=Duration(seconds=2)))
    question = "1. mine(1)\n2. mine(2)\n3. join($1)"
    async with serving() as live, streaming(live, question, client_tools=[tool]) as stream:
        calls: list[v1.ClientToolCall] = []
        while len(calls) < 2:
            calls += (await stream.receive()).calls
        heard, silent = calls
        until = asyncio.get_running_loop().time() + 3
        while asyncio.get_running_loop().time() < until:
            await asyncio.sleep(0.2)  # which is how often it tells of it
            await stream.send(tool_progress=v1.ClientToolProgress(call_id=heard.call_id))
        await stream.settle(heard, "5")
        assert await stream.end() == OK
    assert outputs(stream.events) == {heard.task_id: "5"}
    assert failures(stream.events) == {silent.task_id: "TIMEOUT"}


async def test_a_stream_can_cancel_its_run_and_is_told_the_rest() -> None:
    async with serving() as live, streaming(live, ONE, client_tools=[MINE]) as stream:
        call = await stream.one_call()
        await stream.send(cancel=v1.StreamCancel(reason="enough"))
        assert await stream.end() == OK
        reasons = [event.cancel_requested.reason for event in stream.events if event.HasField("cancel_requested")]
        assert reasons == ["enough"]
        assert stream.events[-1].run_ended.state == RunState.RUN_STATE_CANCELLED
        assert failures(stream.events) == {call.task_id: "CANCELLED"}


@pytest.mark.parametrize("cancel_on_disconnect", [True, False])
async def test_a_run_outlives_its_stream_unless_it_was_asked_not_to(cancel_on_disconnect: bool) -> None:
    asked: dict[str, Any] = {"run_id": "m", "cancel_on_disconnect": cancel_on_disconnect, "client_tools": [MINE]}
    async with serving() as live:
        async with streaming(live, ONE, **asked) as stream:
            await stream.one_call()
        if not cancel_on_disconnect:
            assert (await live.runs.GetRun(v1.GetRunRequest(run_id="m"))).run.state == RunState.RUN_STATE_RUNNING
            async with streaming(live, ONE, **asked) as again:
                await again.settle(await again.one_call())
                assert await again.end() == OK
        ended = (await live.events("m"))[-1].run_ended
        wanted = RunState.RUN_STATE_CANCELLED if cancel_on_disconnect else RunState.RUN_STATE_ANSWERED
        assert ended.state == wanted


async def test_approvals_are_given_on_the_stream_and_those_that_do_not_fit_come_back() -> None:
    async with serving([ask]) as live, streaming(live, "1. ask(1)\n2. join($1)") as stream:
        await stream.fact("approval_requested")
        await stream.send(approval=v1.ApprovalDecision(task_id=1, approve=True, arguments_json='{"n": "x"}'))
        refused = (await stream.until(lambda message: message.refused_approvals)).refused_approvals
        assert [one.task_id for one in refused] == [1]
        assert "n" in refused[0].message
        await stream.send(approval=v1.ApprovalDecision(task_id=9, approve=True))
        refused = (await stream.until(lambda message: message.refused_approvals)).refused_approvals
        assert [one.task_id for one in refused] == [9]
        await stream.send(approval=v1.ApprovalDecision(task_id=1, approve=True, arguments_json='{"n": 42}'))
        assert await stream.end() == OK
        assert outputs(stream.events) == {1: "42"}


async def test_the_reason_of_a_rejection_reaches_the_joiner() -> None:
    model = Listening()
    serve = serving([ask], models={"echo:plan": model})
    async with serve as live, streaming(live, "1. ask(1)\n2. join()") as stream:
        await stream.fact("approval_requested")
        await stream.send(approval=v1.ApprovalDecision(task_id=1, reason="far too dear", arguments_json="ignored"))
        assert await stream.end() == OK
        assert failures(stream.events) == {1: "APPROVAL_REJECTED"}
        assert "far too dear" in model.asked[-1]


def test_refused_approvals_that_nobody_reads_are_not_kept_for_ever() -> None:
    # Without a stream: how much of it a transport takes for a reader that has stalled is not for a test to know.
    mailbox = ClientMailbox()
    for task_id in range(1_000):
        mailbox.refuse(task_id, "does not wait")
    with pytest.raises(Refusal) as refused:
        mailbox.refuse(1_000, "does not wait")
    assert (refused.value.name, refused.value.metadata["limit"]) == ("LIMIT_REACHED", "refused_approvals")
