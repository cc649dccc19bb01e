"""What calls say of their progress, until it is sent to whoever wants to know: of each call the latest alone."""

from __future__ import annotations

import asyncio
import math
import threading
from typing import TYPE_CHECKING, Final, NamedTuple

from dovetail.failure_text import bounded

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ProgressReport", "ProgressReports"]

_LONGEST_MESSAGE: Final = 1_000


class ProgressReport(NamedTuple):
    """How far a call is.

    Attributes:
        call_id: the call.
        fraction: how much is done, from 0 to 1; None if that is not known.
        message: what is being done, for people; at most 1,000 characters.
    """

    call_id: str
    fraction: float | None
    message: str


class ProgressReports:
    """Filled from any thread, emptied in the event loop that is running when it is made.

    Args:
        wake: called in the loop once there is something to send.
    """

    def __init__(self, wake: Callable[[], object]) -> None:
        self._wake = wake
        self._loop = asyncio.get_running_loop()
        self._latest: dict[str, ProgressReport] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._latest)

    def add(self, call_id: str, fraction: float | None, message: str) -> None:
        """Have the progress of a call sent, in place of what was not sent yet. May be called from any thread.

        Raises:
            TypeError: the fraction is no number.
        """
        if fraction is not None:
            fraction = None if math.isnan(fraction) else min(1.0, max(0.0, float(fraction)))
        report = ProgressReport(call_id, fraction, bounded(str(message), _LONGEST_MESSAGE))
        with self._lock:
            is_first = not self._latest
            self._latest[call_id] = report
        if is_first:
            try:
                self._loop.call_soon_threadsafe(self._wake)
            except RuntimeError:  # the loop was closed in the meantime: nobody listens any more
                return

    def drop(self, call_id: str) -> None:
        """Forget the progress of a call that is over."""
        if self._latest:
            with self._lock:
                self._latest.pop(call_id, None)

    def next(self) -> ProgressReport | None:
        """What is to be sent next: of the call that has waited the longest; None if there is nothing."""
        if not self._latest:
            return None
        with self._lock:
            return self._latest.pop(next(iter(self._latest)))
