"""Questions on the terminal: whether a task that waits for approval may be called."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import deque
from typing import TYPE_CHECKING

from dovetail.cli.exits import complain
from dovetail.cli.printable import one_line
from dovetail.cli.showing import done
from dovetail.errors import DovetailError, InvalidRequestError, ServerError, UsageError

if TYPE_CHECKING:
    from dovetail.cli.showing import ShownRun
    from dovetail.cli.views import View
    from dovetail.v1 import Event

__all__ = ["Questions"]

_SHOWN = 2_000
_HOW = 'yes, no, either with a reason behind it, or other arguments as JSON: {"name": "value"}'


class Questions:
    """Asks about the tasks of a run, one after the other, while the run goes on. Belongs to a running event loop.

    Args:
        run: the run.
        view: what shows it, and makes room.
        elsewhere: the command that decides where there is no terminal, as far as the run: ``dovetail approve RUN``. If
            None nobody else could decide, and the tasks are rejected.
    """

    def __init__(self, run: ShownRun, view: View, elsewhere: str | None = None) -> None:
        self._run = run
        self._view = view
        self._elsewhere = elsewhere
        self._arguments: dict[int, str] = {}
        self._reasons: dict[int, str] = {}
        self._waiting: deque[int] = deque()
        self._asked: int | None = None
        self._task: asyncio.Task[None] | None = None

    def heed(self, event: Event) -> None:
        """Take in an event, behind its view."""
        match event.WhichOneof("fact"):
            case "task_ready":
                self._arguments[event.task_ready.task_id] = event.task_ready.arguments_json
            case "call_started":
                self._arguments.pop(event.call_started.task_id, None)
            case "approval_requested":
                fact = event.approval_requested
                self._reasons[fact.task_id] = fact.reason
                self._waiting.append(fact.task_id)
            case "approval_resolved":
                self._withdraw(event.approval_resolved.task_id)
            case "task_failed":
                self._withdraw(event.task_failed.task_id)
        if self._waiting and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._ask_all())

    async def aclose(self) -> None:
        """Ask nothing any more."""
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _withdraw(self, task_id: int) -> None:
        if task_id in self._waiting:
            self._waiting.remove(task_id)
        if task_id == self._asked and self._task is not None:
            self._task.cancel()

    async def _ask_all(self) -> None:
        while self._waiting:
            self._asked = self._waiting.popleft()
            try:
                if _is_terminal():
                    with self._view.set_aside():
                        await self._ask(self._asked)
                elif self._elsewhere is None:
                    await done(self._run.reject(self._asked, "there is no terminal to ask for approval on"))
                else:
                    _say(f"task {self._asked} waits for approval: {self._elsewhere} {self._asked}")
            except asyncio.CancelledError:
                # Withdrawn while it was asked, or the end of all.
                if not self._waiting:
                    raise
            except DovetailError as error:
                complain(str(error))
            finally:
                self._asked = None

    async def _ask(self, task_id: int) -> None:
        row = self._view.board.rows.get(task_id)
        tool = "" if row is None else f": {row.tool}"
        arguments = one_line(self._arguments.get(task_id, ""), _SHOWN)
        reason = one_line(self._reasons.get(task_id, ""), _SHOWN)
        because = f"because: {reason}\n" if reason else ""
        _say(f"\ntask {task_id} waits for approval{tool} {arguments}\n{because}{_HOW}")
        while True:
            line = await _next_line()
            if line is None:
                remedy = "" if self._elsewhere is None else f": {self._elsewhere} {task_id}"
                _say(f"task {task_id} goes on waiting{remedy}")
                return
            word, _, reason = line.partition(" ")
            try:
                if line.startswith("{"):
                    await done(self._run.approve(task_id, line))
                elif word.lower().rstrip(",") in ("y", "yes"):
                    await done(self._run.approve(task_id, None, reason.strip()))
                elif word.lower().rstrip(",") in ("n", "no"):
                    await done(self._run.reject(task_id, reason.strip()))
                else:
                    _say(_HOW)
                    continue
            except (InvalidRequestError, UsageError) as refused:
                _say(one_line(str(refused)))
                continue
            except ServerError as error:
                _say(one_line(str(error)))
            return


def _is_terminal() -> bool:
    return sys.platform != "win32" and sys.stdin.isatty() and sys.stderr.isatty()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - this is the command line


async def _next_line() -> str | None:
    """The next line that somebody types; None at the end of input."""
    loop = asyncio.get_running_loop()
    typed: asyncio.Future[bytes] = loop.create_future()
    descriptor = sys.stdin.fileno()

    def read() -> None:
        if not typed.done():
            try:
                typed.set_result(os.read(descriptor, 65_536))
            except OSError:
                typed.set_result(b"")

    # Not in a thread: a question that is withdrawn must not take the line that is meant for the next.
    loop.add_reader(descriptor, read)
    try:
        line = await typed
    finally:
        loop.remove_reader(descriptor)
    return line.decode(errors="replace").partition("\n")[0].strip() if line else None
