"""Stops a text where the model should have stopped: for APIs and models that take no ``stop``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["StopText"]


class StopText:
    """Passes text on up to the first of some stops, which may come in several pieces.

    Args:
        stops: the texts to stop at, none of them empty.

    Attributes:
        stopped: whether one of them has come.
    """

    __slots__ = ("_held", "_stops", "stopped")

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.stopped = False

    def feed(self, piece: str) -> str:
        """The text that may be passed on: not a stop, nor what may be the beginning of one."""
        if self.stopped:
            return ""
        text = self._held + piece
        ends = [end for stop in self._stops if (end := text.find(stop)) >= 0]
        if ends:
            self.stopped = True
            self._held = ""
            return text[: min(ends)]
        kept = max((_overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - kept :]
        return text[: len(text) - kept]

    def finish(self) -> str:
        """The text is complete: what was held back was no stop."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """How much of the end of a text may be the beginning of a stop."""
    for length in range(min(len(stop) - 1, len(text)), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0
