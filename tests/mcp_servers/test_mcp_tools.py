"""Tools of MCP servers in a tool set: a real server, in a process of its own, on stdio and on HTTP."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from descriptors import closed_again, opened
from notes import noted

from dovetail.engine import Engine
from dovetail.errors import UsageError
from dovetail.tools.tool_set import ToolSet
from scripted import PATIENCE, ScriptedModel, events_of, facts, failures, finish, outputs, plan

if TYPE_CHECKING:
    from dovetail.v1 import Event

pytestmark = pytest.mark.anyio


async def called(tools: str, *lines: str) -> list[Event]:
    return await events_of([tools], ScriptedModel(plan(*lines, f"{len(lines) + 1}. join()"), finish("done")))


def messages(events: list[Event]) -> dict[int, str]:
    return {fact.task_id: fact.failure.message for fact in facts(events, "task_failed")}


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def started(notes: Path) -> list[int]:
    """The processes of the server, in the order of their beginning."""
    lines = notes.read_text(encoding="utf-8").splitlines()
    return [int(line.removeprefix("started ")) for line in lines if line.startswith("started ")]


async def test_outputs_are_the_structured_content_or_else_the_text(servers: str) -> None:
    events = await called(
        servers,
        '1. trouble.mountain("Everest")',
        '2. trouble.say(text="It is $1.height m")',
        '3. trouble.say_twice("x")',
        "4. trouble.picture()",
    )
    assert outputs(events) == {
        1: '{"name":"Everest","height":8849}',
        2: '"It is 8849 m"',
        3: '["x","x"]',
        4: '{"type":"image","mime_type":"image/png","bytes":300}',
    }


async def test_a_server_on_http_serves_like_one_on_stdio(url: str) -> None:
    events = await called(f"mcp:far={url}", '1. far.mountain("K2")', '2. far.wrong("luck")', '3. far.say("x")')
    assert outputs(events) == {1: '{"name":"K2","height":8849}', 3: '"x"'}
    assert "no luck" in messages(events)[2]


async def test_schemas_descriptions_and_hints_are_taken_over(servers: str) -> None:
    tools = ToolSet.of([servers])
    mountain, wrong, say = tools["trouble.mountain"], tools["trouble.wrong"], tools["trouble.say"]
    assert mountain.description == "The height of a mountain."
    assert mountain.input_schema["required"] == ["name"]
    assert mountain.output_schema is not None
    assert mountain.output_schema["required"] == ["name", "height"]
    assert (mountain.read_only, mountain.idempotent, mountain.destructive) == (True, False, False)
    assert (wrong.read_only, wrong.idempotent, wrong.destructive) == (False, True, True)
    assert (say.read_only, say.idempotent, say.destructive) == (False, False, False)


async def test_names_that_plans_cannot_write_are_changed(servers: str) -> None:
    unnamed = f"mcp:{sys.executable} {Path(__file__).parent / 'python_server.py'}"
    events = await called(unnamed, "1. odd_name_()", "2. _join()")
    assert outputs(events) == {1: '"odd"', 2: '"joined"'}
    assert "trouble.join" in ToolSet.of([servers]).names


async def test_a_namespace_before_the_spec_works_like_that_of_any_tools(servers: str) -> None:
    events = await called(f"ours={servers}", '1. ours.trouble.say("x")')
    assert outputs(events) == {1: '"x"'}


async def test_an_error_of_a_tool_fails_its_task_with_what_it_says(servers: str) -> None:
    events = await called(servers, '1. trouble.wrong("luck")')
    assert failures(events) == {1: "TOOL_ERROR"}
    assert "no luck" in messages(events)[1]


@pytest.mark.parametrize("over_http", [False, True])
async def test_progress_is_passed_on_and_so_is_a_cancel(
    servers: str, url: str, notes: Path, *, over_http: bool
) -> None:
    model = ScriptedModel(plan('1. trouble.slow("x")', "2. join()"))
    source = f"mcp:trouble={url}" if over_http else servers
    async with asyncio.timeout(PATIENCE), Engine([source], model) as engine:
        run = engine.start("why?")
        async for event in run.events():
            if event.HasField("call_progressed"):
                assert event.call_progressed.fraction == 0.25
                assert event.call_progressed.message == "begun with x"
                await noted(notes, "slow began")
                run.cancel()
        await noted(notes, "slow was cancelled")


async def test_a_server_that_dies_is_reported_and_started_again(servers: str, notes: Path) -> None:
    model = ScriptedModel(
        plan("1. trouble.die(3)", "2. join()"),
        finish("done"),
        plan('1. trouble.say("alive")', "2. join()"),
        finish("done"),
    )
    async with asyncio.timeout(PATIENCE), Engine([servers], model) as engine:
        first = [event async for event in engine.start("why?").events()]
        second = [event async for event in engine.start("why?").events()]
    assert failures(first) == {1: "OUTCOME_UNKNOWN"}
    assert "MCP server trouble ended with status 3; its last words: " in messages(first)[1]
    assert "out of luck" in messages(first)[1]
    assert outputs(second) == {1: '"alive"'}
    assert len(started(notes)) == 2


async def test_a_call_of_a_read_only_tool_is_made_again_if_its_server_dies(servers: str, tmp_path: Path) -> None:
    events = await called(servers, f'1. trouble.die_once("{tmp_path / "mark"}")')
    (lost,) = facts(events, "call_lost")
    assert (lost.executor_id, "MCP server trouble ended" in lost.message) == ("mcp:trouble", True)
    assert outputs(events) == {1: '"alive"'}


async def test_outputs_that_are_too_large_fail_their_task_alone(servers: str) -> None:
    events = await called(servers, "1. trouble.flood(2000000)", '2. trouble.say("dry")')
    assert failures(events) == {1: "OUTPUT_TOO_LARGE"}
    assert outputs(events) == {2: '"dry"'}


async def test_a_message_without_bounds_costs_the_server_its_life_and_not_our_memory(servers: str) -> None:
    events = await called(servers, "1. trouble.flood(20000000)")
    assert failures(events) == {1: "OUTCOME_UNKNOWN"}
    assert "sent a message of more than 16,777,216 bytes" in messages(events)[1]


async def test_no_process_and_no_descriptor_outlives_its_engine(servers: str, notes: Path) -> None:
    await called(servers, '1. trouble.say("x")')  # the thread of the sessions begins with the first
    before = opened()
    for _ in range(2):
        await called(servers, '1. trouble.say("x")')
    await closed_again(before)
    assert len(started(notes)) == 3
    assert not any(is_alive(pid) for pid in started(notes))


async def test_a_server_inherits_nothing_but_what_it_is_given(
    servers: str, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    events = await called(servers, '1. trouble.variable("OPENAI_API_KEY")', '2. trouble.variable("NOTES")')
    assert outputs(events) == {1: '"none"', 2: f'"{notes}"'}


async def test_calls_of_a_server_that_cannot_be_reached_any_more_fail_at_once(tmp_path: Path, servers: str) -> None:
    command = tmp_path / "server"
    command.write_text(f"#!/bin/sh\nexec {sys.executable} {Path(__file__).parent / 'python_server.py'}\n")
    command.chmod(0o755)
    tools = ToolSet.of([f"mcp:{command}"])
    async with Engine(tools, ScriptedModel()):
        pass  # its end closes the session
    command.unlink()
    model = ScriptedModel(plan('1. say("x")', '2. mountain("K2")', "3. join()"), finish("done"))
    events = await events_of(tools, model)
    assert failures(events) == {1: "TOOL_UNAVAILABLE", 2: "TOOL_UNAVAILABLE"}
    assert "there is no command" in messages(events)[1]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("mcp:", "a command or a URL is missing"),
        ("mcp:no-such-command --flag", "cannot be reached: there is no command 'no-such-command'"),
        ("mcp:http://127.0.0.1:9/mcp", "MCP server http://127.0.0.1:9/mcp cannot be reached: "),
        (
            f"mcp:{sys.executable} -c 'import sys; sys.exit(\"no luck\")'",
            "ended with status 1; its last words: no luck",
        ),
        ("mcp:'", "the command cannot be split"),
        ("missing.toml", "the file cannot be read"),
    ],
)
def test_a_server_that_is_not_there_is_said_with_what_happened(spec: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        ToolSet.of([spec])
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1", "there is no MCP server in it"),
        ("[mcp.a]\n", "mcp.a: give one of command"),
        ('[mcp.a]\ncommand = "x"\n', "mcp.a.command: must be a list of words"),
        ('[mcp.a]\nurl = "ftp://x"\n', "mcp.a.url: 'ftp://x' is no URL"),
        ('[mcp.a]\ncommand = ["x"]\nheaders = {}\n', "mcp.a.headers: belongs to a server with a url"),
        ('[mcp.a]\ncommand = ["x"]\ntimeout = 3\n', "mcp.a.timeout: there is no such key"),
    ],
)
def test_a_file_that_cannot_be_used_is_said_with_its_key(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "servers.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as refused:
        ToolSet.of([str(file)])
    assert said in str(refused.value)
