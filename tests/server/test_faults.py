"""What goes wrong around a live server: executors killed, stopped and cut off, clients gone, connections dropped.

Nothing hangs, each call ends as documented, and the server is afterwards what it was before.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
import signal
import socket
import time
from pathlib import Path

import grpc
import pytest

from dovetail import v1
from dovetail.tools.definition import tool
from dovetail.v1 import FailureReason, RunState
from dovetail.v1.run_service_pb2_grpc import RunServiceStub
from executor_process import Proxy, executors
from live import PATIENCE, Live, Silent, serving

pytestmark = pytest.mark.anyio

# A lease that tests need not wait for long, and that no stall of a busy machine uses up.
LEASE = {"heartbeat_seconds": 0.3, "lease_seconds": 2.0, "grace_seconds": PATIENCE}


@tool(read_only=True)
async def here(text: str) -> str:
    """Of the server itself."""
    return text


async def served_by(live: Live, name: str, count: int) -> None:
    """Wait until so many executors serve a tool."""
    async with asyncio.timeout(PATIENCE):
        while True:
            # Each look is an RPC: there is no event to wait for outside a run.
            for shown in (await live.tools.ListTools(v1.ListToolsRequest())).tools:
                if shown.spec.name == name and len(shown.executor_ids) == count:
                    return
            await asyncio.sleep(0.02)  # and leaves the machine to those that are awaited


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


class Word:
    """A file for which calls wait that are to be out until the test says otherwise."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def say(self) -> None:
        self.path.touch()


@pytest.fixture
def go(tmp_path: Path) -> Word:
    return Word(tmp_path / "go")


def reasons(events: list[v1.Event]) -> dict[int, str]:
    return {
        event.task_failed.task_id: FailureReason.Name(event.task_failed.failure.reason)[len("FAILURE_REASON_") :]
        for event in events
        if event.HasField("task_failed")
    }


def outputs(events: list[v1.Event]) -> dict[int, str]:
    found = [event.task_succeeded for event in events if event.HasField("task_succeeded")]
    assert len({fact.task_id for fact in found}) == len(found)
    return {fact.task_id: fact.output_json for fact in found}


async def test_a_killed_executor_costs_a_repeatable_call_nothing_but_time(tmp_path: Path, go: Word) -> None:
    async with serving(**LEASE) as live:
        with executors(tmp_path, live.address, "first") as (first,):
            await served_by(live, "look", 1)
            run_id = await live.create(f'1. look("a", "{go.path}")\n2. look("b")\n3. join($1)', tools=["look"])
            await live.until(run_id, "call_progressed")
            first.kill()
            go.say()
            with executors(tmp_path, live.address, "second") as (second,):
                events = await live.events(run_id)
    lost = [event.call_lost for event in events if event.HasField("call_lost")]
    assert ("1.1", "first") in [(fact.call_id, fact.executor_id) for fact in lost]
    assert outputs(events)[1] == str(second.pid)
    assert len(outputs(events)) == 2


async def test_a_call_that_must_not_be_repeated_is_unknown_after_the_grace(tmp_path: Path) -> None:
    async with serving(**{**LEASE, "grace_seconds": 0.3}) as live:
        with executors(tmp_path, live.address, "first", "second", places=1) as both:
            await served_by(live, "press", 2)
            run_id = await live.create('1. press("a", seconds=600)\n2. join()', tools=["press"])
            started = await live.until(run_id, "call_started")
            victim = both[started.call_started.executor_id == "second"]
            await live.until(run_id, "call_progressed")
            victim.kill()
            events = await live.events(run_id)
            assert victim.made() == ["a"]
    assert reasons(events) == {1: "OUTCOME_UNKNOWN"}
    assert events[-1].run_ended.state == RunState.RUN_STATE_ANSWERED


async def test_executors_killed_at_random_lose_no_call_and_repeat_none_that_must_not_be(tmp_path: Path) -> None:
    dice = random.Random(3)
    async with serving(**{**LEASE, "grace_seconds": 0.3}) as live:
        names = [f"executor-{number}" for number in range(4)]
        with executors(tmp_path, live.address, *names) as all_of_them:
            await served_by(live, "look", 4)
            lines = [f'{one}. {dice.choice(("look", "press"))}("key-{one}", seconds=0.05)' for one in range(1, 201)]
            run_id = await live.create("\n".join([*lines, "201. join()"]), tools=["look", "press"])
            await live.until(run_id, "task_succeeded", count=20)
            for victim in dice.sample(all_of_them, 2):
                victim.kill()
            events = await live.events(run_id)
            made = all_of_them[0].made()
    assert len(outputs(events)) + len(reasons(events)) == 200
    assert set(reasons(events).values()) <= {"OUTCOME_UNKNOWN"}
    presses = [key for key, line in ((f"key-{one}", line) for one, line in enumerate(lines, 1)) if "press" in line]
    assert all(made.count(key) <= 1 for key in presses)
    # Each of the two had eight places.
    assert len(reasons(events)) <= 16
    assert events[-1].run_ended.state == RunState.RUN_STATE_ANSWERED


