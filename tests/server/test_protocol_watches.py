"""WatchRun as `docs/protocol.md` has it: from any event, by many, at any pace. Of bare gRPC."""

from __future__ import annotations

import asyncio
import json

import grpc
import pytest

from doorway import logged
from dovetail import v1
from dovetail.tools.definition import tool
from dovetail.v1.run_service_pb2_grpc import RunServiceStub
from live import PATIENCE, Live, serving
from raw_executor import End, end_of, in_order, names, outputs

pytestmark = pytest.mark.anyio


@tool(read_only=True)
async def blob(n: int) -> str:
    """So many letters."""
    return "x" * n


@tool(approval=True)
async def ask(n: int) -> int:
    """Asks first."""
    return n


async def watched(live: Live, run_id: str, after: int = 0) -> list[v1.WatchRunResponse]:
    async with asyncio.timeout(PATIENCE):
        return [batch async for batch in live.runs.WatchRun(v1.WatchRunRequest(run_id=run_id, after_sequence=after))]


async def test_a_run_is_watched_from_any_event_during_it_and_afterwards() -> None:
    async with serving([ask]) as live:
        run_id = await live.create("1. ask(1)\n2. join($1)")
        last = (await live.until(run_id, "approval_requested")).sequence
        # From before, behind and above what there is now.
        places = [*range(last + 1), 1_000, 2**63 - 1]
        watchers = [asyncio.create_task(watched(live, run_id, place)) for place in places]
        decision = v1.ApprovalDecision(task_id=1, approve=True)
        behind = asyncio.create_task(watched(live, run_id, last))
        await live.runs.ResolveApproval(v1.ResolveApprovalRequest(run_id=run_id, decision=decision))
        found = [[event for batch in await watcher for event in batch.events] for watcher in watchers]
        every = await live.events(run_id)
        assert in_order(every)
        for place, events in zip(places[: last + 1], found, strict=False):
            assert events == every[place:]
        assert [event for batch in await behind for event in batch.events] == every[last:]
        for events in found[last + 1 :]:  # whatever came after they asked, up to the end
            assert events == every[len(every) - len(events) :]
        assert [len(await watched(live, run_id, place)) for place in (len(every), 1_000, 2**63 - 1)] == [0, 0, 0]
        negative = live.runs.WatchRun(v1.WatchRunRequest(run_id=run_id, after_sequence=-1))
        assert await end_of(negative) == End("INVALID_ARGUMENT", "INVALID_FIELD", "after_sequence")


async def test_a_number_above_the_latest_event_stands_for_what_is_to_come() -> None:
    async with serving([ask]) as live:
        run_id = await live.create("1. ask(1)\n2. join($1)")
        last = (await live.until(run_id, "approval_requested")).sequence
        watch = live.runs.WatchRun(v1.WatchRunRequest(run_id=run_id, after_sequence=10**9))
        await watch.initial_metadata()  # by now the server has taken its place in the events
        await live.runs.CancelRun(v1.CancelRunRequest(run_id=run_id))
        events = [event async for batch in watch for event in batch.events]
        assert names(events)[-1] == "run_ended"
        assert in_order(events, events[0].sequence)
        assert events[0].sequence > last


async def test_events_come_in_batches_and_a_watcher_that_stalls_holds_up_nobody() -> None:
    lines = [*(f"{number}. blob({100_000 + number})" for number in range(1, 101)), "101. join($1)"]
    async with serving([blob]) as live:
        run_id = await live.create("\n".join(lines))
        stalled = live.runs.WatchRun(v1.WatchRunRequest(run_id=run_id))
        late = [event.sequence for event in (await stalled.read()).events]
        # How much there is to be taken at once, is no matter of who is faster.
        await live.until(run_id, "run_ended")
        batches = await asyncio.gather(*(watched(live, run_id) for _ in range(20)))
        for batch in batches:
            assert all(1 <= len(message.events) <= 64 for message in batch)
            assert max(message.ByteSize() for message in batch) < 4 * 1024 * 1024
            events = [event for message in batch for event in message.events]
            assert in_order(events)
            assert len(outputs(events)) == 100
            assert len(batch) < len(events) / 2
        while (message := await stalled.read()) is not grpc.aio.EOF:
            late += [event.sequence for event in message.events]
        assert late == [event.sequence for event in events]


async def test_a_client_that_goes_while_it_is_written_to_is_no_defect() -> None:
    lines = [*(f"{number}. blob({100_000 + number})" for number in range(1, 51)), "51. join($1)"]
    # Without its probes, the transport takes no more than 64 KiB for a reader that has stalled.
    options = [("grpc.http2.bdp_probe", 0), ("grpc.use_local_subchannel_pool", 1)]
    async with asyncio.timeout(PATIENCE):
        with logged() as lines_of_log:
            async with serving([blob]) as live, grpc.aio.insecure_channel(live.address, options) as own:
                run_id = await live.create("\n".join(lines))
                await live.events(run_id)
                watch = RunServiceStub(own).WatchRun(v1.WatchRunRequest(run_id=run_id))
                await watch.read()
                watch.cancel()
                await watch.code()
        rpcs = [json.loads(line) for line in lines_of_log.getvalue().splitlines()]
        codes = [line["code"] for line in rpcs if line.get("method") == "RunService/WatchRun"]
        assert sorted(codes) == ["CANCELLED", "OK"]
        assert not [line for line in rpcs if line["event"] == "defect"]
