"""Tools of an MCP server written with the SDK of Node."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from notes import noted
from toolchain import installed_node

from dovetail.engine import Engine
from dovetail.tools.tool_set import ToolSet
from scripted import PATIENCE, ScriptedModel, events_of, facts, failures, finish, outputs, plan

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(660)]


@pytest.fixture(scope="module")
def program() -> Path:
    """The server, with what it needs."""
    return installed_node(Path(__file__).parent / "node") / "server.mjs"


@pytest.fixture
def node(program: Path, tmp_path: Path, notes: Path) -> str:
    """A file that names the server as ``node``."""
    file = tmp_path / "servers.toml"
    file.write_text(f'[mcp.node]\ncommand = ["node", "{program}"]\nenv = {{NOTES = "{notes}"}}\n', encoding="utf-8")
    return str(file)


async def test_outputs_errors_and_hints_of_a_node_server_are_taken_over(node: str) -> None:
    tools = ToolSet.of([node])
    script = plan("1. node.add(1, 2)", '2. node.echo("the sum is $1.sum")', "3. node.fail()", "4. join()")
    events = await events_of(tools, ScriptedModel(script, finish("done")))
    assert outputs(events) == {1: '{"sum":3}', 2: '"the sum is 3"'}
    assert failures(events) == {3: "TOOL_ERROR"}
    assert facts(events, "task_failed")[0].failure.message == "it went wrong"
    assert (tools["node.add"].read_only, tools["node.echo"].read_only) == (True, False)


async def test_progress_of_a_node_server_is_passed_on_and_a_cancel_reaches_it(node: str, notes: Path) -> None:
    model = ScriptedModel(plan("1. node.slow()", "2. join()"))
    async with asyncio.timeout(PATIENCE), Engine([node], model) as engine:
        run = engine.start("why?")
        async for event in run.events():
            if event.HasField("call_progressed"):
                assert (event.call_progressed.fraction, event.call_progressed.message) == (0.5, "half")
                run.cancel()
        await noted(notes, "slow was cancelled")


async def test_a_node_server_that_dies_is_started_again(node: str, notes: Path) -> None:
    model = ScriptedModel(
        plan("1. node.die()", "2. join()"),
        finish("done"),
        plan('1. node.echo("alive")', "2. join()"),
        finish("done"),
    )
    async with asyncio.timeout(PATIENCE), Engine([node], model) as engine:
        first = [event async for event in engine.start("why?").events()]
        second = [event async for event in engine.start("why?").events()]
    assert failures(first) == {1: "OUTCOME_UNKNOWN"}
    message = facts(first, "task_failed")[0].failure.message
    assert "MCP server node ended with status 9; its last words: out of memory, or so" in message
    assert outputs(second) == {1: '"alive"'}
