"""Ctrl-C and SIGTERM: the run is cancelled, what is known is told, and nothing keeps the process."""

from __future__ import annotations

import json
import signal
import subprocess
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

import pytest
from commandline import BOUND, COMMAND, TOOLS, environment, recording

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tools.py").write_text(TOOLS)
    return tmp_path


@contextmanager
def running(folder: Path, plan: str, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    model = recording(folder, plan)
    command = [*COMMAND, "run", "--model", model, "--tools", "tools.py", "how many?", *options]
    with subprocess.Popen(
        command, cwd=folder, env=environment(folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def read_until(stream: IO[bytes] | None, marker: bytes) -> list[bytes]:
    """The lines up to the one with the marker; pytest's own time limit bounds the wait."""
    assert stream is not None
    lines = []
    for line in stream:
        lines.append(line)
        if marker in line:
            return lines
    raise AssertionError(f"no {marker!r} in {lines}")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_cancels_the_run_and_what_is_known_is_told(folder: Path, number: int, status: int) -> None:
    with running(folder, '1. double(21)\n2. endless("$1")\n3. say($2)\n4. join()') as process:
        read_until(process.stderr, b"2 endless(")
        process.send_signal(number)
        output, errors = process.communicate(timeout=BOUND)
    told = errors.decode().splitlines()
    assert (process.returncode, output) == (status, b"")
    assert "no answer; 1 of 3 tasks have outputs:" in told
    assert "  1 double(number=21) -> 42" in told
    assert "2 endless failed: CANCELLED: " in errors.decode()
    assert told[-1].startswith("dovetail: CANCELLED: ")


def test_with_json_the_remaining_events_are_written_up_to_the_last(folder: Path) -> None:
    with running(folder, '1. endless("x")\n2. join()', "--json") as process:
        read_until(process.stdout, b"callStarted")
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=BOUND)
    last = json.loads(output.splitlines()[-1])
    assert last["runEnded"]["state"] == "RUN_STATE_CANCELLED"
    assert any("cancelRequested" in json.loads(line) for line in output.splitlines())
    assert process.returncode == 130
    assert errors.splitlines()[-1].startswith(b"dovetail: CANCELLED: ")


def test_a_planner_that_is_still_writing_is_cancelled_too(folder: Path) -> None:
    model = recording(folder, "1. double(21)\n", wait_at_end=1000.0)
    command = [*COMMAND, "run", "--model", model, "--tools", "tools.py", "how many?", "--json"]
    with subprocess.Popen(command, cwd=folder, env=environment(folder), stdout=subprocess.PIPE) as process:
        try:
            read_until(process.stdout, b"taskSucceeded")
            process.send_signal(signal.SIGINT)
            output, _ = process.communicate(timeout=BOUND)
        finally:
            process.kill()
    assert process.returncode == 130
    assert b"RUN_STATE_CANCELLED" in output


def test_a_tool_that_hangs_in_its_thread_does_not_keep_the_process(folder: Path) -> None:
    with running(folder, '1. hung("x")\n2. join()') as process:
        read_until(process.stderr, b"1 hung(")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=BOUND)
    assert process.returncode == 130


def test_a_second_signal_ends_at_once_a_process_whose_loop_is_blocked(folder: Path) -> None:
    with running(folder, '1. blocking("x")\n2. join()') as process:
        read_until(process.stderr, b"blocked")
        process.send_signal(signal.SIGINT)
        read_until(process.stderr, b"once more ends at once")
        process.send_signal(signal.SIGINT)
        assert process.wait(BOUND) == 130


def test_a_process_whose_loop_is_blocked_ends_after_a_while_with_one_signal(folder: Path) -> None:
    with running(folder, '1. blocking("x")\n2. join()') as process:
        read_until(process.stderr, b"blocked")
        process.send_signal(signal.SIGTERM)
        assert process.wait(BOUND) == 143
