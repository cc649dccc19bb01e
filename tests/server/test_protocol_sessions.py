"""The session of an executor as `docs/protocol.md` has it: detached, lost, resumed, taken over, gone. Of bare gRPC."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest
from google.protobuf.duration_pb2 import Duration

from dovetail import v1
from dovetail.v1 import RunState
from live import Live, serving
from raw_executor import OK, End, attached, end_of, failures, names, output, outputs, spec

pytestmark = pytest.mark.anyio

# A lease that tests need not wait for long, and that no stall of a busy machine uses up.
HEARTBEAT, LEASE = 0.3, 1.5
SHORT = {"heartbeat_seconds": HEARTBEAT, "lease_seconds": LEASE}
MARGIN = 10.0
UNKNOWN = v1.RefusedResult.REASON_UNKNOWN_CALL
STALE = v1.RefusedResult.REASON_STALE_SESSION
LEASE_OVER = End("ABORTED", "LEASE_OVER")
TAKEN_OVER = End("ABORTED", "SESSION_TAKEN_OVER")
LOOK = spec("look", read_only=True)
ONE = "1. t(1)\n2. join($1)"
LOOK_ONCE = "1. look(1)\n2. join($1)"


async def state_of(live: Live, run_id: str) -> RunState:
    return (await live.events(run_id))[-1].run_ended.state


def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize("fields", [{"read_only": True}, {"idempotent": True}])
async def test_an_executor_that_is_silent_for_its_lease_is_lost_and_its_call_made_elsewhere(
    fields: dict[str, bool],
) -> None:
    tool = spec("look", **fields)
    async with serving(**SHORT) as live, attached(live, "silent", tool) as silent:
        run_id = await live.create(LOOK_ONCE)
        first = await silent.one_call()
        async with attached(live, "steady", tool) as steady:
            await steady.beat()
            began = now()
            assert await end_of(silent.call) == LEASE_OVER
            assert now() - began < LEASE + MARGIN
            second = await steady.one_call()
            assert (second.run_id, second.task_id) == (first.run_id, first.task_id)
            assert second.call_id != first.call_id
            # What the lost one says on a new stream is of no session any more.
            async with attached(live, "silent", tool, fencing_number=silent.number) as back:
                await back.beat()
                assert not back.welcome.resumed
                assert (await back.give(output(first))).refused_results[0].reason == STALE
            await steady.give(output(second, "2"))
            events = await live.events(run_id)
    assert outputs(events) == {1: "2"}
    lost = [event.call_lost for event in events if event.HasField("call_lost")]
    assert [(one.executor_id, one.task_id) for one in lost] == [("silent", 1)]
    assert lost[0].message == "nothing was heard of it for its lease of 1.5 s"
    assert names(events).count("call_started") == 2


async def test_an_executor_that_sends_heartbeats_is_not_lost() -> None:
    async with serving(**SHORT) as live, attached(live) as executor:
        until = now() + 2 * LEASE
        while now() < until:
            await asyncio.sleep(HEARTBEAT)
            await executor.everything()


async def test_a_call_that_must_not_be_repeated_waits_for_its_lost_executor() -> None:
    async with serving(**SHORT, grace_seconds=20) as live, attached(live, "e", spec(), LOOK, places=2) as silent:
        run_id = await live.create("1. t(1)\n2. look(1)\n3. join()")
        once, again = sorted(await silent.calls(2), key=lambda call: call.task_id)
        assert await end_of(silent.call) == LEASE_OVER
        # Lost: it may come back for the one, and the other is anybody's.
        await live.until(run_id, "call_lost")
        assert not list((await live.tools.ListTools(v1.ListToolsRequest())).tools[0].executor_ids)
        known = [once.call_id, again.call_id]
        async with attached(
            live, "e", spec(), LOOK, places=2, fencing_number=silent.number, known_call_ids=known
        ) as back:
            await back.beat()
            assert back.welcome.resumed
            assert back.number == silent.number
            message = await back.until(lambda message: message.calls)
            assert message.cancelled_call_ids == [again.call_id]
            assert (await back.give(output(once, "1"))).recorded_call_ids == [once.call_id]
            assert (await back.give(output(again))).refused_results[0].reason == UNKNOWN
            await back.give(output(message.calls[0], "2"))
            events = await live.events(run_id)
    assert outputs(events) == {1: "1", 2: "2"}
    assert [event.call_lost.task_id for event in events if event.HasField("call_lost")] == [2]


async def test_a_call_that_must_not_be_repeated_is_unknown_once_the_grace_is_over() -> None:
    async with serving(**SHORT, grace_seconds=0.2) as live, attached(live, "e") as silent:
        run_id = await live.create(ONE)
        call = await silent.one_call()
        began = now()
        events = await live.events(run_id)
        assert 0.2 < now() - began < LEASE + 0.2 + MARGIN
        assert failures(events) == {1: "OUTCOME_UNKNOWN"}
        lost = [event.call_lost.message for event in events if event.HasField("call_lost")]
        assert lost == ["it did not come back within its grace of 0.2 s"]
        async with attached(live, "e", fencing_number=silent.number, known_call_ids=[call.call_id]) as back:
            await back.beat()
            assert not back.welcome.resumed
            assert back.number > silent.number
            cancelled = await back.until(lambda message: message.cancelled_call_ids)
            assert cancelled.cancelled_call_ids == [call.call_id]
            assert (await back.give(output(call))).refused_results[0].reason == STALE


async def test_the_timeout_of_a_call_goes_on_while_its_executor_is_lost() -> None:
    tool = spec(timeout=Duration(seconds=2))  # more than the lease
    async with serving(**SHORT, grace_seconds=20) as live, attached(live, "e", tool) as silent:
        run_id = await live.create(ONE)
        await silent.one_call()
        assert await end_of(silent.call) == LEASE_OVER
        assert failures(await live.events(run_id)) == {1: "TIMEOUT"}


async def test_a_session_outlives_its_stream_and_is_resumed_with_its_calls() -> None:
    tool = spec(timeout=Duration(seconds=50))
    async with serving() as live, attached(live, "e", tool, places=3) as first:
        run_ids = [await live.create(ONE) for _ in range(3)]
        recorded, kept, lost = await first.calls(3)
        await first.give(output(recorded, "1"))
        await first.vanish()
        known = [recorded.call_id, kept.call_id]
        async with attached(live, "e", tool, places=3, fencing_number=first.number, known_call_ids=known) as back:
            assert (back.welcome.resumed, back.number) == (True, first.number)
            message = await back.receive()
            assert message.cancelled_call_ids == [recorded.call_id]
            assert [call.call_id for call in message.calls] == [lost.call_id]
            assert message.calls[0].arguments_json == lost.arguments_json
            left = [call.timeout.ToNanoseconds() for call in (message.calls[0], lost)]
            assert 45e9 < left[0] < left[1] <= 50e9
            assert (await back.give(output(recorded, "9"))).refused_results[0].reason == UNKNOWN
            await back.give(output(kept, "2"), output(message.calls[0], "3"))
        found = [outputs(await live.events(run_id)) for run_id in run_ids]
    assert found == [{1: "1"}, {1: "2"}, {1: "3"}]


async def test_a_detached_executor_is_given_nothing_until_it_resumes() -> None:
    async with serving() as live, attached(live, "e", places=2) as first:
        await first.vanish()
        run_id = await live.create("1. t(1)\n2. t(2)\n3. t(3)\n4. join()")
        await live.until(run_id, "call_waiting", 3)
        # It comes back with fewer places than it had.
        async with attached(live, "e", places=1, fencing_number=first.number) as back:
            assert back.welcome.resumed
            for task_id in (1, 2, 3):
                (call,) = (call for message in await back.everything() for call in message.calls)
                assert call.task_id == task_id
                await back.send(results=[output(call)])
            assert await state_of(live, run_id) == RunState.RUN_STATE_ANSWERED


async def test_a_drain_ends_with_its_stream() -> None:
    async with serving() as live, attached(live, "e") as first:
        await first.send(drain=v1.Drain())
        await first.everything()
        await first.vanish()
        run_id = await live.create(ONE)
        async with attached(live, "e", fencing_number=first.number) as back:
            await back.give(output(await back.one_call()))
            assert await state_of(live, run_id) == RunState.RUN_STATE_ANSWERED


async def test_a_newer_stream_takes_a_session_over_and_goes_on_with_it() -> None:
    async with serving() as live, attached(live, "e") as older:
        run_id = await live.create(ONE)
        call = await older.one_call()
        async with attached(live, "e", fencing_number=older.number, known_call_ids=[call.call_id]) as newer:
            assert newer.welcome.resumed
            assert await end_of(older.call) == TAKEN_OVER
            assert (await newer.give(output(call))).recorded_call_ids == [call.call_id]
            assert await state_of(live, run_id) == RunState.RUN_STATE_ANSWERED


@pytest.mark.parametrize("number", [0, 1, 2**62])
async def test_a_hello_without_the_number_of_the_session_begins_a_new_one(number: int) -> None:
    async with serving() as live, attached(live, "e", spec(), LOOK, places=2) as older:
        run_id = await live.create("1. t(1)\n2. look(1)\n3. join()")
        once, again = sorted(await older.calls(2), key=lambda call: call.task_id)
        known = [once.call_id, again.call_id, "never was"]
        async with attached(live, "e", spec(), LOOK, fencing_number=number, known_call_ids=known) as newer:
            assert not newer.welcome.resumed
            assert newer.number > older.number
            assert await end_of(older.call) == TAKEN_OVER
            message = await newer.until(lambda message: message.calls)
            assert sorted(message.cancelled_call_ids) == sorted(known)
            assert (message.calls[0].task_id, message.calls[0].fencing_number) == (2, newer.number)
            assert (await newer.give(output(once))).refused_results[0].reason == STALE
            await newer.give(output(message.calls[0]))
            events = await live.events(run_id)
    assert failures(events) == {1: "OUTCOME_UNKNOWN"}
    assert set(outputs(events)) == {2}


async def test_numbers_of_sessions_grow_from_one_server_to_the_next() -> None:
    numbers = []
    for _ in range(2):
        async with serving() as live:
            for _ in range(2):
                async with attached(live, "e") as executor:
                    numbers.append(executor.number)
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize("tools", [[spec()], [spec(), LOOK, spec("more")], [spec(), spec("look")]])
async def test_who_comes_back_with_other_tools_begins_a_new_session(tools: list[v1.ToolSpec]) -> None:
    async with serving() as live, attached(live, "e", spec(), LOOK) as older:
        async with attached(live, "e", *tools, fencing_number=older.number) as newer:
            assert not newer.welcome.resumed
        served = {tool.spec.name for tool in (await live.tools.ListTools(v1.ListToolsRequest())).tools}
        assert served <= {tool.name for tool in tools}


async def test_calls_that_wait_for_a_tool_that_was_replaced_fail() -> None:
    async with serving() as live, attached(live, "e", spec()):
        run_id = await live.create("1. t(1)\n2. t(2)\n3. join()")
        await live.until(run_id, "call_waiting")
        async with attached(live, "e", spec(description="another")) as newer:
            assert failures(await live.events(run_id)) == {1: "OUTCOME_UNKNOWN", 2: "TOOL_UNAVAILABLE"}
            late = await live.create(ONE)
            await newer.give(output(await newer.one_call()))
            assert await state_of(live, late) == RunState.RUN_STATE_ANSWERED


async def test_who_says_goodbye_loses_its_calls_at_once_and_nothing_that_it_sent() -> None:
    async with serving() as live, attached(live, "e", spec(), LOOK, places=3) as executor:
        run_id = await live.create("1. t(1)\n2. t(2)\n3. look(3)\n4. join()")
        first, _, third = sorted(await executor.calls(3), key=lambda call: call.task_id)
        await executor.send(results=[output(first, "1")], goodbye=v1.Goodbye(reason="upgrade"))
        assert (await executor.receive()).recorded_call_ids == [first.call_id]
        assert await end_of(executor.call) == OK
        async with attached(live, "other", spec(), LOOK) as other:
            again = await other.one_call()
            assert (again.task_id, again.call_id == third.call_id) == (3, False)
            await other.give(output(again, "3"))
            events = await live.events(run_id)
    assert outputs(events) == {1: "1", 3: "3"}
    assert failures(events) == {2: "OUTCOME_UNKNOWN"}


@pytest.mark.parametrize(
    ("reason", "told"), [("", "it said goodbye"), ("the host restarts", "it said goodbye: the host restarts")]
)
async def test_a_goodbye_is_told_as_the_reason_why_calls_were_lost(reason: str, told: str) -> None:
    async with serving() as live, attached(live, "e") as executor:
        run_id = await live.create(ONE)
        await executor.one_call()
        assert await executor.leave(reason) == OK
        events = await live.events(run_id)
    assert [event.call_lost.message for event in events if event.HasField("call_lost")] == [told]


async def test_an_executor_that_comes_as_another_is_told_as_the_reason_why_calls_were_lost() -> None:
    async with serving() as live, attached(live, "e") as executor:
        run_id = await live.create(ONE)
        await executor.one_call()
        async with attached(live, "e"):
            events = await live.events(run_id)
    assert [event.call_lost.message for event in events if event.HasField("call_lost")] == [
        "a new session took its place"
    ]


async def test_a_call_is_given_to_three_executors_at_the_most() -> None:
    async with serving() as live:
        async with AsyncExitStack() as stack:
            for number in range(4):
                executor = await stack.enter_async_context(attached(live, f"e{number}", LOOK))
                if number == 0:
                    run_id = await live.create(LOOK_ONCE)
                if number < 3:
                    assert (await executor.one_call()).task_id == 1
                    assert await executor.leave() == OK
                else:
                    assert len(await executor.everything()) == 1
        events = await live.events(run_id)
        assert failures(events) == {1: "EXECUTOR_LOST"}
        assert len({event.call_started.call_id for event in events if event.HasField("call_started")}) == 3
