"""What is to be sent on a stream: gathered while a message is on its way, then taken all at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dovetail_server.refusal import Refusal

__all__ = ["Mailbox"]


class Mailbox:
    """Wakes the one who writes a stream when there is something to write. Belongs to one event loop.

    Attributes:
        closed: whether nothing more is to be sent.
        refusal: what the stream ends with; None for OK.
    """

    __slots__ = ("_wake", "closed", "refusal")

    def __init__(self) -> None:
        self._wake: asyncio.Future[None] | None = None
        self.closed = False
        self.refusal: Refusal | None = None

    def wake(self) -> None:
        """There is something to write."""
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def close(self, refusal: Refusal | None = None) -> None:
        """Let the stream end, once what is at hand is written; a second close changes nothing."""
        if not self.closed:
            self.closed = True
            self.refusal = refusal
            self.wake()

    def when_woken(self) -> asyncio.Future[None]:
        """A future that is done with the next `wake`. Ask before looking for something to write, and one at a time."""
        if self._wake is None or self._wake.done():
            self._wake = asyncio.get_running_loop().create_future()
        return self._wake
