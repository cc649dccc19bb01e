"""Threads for blocking functions: a bounded number at work, and none that keeps a process from exiting."""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
from collections import deque
from contextvars import Context, copy_context
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Threads", "shared_threads"]

T = TypeVar("T")

# A thread that has had nothing to do for so long ends.
_IDLE_SECONDS = 10.0


class _Errand:
    """One function on its way through a thread."""

    __slots__ = (
        "_arguments",
        "_context",
        "_error",
        "_function",
        "_loop",
        "_output",
        "abandoned",
        "finished",
        "future",
        "started",
    )

    def __init__(
        self,
        function: Callable[..., Any],
        arguments: Mapping[str, Any],
        loop: asyncio.AbstractEventLoop,
        context: Context,
    ) -> None:
        self._function = function
        self._arguments = arguments
        self._loop = loop
        self._context = context
        self._output: Any = None
        self._error: BaseException | None = None
        self.future: asyncio.Future[Any] = loop.create_future()
        self.started = False
        self.finished = False
        self.abandoned = False

    def run(self) -> None:
        """Call the function and keep what comes of it."""
        try:
            self._output = self._context.run(self._function, **self._arguments)
        except StopIteration as raised:  # a future refuses this one
            self.fail(RuntimeError(f"raised StopIteration: {raised}"), raised)
        except Exception as raised:  # whatever it is, it belongs to the one who waits
            self.fail(raised)
        except BaseException as raised:  # SystemExit would end the loop, and with it every run
            self.fail(RuntimeError(f"raised {type(raised).__name__}: {raised}"), raised)

    def fail(self, error: BaseException, cause: BaseException | None = None) -> None:
        """Keep an error in place of an output."""
        if cause is not None:
            error.__cause__ = cause
        self._error = error

    def deliver(self) -> None:
        """Hand what came of it to the loop that waits for it."""
        try:
            self._loop.call_soon_threadsafe(self._settle)
        except RuntimeError:
            # The loop was closed in the meantime: nobody waits any more.
            return

    def _settle(self) -> None:
        if self.future.done():
            return
        if self._error is None:
            self.future.set_result(self._output)
        else:
            self.future.set_exception(self._error)


class Threads:
    """Runs blocking functions, at most ``limit`` at once over all event loops; the others wait in order.

    Differs from ``asyncio.to_thread`` and ``anyio.to_thread`` in two things. The threads are daemons, so a
    function that hangs does not keep the interpreter from exiting. And a call that is cancelled gives its
    slot back at once, so that hung functions never use up the limit; the hung thread itself lives on until
    its function returns.

    Raises:
        ValueError: the limit is below 1.
    """

    def __init__(self, limit: int = 40) -> None:
        if limit < 1:
            raise ValueError(f"the limit is {limit}; at least one thread is needed")
        self._limit = limit
        self._numbers = itertools.count(1)
        self._forget()
        if hasattr(os, "register_at_fork"):
            # A forked child has none of these threads; its first call would wait for one of them forever.
            os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[_Errand] = deque()
        # The mailboxes of the threads that have nothing to do, the warmest last.
        self._idle: list[SimpleQueue[_Errand]] = []
        self._at_work = 0

    @property
    def at_work(self) -> int:
        """How many functions hold a slot; those abandoned do not."""
        return self._at_work

    async def run(self, function: Callable[..., T], arguments: Mapping[str, Any]) -> T:
        """Call a function in a thread, in a copy of the caller's context variables.

        Cancelling this abandons the function, which Python cannot stop: it runs on and its output is dropped.

        Args:
            function: what to call.
            arguments: its keyword arguments.

        Returns:
            What the function returned.

        Raises:
            RuntimeError: the function raised a `StopIteration` or something that is no `Exception`
                (``sys.exit()``), or no thread could be started.
            Exception: whatever else the function raised.
        """
        errand = _Errand(function, arguments, asyncio.get_running_loop(), copy_context())
        with self._lock:
            self._waiting.append(errand)
            self._dispatch()
        try:
            output: T = await errand.future
        except asyncio.CancelledError:
            self._abandon(errand)
            raise
        return output

    def _abandon(self, errand: _Errand) -> None:
        with self._lock:
            if errand.abandoned or errand.finished:
                return
            errand.abandoned = True
            if errand.started:
                self._at_work -= 1
                self._dispatch()

    def _dispatch(self) -> None:
        """Find threads for those who wait, as far as slots are free. The lock is held."""
        while self._waiting and self._at_work < self._limit:
            errand = self._waiting.popleft()
            if errand.abandoned or errand.future.cancelled():
                continue
            errand.started = True
            self._at_work += 1
            if self._idle:
                self._idle.pop().put(errand)
                continue
            name = f"dovetail-{next(self._numbers)}"
            try:
                threading.Thread(target=self._serve, args=(errand,), name=name, daemon=True).start()
            except RuntimeError as error:  # the system has no more threads to give
                self._at_work -= 1
                errand.fail(error)
                errand.deliver()

    def _serve(self, errand: _Errand) -> None:
        """The life of a thread."""
        mailbox: SimpleQueue[_Errand] = SimpleQueue()
        while True:
            errand.run()
            with self._lock:
                if errand.abandoned:
                    # Its slot has gone to somebody else.
                    return
                errand.finished = True
                self._at_work -= 1
                self._idle.append(mailbox)
                self._dispatch()
            # After the bookkeeping: a caller who comes back at once finds this thread and starts no other.
            errand.deliver()
            del errand
            try:
                errand = mailbox.get(timeout=_IDLE_SECONDS)
            except Empty:
                with self._lock:
                    if mailbox in self._idle:
                        self._idle.remove(mailbox)
                        return
                errand = mailbox.get()


shared_threads = Threads()
"""The threads of this process's sync tools: what is bounded is the process, not a tool or a run."""
