"""The joiner: a model that makes an answer of the outputs, or asks for another plan."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import aclosing
from typing import TYPE_CHECKING

from dovetail import _core

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable

    from dovetail.runs.constrained import Ask, ConstrainedCall

__all__ = ["LAST_WORDS_SECONDS", "MAX_REPLY", "ask_joiner", "hear_last_words"]

MAX_REPLY = 256 * 1024
"""After how many characters a joiner that has not come to its end is stopped, whatever its limit of tokens."""

LAST_WORDS_SECONDS = 1.0
"""How long a model that has said what matters may go on: its end carries the token count."""


async def ask_joiner(
    asked: ConstrainedCall, ask: Ask, *, on_step: Callable[[_core.ReplyStep, bool], None]
) -> _core.Verdict | None:
    """Have the outputs joined.

    Args:
        asked: what is asked; its last call is left for whoever asks to count.
        ask: asks it.
        on_step: is told each piece of the answer, and the verdict, as they are read; and whether the reply was cut off
            before that.

    Returns:
        The verdict, or None if the call failed before there was one. A reply that gives none is taken for an answer,
        marked as mended; one that goes on and on, as far as it was read.
    """
    reply = _core.ReplyReader()
    read = 0
    async with aclosing(asked.pieces(ask)) as pieces:
        async for piece in pieces:
            if verdict := _hear(reply.feed(piece), on_step, cut_off=False):
                await hear_last_words(pieces)
                return verdict
            read += len(piece)
            if read > MAX_REPLY:
                break
    return None if asked.call.failure is not None else _hear(reply.finish(), on_step, cut_off=asked.call.cut_off)


def _hear(
    steps: Iterable[_core.ReplyStep], on_step: Callable[[_core.ReplyStep, bool], None], *, cut_off: bool
) -> _core.Verdict | None:
    verdict = None
    for step in steps:
        on_step(step, cut_off)
        if isinstance(step, _core.Verdict):
            verdict = step
    return verdict


async def hear_last_words(pieces: AsyncGenerator[str, None]) -> None:
    """Let a model that has said what matters come to its end, which carries the token count, for a second."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LAST_WORDS_SECONDS):
            async for _ in pieces:
                pass
