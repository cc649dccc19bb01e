"""The live view: on a real pseudo-terminal, and frame by frame for what a terminal's size does to it."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import signal
import struct
import subprocess
import termios
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from commandline import BOUND, COMMAND, TOOLS, environment, recording
from google.protobuf.timestamp_pb2 import Timestamp
from rich.cells import cell_len
from rich.console import Console

from dovetail.cli.live import LiveView
from dovetail.v1 import Event, FailureReason

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SEQUENCES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A process on a pseudo-terminal, and what it has drawn."""

    def __init__(self, process: subprocess.Popen[bytes], controller: int) -> None:
        self.process = process
        self.drawn = b""
        self._controller = controller

    def read_until(self, marker: bytes | None) -> bytes:
        """Read until a marker was drawn, or the process has ended; pytest's own time limit bounds the wait."""
        while marker is None or marker not in SEQUENCES.sub(b"", self.drawn):
            try:
                piece = os.read(self._controller, 65536)
            except OSError:  # on Linux, so says a terminal that no process has open any more
                piece = b""
            if not piece:
                assert marker is None, f"no {marker!r} in {self.drawn!r}"
                break
            self.drawn += piece
        return self.drawn

    def text(self) -> str:
        return SEQUENCES.sub(b"", self.drawn).decode()


@contextmanager
def terminal(folder: Path, *replies: str, columns: int = 80, lines: int = 24) -> Iterator[Terminal]:
    (folder / "tools.py").write_text(TOOLS)
    command = [*COMMAND, "run", "--model", recording(folder, *replies), "--tools", "tools.py", "how many?"]
    controller, process_side = pty.openpty()
    fcntl.ioctl(process_side, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    variables = {"TERM": "xterm-256color", "PYTHONUTF8": "1"}
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={
            name: value for name, value in environment(folder, **variables).items() if name not in ("COLUMNS", "LINES")
        },
        stdin=process_side,
        stdout=process_side,
        stderr=process_side,
        start_new_session=True,
    )
    os.close(process_side)
    try:
        yield Terminal(process, controller)
    finally:
        process.kill()
        process.wait(BOUND)
        os.close(controller)


def last_frame(text: str) -> list[str]:
    return text[text.rindex("how many?") :].replace("\r", "").splitlines()


def test_the_tasks_stay_and_the_answer_and_a_summary_stand_below(tmp_path: Path) -> None:
    plan = 'Thought: twice.\n1. double(21)\n2. broken("luck")\n3. double($2)\n4. join()'
    with terminal(tmp_path, plan, "Thought: so.\nAction: Finish(It is 42,\nI think.)") as shown:
        shown.read_until(None)
        assert shown.process.wait(BOUND) == 0
    frame = last_frame(shown.text())
    assert frame[:2] == ["how many?", "  twice."]
    assert re.fullmatch(r"✓ 1 double\(number=21\) +42 +\d+\.\d s", frame[2])
    assert re.match(r"✗ 2 broken\(text=\"luck\"\) +TOOL_ERROR: ValueError: no luck +\d+\.\d s", frame[3])
    assert re.match(r"– 3 double +skipped: task 2 failed", frame[4])
    assert frame[5:8] == ["", "It is 42,", "I think."]
    assert frame[9].startswith("1 plan · 2 calls · 2 model calls · 30 tokens · ")
    assert shown.drawn.count(b"\x1b[?25l") == shown.drawn.count(b"\x1b[?25h") == 1


def test_what_tools_return_reaches_the_terminal_without_control_characters_and_markup(tmp_path: Path) -> None:
    plan = '1. say("\\u001b]0;title\\u0007[red]x[/red] \\u202eabc\\r\\nforged")\n2. join($1)'
    with terminal(tmp_path, plan) as shown:
        shown.read_until(None)
        assert shown.process.wait(BOUND) == 0
    assert b"\x1b]" not in shown.drawn
    assert b"\x07" not in shown.drawn
    assert "\u202e" not in shown.text()
    assert "␛]0;title␇[red]x[/red] \ufffdabc" in shown.text()


def test_ctrl_c_leaves_the_tasks_on_the_screen_and_the_cursor_visible(tmp_path: Path) -> None:
    with terminal(tmp_path, '1. double(21)\n2. endless("$1")\n3. join()') as shown:
        shown.read_until(b'2 endless(text="42")')
        shown.process.send_signal(signal.SIGINT)
        shown.read_until(None)
        assert shown.process.wait(BOUND) == 130
    frame = last_frame(shown.text())
    assert any(line.startswith("✓ 1 double(number=21)") for line in frame)
    assert any(line.startswith('✗ 2 endless(text="42")') for line in frame)
    assert frame[-1].startswith("dovetail: CANCELLED: ")
    assert shown.drawn.rindex(b"\x1b[?25h") > shown.drawn.rindex(b"\x1b[?25l")


