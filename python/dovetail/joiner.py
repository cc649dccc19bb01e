"""The joiner: a model that makes an answer of the outputs, or asks for another plan."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import aclosing
from typing import TYPE_CHECKING

from dovetail import _core
from dovetail.joiner_prompt import joiner_messages

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Sequence

    from dovetail.model_call import ModelCall
    from dovetail.observations import Observation

__all__ = ["LAST_WORDS_SECONDS", "ask_joiner"]

LAST_WORDS_SECONDS = 1.0
"""How long a model that has said what matters may go on: its end carries the token count."""


async def ask_joiner(
    call: ModelCall,
    question: str,
    observations: Sequence[Observation],
    *,
    must_answer: bool,
    max_tokens: int | None,
    on_step: Callable[[_core.ReplyStep], None],
) -> _core.Verdict | None:
    """Have the outputs joined.

    Args:
        call: the model call to make.
        question: what the run is to answer.
        observations: what became of its tasks.
        must_answer: no further plan is possible.
        max_tokens: how many tokens the joiner may write.
        on_step: is told each piece of the answer, and the verdict, as they are read.

    Returns:
        The verdict, or None if the call failed before there was one.
    """
    reply = _core.ReplyReader()
    messages = joiner_messages(question, observations, must_answer=must_answer)
    async with aclosing(call.stream(messages, max_tokens=max_tokens)) as pieces:
        async for piece in pieces:
            if verdict := _hear(reply.feed(piece), on_step):
                await _last_words(pieces)
                return verdict
    return None if call.failure is not None else _hear(reply.finish(), on_step)


def _hear(steps: Iterable[_core.ReplyStep], on_step: Callable[[_core.ReplyStep], None]) -> _core.Verdict | None:
    verdict = None
    for step in steps:
        on_step(step)
        if isinstance(step, _core.Verdict):
            verdict = step
    return verdict


async def _last_words(pieces: AsyncGenerator[str, None]) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LAST_WORDS_SECONDS):
            async for _ in pieces:
                pass
