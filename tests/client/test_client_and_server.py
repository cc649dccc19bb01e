"""The client and a real server: runs, tools on both sides, and what each makes of the other's end."""

from __future__ import annotations

import asyncio
import threading

import pytest
from scripted_server import PATIENCE, within

from dovetail import (
    AlreadyExistsError,
    CallContext,
    Client,
    InvalidRequestError,
    Limits,
    NotFoundError,
    NotPossibleError,
    RunCancelledError,
    tool,
    v1,
)
from dovetail.v1 import FailureReason, RunState
from live import serving

pytestmark = pytest.mark.anyio


@tool(read_only=True)
async def double(number: int) -> int:
    """Twice the number."""
    return number * 2


@tool
async def endless() -> str:
    """Never ends by itself."""
    await asyncio.Event().wait()
    return ""


@tool(approval=True)
async def delete(path: str) -> str:
    """Deletes."""
    return f"deleted {path}"


ANSWERED = "1. double(21)\n2. join($1)"


async def test_a_tool_of_the_client_tells_how_far_it_is_from_the_loop_and_from_a_thread() -> None:
    told = threading.Event()

    @tool
    async def download(url: str, call: CallContext) -> str:
        """Downloads."""
        call.report(0.5, "half of it")
        return url

    @tool
    def unpack(path: str, call: CallContext) -> str:
        """Unpacks."""
        call.report(message=f"unpacking {path} of run {call.run_id}")
        assert told.wait(PATIENCE)
        return path

    async with serving() as live, Client(live.address) as client:
        question = '1. download("u")\n2. unpack("$1")\n3. join($2)'
        run = await within(client.stream(question, run_id="mine", client_tools=[download, unpack]))
        progress = []
        async with asyncio.timeout(PATIENCE):
            async for event in run.events():
                if event.HasField("call_progressed"):
                    progress.append(event.call_progressed)
                    if event.call_progressed.task_id == 2:
                        told.set()
        assert await within(run.answer()) == "u"
    assert [(one.task_id, one.fraction, one.message) for one in progress] == [
        (1, 0.5, "half of it"),
        (2, 0.0, "unpacking u of run mine"),
    ]


async def test_the_idle_timeout_of_a_clients_tool_holds_while_it_is_silent_and_not_while_it_reports() -> None:
    @tool(idle_timeout=1.5)
    async def work(reports: int, call: CallContext) -> int:
        """Works."""
        for _ in range(reports):
            await asyncio.sleep(0.25)  # what it takes: all in all more than it may be silent
            call.report()
        if not reports:
            await asyncio.Event().wait()
        return reports

    async with serving() as live, Client(live.address) as client:
        run = await within(client.stream("1. work(8)\n2. work(0)\n3. join($1)", client_tools=[work]))
        assert await within(run.answer()) == "8"
        failed = [event.task_failed async for event in run.events() if event.HasField("task_failed")]
    assert [(one.task_id, one.failure.reason) for one in failed] == [(2, FailureReason.FAILURE_REASON_TIMEOUT)]


async def test_a_run_is_created_once_however_often_it_is_asked_for() -> None:
    async with serving([double]) as live, Client(live.address) as client:
        runs = [await within(client.create(ANSWERED, run_id="mine")) for _ in range(2)]
        assert [await within(run.answer()) for run in runs] == ["42", "42"]
        assert len([run async for run in client.list()]) == 1
        with pytest.raises(AlreadyExistsError) as caught:
            await within(client.create("another", run_id="mine"))
        assert caught.value.metadata == {"run_id": "mine"}


async def test_what_the_server_refuses_is_explained() -> None:
    async with serving([double]) as live, Client(live.address) as client:
        with pytest.raises(InvalidRequestError, match="question") as invalid:
            await within(client.create(""))
        assert invalid.value.violations[0][0] == "question"
        with pytest.raises(NotFoundError) as unknown:
            await within(client.create("?", tools=["none"]))
        assert unknown.value.reason == "TOOL_NOT_FOUND"
        with pytest.raises(InvalidRequestError, match="run_id"):
            await within(client.stream("?", run_id="Not This"))
        run = await within(client.create(ANSWERED))
        await within(run.wait())
        with pytest.raises(NotPossibleError) as late:
            await within(run.approve(1))
        assert late.value.reason == "NOT_AWAITING_APPROVAL"
        with pytest.raises(NotFoundError):
            await within(anext(client.run("none").events()))


async def test_events_are_the_same_while_the_run_goes_on_and_afterwards() -> None:
    async with serving([double, endless]) as live, Client(live.address) as client:
        run = await within(client.create("1. double(21)\n2. endless()\n3. join($1)", limits=Limits(deadline=0.5)))
        during = [event async for event in run.events()]
        after = [event async for event in run.events()]
        assert during == after
        assert [event async for event in run.events(4)] == during[4:]
        assert [event async for event in run.events(len(during))] == []
        assert during[0].run_started.limits.deadline.ToMilliseconds() == 500
        assert run.state == during[-1].run_ended.state


