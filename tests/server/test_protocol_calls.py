"""Calls and results as `docs/protocol.md` has them: placed, timed, cancelled, answered well and badly. Of bare gRPC."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from dovetail import v1
from dovetail.v1 import CallFailure, RunState
from dovetail.v1.executor_service_pb2_grpc import ExecutorServiceStub
from live import PATIENCE, Live, serving
from raw_executor import OK, RawExecutor, attached, failures, names, output, outputs, spec

pytestmark = pytest.mark.anyio

UNKNOWN = v1.RefusedResult.REASON_UNKNOWN_CALL
STALE = v1.RefusedResult.REASON_STALE_SESSION
TWO = "1. t(1)\n2. t(2)\n3. join()"


def plan(count: int, of: str = "t") -> str:
    return "\n".join([f"{number}. {of}({number})" for number in range(1, count + 1)] + [f"{count + 1}. join($1)"])


async def end_of_run(live: Live, run_id: str) -> v1.RunEnded:
    return (await live.events(run_id))[-1].run_ended


async def test_a_call_says_what_is_to_be_done_and_its_result_is_recorded() -> None:
    async with serving() as live, attached(live, "e", spec(timeout=Duration(seconds=60))) as executor:
        request = v1.CreateRunRequest(run_id="mine", question='7. t({"b": [1, "ü"]})\n8. join($7)')
        await live.runs.CreateRun(request, metadata=(("traceparent", "00-abc-def-01"),))
        call = await executor.one_call()
        assert (call.run_id, call.task_id, call.tool) == ("mine", 7, "t")
        assert (call.fencing_number, call.traceparent) == (executor.number, "00-abc-def-01")
        assert call.arguments_json == '{"a":{"b":[1,"ü"]}}'
        assert 30 < call.timeout.ToNanoseconds() / 1e9 <= 60
        await executor.send(progress=[v1.CallProgress(call_id=call.call_id, fraction=0.5, message="half")])
        answer = await executor.give(output(call, '{"x": 1}'))
        assert answer == v1.AttachResponse(recorded_call_ids=[call.call_id])
        events = await live.events("mine")
        started = next(event.call_started for event in events if event.HasField("call_started"))
        assert (started.task_id, started.executor_id) == (7, "e")
        progressed = next(event.call_progressed for event in events if event.HasField("call_progressed"))
        assert (progressed.call_id, progressed.fraction) == (started.call_id, 0.5)
        assert outputs(events) == {7: '{"x": 1}'}


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (v1.CallOutcome(output_json="{garbage"), "OUTPUT_INVALID"),
        (v1.CallOutcome(output_json=""), "OUTPUT_INVALID"),
        (v1.CallOutcome(output_json="1 2"), "OUTPUT_INVALID"),
        (v1.CallOutcome(output_json="NaN"), "OUTPUT_INVALID"),
        (v1.CallOutcome(output_json="[" * 99), "OUTPUT_INVALID"),
        (v1.CallOutcome(), "OUTPUT_INVALID"),
        (None, "OUTPUT_INVALID"),
        (v1.CallOutcome(output_json=f'"{"x" * 99}"'), "OUTPUT_TOO_LARGE"),
        (v1.CallOutcome(output_json=f'"{"ü" * 50}"'), "OUTPUT_TOO_LARGE"),
        (v1.CallOutcome(failure=CallFailure()), "TOOL_ERROR"),
        (v1.CallOutcome(failure=CallFailure(kind=CallFailure.KIND_ERROR, message="m" * 9_000)), "TOOL_ERROR"),
        (v1.CallOutcome(failure=CallFailure(kind=CallFailure.KIND_OUTPUT_INVALID)), "OUTPUT_INVALID"),
        (v1.CallOutcome(failure=CallFailure(kind=CallFailure.KIND_OUTPUT_TOO_LARGE)), "OUTPUT_TOO_LARGE"),
        (v1.CallOutcome(failure=CallFailure(kind=CallFailure.KIND_TIMEOUT)), "TIMEOUT"),
        (v1.CallOutcome(failure=CallFailure(kind=CallFailure.KIND_CANCELLED)), "CANCELLED"),
        (v1.CallOutcome(failure=CallFailure(kind=99)), "TOOL_ERROR"),  # type: ignore[arg-type]  # of a later version
    ],
)
async def test_a_bad_result_is_recorded_as_the_failure_of_its_task(outcome: v1.CallOutcome | None, reason: str) -> None:
    async with serving() as live, attached(live, "e", spec(max_output_bytes=100, read_only=True)) as executor:
        run_id = await live.create(plan(1))
        call = await executor.one_call()
        result = v1.CallResult(call_id=call.call_id, fencing_number=call.fencing_number, outcome=outcome)
        assert (await executor.give(result)).recorded_call_ids == [call.call_id]
        events = await live.events(run_id)
        assert failures(events) == {1: reason}
        said = next(event.task_failed.failure.message for event in events if event.HasField("task_failed"))
        assert 0 < len(said) <= 2_000


DEEP = "[" * 100_000 + "]" * 100_000
LONG = "9" * 100_000


@pytest.mark.parametrize(
    ("text", "answer"),
    [(DEEP, DEEP), (LONG, LONG), ("1e999999", "1e999999"), (r'"\ud800"', r'"\ud800"'), (' "a"', "a"), ("null", "null")],
    ids=["deep", "long number", "large number", "half a pair", "space", "null"],
)
async def test_an_output_at_the_edge_of_json_can_be_the_answer(text: str, answer: str) -> None:
    async with serving() as live, attached(live) as executor:
        run_id = await live.create(plan(1))
        await executor.give(output(await executor.one_call(), text))
        events = await live.events(run_id)
        assert [event.run_answered.answer for event in events if event.HasField("run_answered")] == [answer]


async def test_an_output_of_the_largest_size_arrives_whole() -> None:
    most = 2 * 1024 * 1024
    async with serving() as live, attached(live, "e", spec(max_output_bytes=most)) as executor:
        run_id = await live.create("1. t(1)\n2. t($1)\n3. join($2)")
        largest = f'"{"x" * (most - 2)}"'
        await executor.give(output(await executor.one_call(), largest))
        # With its name around it, it is more than a call can carry.
        events = await live.events(run_id)
        assert outputs(events) == {1: largest}
        assert failures(events) == {2: "ARGUMENTS_TOO_LARGE"}


async def test_what_is_no_result_of_a_call_that_is_out_is_refused() -> None:
    async with serving() as live, attached(live, places=2) as executor:
        run_id = await live.create(plan(2))
        first, second = await executor.calls(2)
        stranger = v1.CallResult(call_id="never was", fencing_number=executor.number)
        answer = await executor.give(
            stranger,
            output(first, "1"),
            output(first, "2"),
            output(second, "3", number=executor.number - 1),
            output(second, "4", number=0),
        )
        assert answer.recorded_call_ids == [first.call_id]
        assert [(one.call_id, one.reason) for one in answer.refused_results] == [
            ("never was", UNKNOWN),
            (first.call_id, UNKNOWN),
            (second.call_id, STALE),
            (second.call_id, STALE),
        ]
        await executor.give(output(second, "5"))
        assert outputs(await live.events(run_id)) == {1: "1", 2: "5"}


async def test_progress_is_recorded_ten_times_a_second_at_the_most_and_only_of_calls_that_are_out() -> None:
    async with serving() as live, attached(live) as executor:
        run_id = await live.create(plan(1))
        call = await executor.one_call()
        began = asyncio.get_running_loop().time()
        flood = [v1.CallProgress(call_id=call.call_id, fraction=7, message="m" * 2_000)] * 500
        for _ in range(20):
            await executor.send(progress=[v1.CallProgress(call_id="never was"), *flood])
        await executor.give(output(call))
        took = asyncio.get_running_loop().time() - began
        events = await live.events(run_id)
        recorded = [event.call_progressed for event in events if event.HasField("call_progressed")]
        assert 1 <= len(recorded) <= 1 + took / 0.1
        assert {one.fraction for one in recorded} == {1.0}
        assert max(len(one.message) for one in recorded) <= 1_000


async def test_a_call_that_is_not_answered_in_time_is_cancelled_and_its_result_refused() -> None:
    async with serving() as live, attached(live, "e", spec(timeout=Duration(nanos=500_000_000))) as executor:
        run_id = await live.create(plan(1))
        call = await executor.one_call()
        assert (await executor.receive()).cancelled_call_ids == [call.call_id]
        assert failures(await live.events(run_id)) == {1: "TIMEOUT"}
        assert (await executor.give(output(call))).refused_results[0].reason == UNKNOWN
        # Its place is free again.
        await live.create(plan(1))
        await executor.one_call()


async def test_the_end_of_a_run_takes_its_calls_back_wherever_they_are() -> None:
    async with serving() as live, attached(live, places=2) as executor:
        run_id = await live.create(plan(3))
        await live.until(run_id, "call_waiting")
        calls = await executor.calls(2)
        await live.runs.CancelRun(v1.CancelRunRequest(run_id=run_id, reason="enough"))
        cancelled: list[str] = []
        while len(cancelled) < 2:
            cancelled += (await executor.receive()).cancelled_call_ids
        assert sorted(cancelled) == sorted(call.call_id for call in calls)
        assert failures(await live.events(run_id)) == dict.fromkeys((1, 2, 3), "CANCELLED")
        assert {one.reason for one in (await executor.give(*map(output, calls))).refused_results} == {UNKNOWN}
        assert (await live.tools.GetTool(v1.GetToolRequest(name="t"))).tool.free_places == 2


async def test_a_call_that_was_cancelled_before_it_was_sent_is_not_sent() -> None:
    large = "x" * 50_000
    # Without its probes, the transport takes no more than 64 KiB for a reader that has stalled.
    options = [("grpc.http2.bdp_probe", 0), ("grpc.use_local_subchannel_pool", 1)]
    async with serving() as live, grpc.aio.insecure_channel(live.address, options) as channel:
        slow = replace(live, executors=ExecutorServiceStub(channel))
        async with attached(slow, places=99) as executor:
            ahead = [await live.create(f't("{large}")\njoin($1)') for _ in range(8)]
            for run_id in ahead:
                await live.until(run_id, "call_started")
            late = await live.create(plan(1))
            await live.until(late, "call_started")
            await live.runs.CancelRun(v1.CancelRunRequest(run_id=late))
            assert (await end_of_run(live, late)).state == RunState.RUN_STATE_CANCELLED
            messages = await executor.everything()
            assert [call.run_id for message in messages for call in message.calls] == ahead
            assert not any(message.cancelled_call_ids for message in messages)


async def test_an_executor_never_has_more_calls_than_it_takes_and_calls_come_in_order() -> None:
    tools = (spec("a"), spec("b"))
    async with serving() as live, attached(live, "e", *tools, places=3) as executor:
        lines = [f"{number}. {'ab'[number % 2]}({number})" for number in range(1, 31)]
        run_id = await live.create("\n".join([*lines, "31. join()"]))
        out: list[v1.ExecutorCall] = []
        order: list[int] = []
        await live.until(run_id, "call_waiting", 27)
        while out or not order:
            came = await calls_of(executor)
            out += came
            order += [call.task_id for call in came]
            assert len(out) <= 3
            await executor.send(results=[output(out.pop(0))])
        assert order == list(range(1, 31))
        waiting = [event.call_waiting for event in await live.events(run_id, 0) if event.HasField("call_waiting")]
        assert [(one.task_id, one.ahead) for one in waiting[:3]] == [(4, 0), (5, 0), (6, 1)]


async def test_a_call_goes_to_the_executor_with_the_most_free_places() -> None:
    async with serving() as live, attached(live, "few", places=2) as few, attached(live, "many", places=5) as many:
        run_id = await live.create(plan(5))
        await live.until(run_id, "call_started", 5)
        taken = {"few": len(await calls_of(few)), "many": len(await calls_of(many))}
        assert taken == {"few": 1, "many": 4}  # which leaves one to each
        shown = (await live.tools.GetTool(v1.GetToolRequest(name="t"))).tool
        assert (shown.free_places, shown.calls_in_flight, shown.waiting_calls) == (2, 5, 0)


async def calls_of(executor: RawExecutor) -> list[v1.ExecutorCall]:
    return [call for message in await executor.everything() for call in message.calls]


async def test_calls_wait_for_executors_to_come_and_only_so_many() -> None:
    async with serving(max_waiting_calls=1) as live:
        async with attached(live) as executor:
            request = v1.CreateRunRequest(question=plan(3))
            run_id = (await live.runs.CreateRun(request)).run.run_id
            await live.until(run_id, "call_waiting")
            events = await live.until(run_id, "task_failed")
            assert events.task_failed.failure.reason == v1.FailureReason.FAILURE_REASON_OVERLOADED
            await executor.give(output(await executor.one_call()))
            assert await executor.leave() == OK
        # The tool is gone from the list once nothing waits for it, and the call goes to whoever comes.
        async with attached(live, "other") as other:
            assert (await end_of_run(live, run_id)).state == RunState.RUN_STATE_ANSWERED
            assert names(await live.events(run_id)).count("task_failed") == 2
            assert not await calls_of(other)


async def test_nothing_is_given_to_an_executor_that_drains() -> None:
    async with serving() as live, attached(live, places=2) as executor:
        run_id = await live.create(plan(1))
        call = await executor.one_call()
        await executor.send(drain=v1.Drain(), heartbeat=v1.Heartbeat(number=5))
        await executor.until(lambda message: message.heartbeat.number == 5)
        late = await live.create(plan(1))
        await live.until(late, "call_waiting")
        assert (await executor.give(output(call))).recorded_call_ids == [call.call_id]
        await live.events(run_id)
        async with attached(live, "other") as other:
            await other.give(output(await other.one_call()))
            await live.events(late)
        assert not await calls_of(executor)
        assert await executor.leave() == OK


async def test_the_answer_to_a_heartbeat_comes_behind_the_calls_that_were_given_before() -> None:
    async with serving() as live, attached(live, places=500) as executor:
        run_id = await live.create(plan(200), limits=v1.Limits(max_parallel_calls=200))
        await live.until(run_id, "call_started", 200)
        await executor.send(drain=v1.Drain())
        assert len(await calls_of(executor)) == 200


async def test_many_executors_share_many_calls_evenly_and_none_is_lost_or_done_twice() -> None:
    count, tasks = 50, 2_000
    seen: Counter[str] = Counter()
    share: Counter[str] = Counter()

    async def serve(executor: RawExecutor, name: str) -> None:
        while True:
            message = await executor.receive()
            for call in message.calls:
                seen[call.call_id] += 1
                share[name] += 1
            if message.calls:
                await executor.send(results=[output(call) for call in message.calls])

    async with serving(max_tasks=tasks, max_parallel_calls=tasks) as live:
        executors: list[Any] = [attached(live, f"e{number}", places=8) for number in range(count)]
        tasks_of_executors = []
        for number, one in enumerate(executors):
            tasks_of_executors.append(asyncio.create_task(serve(await one.__aenter__(), f"e{number}")))
        events = await live.events(await live.create(plan(tasks)))
        for one in executors:
            await one.__aexit__(None, None, None)
        await asyncio.wait_for(asyncio.gather(*tasks_of_executors, return_exceptions=True), PATIENCE)
    assert len(outputs(events)) == tasks
    assert len(seen) == tasks == seen.total()
    even = tasks / count
    assert len(share) == count
    assert 0.9 * even <= min(share.values()) <= max(share.values()) <= 1.1 * even
