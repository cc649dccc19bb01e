"""How many requests are in flight at one server, over all models, runs and event loops of this process."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, ClassVar
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["InFlight"]


class InFlight:
    """The requests in flight at one server.

    Each request says how many may be in flight with it, and waits in order until so few are. One that allows any
    number is counted and never waits. Loops of several threads may meet here.
    """

    _known: ClassVar[WeakValueDictionary[tuple[str, str], InFlight]] = WeakValueDictionary()
    _finding: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._line: deque[_Waiting] = deque()

    @classmethod
    def at(cls, provider: str, url: str) -> InFlight:
        """The requests of a provider at a URL: the same object for all that ask, as long as one keeps it."""
        with cls._finding:
            found = cls._known.get((provider, url))
            if found is None:
                found = cls._known[provider, url] = cls()
            return found

    @property
    def count(self) -> int:
        """How many requests are in flight."""
        return self._count

    @property
    def waiting(self) -> int:
        """How many requests wait for a place."""
        return len(self._line)

    @asynccontextmanager
    async def place(self, most: int | None) -> AsyncIterator[None]:
        """A place among the requests in flight, for as long as the context is open. Waiting for it can be cancelled.

        Args:
            most: how many requests may be in flight, this one included; any number if None.
        """
        await self._enter(most)
        try:
            yield
        finally:
            self._leave()

    async def _enter(self, most: int | None) -> None:
        with self._lock:
            if most is None or (not self._line and self._count < most):
                self._count += 1
                return
            waiting = _Waiting(most)
            self._line.append(waiting)
        try:
            await waiting.called
        except asyncio.CancelledError:
            with self._lock:
                if waiting.has_place:
                    self._count -= 1
                else:
                    self._line.remove(waiting)
                self._call()
            raise

    def _leave(self) -> None:
        with self._lock:
            self._count -= 1
            self._call()

    def _call(self) -> None:
        """Give places to the first of the line, as many as there are. Called with the lock held."""
        while self._line and self._count < self._line[0].most:
            self._count += 1
            if not self._line.popleft().call():
                self._count -= 1


class _Waiting:
    """A request that waits for a place, in the loop that made it."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.has_place = False
        self._loop = asyncio.get_running_loop()
        self.called: asyncio.Future[None] = self._loop.create_future()

    def call(self) -> bool:
        """Give it the place; False if its loop has ended."""
        try:
            self._loop.call_soon_threadsafe(self._hear)
        except RuntimeError:
            return False
        self.has_place = True
        return True

    def _hear(self) -> None:
        if not self.called.done():
            self.called.set_result(None)
