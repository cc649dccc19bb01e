"""Signals that ask an executor to end: the first one drains it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

__all__ = ["drained_by_signals"]


@contextlib.contextmanager
def drained_by_signals(drain: Callable[[], None]) -> Iterator[None]:
    """Let the first SIGTERM or SIGINT drain; the next one does what it would have done without this.

    Does nothing outside the main thread, where Python hears no signals.

    Args:
        drain: called on the running event loop.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGTERM, signal.SIGINT)

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def handle(_number: int, _frame: FrameType | None) -> None:
        restore()
        loop.call_soon_threadsafe(drain)

    # A handler of Python and not of the loop, which a tool may be blocking: the second signal must end the process.
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        restore()
