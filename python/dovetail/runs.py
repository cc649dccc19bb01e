"""The handle of a run: what whoever started it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dovetail.errors import RunCancelledError, RunFailedError
from dovetail.v1 import RunState

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator

    from dovetail.journal import MemoryJournal
    from dovetail.v1 import Event

__all__ = ["Run"]


class Run:
    """A question on its way to an answer. Made by `Engine.start`.

    Attributes:
        run_id: the run's name.
        question: what was asked.
    """

    def __init__(self, run_id: str, question: str, journal: MemoryJournal, life: asyncio.Task[None]) -> None:
        self.run_id = run_id
        self.question = question
        self._journal = journal
        self._life = life

    @property
    def state(self) -> RunState:
        """How the run stands."""
        return self._journal.last.run_ended.state if self._journal.ended else RunState.RUN_STATE_RUNNING

    def events(self, after_sequence: int = 0) -> AsyncIterator[Event]:
        """The events of the run, from the first or behind a number, until its end; also after its end.

        Any number of readers may follow; each sees every event once and in order.
        """
        return self._journal.follow(after_sequence)

    async def answer(self) -> str:
        """Wait for the answer.

        Raises:
            RunFailedError: the run ended without an answer; its ``reason`` and message say why.
            RunCancelledError: the run was cancelled.
        """
        event = await self._journal.first("run_answered", "run_ended")
        if event.HasField("run_answered"):
            return event.run_answered.answer
        failure = event.run_ended.failure
        if event.run_ended.state == RunState.RUN_STATE_CANCELLED:
            raise RunCancelledError(failure.message)
        raise RunFailedError(failure.reason, failure.message)

    def cancel(self, reason: str = "cancelled by its owner") -> None:
        """Cancel the run: its model stream and its calls. Nothing happens if it has ended."""
        if not self._life.done() and not self._journal.ended:
            self._journal.append(("cancel_requested", {"reason": reason}))
            self._life.cancel(reason)

    async def wait(self) -> RunState:
        """Wait for the end of the run, and with it for the close of its streams and calls."""
        await self._journal.first("run_ended")
        return self.state
