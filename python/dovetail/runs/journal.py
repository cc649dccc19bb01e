"""Where the events of a run are kept, and from where they are read."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from dovetail.v1 import Event

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from google.protobuf.internal.containers import RepeatedCompositeFieldContainer

__all__ = ["Fact", "MemoryJournal"]

Fact = tuple[str, "Mapping[str, Any]"]
"""A fact before it is an event: its field in `Event`, and the fields of its message, which must not change any more."""


class MemoryJournal:
    """Keeps the events of one run in memory, numbers them, and lets any number of readers follow.

    Belongs to one event loop. Readers never hold up the run: each has a place of its own in the list of events. A fact
    becomes an `Event` when somebody reads it, since building the message costs more than all else about it.
    """

    def __init__(self) -> None:
        self._facts: list[Fact] = []
        self._times: list[int] = []
        # Of the facts, those that have been read: always a beginning of the list.
        self._events: list[Event] = []
        # The time of the last event built: what is recorded together has one time.
        self._nanoseconds = 0
        self._time: dict[str, int] = {}
        self._readers: set[asyncio.Future[None]] = set()
        self._awaited: dict[str, list[asyncio.Future[int]]] = {}

    @property
    def last(self) -> Event:
        """The latest event. There is one as soon as the run has begun."""
        return self._event(len(self._facts))

    def __len__(self) -> int:
        return len(self._facts)

    @property
    def ended(self) -> bool:
        """Whether the last event of the run is recorded."""
        return bool(self._facts) and self._facts[-1][0] == "run_ended"

    def append(self, *facts: Fact) -> None:
        """Record facts, in their order and with one time, and wake the readers."""
        before = len(self._facts)
        self._facts += facts
        self._times += [time.time_ns()] * len(facts)
        if self._awaited:
            for sequence, (name, _) in enumerate(facts, before + 1):
                for first in self._awaited.pop(name, ()):
                    if not first.done():
                        first.set_result(sequence)
        if self._readers:
            readers, self._readers = self._readers, set()
            for reader in readers:
                if not reader.done():
                    reader.set_result(None)

    async def first(self, *names: str) -> Event:
        """The first event with one of these facts. Wakes its reader once, and builds no other event."""
        for sequence, (name, _) in enumerate(self._facts, 1):
            if name in names:
                return self._event(sequence)
        found: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        for name in names:
            self._awaited.setdefault(name, []).append(found)
        return self._event(await found)

    def latest(self, name: str) -> Event | None:
        """The last event with this fact, if there is one."""
        for sequence in range(len(self._facts), 0, -1):
            if self._facts[sequence - 1][0] == name:
                return self._event(sequence)
        return None

    async def follow(self, after_sequence: int = 0) -> AsyncIterator[Event]:
        """The events behind a number, and those to come, up to the last one of the run."""
        place = after_sequence
        while True:
            while place < len(self._facts):
                place += 1
                while len(self._events) < place:
                    self._events.append(self._event(len(self._events) + 1))
                yield self._events[place - 1]
            if self.ended:
                return
            await self.grown(place)

    def read(self, after_sequence: int, most: int, most_bytes: int) -> list[Event]:
        """The events behind a number that are there already.

        Args:
            after_sequence: the number.
            most: how many at the most.
            most_bytes: how many bytes they may have together, on the wire; a single event may have more.
        """
        events: list[Event] = []
        for sequence in range(after_sequence + 1, min(after_sequence + most, len(self._facts)) + 1):
            event = self._event(sequence)
            most_bytes -= event.ByteSize()
            if most_bytes < 0 and events:
                break
            events.append(event)
        return events

    def read_into(
        self, events: RepeatedCompositeFieldContainer[Event], after_sequence: int, most: int, most_bytes: int
    ) -> int:
        """The same, put into a field of a message, where they cost half as much.

        Returns:
            The number of the last one; ``after_sequence`` if there is none.
        """
        add, before = events.add, after_sequence
        for sequence in range(before + 1, min(before + most, len(self._facts)) + 1):
            most_bytes -= self._event(sequence, add).ByteSize()
            if most_bytes < 0 and sequence > before + 1:
                del events[-1]
                break
            after_sequence = sequence
        return after_sequence

    async def grown(self, after_sequence: int) -> None:
        """Wait until there are events behind a number, or the run has ended."""
        while not self.has_behind(after_sequence):
            reader: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            await self.woken(reader)

    def has_behind(self, after_sequence: int) -> bool:
        """Whether there is something to read behind a number, or never will be."""
        return len(self._facts) > after_sequence or self.ended

    async def woken(self, reader: asyncio.Future[None]) -> None:
        """Wait for a future that is done with the next event, unless something else does it before."""
        self._readers.add(reader)
        try:
            await reader
        finally:
            self._readers.discard(reader)

    def _event(self, sequence: int, build: Callable[..., Event] = Event) -> Event:
        name, fields = self._facts[sequence - 1]
        nanoseconds = self._times[sequence - 1]
        if nanoseconds != self._nanoseconds:
            seconds, nanos = divmod(nanoseconds, 1_000_000_000)
            self._nanoseconds, self._time = nanoseconds, {"seconds": seconds, "nanos": nanos}
        # Keyword arguments with plain mappings are the cheapest way to build a message: 1 us.
        return build(sequence=sequence, time=self._time, **{name: fields})
