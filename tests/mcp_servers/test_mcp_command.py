"""`dovetail mcp`: asked by the MCP client of the official package; and SPECs of MCP servers in the other commands."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from commandline import COMMAND, SPECS, dovetail, environment, recording
from mcp import Client, StdioServerParameters
from mcp_types import TextContent
from notes import noted

from dovetail.executor import Executor
from live import serving
from scripted import PATIENCE, plan

if TYPE_CHECKING:
    from mcp_types import CallToolResult

pytestmark = pytest.mark.anyio

TOOLS = '''
import asyncio
from pathlib import Path
from dovetail import tool

@tool(read_only=True)
async def double(number: float) -> float:
    """Twice the number."""
    print("a tool printed this")
    return number * 2

@tool
async def endless(notes: str) -> str:
    """Never ends by itself."""
    Path(notes).write_text("began\\n")
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        Path(notes).write_text("cancelled\\n")
        raise
    return notes

@tool(approval=True)
async def delete(what: str) -> str:
    """Deletes."""
    return what
'''


def command(folder: Path, *replies: str) -> StdioServerParameters:
    (folder / "tools.py").write_text(TOOLS, encoding="utf-8")
    return StdioServerParameters(
        command=COMMAND[0],
        args=[*COMMAND[1:], "mcp", "--model", recording(folder, *replies), "--tools", "tools.py"],
        env=environment(folder),
        cwd=folder,
    )


def text(result: CallToolResult) -> str:
    (block,) = result.content
    assert isinstance(block, TextContent)
    return block.text


async def test_a_question_is_answered_and_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[float, str | None]] = []

    async def progress(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, message))

    asked = command(tmp_path, plan("1. double(21)", "2. join($1)"))
    async with asyncio.timeout(PATIENCE), Client(asked) as client:
        result = await client.call_tool("ask", {"question": "What is twice 21?"}, progress_callback=progress)
    assert (text(result), result.is_error) == ("42", False)
    assert {message for _, message in told} == {"1 double: planned", "1 double: called", "1 double: done"}
    assert [number for number, _ in told] == sorted({number for number, _ in told})


async def test_a_run_without_an_answer_is_an_error_with_its_reason(tmp_path: Path) -> None:
    async with asyncio.timeout(PATIENCE), Client(command(tmp_path)) as client:
        failed = await client.call_tool("ask", {"question": "why?"})
        empty = await client.call_tool("ask", {"question": " "})
    assert failed.is_error
    assert "MODEL_UNAVAILABLE: " in text(failed)
    assert empty.is_error
    assert "the question is empty" in text(empty)


async def test_a_request_that_is_cancelled_cancels_its_run(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    asked = command(tmp_path, plan(f'1. endless("{notes}")', "2. join()"))
    async with asyncio.timeout(PATIENCE), Client(asked) as client:
        request = asyncio.create_task(client.call_tool("ask", {"question": "why?"}))
        await noted(notes, "began")
        request.cancel()
        await noted(notes, "cancelled")


async def test_a_task_that_needs_approval_is_rejected(tmp_path: Path) -> None:
    asked = command(tmp_path, plan('1. delete("all")', "2. join()"), "Thought: x.\nAction: Finish(rejected)")
    told: list[str | None] = []

    async def progress(progress: float, total: float | None, message: str | None) -> None:
        told.append(message)

    async with asyncio.timeout(PATIENCE), Client(asked) as client:
        result = await client.call_tool("ask", {"question": "why?"}, progress_callback=progress)
    assert text(result) == "rejected"
    assert any("nobody can be asked over MCP" in (message or "") for message in told)


async def test_a_plan_is_compiled_into_steps_and_nothing_is_run(tmp_path: Path) -> None:
    async with asyncio.timeout(PATIENCE), Client(command(tmp_path)) as client:
        own = await client.call_tool("compile_plan", {"plan": "1. double(21)\n2. nope()\n3. join($1)"})
        theirs = await client.call_tool("compile_plan", {"plan": '1. search("x")\n2. join()', "tools": SPECS})
        bad = await client.call_tool("compile_plan", {"plan": "1. join()", "tools": [{"name": "x y"}]})
    steps: list[dict[str, Any]] = own.structured_content["steps"]
    assert not own.structured_content["valid"]
    assert [step["step"] for step in steps] == ["planned", "ready", "planned", "diagnostic", "closed"]
    assert steps[1]["arguments"] == {"number": 21}
    assert theirs.structured_content["valid"]
    assert theirs.structured_content["steps"][1]["arguments"] == {"query": "x"}
    assert bad.is_error
    assert "tools: " in text(bad)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
async def test_a_signal_ends_the_command(tmp_path: Path, number: signal.Signals, status: int) -> None:
    asked = command(tmp_path)
    process = await asyncio.create_subprocess_exec(
        asked.command,
        *asked.args,
        env=asked.env,
        cwd=tmp_path,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    params = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    process.stdin.write(
        json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}).encode() + b"\n"
    )
    async with asyncio.timeout(PATIENCE):
        answer = json.loads(await process.stdout.readline())
        assert answer["result"]["serverInfo"]["name"] == "dovetail"
        process.send_signal(number)
        assert await process.wait() == status
    process.stdin.close()
    await process.stdout.read()


def test_run_takes_tools_from_an_mcp_server_named_in_the_settings(tmp_path: Path, servers: str) -> None:
    model = recording(tmp_path, plan('1. trouble.mountain("K2")', "2. join($1.height)"))
    settings = tmp_path / "dovetail.toml"
    tables = Path(servers).read_text(encoding="utf-8")
    settings.write_text(f'model = "{model}"\ntools = ["dovetail.toml"]\n{tables}', encoding="utf-8")
    done = dovetail(tmp_path, "run", "How high is K2?")
    assert (done.stdout, done.returncode) == (b"8849\n", 0), done.stderr


def test_run_says_what_became_of_a_server_that_is_not_there(tmp_path: Path) -> None:
    done = dovetail(tmp_path, "run", "--model", recording(tmp_path, "1. join()"), "--tools", "mcp:no-such-server", "?")
    assert done.returncode == 2
    assert b"MCP server no-such-server cannot be reached: there is no command" in done.stderr


async def test_a_server_carries_out_calls_of_mcp_tools(servers: str) -> None:
    async with asyncio.timeout(PATIENCE), serving([servers]) as live:
        assert await live.answer('1. trouble.say("x")\n2. join($1)') == "x"


async def test_an_executor_serves_mcp_tools(servers: str) -> None:
    async with asyncio.timeout(PATIENCE), serving() as live:
        is_attached = asyncio.Event()
        executor = Executor([servers], live.address, on_state=lambda _state, _line: is_attached.set())
        attached = asyncio.create_task(executor.serve())
        try:
            await is_attached.wait()
            assert await live.answer('1. trouble.mountain("K2")\n2. join($1.height)') == "8849"
        finally:
            executor.drain()
            await attached