def test_a_second_ctrl_c_ends_at_once_and_gives_the_cursor_back(tmp_path: Path) -> None:
    with terminal(tmp_path, '1. blocking("x")\n2. join()') as shown:
        shown.read_until(b"blocked")
        # While the loop is blocked nothing is drawn: the two signals are told apart by sending two different ones.
        shown.process.send_signal(signal.SIGTERM)
        shown.process.send_signal(signal.SIGINT)
        shown.read_until(None)
        assert shown.process.wait(BOUND) in (130, 143)
    assert shown.drawn.rindex(b"\x1b[?25h") > shown.drawn.rindex(b"\x1b[?25l")


def at(seconds: float, **fact: object) -> Event:
    return Event(time=Timestamp(seconds=1000 + int(seconds)), **fact)


def view_of(columns: int, lines: int, *, encoding: str = "utf-8") -> tuple[LiveView, Console]:
    output = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(
        file=output, width=columns, height=lines, force_terminal=True, color_system=None, markup=False, emoji=False
    )
    return LiveView(console), console


def drawn(view: LiveView, console: Console, columns: int, lines: int) -> list[str]:
    with console.capture() as capture:
        console.print(view.frame(columns, lines))
    return capture.get().splitlines()


def fill(view: LiveView, tasks: int) -> None:
    view.board.add(at(0, run_started={"question": "how many 世界 " * 20}))
    view.board.add(at(0, plan_started={"plan": 1, "model": "replay:x"}))
    for task_id in range(1, tasks + 1):
        view.board.add(
            at(1, task_planned={"task_id": task_id, "tool": "search", "depends_on": [1] if task_id > 1 else []})
        )
        view.board.add(at(1, task_ready={"task_id": task_id, "arguments_json": '{"query": "世界 \\u001b[2J wide"}'}))
        view.board.add(at(1, call_started={"task_id": task_id, "call_id": f"{task_id}.1"}))
        if task_id % 3 == 0:
            view.board.add(at(3, task_succeeded={"task_id": task_id, "output_json": '"世界' + "x" * 5000 + '"'}))
    failure = {"reason": FailureReason.FAILURE_REASON_TIMEOUT, "message": "too slow\nfor us"}
    view.board.add(at(4, task_failed={"task_id": 1, "failure": failure}))
    view.board.add(at(4, join_started={"plan": 1, "model": "replay:x"}))
    view.board.add(at(4, answer_text={"text": "all of the 世界 " * 200}))


@pytest.mark.parametrize("tasks", [1, 5, 700])
@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (200, 60), (30, 10), (12, 5), (5, 4)])
def test_a_frame_fits_into_any_terminal(columns: int, lines: int, tasks: int) -> None:
    view, console = view_of(columns, lines)
    fill(view, tasks)
    frame = drawn(view, console, columns, lines)
    assert len(frame) <= lines
    assert max(map(cell_len, frame)) <= columns
    assert not any(character < " " for line in frame for character in line)


def test_of_many_tasks_those_that_run_or_failed_are_shown_and_the_others_counted() -> None:
    view, console = view_of(100, 12)
    view.board.add(at(0, run_started={"question": "how many?"}))
    for task_id in range(1, 301):
        view.board.add(at(1, task_planned={"task_id": task_id, "tool": "search"}))
        view.board.add(at(1, call_started={"task_id": task_id, "call_id": f"{task_id}.1"}))
        if task_id not in (3, 150):
            view.board.add(at(2, task_succeeded={"task_id": task_id, "output_json": "1"}))
    failure = {"reason": FailureReason.FAILURE_REASON_TIMEOUT, "message": "too slow"}
    view.board.add(at(4, task_failed={"task_id": 150, "failure": failure}))
    text = "\n".join(drawn(view, console, 100, 12))
    assert "  3 search" in text
    assert "150 search  TIMEOUT: too slow" in text
    assert "300 search" in text
    assert "291 done not shown" in text


def test_a_terminal_without_utf_8_gets_plain_symbols() -> None:
    view, console = view_of(60, 20, encoding="ascii")
    view.board.add(at(0, run_started={"question": "how many?"}))
    view.board.add(at(1, task_planned={"task_id": 1, "tool": "search"}))
    view.board.add(at(2, task_succeeded={"task_id": 1, "output_json": "1"}))
    assert "+ 1 search  1" in "\n".join(drawn(view, console, 60, 20))
