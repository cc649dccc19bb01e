"""Reads what a ReAct model writes in a turn, piece by piece: a thought, then an action."""

from __future__ import annotations

import re
from typing import Final, Literal

__all__ = ["ReactReply"]

# `Action:`, as models write it: bold, numbered, in any case; or an action that stands alone because it is the end.
_ACTION: Final = re.compile(
    r"^[ \t*_#>-]*action(?:[ \t]*\d+)?[ \t*_]*:[ \t*_]*|^(?=[ \t*_`]*finish[ \t]*[(\[])", re.IGNORECASE | re.MULTILINE
)
_NAMED: Final = re.compile(r"\S\s*[(\[\n]|\S{200}")
_FINISH: Final = re.compile(r"[\s*_`]*finish\b", re.IGNORECASE)
_MARKS: Final = re.compile(r"[\s*_`]*(?:\d+[.):][ \t]*)?")
_THOUGHT: Final = re.compile(r"^[ \t*_#>-]*thought(?:[ \t]*\d+)?[ \t*_]*:[ \t*_]*", re.IGNORECASE | re.MULTILINE)


class ReactReply:
    """One reply, cut anywhere.

    Attributes:
        kind: whether its action is a call or the answer; None while that is not known.
        thought: what stands before the action, on one line, without its label.
    """

    def __init__(self) -> None:
        self.kind: Literal["call", "answer"] | None = None
        self.thought = ""
        self._held = ""
        # Where the line begins that is not complete.
        self._line = 0

    def feed(self, text: str) -> str:
        """A piece of the reply; returns what it adds to the action: a call without its label and id, or `Finish(…)`."""
        return text if self.kind is not None else self._decide(text, is_over=False)

    def finish(self) -> str:
        """The reply is complete: what it still adds to the action."""
        return "" if self.kind is not None else self._decide("", is_over=True)

    def _decide(self, text: str, *, is_over: bool) -> str:
        self._held += text
        action = _ACTION.search(self._held, self._line)
        if action is None:
            self._line = self._held.rfind("\n") + 1
            self._think(self._held) if is_over else None
            return ""
        self._line = action.start()
        rest = self._held[action.end() :]
        if not is_over and not _NAMED.search(rest):
            return ""
        self._think(self._held[: action.start()])
        self._held = ""
        if _FINISH.match(rest):
            self.kind = "answer"
            return f"Action: {rest}"
        self.kind = "call"
        marks = _MARKS.match(rest)
        return rest if marks is None else rest[marks.end() :]

    def _think(self, text: str) -> None:
        self.thought = " ".join(_THOUGHT.sub("", text).split())
