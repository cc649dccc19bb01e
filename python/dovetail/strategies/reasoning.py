"""Takes out what a model reasons first, where its server does not tell reasoning from text."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["LONGEST_TAG", "Reasoning", "closing_tag"]

_NAMES: Final = ("think", "thinking", "reasoning")
_OPENING: Final = re.compile(rf"<({'|'.join(_NAMES)})>", re.IGNORECASE | re.ASCII)
_CLOSING: Final = re.compile(rf"</(?:{'|'.join(_NAMES)})>", re.IGNORECASE | re.ASCII)
# Behind more space no reasoning begins: it bounds what is held back.
_MOST_SPACE: Final = 1_000
LONGEST_TAG: Final = max(map(len, _NAMES)) + 3
"""How many characters a tag may have."""


def closing_tag(text: str) -> int | None:
    """Where the text behind the first closing tag begins; None if there is no such tag."""
    tag = _CLOSING.search(text)
    return None if tag is None else tag.end()


class Reasoning:
    """Passes on the text behind reasoning: between ``<think>`` and ``</think>``, or the tags of other names.

    Attributes:
        is_open: whether the text is in reasoning that has no end yet.
        had_some: whether it was in reasoning that had one.
    """

    __slots__ = ("_closing", "_held", "_is_over", "had_some", "is_open")

    def __init__(self) -> None:
        self.is_open = False
        self._closing = _CLOSING
        self._held = ""
        self.had_some = False
        self._is_over = False

    def feed(self, piece: str) -> str:
        """The text that may be passed on: neither reasoning, nor what may be the beginning of its tag."""
        if self._is_over:
            return piece
        text = self._held + piece
        while True:
            if self.is_open:
                if (closing := self._closing.search(text)) is None:
                    self._held = text[-LONGEST_TAG:]
                    return ""
                self.is_open = False
                self.had_some = True
                text = text[closing.end() :]
            if self.had_some:
                text = text.lstrip()
            begun = text.lstrip()
            if (opening := _OPENING.match(begun)) is None:
                if len(text) < _MOST_SPACE and any(f"<{name}>".startswith(begun.lower()) for name in _NAMES):
                    self._held = text
                    return ""
                self._held, self._is_over = "", True
                return text
            self.is_open = True
            self._closing = re.compile(f"</{opening[1]}>", re.IGNORECASE | re.ASCII)
            text = begun[opening.end() :]

    def finish(self) -> str:
        """The text is complete: what was held back was no tag."""
        held, self._held = self._held, ""
        return "" if self.is_open else held
