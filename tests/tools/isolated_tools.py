"""Tools for processes of their own, well and badly behaved."""

from __future__ import annotations

import asyncio
import ctypes
import functools
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from dovetail import CallContext, RetryableError, Secret, tool

LEFT_BEHIND: list[bytes] = []
SILENT_SECONDS = 1.5


@dataclass
class Place:
    name: str
    height: int


@tool(isolation="process", read_only=True)
def double(number: int) -> int:
    """Twice as much."""
    return 2 * number


@tool(isolation="process")
async def double_soon(number: int) -> int:
    """Twice as much, on an event loop."""
    await asyncio.sleep(0)
    return 2 * number


@tool(isolation="process")
def higher(place: Place) -> Place:
    """Takes and returns what is no JSON by itself."""
    return Place(place.name, place.height + 1)


@tool(isolation="process")
def process_id() -> int:
    """Which process this is."""
    return os.getpid()


@tool(isolation="process")
def leak() -> int:
    """How often this process was called, by what it has kept."""
    LEFT_BEHIND.append(b"x" * 100_000)
    return len(LEFT_BEHIND)


@tool(isolation="process")
def spin(mark: str = "") -> None:
    """Never ends, and never waits."""
    if mark:
        Path(mark).write_text(str(os.getpid()), encoding="utf-8")
    while True:
        pass


@tool(isolation="process")
def hold_the_lock(mark: str) -> None:
    """Never ends, and lets no other thread of its process run."""
    Path(mark).write_text(str(os.getpid()), encoding="utf-8")
    re.match(r"(a|a)*$", "a" * 64 + "b")


@tool(isolation="process")
async def sleep(seconds: float) -> str:
    """Waits."""
    await asyncio.sleep(seconds)
    return "slept"


@tool(isolation="process")
def die(way: str) -> None:
    """Takes its process with it."""
    match way:
        case "exit":
            os._exit(3)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "terminate":
            os.kill(os.getpid(), signal.SIGTERM)
        case "segment":
            ctypes.string_at(0)
        case "abort":
            os.abort()
        case "words":
            sys.stderr.write("first words\nlast words\n")
            sys.stderr.flush()
            os._exit(4)
        case "close":
            os.closerange(3, 64)
            time.sleep(60)
        case "garble":
            for descriptor in range(3, 16):
                try:
                    os.write(descriptor, b"\xff" * 100)
                except OSError:
                    continue
            time.sleep(60)
        case "lie":
            for descriptor in range(3, 16):
                try:
                    os.write(descriptor, b"\0\0\0\x05Fnever")
                except OSError:
                    continue
            time.sleep(60)
        case "token":
            sys.stderr.write(f"no luck with {os.environ['ISOLATED_TOKEN']}\n")
            sys.stderr.flush()
            os._exit(5)


@tool(isolation="process")
def die_with_secret(token: Annotated[Secret, "ISOLATED_TOKEN"]) -> None:
    """Says a secret, and takes its process with it."""
    sys.stderr.write(f"no luck with {token.reveal()}\n")
    sys.stderr.flush()
    os._exit(5)


@tool(isolation="process", read_only=True, retries=1, backoff=0.001)
def die_once(mark: str) -> str:
    """Takes its process with it, the first time."""
    if Path(mark).exists():
        return "alive"
    Path(mark).touch()
    os._exit(1)


@tool(isolation="process")
def fail(way: str) -> Any:
    """Raises, or returns what is no output."""
    match way:
        case "error":
            raise ValueError("no " + "x" * 5_000)
        case "retry":
            raise RetryableError("busy")
        case "exit":
            raise SystemExit(3)
        case "interrupt":
            raise KeyboardInterrupt
        case "nan":
            return float("nan")
        case "object":
            return object()
        case "memory":
            return bytearray(1 << 60)
    return None


@tool(isolation="process")
async def fail_soon(way: str) -> None:
    """Raises on an event loop."""
    if way == "exit":
        raise SystemExit(3)
    if way == "cancel":
        raise asyncio.CancelledError
    raise LookupError(way)


@tool(isolation="process", max_output_bytes=1_000)
def flood(size: int) -> str:
    """Very much text."""
    return "x" * size


@tool(isolation="process", max_output_bytes=1_000, large_output="cut")
def flood_cut(size: int) -> str:
    """Very much text, of which the middle is left out."""
    return "x" * size


@tool(isolation="process", max_output_bytes=4_000_000)
def echo(text: str) -> str:
    """The text."""
    return text


@tool(isolation="process")
def print_much(lines: int) -> str:
    """Prints, to where functions print."""
    for line in range(lines):
        print(f"printed {line}")  # noqa: T201
    return "printed"


@tool(isolation="process")
def read_input() -> str:
    """What stands on standard input."""
    return sys.stdin.read()


@tool(isolation="process")
def reveal(token: Annotated[Secret, "ISOLATED_TOKEN"], way: str, call: CallContext) -> str:
    """Says a secret wherever it can."""
    if way == "raise":
        raise ValueError(f"refused: {token.reveal()}")
    call.report(0.5, f"with {token.reveal()}")
    return f"with {token.reveal()}"


@tool(isolation="process", timeout=30)
def about(call: CallContext) -> dict[str, Any]:
    """What it knows of its call."""
    call.report(0.25, "a quarter")
    return {
        "run_id": call.run_id,
        "task_id": call.task_id,
        "call_id": call.call_id,
        "seconds_left": call.seconds_left(),
    }


@tool(isolation="process", timeout=30, idle_timeout=SILENT_SECONDS)
def report_on(seconds: float, call: CallContext) -> str:
    """Gives signs of progress, so much longer than it may be silent."""
    end = time.monotonic() + SILENT_SECONDS + seconds
    while time.monotonic() < end:
        call.report(message="still here")
        time.sleep(0.01)
    return "done"


@tool(isolation="process")
def report_flood(call: CallContext) -> str:
    """Gives very many signs of progress."""
    for number in range(20_000):
        call.report(number / 20_000, "y" * 5_000)
    return "done"


@tool(isolation="process")
def start_another(mark: str, way: str) -> None:
    """Starts a process, and then never ends."""
    if way == "fork":
        process = os.fork()
        if process == 0:
            time.sleep(60)
            os._exit(0)
    else:
        process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]).pid
    Path(mark).write_text(f"{os.getpid()} {process}", encoding="utf-8")
    if way == "fork":
        os._exit(6)
    time.sleep(60)


@tool(isolation="process")
def leave_thread() -> str:
    """Returns, and leaves a thread behind that keeps its process from ending."""
    threading.Thread(target=time.sleep, args=(60,)).start()
    return "left"


def plain(number: int) -> int:
    """Once more than that."""
    return number + 1


def _logged(function: Any) -> Any:
    @functools.wraps(function)
    def logged(*arguments: Any, **named: Any) -> Any:
        return function(*arguments, **named)

    return logged


@tool(isolation="process")
@_logged
def decorated_below(number: int) -> int:
    """Has another decorator below."""
    return number + 2


@_logged
@tool(isolation="process")
def decorated_above(number: int) -> int:
    """Has another decorator above."""
    return number + 3


class Group:
    @staticmethod
    def inside(number: int) -> int:
        """Stands in a class."""
        return number + 4


@tool(isolation="process", name="taken")
def twice_named() -> int:
    """Is not what its name stands for any more."""
    return 1


TAKEN = twice_named


def twice_named() -> int:  # type: ignore[no-redef]
    """Has the name now."""
    return 2
