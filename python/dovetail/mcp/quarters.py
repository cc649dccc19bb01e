"""Where the MCP sessions of this process live: one event loop, in a thread of its own.

A session outlives the event loops of runs, and can be had from code that has none; so neither can be where it lives.
"""

from __future__ import annotations

import asyncio
import atexit
import threading
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from concurrent.futures import Future

__all__ = ["Quarters", "quarters"]

T = TypeVar("T")

_CLOSING_SECONDS = 10.0


class Quarters:
    """A thread with an event loop, begun when it is first needed, ended with the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closers: set[Callable[[], Awaitable[None]]] = set()

    def submit(self, what: Coroutine[Any, Any, T]) -> Future[T]:
        """Have something done there. Cancelling what is returned cancels it."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="dovetail-mcp", daemon=True)
                self._thread.start()
                atexit.register(self._close)
            return asyncio.run_coroutine_threadsafe(what, self._loop)

    def at_end(self, closer: Callable[[], Awaitable[None]]) -> None:
        """Have something awaited there before the process ends."""
        self._closers.add(closer)

    def not_at_end(self, closer: Callable[[], Awaitable[None]]) -> None:
        """It need not be awaited any more."""
        self._closers.discard(closer)

    def _close(self) -> None:
        loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return

        async def close() -> None:
            await asyncio.gather(*(closer() for closer in list(self._closers)), return_exceptions=True)

        try:
            asyncio.run_coroutine_threadsafe(close(), loop).result(_CLOSING_SECONDS)
        except TimeoutError:  # a server that lets itself not even be killed must not keep the process
            return
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_CLOSING_SECONDS)
        if not thread.is_alive():
            loop.close()


quarters = Quarters()
"""Those of this process."""
