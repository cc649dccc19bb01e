"""An event loop in a thread of its own, for code that is not asynchronous."""

from __future__ import annotations

import asyncio
import sys
import threading
from concurrent.futures import CancelledError as FutureCancelledError
from typing import TYPE_CHECKING, Any, TypeVar

from dovetail.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine, Generator

__all__ = ["LoopThread"]

T = TypeVar("T")


class LoopThread:
    """A thread with an event loop, and the way there."""

    def __init__(self) -> None:
        self._loop = _new_loop()
        self._thread = threading.Thread(target=self._run, name="dovetail-client", daemon=True)
        self._thread.start()

    def wait_for(self, work: Coroutine[Any, Any, T]) -> T:
        """Have something done there, and wait for it; Ctrl-C stops it."""
        if threading.current_thread() is self._thread or not self._thread.is_alive():
            work.close()
            if self._thread.is_alive():
                raise UsageError("the client cannot wait for itself: use dovetail.Client in asynchronous code")
            raise UsageError("the client is not open: it was closed")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except FutureCancelledError:
            raise UsageError("the client is not open: it was closed") from None
        except BaseException:
            future.cancel()
            raise

    def iterate(self, items: AsyncGenerator[T, None]) -> Generator[T, None, None]:
        """What an asynchronous iterator yields there; closing this one closes that one."""
        end = object()

        async def next_item() -> T | object:
            return await anext(items, end)

        try:
            while (item := self.wait_for(next_item())) is not end:
                yield item  # type: ignore[misc]  # the end is no item
        finally:
            if self._thread.is_alive():
                self.wait_for(items.aclose())

    def stop(self) -> None:
        """End the loop and the thread."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def _run(self) -> None:
        loop = self._loop
        try:
            loop.run_forever()
        finally:
            loop.run_until_complete(_cancel_all())
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()


def _new_loop() -> asyncio.AbstractEventLoop:
    if sys.platform == "win32":
        return asyncio.new_event_loop()
    import uvloop

    return uvloop.new_event_loop()


async def _cancel_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
