"""Which functions can be isolated, and isolated tools in runs: of an engine, of a server, at an executor."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import isolated_tools as isolated
import pytest
from descriptors import opened
from test_processes import children, is_alive, seen, written

from dovetail import Client, Engine, Executor, ToolDefinitionError, ToolSet, tool
from dovetail.executor import ExecutorState
from dovetail.tools.definition import Tool
from dovetail.v1 import FailureReason
from live import serving
from one_loop import anyio_backend, one_loop
from scripted import PATIENCE, ScriptedModel, events_of, facts, failures, finish, outputs, plan

pytestmark = pytest.mark.anyio
__all__ = ["anyio_backend", "one_loop"]

TOOLS = '''
import os
from beside import OFFSET
from dovetail import tool

@tool(isolation="process", read_only=True)
def shifted(number: int) -> list[int]:
    """The number and what stands beside, and the process."""
    return [number + OFFSET, os.getpid()]

@tool(isolation="process", timeout=0.5)
def hang() -> None:
    """Never ends."""
    while True:
        pass

@tool(isolation="process")
def die() -> None:
    """Takes its process with it."""
    os._exit(9)
'''

SCRIPT = '''
import asyncio, os, sys
from dovetail import tool

@tool(isolation="process")
def process(number: int) -> list[int]:
    """The number and the process."""
    return [number, os.getpid(), len(sys.argv)]

if __name__ == "__main__":
    number, there, arguments = __import__("json").loads(asyncio.run(process.call('{"number": 5}')))
    assert number == 5 and there != os.getpid() and arguments == 2, (number, there, arguments)
    print("called")
'''


# Which functions --------------------------------------------------------------------------------------------------


class Counter:
    def count(self) -> int:
        """Counts."""
        return 1


def test_what_no_other_process_can_find_is_refused_with_the_remedy() -> None:
    def inside() -> int:
        """Stands in another function."""
        return 1

    isolate = tool(isolation="process", name="counted")
    remedy = "move it to the top level of a module or a file, or leave isolation out"
    for function, message in (
        (inside, "test_what_no_other_process_can_find_is_refused_with_the_remedy.inside is made inside another"),
        (lambda: 1, "a lambda has no name by which it could be found"),
        (Counter().count, "Counter.count is bound to an object"),
    ):
        with pytest.raises(ToolDefinitionError) as caught:
            isolate(function)  # type: ignore[arg-type]
        assert f"tool 'counted': isolation='process': {message}" in str(caught.value)
        assert str(caught.value).endswith(remedy)
        assert caught.value.field == "isolation"


def test_an_isolation_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ToolDefinitionError, match="isolation is 'thread'; it must be 'none' or 'process'"):
        tool(isolation="thread")(isolated.plain)  # type: ignore[call-overload]
    with pytest.raises(ToolDefinitionError, match="needs a function behind the tool"):
        Tool("there", "Is somewhere else.", {"type": "object"}, isolation="process")


def run_script(*arguments: str, folder: Path, text: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, input=text, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_tool_of_a_script_is_found_in_its_file(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    for arguments in (["script.py", "x"], ["-m", "script", "x"]):
        done = run_script(*arguments, folder=tmp_path)
        assert (done.returncode, done.stdout) == (0, "called\n"), done.stderr


def test_a_script_that_runs_itself_when_it_is_imported_does_not_go_on_for_ever(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT.replace('if __name__ == "__main__":', "if True:"), encoding="utf-8")
    done = run_script("script.py", "x", folder=tmp_path)
    assert done.returncode == 1
    assert 'if __name__ == "__main__":' in done.stderr


def test_a_tool_that_was_typed_in_stands_in_no_file(tmp_path: Path) -> None:
    done = run_script("-c", SCRIPT, folder=tmp_path)
    assert "isolation='process': process stands in no file; move it to the top level of a module" in done.stderr


def test_a_tool_in_a_namespace_is_found_where_it_was() -> None:
    found = ToolSet.of([isolated.double]).under("db")["db.double"]
    assert (found.isolation, found.address) == ("process", isolated.double.address)


# In runs ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def tools(tmp_path: Path) -> str:
    (tmp_path / "beside.py").write_text("OFFSET = 100\n", encoding="utf-8")
    (tmp_path / "tools.py").write_text(TOOLS, encoding="utf-8")
    return str(tmp_path / "tools.py")


async def test_tools_of_a_file_are_called_in_processes_with_events_as_any_others(tools: str) -> None:
    events = await events_of([tools], ScriptedModel(plan("1. shifted(5)", "2. join()"), finish("x")))
    assert outputs(events)[1].startswith("[105,")
    assert str(os.getpid()) not in outputs(events)[1]
    assert [fact.call_id for fact in facts(events, "call_started")] == ["1.1"]


async def test_a_call_past_its_timeout_and_one_that_crashes_fail_alone(tools: str) -> None:
    text = plan("1. hang()", "2. die()", "3. shifted(5)", "4. join()")
    events = await events_of([tools], ScriptedModel(text, finish("x")))
    assert failures(events) == {1: "TIMEOUT", 2: "TOOL_CRASHED"}
    messages = {fact.task_id: fact.failure.message for fact in facts(events, "task_failed")}
    assert messages == {
        1: "hang took longer than its timeout of 0.5 s",
        2: "the process of die ended with exit code 9",
    }
    assert list(outputs(events)) == [3]


async def test_a_crash_counts_for_retries(tmp_path: Path) -> None:
    text = plan(f'1. die_once("{tmp_path / "mark"}")', "2. join()")
    events = await events_of([isolated.die_once], ScriptedModel(text, finish("x")))
    assert outputs(events) == {1: '"alive"'}
    failed = facts(events, "call_failed")
    assert [FailureReason.Name(fact.failure.reason) for fact in failed] == ["FAILURE_REASON_TOOL_CRASHED"]


async def test_calls_that_wait_for_a_process_say_so_and_have_not_begun() -> None:
    text = plan(*(f"{one}. sleep(0.5)" for one in range(1, 13)), "13. join()")
    short = tool(isolation="process", timeout=2.5, name="sleep")(isolated.sleep.function)  # type: ignore[arg-type]
    events = await events_of([short], ScriptedModel(text, finish("x")))
    assert failures(events) == {}
    assert len(facts(events, "call_waiting")) >= 12 - 2 * (os.cpu_count() or 1)
    assert len(facts(events, "call_started")) == 12


async def test_signs_of_progress_are_heard() -> None:
    events = await events_of([isolated.report_on], ScriptedModel(plan("1. report_on(0.6)", "2. join()"), finish("x")))
    assert outputs(events) == {1: '"done"'}
    assert facts(events, "call_progressed")


def serving_threads() -> set[threading.Thread]:
    """The threads that serve the processes of tools."""
    return {thread for thread in threading.enumerate() if thread.name.startswith("dovetail-process")}


async def test_a_run_that_is_cancelled_kills_its_processes_and_an_engine_that_is_closed_leaves_none(
    tmp_path: Path,
) -> None:
    before = children()
    mark = tmp_path / "mark"
    others, open_before = serving_threads(), opened()
    async with Engine([isolated.spin], ScriptedModel(plan(f'1. spin("{mark}")', "2. join()"), finish("x"))) as engine:
        run = engine.start("why?")
        process = int(await written(mark))
        run.cancel()
        events = [event async for event in run.events()]
        assert failures(events) == {1: "CANCELLED"}
        assert not is_alive(process)
    assert children() <= before
    # A thread says that its process is gone shortly before it is gone itself.
    await seen(lambda: not serving_threads() - others)
    assert opened() <= open_before


# Over gRPC --------------------------------------------------------------------------------------------------------


QUESTION = "1. shifted(5)\n2. die()\n3. hang()\n4. join()"


def check(events: list[Any]) -> None:
    assert failures(events) == {2: "TOOL_CRASHED", 3: "TIMEOUT"}
    assert outputs(events)[1].startswith("[105,")
    failed = {fact.task_id: fact.failure.message for fact in facts(events, "task_failed")}
    assert failed[2] == "the process of die ended with exit code 9"


async def test_a_server_calls_its_own_tools_in_processes(tools: str) -> None:
    async with serving([tools]) as live:
        check(await live.events(await live.create(QUESTION)))


async def test_an_executor_calls_its_tools_in_processes(tools: str) -> None:
    attached = asyncio.Event()

    def tell(state: ExecutorState, _: str) -> None:
        if state is ExecutorState.ATTACHED:
            attached.set()

    async with serving() as live:
        executor = Executor([tools], live.address, on_state=tell)
        serve = asyncio.create_task(executor.serve())
        await asyncio.wait_for(attached.wait(), PATIENCE)
        check(await live.events(await live.create(QUESTION)))
        executor.drain()
        await asyncio.wait_for(serve, PATIENCE)


async def test_a_client_calls_its_own_tools_in_processes(tools: str) -> None:
    async with serving() as live, Client(live.address) as client:
        run = await client.stream(QUESTION, client_tools=[tools])
        check([event async for event in run.events()])
