"""Executors in a process of their own, serving a tool that does nothing and a tool that takes some time."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

from benchmarks.process import Process, answer_questions, usage
from dovetail import Executor, tool
from dovetail.embedding import run_loop
from dovetail.executor import ExecutorState

if TYPE_CHECKING:
    from dovetail.tools.definition import Tool

__all__ = ["executors"]

_ATTACH_SECONDS = 30.0


def executors(address: str, *, count: int = 1, places: int = 64) -> Process:
    """So many executors in one process, each with so many places.

    It has greeted once all are attached, and answers with how many ``calls`` each executor has carried out.
    """
    return Process("benchmarks.grpc_executor", address, str(count), str(places))


def _tools(executor_id: str, calls: Counter[str]) -> list[Tool]:
    @tool(read_only=True)
    async def no_op(number: int) -> int:
        """Do nothing."""
        calls[executor_id] += 1
        return number

    @tool(read_only=True)
    async def work(number: int, seconds: float) -> int:
        """Take some time."""
        calls[executor_id] += 1
        await asyncio.sleep(seconds)
        return number

    return [no_op, work]


async def _serve(address: str, count: int, places: int) -> None:
    calls: Counter[str] = Counter()
    unattached = count
    all_attached = asyncio.Event()

    def on_state(state: ExecutorState, line: str) -> None:
        nonlocal unattached
        if state is ExecutorState.ATTACHED:
            unattached -= 1
            if not unattached:
                all_attached.set()
        elif state in (ExecutorState.LOST, ExecutorState.RECONNECTING):
            print(line, file=sys.stderr)

    def answer() -> dict[str, Any]:
        return {**usage(), "calls": dict(calls)}

    names = [f"benchmark-{os.getpid()}-{number}" for number in range(count)]
    async with asyncio.TaskGroup() as group:
        serving = [
            group.create_task(
                Executor(
                    _tools(name, calls), address, executor_id=name, max_parallel_calls=places, on_state=on_state
                ).serve()
            )
            for name in names
        ]
        async with asyncio.timeout(_ATTACH_SECONDS):
            await all_attached.wait()
        await answer_questions(address, answer)
        for one in serving:
            one.cancel()


if __name__ == "__main__":
    run_loop(lambda: _serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