async def test_a_tool_that_takes_its_executor_with_it_is_given_up_before_all_are_gone(tmp_path: Path) -> None:
    async with serving(**LEASE) as live:
        with executors(tmp_path, live.address, "a", "b", "c", "d"):
            await served_by(live, "die", 4)
            events = await live.events(await live.create("1. die()\n2. join()", tools=["die"]))
            shown = await live.tools.GetTool(v1.GetToolRequest(name="look"))
    assert reasons(events) == {1: "EXECUTOR_LOST"}
    assert len(shown.tool.executor_ids) == 1


async def test_what_a_stopped_executor_sends_after_its_lease_is_refused(tmp_path: Path, go: Word) -> None:
    async with serving(**LEASE) as live:
        with executors(tmp_path, live.address, "stopped") as (stopped,):
            await served_by(live, "look", 1)
            run_id = await live.create(f'1. look("a", "{go.path}")\n2. join($1)', tools=["look"])
            await live.until(run_id, "call_progressed")
            stopped.send(signal.SIGSTOP)
            go.say()
            await live.until(run_id, "call_lost")
            with executors(tmp_path, live.address, "second") as (second,):
                events = await live.events(run_id)
                stopped.send(signal.SIGCONT)
                # Back at work, and its old result changes nothing.
                await served_by(live, "look", 2)
                assert await live.events(run_id) == events
    assert outputs(events) == {1: str(second.pid)}


async def test_a_stopped_executor_brings_the_result_of_a_call_that_must_not_be_repeated(
    tmp_path: Path, go: Word
) -> None:
    async with serving(**LEASE) as live:
        with executors(tmp_path, live.address, "stopped") as (stopped,):
            await served_by(live, "press", 1)
            run_id = await live.create(f'1. press("a", "{go.path}")\n2. join($1)', tools=["press"])
            await live.until(run_id, "call_progressed")
            stopped.send(signal.SIGSTOP)
            go.say()
            async with asyncio.timeout(PATIENCE):
                # Until its lease is over, of which no event tells.
                while (await live.tools.ListTools(v1.ListToolsRequest())).tools:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            stopped.send(signal.SIGCONT)
            events = await live.events(run_id)
            assert stopped.made() == ["a"]
    assert outputs(events) == {1: str(stopped.pid)}


async def test_an_executor_behind_a_black_hole_is_noticed_within_its_lease(tmp_path: Path) -> None:
    async with serving(**LEASE) as live, Proxy.to(live.address) as proxy:
        with executors(tmp_path, proxy.address, "far"):
            await served_by(live, "look", 1)
            run_id = await live.create('1. look("a", seconds=600)\n2. join()', tools=["look"])
            await live.until(run_id, "call_progressed")
            proxy.loses = True
            began = time.monotonic()
            await live.until(run_id, "call_lost")
            noticed = time.monotonic() - began
            await live.runs.CancelRun(v1.CancelRunRequest(run_id=run_id))
    # Without a lease it would be noticed by nobody, or once TCP gives up; the rest is for a busy machine.
    assert noticed <= LEASE["lease_seconds"] + 15


async def test_an_executor_comes_back_by_itself_after_its_connection_was_cut(tmp_path: Path, go: Word) -> None:
    async with serving(**LEASE) as live, Proxy.to(live.address) as proxy:
        with executors(tmp_path, proxy.address, "far") as (far,):
            await served_by(live, "press", 1)
            run_id = await live.create(f'1. press("a", "{go.path}")\n2. join($1)', tools=["press"])
            await live.until(run_id, "call_progressed")
            for task in list(proxy._tasks):
                task.cancel()
            go.say()
            events = await live.events(run_id)
            assert far.made() == ["a"]
    assert outputs(events) == {1: str(far.pid)}


async def test_an_executor_that_is_asked_to_end_finishes_what_it_has(tmp_path: Path) -> None:
    async with serving(**LEASE) as live:
        with executors(tmp_path, live.address, "leaving") as (leaving,):
            await served_by(live, "press", 1)
            run_id = await live.create('1. press("a", seconds=0.3)\n2. join($1)', tools=["press"])
            await live.until(run_id, "call_progressed")
            status = await asyncio.to_thread(leaving.end)
            events = await live.events(run_id)
    assert status == 0
    assert outputs(events) == {1: str(leaving.pid)}


async def test_a_run_goes_on_when_its_client_is_gone_unless_it_said_otherwise() -> None:
    release = asyncio.Event()

    @tool
    async def hold() -> str:
        """Waits for the test."""
        await release.wait()
        return "held"

    async with serving([hold]) as live:
        for cancel, state in ((False, RunState.RUN_STATE_ANSWERED), (True, RunState.RUN_STATE_CANCELLED)):
            release.clear()
            start = v1.CreateRunRequest(
                question="1. hold()\n2. join($1)", run_id=f"run-{cancel}".lower(), cancel_on_disconnect=cancel
            )
            async with grpc.aio.insecure_channel(live.address) as channel:
                stream = channel.stream_stream(
                    "/dovetail.v1.RunService/StreamRun",
                    request_serializer=v1.StreamRunRequest.SerializeToString,
                    response_deserializer=v1.StreamRunResponse.FromString,
                )()
                await stream.write(v1.StreamRunRequest(start=start))
                assert (await asyncio.wait_for(stream.read(), PATIENCE)).HasField("run")
            if not cancel:
                release.set()
            events = await live.events(start.run_id)
            assert events[-1].run_ended.state == state


