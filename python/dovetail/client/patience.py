"""Patience: how long a client goes on trying, and the pauses between its attempts."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from dovetail.errors import ServerError

__all__ = ["Patience"]

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0
_ALIVE_SECONDS: Final = 30.0
"""A connection whose other end is gone is noticed in 25 s: what lived longer had a server at its end."""


class Patience:
    """Counts the time without progress from the first failure on: a stream that is merely quiet costs none.

    Args:
        seconds: how long attempts may go on without progress.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._failures = 0
        self._began = self._failing_since = time.monotonic()

    def progressed(self) -> None:
        """Something came: the pauses and the count begin anew with the next failure."""
        self._failures = 0

    async def pause(self, failure: ServerError) -> None:
        """Wait before the next attempt, longer each time, and not all clients equally long.

        Raises:
            ServerError: the failure, if the time is used up.
        """
        now = time.monotonic()
        if now - self._began >= _ALIVE_SECONDS:
            self._failures = 0
        if self._failures == 0:
            self._failing_since = now
        longest = min(_FIRST_PAUSE * 2**self._failures, _LONGEST_PAUSE)
        pause = longest * random.uniform(0.5, 1.0)  # noqa: S311 - to spread clients, not to hide anything
        if now + pause - self._failing_since > self.seconds:
            raise failure
        self._failures = min(self._failures + 1, 10)
        await asyncio.sleep(pause)
        self._began = time.monotonic()
