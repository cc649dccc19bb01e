"""Executors that serve the same tools, in the order in which they are given calls. Knows no gRPC."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dovetail_server.executor_session import Session

__all__ = ["Fleet"]

_MOST_OUTDATED = 64


class Fleet:
    """Finds the executor with the most free places; of those with as many, the one that was given the fewest calls.

    Finds it without looking at the others: there may be thousands.
    """

    __slots__ = ("_entries", "_given", "_heap", "_latest")

    def __init__(self) -> None:
        # Free places, negative, and calls given, as they were at that time; the entry's number; the session.
        self._heap: list[tuple[int, int, int, Session]] = []
        # The entry of each session that counts; older ones stay in the heap until they come up.
        self._latest: dict[Session, int] = {}
        self._entries = 0
        self._given = 0

    def __bool__(self) -> bool:
        return bool(self._latest)

    def enter(self, session: Session) -> None:
        """An executor is new here."""
        # As if it had been here all the time: else it would have every call until it has caught up.
        session.given = self._given
        self.rank(session)

    def leave(self, session: Session) -> None:
        """An executor is gone."""
        self._latest.pop(session, None)

    def rank(self, session: Session) -> None:
        """An executor has a further free place. That one has fewer is noticed by `first`."""
        self._entries += 1
        self._latest[session] = self._entries
        heappush(self._heap, (-session.free, session.given, self._entries, session))
        if len(self._heap) > 2 * len(self._latest) + _MOST_OUTDATED:
            self._heap = [entry for entry in self._heap if self._latest.get(entry[3]) == entry[2]]
            heapify(self._heap)

    def first(self) -> Session | None:
        """The executor that is to be given the next call; it may have no free place."""
        if len(self._latest) == 1:
            session = next(iter(self._latest))
            self._given = session.given
            return session
        while self._heap:
            free, given, entry, session = self._heap[0]
            if self._latest.get(session) != entry:
                heappop(self._heap)
            elif session.free != -free:
                heappop(self._heap)
                self.rank(session)
            else:
                self._given = given
                return session
        return None
