"""`dovetail executor` as a process of its own: what it says, how signals end it, and with which status."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import grpc
import pytest
from peer import PATIENCE, call, peer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from peer import Attachment, Peer

pytestmark = pytest.mark.anyio

TOOLS = '''
import asyncio, threading
from pathlib import Path
from dovetail import tool

@tool(read_only=True)
async def double(number: int) -> int:
    """Twice the number."""
    return number * 2

@tool
async def slow() -> str:
    """Takes as long as it is let."""
    while not Path("go").exists():
        await asyncio.sleep(0.02)
    return "done"

@tool
async def stubborn() -> str:
    """Does not let itself be cancelled."""
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass

@tool
async def blocking() -> str:
    """Blocks the event loop."""
    print("blocked", flush=True)
    threading.Event().wait()
'''


class Process:
    """A process of the command line, the lines of its output read one by one."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def line(self, wanted: str) -> str:
        """The next line that holds this."""
        assert self.process.stdout is not None
        while line := (await asyncio.wait_for(self.process.stdout.readline(), PATIENCE)).decode():
            if wanted in line:
                return line.rstrip("\n")
        raise AssertionError(f"the process ended without saying {wanted!r}")

    async def status(self) -> int:
        """Its exit status."""
        return await asyncio.wait_for(self.process.wait(), PATIENCE)


@asynccontextmanager
async def command(folder: Path, *arguments: str, **variables: str) -> AsyncIterator[Process]:
    (folder / "tools.py").write_text(TOOLS)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DOVETAIL_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "dovetail.cli.main",
        "executor",
        *arguments,
        cwd=folder,
        env={**environment, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder), **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield Process(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@asynccontextmanager
async def attached(folder: Path, *arguments: str) -> AsyncIterator[tuple[Peer, Attachment, Process]]:
    """A peer, and a command that is attached to it."""
    async with peer() as server, command(folder, "-t", "tools.py", *arguments, DOVETAIL_SERVER=server.address) as one:
        yield server, await server.welcomed(), one


async def test_the_command_serves_tools_and_says_what_becomes_of_it(tmp_path: Path) -> None:
    async with attached(tmp_path, "--id", "one", "--max-parallel", "5") as (server, stream, process):
        assert (stream.hello.executor_id, stream.hello.max_parallel_calls) == ("one", 5)
        await stream.call(call("a", "double", '{"number": 21}'))
        assert [result.outcome.output_json for result in await stream.results()] == ["42"]
        line = await process.line("serves")
        assert line == f"dovetail: one serves double, slow, stubborn, blocking to {server.address}"
        assert await process.line("attached") == "dovetail: attached: session 1"
        stream.end(grpc.StatusCode.UNAVAILABLE, "going away")
        assert (await process.line("lost: UNAVAILABLE")).endswith("going away")
        await process.line("attaching to")


async def test_a_file_of_policies_says_how_the_tools_are_to_be_called(tmp_path: Path) -> None:
    (tmp_path / "policies.toml").write_text('["*"]\nmax_parallel = 2\n[double]\ntimeout = 7\nretries = 3\n')
    for arguments, variables in (
        (("--policies", "policies.toml"), {}),
        ((), {"DOVETAIL_POLICIES": "policies.toml"}),
    ):
        async with (
            peer() as server,
            command(tmp_path, "-t", "tools.py", "--server", server.address, *arguments, **variables),
        ):
            hello = (await server.welcomed()).hello
        told = {
            spec.name: (spec.timeout.seconds, spec.policy.retries, spec.policy.max_parallel) for spec in hello.tools
        }
        assert told["double"] == (7, 3, 2)
        assert told["slow"] == (60, 0, 2)


async def test_a_policy_that_cannot_be_used_is_told_before_it_attaches(tmp_path: Path) -> None:
    (tmp_path / "policies.toml").write_text("[double]\nretry = 3\n")
    arguments = ("-t", "tools.py", "--server", "localhost:1", "--policies", "policies.toml")
    async with command(tmp_path, *arguments) as process:
        assert "there is no field 'retry'; did you mean retries?" in await process.line("policies.toml")
        assert await process.status() == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_first_signal_drains_and_the_status_is_0(tmp_path: Path, number: int) -> None:
    async with attached(tmp_path) as (_, stream, process):
        await stream.call(call("a", "slow"))
        await process.line("attached")
        process.process.send_signal(number)
        await stream.drained()
        (tmp_path / "go").touch()
        assert [result.outcome.output_json for result in await stream.results()] == ['"done"']
        await stream.record("a")
        (goodbye,) = await stream.closed()
        assert goodbye.HasField("goodbye")
        stream.end()
        await process.line("draining: calls that are out: ")
        await process.line("drained")
        assert await process.status() == 0


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
async def test_the_second_signal_ends_the_process_at_once(tmp_path: Path, number: int, status: int) -> None:
    async with attached(tmp_path) as (_, stream, process):
        await stream.call(call("a", "stubborn"))
        await process.line("attached")
        process.process.send_signal(number)
        await process.line("draining")
        process.process.send_signal(number)
        assert await process.status() == status


async def test_signals_end_a_process_whose_loop_is_blocked(tmp_path: Path) -> None:
    async with attached(tmp_path) as (_, stream, process):
        await stream.call(call("a", "blocking"))
        await process.line("blocked")
        process.process.send_signal(signal.SIGTERM)
        # Two signals that come together are one. Sent past `Popen`, which would collect the status before asyncio does.
        while process.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.process.pid, signal.SIGINT)
            await asyncio.sleep(0.01)
        assert await process.status() in (130, 143)


