"""Policies reach tools of executors and clients too: they are applied by the server, whoever carries out the calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from dovetail import Executor, RetryableError, v1
from dovetail.executor import ExecutorState
from dovetail.tools.definition import tool
from live import PATIENCE, Live, code_of, serving

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def executing(live: Live, *tools: Any) -> AsyncIterator[None]:
    """Serve tools from an executor of this process."""
    attached = asyncio.Event()

    def tell(state: ExecutorState, _: str) -> None:
        if state is ExecutorState.ATTACHED:
            attached.set()

    executor = Executor(tools, live.address, on_state=tell)
    serve = asyncio.create_task(executor.serve())
    try:
        await asyncio.wait_for(attached.wait(), PATIENCE)
        yield
    finally:
        executor.drain()
        await asyncio.wait_for(serve, PATIENCE)


def facts(events: list[v1.Event], name: str) -> list[Any]:
    return [getattr(event, name) for event in events if event.HasField(name)]  # type: ignore[arg-type]


async def test_the_policy_of_an_executors_tool_is_applied_by_the_server() -> None:
    tries: list[str] = []
    pairs = asyncio.Barrier(2)
    now = most = 0

    @tool(read_only=True, cache=60)
    async def look(place: str) -> str:
        """Looks."""
        tries.append(place)
        return place

    @tool(max_parallel=2)
    async def visit(number: int) -> int:
        """Visits."""
        nonlocal now, most
        now += 1
        most = max(most, now)
        await pairs.wait()
        await asyncio.sleep(0.01)  # time for a third
        now -= 1
        return number

    @tool(retries=1, backoff=0.001)
    async def press(button: str) -> str:
        """Presses."""
        tries.append(button)
        if tries.count(button) == 1:
            raise RetryableError("busy")
        return button

    lines = [f'{one}. look("here")' for one in range(1, 6)]
    lines += [f"{one}. visit({one})" for one in range(6, 16)]
    lines += ['16. press("x")', "17. join($16)"]
    async with serving() as live, executing(live, look, visit, press):
        shown = await live.tools.GetTool(v1.GetToolRequest(name="visit"))
        events = await live.events(await live.create("\n".join(lines)))
    assert shown.tool.spec.policy.max_parallel == 2
    assert sorted(tries) == ["here", "x", "x"]
    assert sum(fact.cached for fact in facts(events, "task_succeeded")) == 4
    assert most == 2
    assert [fact.failure.message for fact in facts(events, "call_failed")] == ["RetryableError: busy"]
    assert facts(events, "run_answered")[0].answer == "x"


async def test_a_policy_that_cannot_be_used_is_refused_with_its_field() -> None:
    async with serving() as live:
        spec = v1.ToolSpec(name="look", input_schema_json='{"type":"object"}', policy=v1.ToolPolicy(retries=1000))
        stream = live.executors.Attach()
        await stream.write(v1.AttachRequest(hello=v1.Hello(executor_id="x", tools=[spec], max_parallel_calls=1)))
        assert await code_of(stream) == ("INVALID_ARGUMENT", "INVALID_FIELD")
        assert "hello.tools[0].policy: retries: is 1000" in await stream.details()


async def test_the_servers_owner_has_the_last_word_on_how_tools_are_called(tmp_path: Path) -> None:
    file = tmp_path / "policies.toml"
    file.write_text('["*"]\nmax_parallel = 1\n[press]\napproval = true\n', encoding="utf-8")

    @tool
    async def press(button: str) -> str:
        """Presses."""
        return button

    @tool
    async def here(text: str) -> str:
        """Of the server itself."""
        return text

    async with serving([here], policies=file) as live, executing(live, press):
        shown = (await live.tools.ListTools(v1.ListToolsRequest())).tools
        run_id = await live.create('1. press("x")\n2. join($1)')
        assert (await live.until(run_id, "approval_requested")).approval_requested.task_id == 1
    assert {one.spec.name: (one.spec.policy.max_parallel, one.spec.approval) for one in shown} == {
        "here": (1, False),
        "press": (1, True),
    }
