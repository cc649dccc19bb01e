"""Executors and the real server: what becomes of runs when lines break, processes die and servers are replaced."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from line import line_to
from peer import PATIENCE, serving

from certificates import Authority
from dovetail import CallContext, Executor, tool
from dovetail.executor import ExecutorRefusedError, ExecutorState
from dovetail.v1 import CreateRunRequest, Event, WatchRunRequest
from dovetail.v1.run_service_pb2_grpc import RunServiceStub
from dovetail_server.server import Server
from dovetail_server.settings import ServerSettings
from scripted import ScriptedModel, facts, failures, outputs, plan

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.anyio


class Gate:
    """Tools that wait until a test lets them go on, and how often each was entered."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.open = asyncio.Event()
        self.times = 0

    async def wait(self) -> str:
        self.times += 1
        self.entered.set()
        await self.open.wait()
        return "through"

    def booking(self) -> Any:
        """A tool whose calls must not be repeated."""

        @tool
        async def booking() -> str:
            """Books."""
            return await self.wait()

        return booking

    def looking(self) -> Any:
        """A tool whose calls may be repeated."""

        @tool(read_only=True)
        async def looking() -> str:
            """Looks."""
            return await self.wait()

        return looking


@tool(read_only=True)
async def double(number: int, context: CallContext) -> int:
    """Twice the number."""
    context.report(0.5, "half of it")
    return number * 2


@asynccontextmanager
async def server(*plans: str, listen: str = "127.0.0.1:0", **settings: Any) -> AsyncIterator[str]:
    """A server whose runs go by these plans; yields its address."""
    told = ServerSettings(listen=(listen,), log_level="error", **settings)
    async with Server(told, models={"scripted": ScriptedModel(*plans)}) as one:
        yield one.addresses[0]


async def run(address: str) -> list[Event]:
    """The events of a run, from its start to its end."""
    events: list[Event] = []
    async with asyncio.timeout(PATIENCE), grpc.aio.insecure_channel(address) as channel:
        stub: Any = RunServiceStub(channel)
        created = await stub.CreateRun(CreateRunRequest(question="why?"))
        async for response in stub.WatchRun(WatchRunRequest(run_id=created.run.run_id)):
            events += response.events
    return events


@pytest.fixture
def gate() -> Gate:
    return Gate()


async def entered(gate: Gate) -> None:
    await asyncio.wait_for(gate.entered.wait(), PATIENCE)


async def test_the_tasks_of_a_run_are_carried_out_by_an_executor() -> None:
    lines = plan("1. double(21)", "2. double($1)", "3. join($2)")
    async with server(lines) as address, serving([double], address, executor_id="one") as executor:
        await executor.state(ExecutorState.ATTACHED)
        events = await run(address)
    assert outputs(events) == {1: "42", 2: "84"}
    assert [fact.executor_id for fact in facts(events, "call_started")] == ["one", "one"]
    assert facts(events, "call_progressed")[0].message == "half of it"


async def test_a_call_goes_on_while_its_line_is_cut_and_is_carried_out_once(gate: Gate) -> None:
    lines = plan("1. booking()", "2. join($1)")
    async with server(lines) as address, line_to(address) as line, serving([gate.booking()], line.address) as executor:
        await executor.state(ExecutorState.ATTACHED)
        events = asyncio.create_task(run(address))
        await entered(gate)
        line.cut()
        await executor.state(ExecutorState.RESUMED)
        gate.open.set()
        assert outputs(await events) == {1: '"through"'}
    assert (gate.times, line.connections) == (1, 2)


async def test_a_result_that_is_ready_while_there_is_no_line_arrives_with_the_next(gate: Gate) -> None:
    lines = plan("1. booking()", "2. join($1)")
    async with server(lines) as address, line_to(address) as line, serving([gate.booking()], line.address) as executor:
        await executor.state(ExecutorState.ATTACHED)
        events = asyncio.create_task(run(address))
        await entered(gate)
        line.cut()
        gate.open.set()
        assert outputs(await events) == {1: '"through"'}
    assert gate.times == 1


async def test_a_line_that_goes_dead_is_noticed_within_the_lease_and_the_result_still_arrives(gate: Gate) -> None:
    lines = plan("1. booking()", "2. join($1)")
    settings = {"heartbeat_seconds": 0.1, "lease_seconds": 0.5, "grace_seconds": PATIENCE}
    async with (
        server(lines, **settings) as address,
        line_to(address) as line,
        serving([gate.booking()], line.address) as executor,
    ):
        await executor.state(ExecutorState.ATTACHED)
        events = asyncio.create_task(run(address))
        await entered(gate)
        line.mute()
        gate.open.set()
        assert await executor.state(ExecutorState.LOST) == "lost: nothing was heard of the server for 0.5 s"
        await executor.state(ExecutorState.RESUMED)
        assert outputs(await events) == {1: '"through"'}
    assert gate.times == 1


async def test_calls_of_an_executor_that_is_drained_at_once_are_made_by_another(gate: Gate) -> None:
    lines = plan("1. looking()", "2. join($1)")
    async with server(lines) as address, serving([gate.looking()], address, drain_seconds=0) as first:
        await first.state(ExecutorState.ATTACHED)
        events = asyncio.create_task(run(address))
        await entered(gate)
        async with serving([gate.looking()], address) as second:
            await second.state(ExecutorState.ATTACHED)
            first.executor.drain()
            await first.ended()
            gate.open.set()
            assert outputs(await events) == {1: '"through"'}
    assert gate.times == 2


