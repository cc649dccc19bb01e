"""What Ctrl-C and SIGTERM do to runs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

from dovetail.cli.exits import INTERRUPTED, TERMINATED, end_process, end_process_after

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from dovetail.cli.showing import ShownRun

__all__ = ["PATIENCE_SECONDS", "Interruption", "interruptible"]

PATIENCE_SECONDS = 5.0
"""How long a cancelled run, and the process of one that has ended, may take to end."""


class Interruption:
    """The first signal cancels what is running, a second one ends the process at once. Belongs to a running event loop.

    Attributes:
        status: the exit status that was asked for, once it was.
    """

    def __init__(self) -> None:
        self.status: int | None = None
        self._run: ShownRun | None = None
        self._cancelling: asyncio.Future[list[object]] | None = None
        self._loop = asyncio.get_running_loop()

    @contextlib.contextmanager
    def of(self, run: ShownRun) -> Iterator[None]:
        """Cancel this run if a signal comes while it is followed."""
        self._run = run
        if self.status is not None:
            self._cancel("interrupted before it began")
        try:
            yield
        finally:
            self._run = None

    def handle(self, number: int, _: FrameType | None) -> None:
        """Handle a signal. Called by Python and not by the loop, which a tool may be blocking."""
        status = TERMINATED if number == signal.SIGTERM else INTERRUPTED
        if self.status is not None:
            end_process(status)
        self.status = status
        if not (sys.__stdout__ or sys.stdout).isatty():
            # Straight to the descriptor: the signal may have come in the middle of a write to standard error.
            with contextlib.suppress(OSError):
                os.write(2, b"dovetail: cancelling; once more ends at once\n")
        end_process_after(PATIENCE_SECONDS, status)
        reason = "the process was terminated" if status == TERMINATED else "interrupted by Ctrl-C"
        self._loop.call_soon_threadsafe(self._cancel, reason)

    def _cancel(self, reason: str) -> None:
        if self._run is None:
            return
        cancelling = self._run.cancel(reason)
        if cancelling is not None:
            # At a server it takes a moment. If it fails, the process ends all the same, and the run's events say how.
            self._cancelling = asyncio.gather(*[cancelling], return_exceptions=True)


@contextlib.contextmanager
def interruptible() -> Iterator[Interruption]:
    """Let Ctrl-C and SIGTERM cancel runs instead of ending the process."""
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    before = {number: signal.signal(number, interruption.handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interruption
    finally:
        # Once a handler was called they stay: the process is about to end, and a second Ctrl-C may end it sooner.
        if interruption.status is None:
            for number, handler in before.items():
                signal.signal(number, handler)
