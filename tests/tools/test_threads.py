"""Blocking functions run in threads, and hung ones take nothing from the others."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from dovetail.tools.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    gate = threading.Event()
    yield gate
    gate.set()


async def test_no_more_run_at_once_than_the_limit_and_all_come_to_their_end(gate: threading.Event) -> None:
    threads = Threads(2)
    lock = threading.Lock()
    entered = threading.Semaphore(0)
    at_once: list[int] = []
    now = 0

    def work() -> None:
        nonlocal now
        with lock:
            now += 1
            at_once.append(now)
        entered.release()
        gate.wait(10)
        with lock:
            now -= 1

    tasks = [asyncio.create_task(threads.run(work, {})) for _ in range(6)]
    for _ in range(2):
        await asyncio.to_thread(entered.acquire, timeout=10)
    assert threads.at_work == 2
    gate.set()
    await asyncio.wait_for(asyncio.gather(*tasks), 10)
    assert max(at_once) == 2
    assert len(at_once) == 6
    assert threads.at_work == 0


async def test_a_hung_call_that_is_cancelled_gives_its_slot_back_at_once(gate: threading.Event) -> None:
    threads = Threads(1)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(threads.run(gate.wait, {"timeout": 30}), 0.01)
    assert threads.at_work == 0
    assert await asyncio.wait_for(threads.run(lambda: 7, {}), 10) == 7


async def test_one_that_waits_gets_the_slot_of_one_that_is_abandoned(gate: threading.Event) -> None:
    threads = Threads(1)
    entered = threading.Event()

    def hang() -> None:
        entered.set()
        gate.wait(30)

    hung = asyncio.create_task(threads.run(hang, {}))
    await asyncio.to_thread(entered.wait, 10)
    waiting = asyncio.create_task(threads.run(lambda: 1, {}))
    await asyncio.sleep(0)
    hung.cancel()
    assert await asyncio.wait_for(waiting, 10) == 1


async def test_one_that_is_cancelled_while_it_waits_is_never_called(gate: threading.Event) -> None:
    threads = Threads(1)
    called: list[int] = []
    first = asyncio.create_task(threads.run(gate.wait, {"timeout": 30}))
    await asyncio.sleep(0)
    second = asyncio.create_task(threads.run(lambda: called.append(2), {}))
    await asyncio.sleep(0)
    second.cancel()
    gate.set()
    assert await asyncio.wait_for(first, 10) is True
    assert await asyncio.wait_for(threads.run(lambda: 3, {}), 10) == 3
    assert called == []


async def test_calls_one_after_the_other_share_a_thread() -> None:
    threads = Threads(4)
    names = {await threads.run(lambda: threading.current_thread().name, {}) for _ in range(20)}
    assert len(names) == 1


def test_several_loops_share_one_limit_and_one_set_of_threads() -> None:
    threads = Threads(1)
    for number in range(3):
        assert asyncio.run(threads.run(lambda number=number: number, {})) == number


def test_a_loop_that_closed_in_the_meantime_loses_nothing_but_the_output(gate: threading.Event) -> None:
    threads = Threads(1)

    async def leave() -> None:
        task = asyncio.create_task(threads.run(gate.wait, {"timeout": 30}))
        await asyncio.sleep(0)
        task.cancel()

    asyncio.run(leave())
    gate.set()
    assert asyncio.run(threads.run(lambda: 1, {})) == 1


def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="the limit is 0"):
        Threads(0)
