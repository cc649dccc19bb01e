"""Calls that a child process carries out, one after the other, in its main thread."""

from __future__ import annotations

import asyncio
import faulthandler
import inspect
import os
import signal
import sys
import threading
import time
from dataclasses import replace
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import from_json, to_json

from dovetail.failure_text import bounded, message_of
from dovetail.processes.address import FunctionAddress
from dovetail.processes.frames import (
    CALL,
    FAILURE,
    MODEL_CALL,
    OUTPUT,
    PROGRESS,
    READY,
    STARTED,
    FrameReader,
    send_frame,
)
from dovetail.tools.call_context import CallContext
from dovetail.tools.call_failure import failure_of
from dovetail.tools.definition import Tool, tool
from dovetail.tools.function_call import bound_arguments
from dovetail.tools.policy import PLAIN
from dovetail.tools.secret import SecretsInUse

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from dovetail.v1 import ToolModelCall

__all__ = ["serve"]

_PIECE: Final = 1 << 16
_PROGRESS_SECONDS: Final = 0.02
_LONGEST_PROGRESS: Final = 1_000
_PR_SET_PDEATHSIG: Final = 1


def serve(receive: int, send: int) -> None:
    """Carry out calls until the parent wants no more, or is gone.

    Args:
        receive: the descriptor from which frames are read.
        send: the descriptor to which they are written.
    """
    faulthandler.enable()
    _die_with_parent()
    # What a tool forks must not keep the parent waiting for the end of this process.
    os.register_at_fork(after_in_child=partial(_close, receive, send))
    calls: SimpleQueue[bytes | None] = SimpleQueue()
    threading.Thread(target=_listen, args=(receive, calls), name="dovetail-parent", daemon=True).start()
    desk = _Desk(send)
    desk.send(READY)
    while (call := calls.get()) is not None:
        desk.serve(from_json(call))


class _Desk:
    """Where calls are carried out."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._tools: dict[tuple[Any, ...], Tool] = {}

    def send(self, kind: bytes, payload: bytes = b"") -> None:
        """Tell the parent something; threads of a tool may do so at the same time."""
        with self._lock:
            send_frame(self._descriptor, kind, payload)

    def serve(self, call: dict[str, Any]) -> None:
        """Carry out one call, and tell what came of it."""
        report = _Reporter(self)
        try:
            tool = self._tool(call)
            for variable, value in call["environment"].items():
                if value is None:
                    os.environ.pop(variable, None)
                else:
                    os.environ[variable] = value
            self.send(STARTED)
            output_json = _carry_out(tool, call, report)
        except BaseException as error:  # whatever a tool raises is data
            failure = failure_of(_an_exception(error))
            told = {
                "reason": int(failure.reason),
                "message": message_of(failure),
                "may_be_repeated": failure.may_be_repeated,
            }
            kind, payload = FAILURE, to_json(told)
        else:
            kind, payload = OUTPUT, output_json.encode()
        report.over = True
        for stream in (sys.stdout, sys.stderr):
            if stream is not None and not stream.closed:
                stream.flush()
        self.send(kind, payload)

    def _tool(self, call: dict[str, Any]) -> Tool:
        spec = call["tool"]
        key = (call["module"], call["file"], call["name"], *spec.values())
        if key not in self._tools:
            found = FunctionAddress(*key[:3]).find()
            base = found if isinstance(found, Tool) else tool(found)
            self._tools[key] = replace(
                base,
                name=spec["name"],
                isolation="none",
                max_output_bytes=spec["max_output_bytes"],
                policy=PLAIN.but({"large_output": spec["large_output"]}),
            )
        return self._tools[key]


class _Reporter:
    """Takes what a tool says of its progress; what comes too fast is not passed on."""

    def __init__(self, desk: _Desk) -> None:
        self._desk = desk
        self._last = 0.0
        self.over = False

    def __call__(self, fraction: float | None, message: str) -> None:
        now = time.monotonic()
        # A thread that a tool has left behind goes on reporting.
        if self.over or now - self._last < _PROGRESS_SECONDS:
            return
        self._last = now
        told = [None if fraction is None else float(fraction), bounded(str(message), _LONGEST_PROGRESS)]
        self._desk.send(PROGRESS, to_json(told))

    def count(self, made: ToolModelCall) -> None:
        """Take a model call that a tool made."""
        if not self.over:
            self._desk.send(MODEL_CALL, made.SerializeToString())


def _carry_out(tool: Tool, call: dict[str, Any], report: _Reporter) -> str:
    seconds = call["seconds"]
    deadline = None if seconds is None else time.monotonic() + seconds
    context = CallContext(call["run_id"], call["task_id"], call["call_id"], deadline, report, report.count)
    secrets = SecretsInUse(tool.secrets, tool.name)
    function: Any = tool.function
    with secrets.hidden():
        arguments = bound_arguments(tool, call["arguments_json"], secrets.context(context), secrets.arguments)

        async def enter() -> Any:
            return await function(**arguments)

        output = asyncio.run(enter()) if tool.is_async else function(**arguments)
        if inspect.isawaitable(output):  # a decorator may hide that a function is async
            output = asyncio.run(_awaited(output))
        return secrets.output(tool.encode(output))


async def _awaited(output: Awaitable[Any]) -> Any:
    return await output


def _an_exception(error: BaseException) -> BaseException:
    """What a tool raised to end its process, which it must not do like this, is an error of the tool."""
    if isinstance(error, Exception | asyncio.CancelledError):
        return error
    return RuntimeError(f"raised {type(error).__name__}: {message_of(error)}")


def _listen(descriptor: int, calls: SimpleQueue[bytes | None]) -> None:
    """Take what the parent sends, whatever the tool is doing. Without a parent, this process ends."""
    frames = FrameReader()
    while data := os.read(descriptor, _PIECE):
        for kind, payload in frames.feed(data):
            calls.put(payload if kind == CALL else None)
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)  # and so does what its tools have started
    os._exit(1)


def _close(*descriptors: int) -> None:
    for one in descriptors:
        os.close(one)


def _die_with_parent() -> None:
    """Have the kernel end this process with its parent, also where a tool lets no thread run: `re.match` may."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
