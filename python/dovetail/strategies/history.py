"""What was said in the turns of a run, as the model of the next turn is told: of bounded size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dovetail.models.protocol import AssistantMessage, Message, TurnMessage

__all__ = ["History"]

_MOST: Final = 64_000
_MOST_VERBATIM: Final = 512_000


class History:
    """The turns of one run.

    A turn is kept whole or left out whole, so that no output stands there without its call. The oldest go first: the
    tasks behind them can still be referred to.
    """

    def __init__(self) -> None:
        self._turns: list[list[TurnMessage]] = []

    def add(self, messages: Sequence[TurnMessage]) -> None:
        """What a model said in a turn, and what it was told."""
        self._turns.append(list(messages))

    def messages(self) -> list[TurnMessage]:
        """The latest turns, up to 64,000 characters of them, but the latest whatever its size.

        The latest of these are also told as their provider wrote them, up to 512,000 characters.
        """
        size, first = 0, len(self._turns)
        for turn in reversed(self._turns):
            size += sum(map(_size, turn))
            if size > _MOST and first < len(self._turns):
                break
            first -= 1
        told: list[TurnMessage] = []
        verbatim = 0
        for turn in reversed(self._turns[first:]):
            verbatim += sum(map(_verbatim_size, turn))
            told[:0] = turn if verbatim <= _MOST_VERBATIM else map(_in_own_words, turn)
        if first:
            left_out: Message = {"role": "user", "content": f"[{first} earlier turns are left out here]"}
            return [left_out, *told]
        return told


def _size(message: TurnMessage) -> int:
    requests = cast("AssistantMessage", message).get("tool_requests") or ()
    return len(message["content"]) + sum(len(request.arguments_json) for request in requests)


def _verbatim_size(message: TurnMessage) -> int:
    verbatim = cast("AssistantMessage", message).get("verbatim")
    return 0 if verbatim is None else sum(map(len, verbatim.items_json))


def _in_own_words(message: TurnMessage) -> TurnMessage:
    if not _verbatim_size(message):
        return message
    return {**cast("AssistantMessage", message), "verbatim": None}
