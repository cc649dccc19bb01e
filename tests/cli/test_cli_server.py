"""The commands that talk to a server: against a real one, in a process of its own."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import termios
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from commandline import BOUND, COMMAND, dovetail, environment, recording
from google.protobuf.json_format import Parse
from server_process import server_process
from test_interruption import read_until
from test_live_view import Terminal

from dovetail.v1 import Event, Run, RunState, Tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ANSWERED = "Thought: twice.\n1. double(21)\n2. join($1)"
ENDLESS = '1. double(21)\n2. endless("x")\n3. join()'
DELETE = '1. delete("/tmp")\n2. join($1)'


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with server_process() as one:
        yield one


@contextmanager
def process(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=folder,
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as one:
        try:
            yield one
        finally:
            one.kill()


@contextmanager
def terminal(folder: Path, *arguments: str, columns: int = 120, lines: int = 24) -> Iterator[Terminal]:
    controller, process_side = pty.openpty()
    fcntl.ioctl(process_side, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    variables = environment(folder, TERM="xterm-256color", PYTHONUTF8="1")
    one = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=folder,
        env={name: value for name, value in variables.items() if name not in ("COLUMNS", "LINES")},
        stdin=process_side,
        stdout=process_side,
        stderr=process_side,
        start_new_session=True,
    )
    os.close(process_side)
    try:
        yield Terminal(one, controller)
    finally:
        one.kill()
        one.wait(BOUND)
        os.close(controller)


def latest(folder: Path, address: str, *options: str) -> Run:
    done = dovetail(folder, "runs", "--server", address, "--json", "--limit", "1", *options)
    assert done.returncode == 0, done.stderr
    return Parse(done.stdout.splitlines()[0], Run())


def test_a_run_of_a_server_is_shown_as_one_of_this_process(tmp_path: Path, address: str) -> None:
    done = dovetail(tmp_path, "run", "--server", address, "--tools", "double", ANSWERED)
    assert (done.returncode, done.stdout) == (0, b"42\n")
    progress = done.stderr.decode().splitlines()
    assert progress[:3] == ["plan 1: asking echo:plan", "thought: twice.", "1 double(number=21)"]
    assert progress[-1].startswith("1 plan · 1 call · 1 model call · ")
    assert list(latest(tmp_path, address).tools) == ["double"]


def test_with_json_the_events_of_the_server_are_written(tmp_path: Path, address: str) -> None:
    (tmp_path / "more.txt").write_text("Question: twice four?\n1. double(4)\n2. join($1)\n")
    options = ("--json", "--deadline", "20", "--max-replans", "0", "--example", "more.txt", "--model", "echo:plan")
    done = dovetail(tmp_path, "run", ANSWERED, *options, "--server", address)
    events = [Parse(line, Event()) for line in done.stdout.splitlines()]
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    limits = events[0].run_started.limits
    assert (limits.deadline.seconds, limits.max_replans, limits.max_tasks) == (20, 0, 1000)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_mistake_in_an_example_is_told_with_its_place_in_the_file(tmp_path: Path, address: str) -> None:
    (tmp_path / "more.txt").write_text(
        "Question: twice four?\n1. double(4)\n2. join($1)\n\n"
        "Question: four times four?\nEarlier:\n1. double(4)\n-> 8\n2. double(eight)\n-> 16\n"
        "Missing: the rest\n3. double($1)\n4. join($3)\n"
    )
    asked = ("run", "--server", address, "--example", "more.txt", ANSWERED)
    done = dovetail(tmp_path, *asked)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"dovetail: more.txt:9:")
    assert b": example 2: " in done.stderr
    right = (tmp_path / "more.txt").read_text().replace("eight", "8")
    (tmp_path / "more.txt").write_text(right)
    done = dovetail(tmp_path, *asked)
    assert (done.returncode, done.stdout) == (0, b"42\n")


def test_what_tools_of_a_server_wrote_reaches_the_terminal_without_control_characters(
    tmp_path: Path, address: str
) -> None:
    question = '1. broken("\x1b[31mluck")\n2. join()'
    done = dovetail(tmp_path, "run", "--server", address, question)
    assert (done.returncode, done.stdout) == (0, b"done\n")
    assert b"\x1b" not in done.stderr
    listed = dovetail(tmp_path, "runs", "--server", address, "--limit", "1")
    assert b"\x1b" not in listed.stdout
    assert "␛[31mluck" in listed.stdout.decode()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_cancels_the_run_at_the_server(tmp_path: Path, address: str, number: int, status: int) -> None:
    with process(tmp_path, "run", "--server", address, ENDLESS) as one:
        read_until(one.stderr, b"2 endless(")
        one.send_signal(number)
        output, errors = one.communicate(timeout=BOUND)
    assert (one.returncode, output) == (status, b"")
    assert "no answer; 1 of 2 tasks have outputs:" in errors.decode().splitlines()
    assert errors.decode().splitlines()[-1].startswith("dovetail: CANCELLED: ")
    assert latest(tmp_path, address).state == RunState.RUN_STATE_CANCELLED


def test_a_reader_that_goes_away_cancels_the_run(tmp_path: Path, address: str) -> None:
    question = '1. endless("x")\n2. join()'
    with process(tmp_path, "run", "--server", address, "--json", "--deadline", "2", question) as one:
        assert one.stdout is not None
        one.stdout.readline()
        one.stdout.close()
        assert one.wait(BOUND) == 141


def test_a_run_is_watched_from_any_event_and_ctrl_c_leaves_it(tmp_path: Path, address: str) -> None:
    with process(tmp_path, "run", "--server", address, ENDLESS) as one:
        read_until(one.stderr, b"2 endless(")
        run = latest(tmp_path, address)
        with process(tmp_path, "watch", run.run_id, "--server", address) as watching:
            read_until(watching.stderr, b"2 endless(")
            watching.send_signal(signal.SIGINT)
            watching.communicate(timeout=BOUND)
            assert watching.returncode == 130
        assert latest(tmp_path, address).state == RunState.RUN_STATE_RUNNING
        done = dovetail(tmp_path, "cancel", run.run_id, "--server", address, "--reason", "enough")
        assert (done.returncode, done.stdout.decode()) == (0, f"{run.run_id} is being cancelled\n")
        one.communicate(timeout=BOUND)
        assert one.returncode == 1
    done = dovetail(tmp_path, "cancel", run.run_id, "--server", address)
    assert (done.returncode, done.stdout.decode()) == (0, f"{run.run_id} has ended already: cancelled\n")
    done = dovetail(tmp_path, "watch", run.run_id, "--after", "3", "--json", DOVETAIL_SERVER=address)
    first = json.loads(done.stdout.splitlines()[0])
    assert (done.returncode, first["sequence"]) == (1, "4")
    assert b"enough" in done.stdout


def test_runs_are_listed_by_their_state(tmp_path: Path, address: str) -> None:
    dovetail(tmp_path, "run", "--server", address, ANSWERED)
    done = dovetail(tmp_path, "runs", "--server", address, "--state", "answered", "--state", "failed", "--limit", "3")
    lines = done.stdout.decode().splitlines()
    assert lines[0].split() == ["RUN", "STATE", "CREATED", "TOOK", "QUESTION"]
    assert 2 <= len(lines) <= 4
    # Other tests leave failed runs at the same server.
    assert lines[1].split()[1] == "answered"
    assert all(line.split()[1] in {"answered", "failed"} for line in lines[1:])
    assert lines[1].endswith("Thought: twice. 1. double(21) 2. join($1)")


def test_tools_are_listed(tmp_path: Path, address: str) -> None:
    done = dovetail(tmp_path, "tools", "--server", address)
    lines = [line.split() for line in done.stdout.decode().splitlines()]
    assert lines[0] == ["TOOL", "SOURCE", "EXECUTORS", "FREE", "WAITING", "DESCRIPTION"]
    assert lines[3] == ["double", "server", "-", "-", "-", "Twice", "the", "number."]
    done = dovetail(tmp_path, "tools", "--server", address, "--json")
    names = [Parse(line, Tool()).spec.name for line in done.stdout.splitlines()]
    assert names == ["broken", "delete", "double", "endless"]


def test_without_a_terminal_it_is_told_how_to_approve_elsewhere(tmp_path: Path, address: str) -> None:
    with process(tmp_path, "run", "--server", address, DELETE) as one:
        told = read_until(one.stderr, b"dovetail approve")[-1].decode().split()
        run_id = told[-2]
        assert told == f"task 1 waits for approval: dovetail approve --server {address} {run_id} 1".split()
        listed = dovetail(tmp_path, "runs", "--server", address, "--state", "running").stdout.decode()
        assert "running, task 1 waits" in listed
        wrong = dovetail(tmp_path, "approve", run_id, "1", "--arguments", '{"path": 4}', "--server", address)
        assert wrong.returncode == 1
        assert b"the arguments do not fit delete" in wrong.stderr
        arguments = ("--arguments", '{"path": "/other"}', "--reason", "only there")
        done = dovetail(tmp_path, "approve", run_id, "1", *arguments, "--server", address)
        assert (done.returncode, done.stdout.decode()) == (0, f"{run_id}: task 1 is approved\n")
        output, errors = one.communicate(timeout=BOUND)
        assert (one.returncode, output) == (0, b"deleted /other\n")
        assert '1 delete(path="/other"): approved: only there' in errors.decode().splitlines()
    late = dovetail(tmp_path, "reject", run_id, "1", "--reason", "too late", "--server", address)
    assert late.returncode == 1


def test_a_rejected_task_fails_with_the_reason(tmp_path: Path, address: str) -> None:
    with process(tmp_path, "run", "--server", address, '1. delete("/")\n2. join()') as one:
        run_id = read_until(one.stderr, b"dovetail approve")[-1].decode().split()[-2]
        done = dovetail(tmp_path, "reject", run_id, "1", "--reason", "still needed", "--server", address)
        assert (done.returncode, done.stdout.decode()) == (0, f"{run_id}: task 1 is rejected\n")
        _, errors = one.communicate(timeout=BOUND)
    assert b"1 delete failed: APPROVAL_REJECTED: " in errors
    assert b"still needed" in errors


def test_on_a_terminal_a_person_is_asked(tmp_path: Path, address: str) -> None:
    question = '1. delete("/a")\n2. delete("$1")\n3. delete("$2")\n4. join($3)'
    with terminal(tmp_path, "run", "--server", address, question) as shown:
        shown.read_until(b'task 1 waits for approval: delete {"path":"/a"}')
        shown.read_until(b"because: delete asks for approval of each call")
        os.write(shown._controller, b"what?\n")
        os.write(shown._controller, b"yes, go on\n")
        shown.read_until(b'task 2 waits for approval: delete {"path":"deleted /a"}')
        os.write(shown._controller, b'{"path": 3}\n')
        shown.read_until(b"the arguments do not fit delete")
        os.write(shown._controller, b'{"path": "/b"}\n')
        shown.read_until(b'task 3 waits for approval: delete {"path":"deleted /b"}')
        os.write(shown._controller, b"no never\n")
        shown.read_until(None)
        assert shown.process.wait(BOUND) == 0
    assert shown.drawn.rindex(b"\x1b[?25h") > shown.drawn.rindex(b"\x1b[?25l")
    run = latest(tmp_path, address)
    events = dovetail(tmp_path, "watch", run.run_id, "--server", address, "--json").stdout
    resolved = [fact["approvalResolved"] for fact in map(json.loads, events.splitlines()) if "approvalResolved" in fact]
    assert resolved == [
        {"taskId": 1, "approved": True, "reason": "go on"},
        {"taskId": 2, "approved": True, "argumentsJson": '{"path": "/b"}'},
        {"taskId": 3, "reason": "never"},
    ]


def test_ctrl_c_withdraws_the_question(tmp_path: Path, address: str) -> None:
    with terminal(tmp_path, "run", "--server", address, DELETE) as shown:
        shown.read_until(b"task 1 waits for approval: delete")
        shown.process.send_signal(signal.SIGINT)
        shown.read_until(None)
        assert shown.process.wait(BOUND) == 130


LOCAL = '''
from dovetail import tool

@tool(approval=True)
async def delete(path: str) -> str:
    """Deletes."""
    return f"deleted {path}"
'''


def test_a_run_of_this_process_asks_too_and_rejects_where_nobody_can_be_asked(tmp_path: Path) -> None:
    (tmp_path / "tools.py").write_text(LOCAL)
    arguments = ("run", "--model", recording(tmp_path, DELETE), "--tools", "tools.py", "may I?")
    with terminal(tmp_path, *arguments) as shown:
        shown.read_until(b'task 1 waits for approval: delete {"path":"/tmp"}')
        os.write(shown._controller, b"y\n")
        shown.read_until(None)
        assert shown.process.wait(BOUND) == 0
    assert "deleted /tmp" in shown.text()
    recording(tmp_path, DELETE, "Thought: no.\nAction: Finish(nothing was deleted)")
    done = dovetail(tmp_path, *arguments)
    assert (done.returncode, done.stdout) == (0, b"nothing was deleted\n")
    assert b"APPROVAL_REJECTED: " in done.stderr
    assert b"there is no terminal to ask for approval on" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("runs",), 2, "no server is given; add --server HOST:PORT or set DOVETAIL_SERVER"),
        (("runs", "--server", "nowhere"), 2, "the server 'nowhere' is no address"),
        (("runs", "--state", "odd"), 2, "invalid choice: 'odd'"),
        (("watch", "r", "--after", "-1"), 2, "'-1' is no number of an event"),
        (("approve", "r", "zero"), 2, "'zero' is no number from 1"),
        (("reject", "r", "1"), 2, "required: --reason"),
        (("run", "q", "--tls"), 2, "TLS is for a server, and none is given"),
        (("run", "q", "--server", "SERVER", "--joiner", "x:y"), 2, "--joiner is for runs of this process"),
        (("run", " ", "--server", "SERVER"), 1, "question: "),
        (("run", "q", "--server", "SERVER", "--tools", "none"), 1, "there is no tool 'none'"),
        (("watch", "none", "--server", "SERVER"), 1, "there is no run 'none'"),
        (("cancel", "none", "--server", "SERVER"), 1, "there is no run 'none'"),
        (("approve", "none", "1", "--server", "SERVER"), 1, "there is no run 'none'"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    tmp_path: Path, address: str, arguments: tuple[str, ...], status: int, message: str
) -> None:
    done = dovetail(tmp_path, *(address if argument == "SERVER" else argument for argument in arguments))
    lines = done.stderr.decode().splitlines()
    assert (done.returncode, done.stdout, len(lines)) == (status, b"", 1), lines
    assert message in lines[0]


@pytest.mark.parametrize("command", ["runs", "watch", "cancel", "approve", "reject", "tools"])
def test_each_command_teaches_by_example(tmp_path: Path, command: str) -> None:
    shown = dovetail(tmp_path, command, "--help").stdout
    assert f"examples:\n  dovetail {command} ".encode() in shown
    assert b"DOVETAIL_TOKEN" in shown