async def test_plans_call_tools_on_both_sides() -> None:
    def shout(text: str) -> str:
        """Says it loudly."""
        return text.upper()

    async with serving([double]) as live, Client(live.address) as client:
        plan = '1. double(21)\n2. shout("it is $1")\n3. join($2)'
        run = await within(client.stream(plan, client_tools=[shout], tools=["double"]))
        assert await within(run.answer()) == "IT IS 42"
        assert await within(run.wait()) == RunState.RUN_STATE_ANSWERED
        watched = [event async for event in client.run(run.run_id).events()]
        assert [event async for event in run.events()] == watched


async def test_a_stream_that_is_left_ends_the_run_if_that_was_asked_for() -> None:
    async with serving([endless]) as live, Client(live.address) as client:
        for is_cancelled in (True, False):
            run = await within(client.stream("1. endless()\n2. join()", cancel_on_disconnect=is_cancelled))
            async for event in run.events():
                if event.HasField("call_started"):
                    break
            await within(run.aclose())
            handle = client.run(run.run_id)
            if is_cancelled:
                assert await within(handle.wait()) == RunState.RUN_STATE_CANCELLED
            else:
                assert (await within(handle.get())).state == RunState.RUN_STATE_RUNNING
                await within(handle.cancel("enough"))
                with pytest.raises(RunCancelledError):
                    await within(handle.answer())


async def test_a_task_waits_for_its_approval() -> None:
    async with serving([delete]) as live, Client(live.address) as client:
        run = await within(client.create('1. delete("/")\n2. join($1)'))
        async for event in run.events():
            if event.HasField("approval_requested"):
                assert list((await run.get()).awaiting_approval) == [1]
                with pytest.raises(InvalidRequestError):
                    await run.approve(1, {"path": 5})
                await run.approve(1, {"path": "/tmp"}, "only there")
            if event.HasField("approval_resolved"):
                assert event.approval_resolved.reason == "only there"
        assert await within(run.answer()) == "deleted /tmp"


async def test_who_streams_a_run_decides_about_it() -> None:
    async def decide(asked: object) -> v1.ApprovalDecision:
        return asked.reject("never")  # type: ignore[attr-defined]

    async with serving([delete]) as live, Client(live.address) as client:
        run = await within(client.stream('1. delete("/")\n2. join()', on_approval=decide))
        await within(run.wait())
        failures = [event.task_failed.failure async for event in run.events() if event.HasField("task_failed")]
        assert failures[0].reason == v1.FailureReason.FAILURE_REASON_APPROVAL_REJECTED
        assert "never" in failures[0].message


async def test_tools_are_listed_with_who_carries_them_out() -> None:
    async with serving([endless, double]) as live, Client(live.address) as client:
        assert [one.spec.name async for one in client.tools(page_size=1)] == ["double", "endless"]
        assert (await within(client.tool("double"))).source == v1.Tool.SOURCE_SERVER
        with pytest.raises(NotFoundError) as caught:
            await within(client.tool("none"))
        assert caught.value.metadata == {"tool": "none"}


@pytest.mark.parametrize("close", ["\n3. join($2)", ""])
async def test_outputs_bind_the_arguments_of_a_plan_that_nobody_runs(close: str) -> None:
    async with serving([double]) as live, Client(live.address) as client:
        plan = f"1. double(21)\n2. double($1){close}"
        steps = [step async for step in client.compile_plan(iter(plan), outputs={1: 42, 2: 84})]
        ready = [step.task_ready.arguments_json for step in steps if step.HasField("task_ready")]
        assert ready == ['{"number":21}', '{"number":42}']
        # Whether the text or the outputs are at the server first, depends on how busy both sides are.
        assert any(step.HasField("plan_closed") for step in steps) or not close


async def test_tools_given_with_a_plan_are_those_that_it_may_call() -> None:
    async with serving([double]) as live, Client(live.address) as client:
        steps = [step async for step in client.compile_plan('1. delete("/")', inline_tools=[delete])]
        assert steps[0].task_planned.tool == "delete"
        with pytest.raises(NotFoundError, match="none"):
            await within(anext(client.compile_plan(iter(["1. ", "none()"] * 100), tools=["none"])))


async def test_a_watch_outlives_a_server_that_drains() -> None:
    async with serving([endless], drain_seconds=0.2) as live, Client(live.address) as client:
        run = await within(client.create("1. endless()\n2. join()"))
        waiting = asyncio.create_task(run.wait())
        async with asyncio.timeout(PATIENCE):
            await live.until(run.run_id, "call_started")
            await live.server.drain()
        assert await within(waiting) == RunState.RUN_STATE_CANCELLED
