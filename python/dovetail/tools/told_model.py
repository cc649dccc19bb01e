"""Models as tools ask them that are carried out elsewhere than their run: what they use is told."""

from __future__ import annotations

import time
from contextlib import aclosing
from typing import TYPE_CHECKING

from dovetail.models.protocol import Completion

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Unpack

    from dovetail.models.protocol import GrammarDialect, Message, Model, ModelStream, StreamTerms
    from dovetail.tools.call_context import CallContext

__all__ = ["ToldModel"]


class ToldModel:
    """A model of a tool that is carried out elsewhere than its run: the call's context is told of what it uses.

    Args:
        model: the model.
        context: the call.
    """

    def __init__(self, model: Model, context: CallContext) -> None:
        self._model = model
        self._context = context

    @property
    def name(self) -> str:
        """The model, as ``provider:name``."""
        return self._model.name

    @property
    def grammar_dialects(self) -> tuple[GrammarDialect, ...]:
        """The notations in which it takes grammars."""
        return self._model.grammar_dialects

    async def stream(self, messages: Sequence[Message], **terms: Unpack[StreamTerms]) -> ModelStream:
        """Answer a chat: see `dovetail.models.Model.stream`."""
        began = time.monotonic()
        async with aclosing(self._model.stream(messages, **terms)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Completion) and piece.usage is not None:
                    used = piece.usage
                    self._context.record_model_call(
                        piece.model or self._model.name,
                        prompt_tokens=used.prompt_tokens,
                        completion_tokens=used.completion_tokens,
                        cached_tokens=used.cached_tokens,
                        reasoning_tokens=used.reasoning_tokens,
                        duration=time.monotonic() - began,
                    )
                yield piece

    async def aclose(self) -> None:
        """Nothing: the model is closed by whoever opened it."""