async def test_a_deadline_of_the_client_ends_its_watch_and_nothing_else() -> None:
    release = asyncio.Event()

    @tool
    async def hold() -> str:
        """Waits for the test."""
        await release.wait()
        return "held"

    async with serving([hold]) as live:
        run_id = await live.create("1. hold()\n2. join($1)")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in live.runs.WatchRun(v1.WatchRunRequest(run_id=run_id), timeout=0.1):
                pass
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        release.set()
        assert (await live.events(run_id))[-1].run_ended.state == RunState.RUN_STATE_ANSWERED


async def test_a_thousand_dropped_connections_leave_nothing_behind() -> None:
    async with serving([here]) as live:
        host, _, port = live.address.rpartition(":")
        assert await live.answer('1. here("before")\n2. join($1)') == "before"
        before = descriptors(), len(asyncio.all_tasks())
        for batch in range(10):
            sockets = [socket.create_connection((host, int(port))) for _ in range(100)]
            for number, one in enumerate(sockets):
                if number % 2:
                    one.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" if number % 4 == 1 else os.urandom(200))
                one.close()
            # The server goes on answering in between.
            assert await live.answer(f'1. here("{batch}")\n2. join($1)') == str(batch)
        async with asyncio.timeout(PATIENCE):
            # gRPC waits for the next requests with a handful of tasks of its own.
            while descriptors() > before[0] + 5 or len(asyncio.all_tasks()) > before[1] + 5:
                await live.runs.ListRuns(v1.ListRunsRequest())
                gc.collect()


async def test_a_stalled_watcher_holds_up_nobody() -> None:
    async with serving([here], max_question_bytes=10_000_000, max_tasks=100_000) as live:
        text = "".join(f'{one}. here("{"x" * 200}")\n' for one in range(1, 3001)) + "3001. join($1)"
        run_id = await live.create(text)
        stalled = live.runs.WatchRun(v1.WatchRunRequest(run_id=run_id))
        batches = aiter(stalled)
        first = await asyncio.wait_for(anext(batches), PATIENCE)
        assert first.events[0].sequence == 1
        events = await live.events(run_id)
        assert [event.sequence for event in events] == list(range(1, len(events) + 1))
        # And the one that stalled has lost nothing.
        rest = [event.sequence async for batch in batches for event in batch.events]
        assert rest == list(range(len(first.events) + 1, len(events) + 1))


async def test_a_stalled_watcher_does_not_hold_up_the_end_of_a_server() -> None:
    # Without its probes, the transport takes no more than 64 KiB for a reader that has stalled.
    options = [("grpc.http2.bdp_probe", 0), ("grpc.use_local_subchannel_pool", 1)]
    settings = {"max_question_bytes": 10_000_000, "max_tasks": 100_000}
    async with serving([here], **settings) as live, grpc.aio.insecure_channel(live.address, options) as own:
        text = "".join(f'{one}. here("{"x" * 200}")\n' for one in range(1, 1001)) + "1001. join($1)"
        run_id = await live.create(text)
        await live.events(run_id)
        stalled = RunServiceStub(own).WatchRun(v1.WatchRunRequest(run_id=run_id))
        await asyncio.wait_for(stalled.read(), PATIENCE)
        # Held up, it would wait for as long as nobody reads; what it does wait is half a second.
        await asyncio.wait_for(live.server.__aexit__(None, None, None), PATIENCE / 3)


async def test_who_watches_a_run_that_the_end_of_its_server_cancels_is_told_its_last_event() -> None:
    @tool
    async def stubborn() -> str:
        """Does not let itself be cancelled for longer than streams are given at the end."""
        for _ in range(2):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.7)
        return "late"

    async with serving([stubborn]) as live:
        run_id = await live.create("1. stubborn()\n2. join($1)")
        await live.until(run_id, "call_started")
        watching = asyncio.create_task(live.events(run_id))
        await live.until(run_id, "call_started")
        await asyncio.wait_for(live.server.__aexit__(None, None, None), PATIENCE)
        events = await asyncio.wait_for(watching, PATIENCE)
    assert events[-1].run_ended.failure.message == "the server is shutting down"


async def test_nothing_is_left_of_a_server_that_has_ended() -> None:
    before = asyncio.all_tasks()
    async with serving([here], models={"silent": Silent()}) as live:
        watch = live.runs.WatchRun(v1.WatchRunRequest(run_id=await live.create("never answered")))
        assert (await asyncio.wait_for(watch.read(), PATIENCE)).events[0].HasField("run_started")
    async with asyncio.timeout(PATIENCE):
        while left := asyncio.all_tasks() - before:
            await asyncio.wait(left, timeout=PATIENCE)
            gc.collect()