async def test_a_drained_executor_finishes_its_calls(gate: Gate) -> None:
    lines = plan("1. booking()", "2. join($1)")
    async with server(lines) as address, serving([gate.booking()], address) as executor:
        await executor.state(ExecutorState.ATTACHED)
        events = asyncio.create_task(run(address))
        await entered(gate)
        executor.executor.drain()
        await executor.state(ExecutorState.DRAINING)
        gate.open.set()
        await executor.ended()
        assert outputs(await events) == {1: '"through"'}


async def test_calls_of_an_executor_that_was_killed_are_made_by_another(gate: Gate) -> None:
    program = """
import asyncio
from dovetail import Executor, tool

@tool(read_only=True)
async def looking() -> str:
    "Looks."
    print("entered", flush=True)
    await asyncio.Event().wait()

def tell(state, line):
    print(state.value, flush=True)

Executor([looking], %r, executor_id="doomed", on_state=tell).run()
"""
    lines = plan("1. looking()", "2. join($1)")
    async with server(lines, heartbeat_seconds=0.5, lease_seconds=3) as address:
        doomed = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program % address, stdout=asyncio.subprocess.PIPE
        )
        try:
            assert doomed.stdout is not None
            assert await asyncio.wait_for(doomed.stdout.readline(), PATIENCE) == b"attached\n"
            events = asyncio.create_task(run(address))
            assert await asyncio.wait_for(doomed.stdout.readline(), PATIENCE) == b"entered\n"
            gate.open.set()
            async with serving([gate.looking()], address, executor_id="other"):
                doomed.kill()
                made = await events
        finally:
            if doomed.returncode is None:
                doomed.kill()
            await doomed.communicate()
    assert outputs(made) == {1: '"through"'}
    assert [fact.executor_id for fact in facts(made, "call_started")] == ["doomed", "other"]


async def test_an_executor_finds_the_server_that_takes_the_place_of_another(port: int) -> None:
    lines = plan("1. double(21)", "2. join($1)")
    async with server(listen=f"127.0.0.1:{port}") as address:
        executing = serving([double], address)
        executor = await executing.__aenter__()
        await executor.state(ExecutorState.ATTACHED)
    try:
        await executor.state(ExecutorState.LOST)
        async with server(lines, listen=address):
            await executor.state(ExecutorState.ATTACHED)
            assert outputs(await run(address)) == {1: "42"}
    finally:
        await executing.__aexit__(None, None, None)


async def test_a_spec_that_differs_from_that_of_the_others_is_refused() -> None:
    @tool(name="double")
    async def other(text: str) -> str:
        """Something else."""
        return text

    async with server() as address, serving([double], address) as executor:
        await executor.state(ExecutorState.ATTACHED)
        with pytest.raises(ExecutorRefusedError, match="rename it") as refused:
            await asyncio.wait_for(Executor([other], address).serve(), PATIENCE)
    assert (refused.value.code, refused.value.reason) == ("ALREADY_EXISTS", "TOOL_SPEC_CONFLICT")


async def test_of_two_executors_of_one_name_the_newer_stays() -> None:
    async with server() as address, serving([double], address, executor_id="one") as older:
        await older.state(ExecutorState.ATTACHED)
        async with serving([double], address, executor_id="one") as newer:
            with pytest.raises(ExecutorRefusedError, match="give each its own"):
                await older.ended()
            await newer.state(ExecutorState.ATTACHED)
            assert not newer.task.done()


async def test_executors_attach_with_certificates_of_their_own(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("server")
    own_certificate, own_key = authority.issue("executor")
    settings = {"tls_certificate": certificate, "tls_key": key, "client_ca": authority.path}
    async with server(**settings) as address:
        async with serving([double], address, ca=authority.path, certificate=own_certificate, key=own_key) as executor:
            await executor.state(ExecutorState.ATTACHED)
        async with serving([double], address, ca=authority.path) as executor:
            assert "UNAVAILABLE" in await executor.state(ExecutorState.RECONNECTING)


async def test_an_executor_without_a_token_is_refused_where_tokens_are_needed(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.toml"
    sha256 = hashlib.sha256(b"secret").hexdigest()
    tokens.write_text(f'[[token]]\nname = "one"\nsha256 = "{sha256}"\nroles = ["execute"]\n')
    async with server(tokens=tokens) as address:
        with pytest.raises(ExecutorRefusedError, match="set DOVETAIL_TOKEN") as refused:
            await asyncio.wait_for(Executor([double], address).serve(), PATIENCE)
        async with serving([double], address, token="secret") as executor:
            await executor.state(ExecutorState.ATTACHED)
    assert (refused.value.code, refused.value.reason) == ("UNAUTHENTICATED", "TOKEN_INVALID")


async def test_failures_of_tools_are_failures_of_their_tasks() -> None:
    @tool(timeout=0.1)
    async def endless() -> None:
        """Never ends by itself."""
        await asyncio.Event().wait()

    @tool(max_output_bytes=10)
    async def long() -> str:
        """More than its limit."""
        return "x" * 100

    @tool
    async def raising() -> str:
        """Raises."""
        raise ValueError("no such mountain")

    @tool
    async def odd() -> float:
        """What JSON does not have."""
        return float("inf")

    lines = plan("1. endless()", "2. long()", "3. raising()", "4. odd()", "5. join()")
    async with (
        server(lines, "Thought: enough.\nAction: Finish(none)") as address,
        serving([endless, long, raising, odd], address) as executor,
    ):
        await executor.state(ExecutorState.ATTACHED)
        events = await run(address)
    assert failures(events) == {1: "TIMEOUT", 2: "OUTPUT_TOO_LARGE", 3: "TOOL_ERROR", 4: "OUTPUT_INVALID"}
