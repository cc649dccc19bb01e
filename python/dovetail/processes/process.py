"""A child process, from this end: started, given one call at a time, and ended."""

from __future__ import annotations

import codecs
import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic_core import to_json

from dovetail.processes.frames import END, READY, Frame, FrameReader, GarbledError, send_frame

if TYPE_CHECKING:
    from typing import BinaryIO

__all__ = ["Process", "ProcessEndedError"]

_CHILD: Final = str(Path(__file__).with_name("child.py"))
_PIECE: Final = 1 << 16
_SMALLEST_LIMIT: Final = 64 * 1024
# How long a process that has closed its pipe, or was asked to end, may take to be gone.
_ENDING_SECONDS: Final = 1.0
_LAST_LINE: Final = 300
_FATAL: Final = "Fatal Python error: "


class ProcessEndedError(Exception):
    """A process ended, or had to be ended, where more was expected of it. The message says how it ended."""


class Process:
    """A child process. Blocks whoever uses it: for a thread of its own. `kill` may be called from any thread.

    Attributes:
        calls: how many calls it was given.

    Raises:
        OSError: no process can be started.
    """

    def __init__(self) -> None:
        # A session of its own: no Ctrl-C of a terminal reaches it, and it is killed with all that its tools start.
        self._popen = subprocess.Popen(  # noqa: S603 - the program is ours
            [sys.executable, "-P", _CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
        self._down = _descriptor(self._popen.stdin)
        self._up = _descriptor(self._popen.stdout)
        self._frames = FrameReader(_SMALLEST_LIMIT)
        self._came: deque[Frame] = deque()
        self._garbled = ""
        self._said = _Said(_descriptor(self._popen.stderr))
        self._poll = select.poll()
        self._poll.register(self._up, select.POLLIN)
        self._poll.register(self._said.descriptor, select.POLLIN)
        self.calls = 0

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._popen.pid

    def begin(self, seconds: float) -> None:
        """Wait until it can take a call.

        Raises:
            ProcessEndedError: it ended instead, or takes longer than so many seconds.
        """
        about = to_json({"path": sys.path, "argv": sys.argv}) + b"\n"
        until = time.monotonic() + seconds
        try:
            while about:
                about = about[os.write(self._down, about) :]
        except OSError as error:
            raise ProcessEndedError(self._ended()) from error
        if self.next(until).kind != READY:
            raise ProcessEndedError(self._ended("sent something else than was expected"))

    def send(self, kind: bytes, payload: bytes, limit: int) -> None:
        """Send a frame.

        Args:
            kind: its kind.
            payload: its payload.
            limit: how many bytes the payloads of the frames that answer it may have; some are always allowed.

        Raises:
            ProcessEndedError: the process has ended.
        """
        self.calls += 1
        self._frames.limit = max(_SMALLEST_LIMIT, limit)
        self._said.begin()
        try:
            send_frame(self._down, kind, payload)
        except OSError as error:
            raise ProcessEndedError(self._ended()) from error

    def next(self, until: float | None = None) -> Frame:
        """Wait for the next frame. Meanwhile, what the process prints is printed here.

        Args:
            until: how long, a time of `time.monotonic`; None for ever.

        Raises:
            ProcessEndedError: the process ended, sent what is no frame, or took too long.
        """
        while not self._came:
            if self._garbled:
                raise ProcessEndedError(self._ended(f"sent {self._garbled}"))
            left = None if until is None else max(0.0, until - time.monotonic())
            ready = self._poll.poll(None if left is None else left * 1000)
            if not ready:
                raise ProcessEndedError(self._ended("took too long to start"))
            for descriptor, _ in ready:
                if descriptor == self._up:
                    self._take()
                elif not self._said.take():
                    self._poll.unregister(descriptor)
        return self._came.popleft()

    def pass_on_prints(self) -> None:
        """Print what the process has printed by now."""
        self._said.take_all()

    def _take(self) -> None:
        data = os.read(self._up, _PIECE)
        if not data:
            raise ProcessEndedError(self._ended())
        try:
            self._came.extend(self._frames.feed(data))
        except GarbledError as error:  # what came before it counts
            self._garbled = str(error)

    def kill(self) -> None:
        """End it, and all that it has started, at once. `next` then says that it has ended."""
        with contextlib.suppress(ProcessLookupError, PermissionError):  # it has ended by itself
            os.killpg(self._popen.pid, signal.SIGKILL)

    def end(self) -> None:
        """Ask it to end, end it if it does not, and wait until it has."""
        with contextlib.suppress(OSError):
            send_frame(self._down, END)
        self._wait()

    def _ended(self, why: str = "") -> str:
        """See to it that it has ended; returns how it did, or why it had to."""
        if why:
            self.kill()
        went = self._wait()
        how = why or (_exit_text(self._popen.returncode) if went else "has closed its pipe to its parent")
        return f"{how}: {self._said.last_line}" if self._said.last_line else how

    def _wait(self) -> bool:
        """Wait until it has ended; whether it did so by itself."""
        went = True
        try:
            self._popen.wait(_ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            went = False
            self.kill()
            self._popen.wait()
        self.kill()  # what it has started outlives it no longer
        self._said.take_all()
        for pipe in (self._popen.stdin, self._popen.stdout, self._popen.stderr):
            if pipe is not None:
                pipe.close()
        return went


class _Said:
    """What a process prints: passed on to this process's standard error, and its last lines kept."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        os.set_blocking(descriptor, False)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._tail = ""

    def begin(self) -> None:
        """What was said so far belongs to calls that are over."""
        self.take_all()
        self._tail = ""

    def take(self) -> bool:
        """Take a piece; False if no further piece is at hand."""
        try:
            data = os.read(self.descriptor, _PIECE)
        except BlockingIOError:
            return False
        text = self._decoder.decode(data)
        self._tail = (self._tail + text)[-8 * _LAST_LINE :]
        if text and sys.stderr is not None:
            with contextlib.suppress(OSError, ValueError):  # it may be closed
                sys.stderr.write(text)
                sys.stderr.flush()
        return bool(data)

    def take_all(self) -> None:
        """Take what is at hand; of a process that goes on printing, no more than fits into its pipe a few times."""
        for _ in range(8):
            if not self.take():
                break

    @property
    def last_line(self) -> str:
        """The last line that says something: of a fatal error, the one that names it and not those of the traceback."""
        lines = [line.strip() for line in self._tail.splitlines() if line.strip()]
        fatal = [line for line in lines if line.startswith(_FATAL)]
        return (fatal or lines or [""])[-1][:_LAST_LINE]


def _exit_text(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    remark = " (by somebody, or by the system for want of memory)" if -code == signal.SIGKILL else ""
    return f"was killed by {name}{remark}"


def _descriptor(pipe: BinaryIO | object | None) -> int:
    return pipe.fileno()  # type: ignore[union-attr]  # all three were asked for
