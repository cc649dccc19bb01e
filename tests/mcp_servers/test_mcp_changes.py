"""MCP servers that change their tools while they serve, and what is left of them at the end."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from descriptors import closed_again, opened
from raw import raw_file

from dovetail.engine import Engine
from dovetail.executor import Executor
from dovetail.tools.policy_file import Policies
from dovetail.tools.tool_set import ToolSet
from live import serving
from scripted import PATIENCE, ScriptedModel, facts, failures, finish, outputs, plan

if TYPE_CHECKING:
    from dovetail.v1 import Event

pytestmark = pytest.mark.anyio


def changing(*tools: str, told: bool = True) -> str:
    """The line of a plan that has the server change its tools to these."""
    wanted = json.dumps({"tools": ["change", *tools], "told": told})
    return f"1. raw.change({json.dumps(wanted)})"


async def until(tools: ToolSet, *names: str) -> ToolSet:
    """The set once it has these names."""
    async with asyncio.timeout(PATIENCE):
        # The list comes in another thread.
        while (current := tools.current()).names != list(names):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return current


async def answered(engine: Engine) -> list[Event]:
    async with asyncio.timeout(PATIENCE):
        return [event async for event in engine.start("why?").events()]


async def test_runs_that_are_started_after_a_change_have_the_new_tools(tmp_path: Path) -> None:
    tools = await ToolSet.load([raw_file(tmp_path, tools=["change", "old"])])
    model = ScriptedModel(
        plan(changing("new"), "2. join()"),
        finish("done"),
        plan("1. raw.new()", "2. raw.old()", "3. join()"),
        finish("x"),
    )
    async with Engine(tools, model) as engine:
        before = engine.tools
        await answered(engine)
        await until(tools, "raw.change", "raw.new")
        events = await answered(engine)
        assert facts(events, "run_started")[0].tools == ["raw.change", "raw.new"]
        assert before.names == ["raw.change", "raw.old"]
    assert outputs(events) == {1: '"new: {}"'}
    assert failures(events) == {2: "INVALID"}


@pytest.mark.parametrize("told", [True, False])
async def test_a_tool_that_is_gone_is_unavailable_in_runs_that_know_it(tmp_path: Path, *, told: bool) -> None:
    tools = await ToolSet.load([raw_file(tmp_path, tools=["change", "old", "kept"])])
    model = ScriptedModel(
        plan(changing("kept", told=told), '2. raw.old("$1")', '3. raw.kept("$1")', "4. join()"), finish("done")
    )
    async with Engine(tools, model) as engine:
        events = await answered(engine)
    assert failures(events) == {2: "TOOL_UNAVAILABLE"}
    assert facts(events, "task_failed")[0].failure.message == "MCP server raw has no tool 'old' any more"
    assert list(outputs(events)) == [1, 3]


async def test_what_was_made_of_a_set_is_made_of_its_new_tools_too(tmp_path: Path) -> None:
    def ours(text: str) -> str:
        """Ours."""
        return text

    policies = Policies({"far.raw.new*": {"approval": True}})
    loaded = await ToolSet.load([f"far={raw_file(tmp_path, tools=['change', 'old'])}", ours])
    tools = policies.applied_to_all(loaded.deny("*secret*"))
    assert tools.names == ["far.raw.change", "far.raw.old", "ours"]
    lines = plan(changing("new", "secret").replace("raw.change", "far.raw.change"), "2. join()")
    async with Engine(tools, ScriptedModel(lines, finish("done"))) as engine:
        await answered(engine)
        current = await until(tools, "far.raw.change", "far.raw.new", "ours")
        assert current["far.raw.new"].approval
        assert current["ours"] is tools["ours"] or current["ours"].function is ours
        assert engine.tools.names == current.names
    assert tools.names == ["far.raw.change", "far.raw.old", "ours"]


async def test_a_change_that_cannot_be_taken_over_leaves_the_set_as_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    policies = Policies({"raw.new": {"cache": 5}})
    tools = policies.applied_to_all(await ToolSet.load([raw_file(tmp_path, tools=["change", "old"])]))
    async with Engine(tools, ScriptedModel(plan(changing("new"), "2. join()"), finish("done"))) as engine:
        await answered(engine)
        async with asyncio.timeout(PATIENCE):
            while "the tools have changed, and are kept" not in caplog.text:
                assert engine.tools.names == ["raw.change", "raw.old"]
                await asyncio.sleep(0.02)


async def test_a_server_that_comes_back_with_other_tools_is_followed(tmp_path: Path, notes: Path) -> None:
    program = tmp_path / "server.py"
    raw = Path(__file__).parent / "raw_server.py"
    options = tmp_path / "options"
    options.write_text(json.dumps({"tools": ["die", "old"]}), encoding="utf-8")
    program.write_text(
        f"import os, sys; os.execv({sys.executable!r}, ['x', {str(raw)!r}, open({str(options)!r}).read()])"
    )
    tools = await ToolSet.load([f"mcp:raw={sys.executable} {program}"])
    assert tools.names == ["raw.die", "raw.old"]
    model = ScriptedModel(
        plan("1. raw.die()", "2. join()"), finish("x"), plan("1. raw.old()", "2. join()"), finish("x")
    )
    async with Engine(tools, model) as engine:
        await answered(engine)
        options.write_text(json.dumps({"tools": ["old", "new"]}), encoding="utf-8")
        assert outputs(await answered(engine)) == {1: '"old: {}"'}
        await until(tools, "raw.old", "raw.new")


@pytest.mark.parametrize("over_http", [False, True])
async def test_changes_are_followed_in_the_current_version_of_the_protocol(
    servers: str, url: str, *, over_http: bool
) -> None:
    tools = await ToolSet.load([f"mcp:trouble={url}" if over_http else servers])
    model = ScriptedModel(
        plan('1. trouble.learn("more")', "2. join()"), finish("x"), plan("1. trouble.more()", "2. join()"), finish("x")
    )
    async with Engine(tools, model) as engine:
        assert outputs(await answered(engine)) == {1: '"learnt"'}
        await until(tools, *tools.names, "trouble.more")
        assert outputs(await answered(engine)) == {1: '"odd"'}


async def test_a_server_gives_new_runs_the_new_tools(tmp_path: Path) -> None:
    async with asyncio.timeout(PATIENCE), serving([raw_file(tmp_path, tools=["change", "old"])]) as live:
        assert await live.answer(f"{changing('new')}\n2. join($1)") == "changed"
        while "raw.new" not in live.server.tools:  # noqa: ASYNC110 - of another thread
            await asyncio.sleep(0.02)
        assert await live.answer("1. raw.new()\n2. join($1)") == "new: {}"


async def test_no_process_and_no_descriptor_is_left_of_a_server_that_ignores_its_end(
    tmp_path: Path, notes: Path
) -> None:
    first = await ToolSet.load([raw_file(tmp_path, "first", notes=str(notes))])
    async with Engine(first, ScriptedModel()):
        pass
    before = opened()
    stubborn = await ToolSet.load(
        [raw_file(tmp_path, f"stubborn{number}", stubborn=True, notes=str(notes)) for number in range(3)]
    )
    assert len(alive(notes)) == 3
    async with Engine(stubborn, ScriptedModel()):
        pass
    assert alive(notes) == []
    await closed_again(before)


async def test_no_process_is_left_of_servers_whose_loading_failed(tmp_path: Path, notes: Path) -> None:
    from dovetail.errors import UsageError

    before = opened()
    for options in ({"endless": "repeating"}, {"tools": [{"name": "none"}]}):
        with pytest.raises(UsageError):
            await ToolSet.load([raw_file(tmp_path, notes=str(notes), **options)])
    assert alive(notes) == []
    await closed_again(before)


async def test_an_executor_closes_the_sessions_of_its_tools(tmp_path: Path, notes: Path) -> None:
    async with asyncio.timeout(PATIENCE), serving() as live:
        is_attached = asyncio.Event()
        source = raw_file(tmp_path, notes=str(notes))
        executor = Executor(
            await ToolSet.load([source]), live.address, on_state=lambda _state, _line: is_attached.set()
        )
        attached = asyncio.create_task(executor.serve())
        await is_attached.wait()
        assert len(alive(notes)) == 1
        executor.drain()
        await attached
    assert alive(notes) == []


def alive(notes: Path) -> list[int]:
    """The processes of servers that noted their start and have not ended."""
    started = [int(line.split()[1]) for line in notes.read_text(encoding="utf-8").splitlines()]
    return [pid for pid in started if _is_alive(pid)]


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
