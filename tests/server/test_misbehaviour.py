"""Ten thousand tasks whose tools misbehave: every run ends, every failure has its reason, nothing is left."""

from __future__ import annotations

import asyncio
import gc
import random
from collections import Counter
from pathlib import Path

import pytest

from dovetail import Executor, v1
from dovetail.executor import ExecutorState
from dovetail.v1 import FailureReason, RunState
from live import serving
from misbehaving import WAYS, tools

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

RUNS = 100
TASKS = 100
DEADLINE = 60.0


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def plan(dice: random.Random) -> str:
    lines = []
    for number in range(1, TASKS + 1):
        where = dice.choice(("here", "there"))
        kind = dice.choices(("loop", "thread", "governed"), (5, 1, 4))[0]
        lines.append(f'{number}. {where}.{kind}("{dice.choice(WAYS)}")')
    return "\n".join([*lines, f"{TASKS + 1}. join()"])


@pytest.mark.timeout(400)
async def test_whatever_tools_do_every_run_ends_and_every_failure_names_its_reason() -> None:
    dice = random.Random(20260101)
    attached = asyncio.Event()

    def tell(state: ExecutorState, _: str) -> None:
        if state is ExecutorState.ATTACHED:
            attached.set()

    failed: Counter[str] = Counter()
    async with serving(tools("here"), deadline=DEADLINE, max_parallel_calls=64) as live:
        executor = Executor(tools("there"), live.address, on_state=tell, max_parallel_calls=256)
        serve = asyncio.create_task(executor.serve())
        await asyncio.wait_for(attached.wait(), 30)
        before = len(asyncio.all_tasks()), descriptors()

        async def one() -> None:
            events = await live.events(await live.create(plan(dice)))
            end = events[-1].run_ended
            assert end.state == RunState.RUN_STATE_ANSWERED, end
            settled = set()
            for event in events:
                if event.HasField("task_failed"):
                    failure = event.task_failed.failure
                    settled.add(event.task_failed.task_id)
                    failed[FailureReason.Name(failure.reason).removeprefix("FAILURE_REASON_")] += 1
                    assert failure.message
                    assert len(failure.message) <= 2_100
                elif event.HasField("task_succeeded"):
                    settled.add(event.task_succeeded.task_id)
                assert event.ByteSize() < 3_500_000
            assert settled == set(range(1, TASKS + 1))

        for _ in range(RUNS // 10):
            await asyncio.gather(*(one() for _ in range(10)))
        async with asyncio.timeout(30):
            while len(asyncio.all_tasks()) > before[0] + 10:
                # Tools that swallow their cancellation take their time to end.
                await live.runs.ListRuns(v1.ListRunsRequest(page_size=1))
        gc.collect()
        assert descriptors() <= before[1] + 5
        executor.drain()
        await asyncio.wait_for(serve, 60)
    assert set(failed) <= {"TOOL_ERROR", "TIMEOUT", "OUTPUT_INVALID", "OUTPUT_TOO_LARGE"}
    assert all(failed[reason] > 50 for reason in ("TOOL_ERROR", "TIMEOUT", "OUTPUT_INVALID", "OUTPUT_TOO_LARGE"))