async def test_a_tool_that_does_not_let_itself_be_cancelled_does_not_keep_a_drained_process(tmp_path: Path) -> None:
    async with attached(tmp_path, "--drain-seconds", "0.5") as (_, stream, process):
        await stream.call(call("a", "stubborn"))
        await process.line("attached")
        process.process.send_signal(signal.SIGTERM)
        await stream.drained()
        await stream.results()
        await stream.record("a")
        await stream.closed()
        stream.end()
        assert await process.status() == 0


async def test_a_refusal_is_told_and_the_status_is_1(tmp_path: Path) -> None:
    async with peer() as server, command(tmp_path, "--server", server.address, "--tools", "tools.py") as process:
        (await server.attached()).end(grpc.StatusCode.UNAUTHENTICATED, "there is no token", "TOKEN_INVALID")
        line = await process.line("refused")
        assert "UNAUTHENTICATED (TOKEN_INVALID): there is no token; give a valid token: set DOVETAIL_TOKEN" in line
        assert await process.status() == 1


async def test_the_token_is_that_of_the_environment(tmp_path: Path) -> None:
    async with (
        peer() as server,
        command(tmp_path, "--server", server.address, "--tools", "tools.py", DOVETAIL_TOKEN="secret") as process,
    ):
        assert (await server.attached()).metadata["authorization"] == "Bearer secret"
        assert "secret" not in await process.line("serves")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "no server is given; add --server HOST:PORT or set DOVETAIL_SERVER"),
        (("--server", "localhost:1"), "no tools are given; add --tools SPEC"),
        (("--server", "localhost", "--tools", "tools.py"), "'localhost' is no address"),
        (("--server", "localhost:1", "--tools", "nothing.py"), "nothing.py"),
        (("--server", "localhost:1", "--tools", "tools.py", "--cert", "a.pem"), "give both or neither"),
        (("--server", "localhost:1", "--tools", "tools.py", "--ca", "a.pem"), "a.pem: the file cannot be read"),
        (("--server", "localhost:1", "--tools", "tools.py", "--id", "a b"), "executor_id is 'a b'"),
        (("--server", "localhost:1", "--tools", "tools.py", "--max-parallel", "0"), "--max-parallel"),
    ],
)
async def test_a_command_that_is_called_wrongly_says_why(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    async with command(tmp_path, *arguments) as process:
        await process.line(message)
        assert await process.status() == 2


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, 130)])
async def test_the_second_signal_to_run_does_what_it_does_without_an_executor(
    tmp_path: Path, number: int, status: int
) -> None:
    async with peer() as server, script(tmp_path, server) as process:
        stream = await server.welcomed()
        await stream.call(call("a", "slow"))
        await process.line("entered")
        process.process.send_signal(number)
        await stream.until(lambda request: request.HasField("drain"))
        process.process.send_signal(number)
        # An interpreter that ends by KeyboardInterrupt lets the signal end it, where there is one.
        assert await process.status() in (status, -number)


async def test_run_returns_when_it_is_drained(tmp_path: Path) -> None:
    async with peer() as server, script(tmp_path, server) as process:
        stream = await server.welcomed()
        await stream.call(call("a", "slow"))
        await process.line("entered")
        process.process.send_signal(signal.SIGTERM)
        await stream.drained()
        process.process.stdin.write(b"go on\n")  # type: ignore[union-attr]
        await stream.results()
        await stream.record("a")
        await stream.closed()
        stream.end()
        await process.line("returned")
        assert await process.status() == 0


@asynccontextmanager
async def script(folder: Path, server: Peer) -> AsyncIterator[Process]:
    """A program that serves a tool which waits for a line of its standard input."""
    program = f"""
import sys
from dovetail import Executor, tool

@tool
def slow() -> str:
    print("entered", flush=True)
    return sys.stdin.readline()

Executor([slow], {server.address!r}).run()
print("returned", flush=True)
"""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, cwd=folder, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.STDOUT
    )
    try:
        yield Process(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
