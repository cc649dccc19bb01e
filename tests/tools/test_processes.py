"""Tools in processes of their own: what they can do, what they can do to others, and what is left of them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import isolated_tools as isolated
import pytest
from descriptors import closed_again, opened

from dovetail import CallContext, UsageError, tool
from dovetail.processes.pool import Processes
from dovetail.tools.call_failure import CallFailedError
from dovetail.tools.definition import Tool
from dovetail.v1 import FailureReason

pytestmark = pytest.mark.anyio

PATIENCE = 60.0
"""The bound of every wait in these tests, in seconds; far above what any of them takes."""


def children() -> set[int]:
    """The children of this process that have not ended, or that nobody has looked at."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            stat = (entry / "stat").read_text()
        except OSError:  # no process, or none any more
            continue
        if stat.rpartition(")")[2].split()[1] == str(os.getpid()):
            found.add(int(entry.name))
    return found


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


T = TypeVar("T")


async def seen(look: Callable[[], T]) -> T:
    """Look again and again until there is something to see: processes and files tell nobody of themselves."""
    async with asyncio.timeout(PATIENCE):
        while not (found := look()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return found


async def gone(*processes: int) -> None:
    await seen(lambda: not any(is_alive(process) for process in processes))


async def written(mark: Path) -> str:
    """What a tool writes into a file, once it has."""
    return await seen(lambda: mark.read_text(encoding="utf-8") if mark.exists() else "")


@pytest.fixture(scope="module")
def shared() -> Iterator[Processes]:
    """Processes that tests share, because each takes a while to start; a test that counts them has its own."""
    processes = Processes(2)
    processes.hold()
    before = children()
    yield processes
    asyncio.run(processes.release())
    assert children() <= before


@pytest.fixture
async def own() -> AsyncIterator[Processes]:
    """A single process."""
    processes = Processes(1)
    processes.hold()
    yield processes
    await processes.release()


async def call(processes: Processes, called: Tool, arguments_json: str = "{}", **options: object) -> str:
    async with asyncio.timeout(PATIENCE):
        return await processes.call(called, arguments_json, CallContext(), **options)  # type: ignore[arg-type]


async def failure(processes: Processes, called: Tool, arguments_json: str = "{}") -> CallFailedError:
    with pytest.raises(CallFailedError) as caught:
        await call(processes, called, arguments_json)
    return caught.value


def reason(failed: CallFailedError) -> str:
    return FailureReason.Name(failed.reason).removeprefix("FAILURE_REASON_")


# What tools can do ------------------------------------------------------------------------------------------------


async def test_a_function_is_called_in_another_process(shared: Processes) -> None:
    assert await call(shared, isolated.double, '{"number": 4}') == "8"
    assert int(await call(shared, isolated.process_id)) in children()


async def test_an_async_function_has_an_event_loop_there(shared: Processes) -> None:
    assert await call(shared, isolated.double_soon, '{"number": 4}') == "8"


async def test_arguments_and_outputs_are_converted_there(shared: Processes) -> None:
    output = await call(shared, isolated.higher, '{"place": {"name": "K2", "height": 8611}}')
    assert output == '{"name":"K2","height":8612}'


async def test_large_arguments_and_outputs_come_through_whole(shared: Processes) -> None:
    text = '"' + "é" * 1_500_000 + '"'
    assert await call(shared, isolated.echo, f'{{"text": {text}}}') == text


async def test_a_tool_is_called_by_its_function_whatever_decorators_stand_around_it(shared: Processes) -> None:
    assert await call(shared, isolated.decorated_below, '{"number": 1}') == "3"
    decorated = isolated.decorated_above.__wrapped__
    assert isinstance(decorated, Tool)
    assert await call(shared, decorated, '{"number": 1}') == "4"


async def test_a_plain_function_can_be_isolated_where_it_is_used(shared: Processes) -> None:
    assert await call(shared, tool(isolation="process")(isolated.plain), '{"number": 1}') == "2"
    inside = tool(name="other", isolation="process")(isolated.Group.inside)
    assert await call(shared, inside, '{"number": 1}') == "5"


async def test_a_tool_knows_its_call_and_says_how_far_it_is(shared: Processes) -> None:
    progress: list[tuple[float | None, str]] = []
    started: list[float] = []
    async with asyncio.timeout(PATIENCE):
        output = await shared.call(
            isolated.about,
            "{}",
            CallContext("run-1", 7, "run-1/7.1"),
            seconds=30,
            started=lambda: started.append(time.monotonic()),
            progressed=lambda fraction, message: progress.append((fraction, message)),
        )
    told = json.loads(output)
    assert 15 < told.pop("seconds_left") <= 30
    assert told == {"run_id": "run-1", "task_id": 7, "call_id": "run-1/7.1"}
    assert progress == [(0.25, "a quarter")]
    assert len(started) == 1


async def test_a_flood_of_progress_is_thinned_before_it_is_sent(shared: Processes) -> None:
    progress: list[str] = []
    output = await call(shared, isolated.report_flood, progressed=lambda _, message: progress.append(message))
    assert output == '"done"'
    assert 1 <= len(progress) < 2_000
    assert max(len(message) for message in progress) <= 1_000


async def test_what_a_tool_prints_is_printed_on_standard_error(
    shared: Processes, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await call(shared, isolated.print_much, '{"lines": 3000}') == '"printed"'
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [f"printed {line}" for line in range(3000)]


async def test_standard_input_is_empty_there(shared: Processes) -> None:
    assert await call(shared, isolated.read_input) == '""'


async def test_memory_is_kept_between_calls_of_a_process_and_shared_with_none(own: Processes) -> None:
    assert [await call(own, isolated.leak) for _ in range(3)] == ["1", "2", "3"]
    assert isolated.LEFT_BEHIND == []


# How they fail ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("way", "kind", "message"),
    [
        ("error", "TOOL_ERROR", r"ValueError: no x+ … \[\d,\d{3}|ValueError: no x"),
        ("retry", "TOOL_ERROR", "RetryableError: busy"),
        ("exit", "TOOL_ERROR", "RuntimeError: raised SystemExit: 3"),
        ("interrupt", "TOOL_ERROR", "RuntimeError: raised KeyboardInterrupt"),
        ("nan", "OUTPUT_INVALID", "NaN or Infinity"),
        ("object", "OUTPUT_INVALID", "not JSON"),
        ("memory", "TOOL_ERROR", "MemoryError"),
    ],
)
async def test_whatever_a_tool_raises_or_returns_is_its_failure(
    shared: Processes, way: str, kind: str, message: str
) -> None:
    failed = await failure(shared, isolated.fail, f'{{"way": "{way}"}}')
    assert reason(failed) == kind
    assert re.search(message, str(failed))
    assert len(str(failed)) <= 2_000
    assert failed.may_be_repeated == (way == "retry")


@pytest.mark.parametrize(
    ("way", "message"),
    [("exit", "RuntimeError: raised SystemExit: 3"), ("cancel", "CancelledError"), ("x", "LookupError: x")],
)
async def test_what_is_raised_on_an_event_loop_there_is_a_failure_too(
    shared: Processes, way: str, message: str
) -> None:
    failed = await failure(shared, isolated.fail_soon, f'{{"way": "{way}"}}')
    assert (reason(failed), str(failed)) == ("TOOL_ERROR", message)


async def test_an_output_is_bounded_where_it_is_made(shared: Processes) -> None:
    failed = await failure(shared, isolated.flood, '{"size": 50000000}')
    assert (reason(failed), str(failed)) == (
        "OUTPUT_TOO_LARGE",
        "tool 'flood' returned 50,000,002 bytes of JSON; max_output_bytes is 1,000",
    )
    cut = await call(shared, isolated.flood_cut, '{"size": 50000000}')
    assert len(cut) <= 1_000
    assert "characters left out" in cut


@pytest.mark.parametrize(
    ("way", "message"),
    [
        ("exit", "the process of die ended with exit code 3"),
        ("kill", "the process of die was killed by SIGKILL (by somebody, or by the system for want of memory)"),
        ("terminate", "the process of die was killed by SIGTERM"),
        ("segment", "the process of die was killed by SIGSEGV: Fatal Python error: Segmentation fault"),
        ("abort", "the process of die was killed by SIGABRT: Fatal Python error: Aborted"),
        ("words", "the process of die ended with exit code 4: last words"),
        ("close", "the process of die has closed its pipe to its parent"),
        ("garble", "the process of die sent a frame of 4,294,967,295 bytes; 1,048,576 at the most"),
        ("lie", "the process of die sent what cannot be read: expected ident at line 1 column 2"),
    ],
)
async def test_a_crashing_tool_fails_its_call_alone(shared: Processes, way: str, message: str) -> None:
    beside = asyncio.create_task(call(shared, isolated.sleep, '{"seconds": 0.5}'))
    failed = await failure(shared, isolated.die, f'{{"way": "{way}"}}')
    assert (reason(failed), str(failed)) == ("TOOL_CRASHED", message)
    assert not failed.may_be_repeated
    assert await beside == '"slept"'
    assert await call(shared, isolated.double, '{"number": 4}') == "8"


async def test_a_thread_that_a_tool_leaves_behind_does_not_keep_its_process(own: Processes) -> None:
    assert await call(own, isolated.leave_thread) == '"left"'
    process = int(await call(own, isolated.process_id))
    async with asyncio.timeout(PATIENCE):
        await own.release()
    assert not is_alive(process)
    own.hold()


async def test_a_function_whose_name_was_taken_is_not_mistaken_for_another(shared: Processes) -> None:
    with pytest.raises(UsageError, match="something else is named 'twice_named' in isolated_tools"):
        await call(shared, isolated.TAKEN)


# Secrets ----------------------------------------------------------------------------------------------------------


async def test_a_secret_is_that_of_the_time_of_the_call_and_is_seen_nowhere(
    shared: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    await call(shared, isolated.double, '{"number": 4}')  # a process is there before the variable is set
    with pytest.raises(UsageError, match="ISOLATED_TOKEN is not set"):
        await call(shared, isolated.reveal, '{"way": "return"}')
    for value in ("hunter-two-two", "hunter-three"):
        monkeypatch.setenv("ISOLATED_TOKEN", value)
        progress: list[tuple[float | None, str]] = []
        output = await call(
            shared, isolated.reveal, '{"way": "return"}', progressed=lambda *told, seen=progress: seen.append(told)
        )
        failed = await failure(shared, isolated.reveal, '{"way": "raise"}')
        crashed = await failure(shared, isolated.die_with_secret)
        for text in (output, str(failed), str(crashed), *(message for _, message in progress)):
            assert value not in text
            assert "ISOLATED_TOKEN" in text


# Places -----------------------------------------------------------------------------------------------------------


async def test_calls_beyond_the_limit_wait_in_order_and_are_told_how_many_wait_before_them(own: Processes) -> None:
    ahead: list[int] = []
    order: list[int] = []

    async def one(number: int) -> None:
        await call(own, isolated.double, f'{{"number": {number}}}', waiting=ahead.append)
        order.append(number)

    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*(one(number) for number in range(6)))
    assert order == list(range(6))
    assert ahead == [0, 1, 2, 3, 4]


async def test_a_process_is_used_again_and_as_many_are_started_as_are_needed() -> None:
    before = children()
    processes = Processes(3)
    processes.hold()
    assert len({await call(processes, isolated.process_id) for _ in range(5)}) == 1
    assert len(children() - before) == 1
    await asyncio.gather(*(call(processes, isolated.sleep, '{"seconds": 0.3}') for _ in range(8)))
    assert len(children() - before) == 3
    await processes.release()
    assert children() <= before


async def test_a_process_is_replaced_after_many_calls(own: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dovetail.processes.pool._MOST_CALLS", 3)
    kept = [await call(own, isolated.leak) for _ in range(7)]
    assert kept == ["1", "2", "3", "1", "2", "3", "1"]


async def test_a_process_without_work_ends_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dovetail.processes.pool._IDLE_SECONDS", 0.05)
    processes = Processes(1)
    processes.hold()
    first = int(await call(processes, isolated.process_id))
    await gone(first)
    assert int(await call(processes, isolated.process_id)) != first
    await processes.release()


async def test_a_process_that_nobody_holds_ends_with_its_call() -> None:
    processes = Processes(1)
    process = int(await call(processes, isolated.process_id))
    await gone(process)


async def test_a_limit_below_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="the limit is 0"):
        Processes(0)
    processes = Processes()
    monkeypatch.setenv("DOVETAIL_PROCESSES", "none")
    with pytest.raises(UsageError, match="DOVETAIL_PROCESSES is 'none'"):
        await call(processes, isolated.double, '{"number": 4}')
    monkeypatch.setenv("DOVETAIL_PROCESSES", "1")
    assert await call(processes, isolated.double, '{"number": 4}') == "8"


def test_several_loops_share_one_set_of_processes() -> None:
    processes = Processes(1)
    processes.hold()
    used = {asyncio.run(call(processes, isolated.process_id)) for _ in range(3)}
    assert len(used) == 1
    asyncio.run(processes.release())
    assert not is_alive(int(used.pop()))


# Ends -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("called", [isolated.spin, isolated.hold_the_lock])
async def test_a_call_that_is_cancelled_has_its_process_killed_whatever_it_does(
    shared: Processes, called: Tool, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    task = asyncio.create_task(call(shared, called, f'{{"mark": "{mark}"}}'))
    process = int(await written(mark))
    task.cancel()
    # By itself, it would never end.
    await asyncio.wait({task}, timeout=PATIENCE / 3)
    assert task.cancelled()
    assert not is_alive(process)
    assert await call(shared, isolated.double, '{"number": 4}') == "8"


async def test_a_call_that_is_cancelled_while_it_waits_is_never_made(own: Processes, tmp_path: Path) -> None:
    marks = [tmp_path / "first", tmp_path / "second"]
    tasks = [asyncio.create_task(call(own, isolated.spin, f'{{"mark": "{mark}"}}')) for mark in marks]
    await written(marks[0])
    tasks[1].cancel()
    await asyncio.wait({tasks[1]}, timeout=PATIENCE)
    tasks[0].cancel()
    await asyncio.wait(tasks, timeout=PATIENCE)
    assert await call(own, isolated.double, '{"number": 4}') == "8"
    assert not marks[1].exists()


async def test_a_call_that_is_cancelled_while_its_process_starts_leaves_nothing() -> None:
    before = children()
    processes = Processes(1)
    processes.hold()
    for pause in (0, 0, 0.02, 0.1):
        task = asyncio.create_task(call(processes, isolated.spin))
        await asyncio.sleep(pause)
        task.cancel()
        await asyncio.wait({task}, timeout=PATIENCE)
    assert await call(processes, isolated.double, '{"number": 4}') == "8"
    await processes.release()
    assert children() <= before


@pytest.mark.parametrize("way", ["spawn", "fork"])
async def test_what_a_tool_has_started_ends_with_it(shared: Processes, tmp_path: Path, way: str) -> None:
    mark = tmp_path / "mark"
    task = asyncio.create_task(call(shared, isolated.start_another, f'{{"mark": "{mark}", "way": "{way}"}}'))
    processes = [int(one) for one in (await written(mark)).split()]
    if way == "fork":
        with pytest.raises(CallFailedError, match="exit code 6"):
            await task
    task.cancel()
    await asyncio.wait({task}, timeout=PATIENCE)
    await gone(*processes)


async def test_nothing_is_left_of_many_calls_that_crash_hang_and_succeed() -> None:
    before, open_before = children(), opened()
    processes = Processes(2)
    for _ in range(3):
        processes.hold()
        tasks = [
            *(asyncio.create_task(call(processes, isolated.die, '{"way": "exit"}')) for _ in range(3)),
            *(asyncio.create_task(call(processes, isolated.double, '{"number": 1}')) for _ in range(3)),
            asyncio.create_task(call(processes, isolated.spin)),
        ]
        await asyncio.wait(tasks[:-1], timeout=PATIENCE)
        tasks[-1].cancel()
        await asyncio.wait(tasks, timeout=PATIENCE)
        assert [str(task.exception()) for task in tasks[:3]] == ["the process of die ended with exit code 3"] * 3
        assert [task.result() for task in tasks[3:6]] == ["2", "2", "2"]
        await processes.release()
        assert children() <= before
    # By what they lead to: of those that other tests have left, some may be closed meanwhile.
    await closed_again(open_before)


PARENT = """
import asyncio, sys
sys.path.insert(0, {folder!r})
import isolated_tools
from dovetail import CallContext
from dovetail.processes.pool import shared_processes

async def main():
    shared_processes.hold()
    await isolated_tools.{name}.call({arguments!r})

asyncio.run(main())
"""


@pytest.mark.parametrize("name", ["spin", "hold_the_lock"])
async def test_a_process_whose_parent_is_killed_ends_by_itself(tmp_path: Path, name: str) -> None:
    mark = tmp_path / "mark"
    folder = str(Path(__file__).parent)
    program = PARENT.format(folder=folder, name=name, arguments=f'{{"mark": "{mark}"}}')
    parent = subprocess.Popen([sys.executable, "-c", program])  # noqa: ASYNC220 - it takes milliseconds
    try:
        process = int(await written(mark))
        assert is_alive(process)
        parent.send_signal(signal.SIGKILL)
    finally:
        parent.kill()
        parent.wait(PATIENCE)
    await gone(process)


async def test_without_processes_a_call_fails_and_the_next_may_be_better(
    own: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(sys, "executable", "/nowhere/python")
        failed = await failure(own, isolated.double, '{"number": 4}')
    assert reason(failed) == "TOOL_CRASHED"
    assert "no process for double" in str(failed)
    assert failed.may_be_repeated
    assert await call(own, isolated.double, '{"number": 4}') == "8"
