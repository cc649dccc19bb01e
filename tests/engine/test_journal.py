"""The journal in memory: what a reader gets of it, and how much at a time."""

from __future__ import annotations

from dovetail.runs.journal import MemoryJournal
from dovetail.v1 import WatchRunResponse

PLENTY = 1_000_000


def journal_of(*texts: str) -> MemoryJournal:
    journal = MemoryJournal()
    for text in texts:
        journal.append(("answer_text", {"text": text}))
    return journal


def test_events_read_into_a_message_are_those_that_are_read_without_one() -> None:
    journal = journal_of("a", "b", "c")
    message = WatchRunResponse()
    assert journal.read_into(message.events, 1, 64, PLENTY) == 3
    assert list(message.events) == journal.read(1, 64, PLENTY)
    assert [event.sequence for event in message.events] == [2, 3]


def test_where_there_is_nothing_behind_a_number_the_number_stays() -> None:
    message = WatchRunResponse()
    assert journal_of("a").read_into(message.events, 1, 64, PLENTY) == 1
    assert journal_of("a").read_into(message.events, 5, 64, PLENTY) == 5
    assert not message.events


def test_no_more_events_are_read_than_were_asked_for() -> None:
    message = WatchRunResponse()
    assert journal_of(*"abcdef").read_into(message.events, 1, 3, PLENTY) == 4
    assert [event.answer_text.text for event in message.events] == ["b", "c", "d"]


def test_the_event_that_would_be_too_much_is_left_for_the_next_message() -> None:
    journal = journal_of("x" * 100, "x" * 100, "x" * 100)
    message = WatchRunResponse()
    assert journal.read_into(message.events, 0, 64, 300) == 2
    assert list(message.events) == journal.read(0, 64, 300)


def test_an_event_that_is_too_large_goes_alone() -> None:
    journal = journal_of("x" * 1_000, "y")
    message = WatchRunResponse()
    assert journal.read_into(message.events, 0, 64, 10) == 1
    assert [event.sequence for event in message.events] == [1]
