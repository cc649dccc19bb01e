"""The one seam between Dovetail and language models: messages in, pieces of text and a completion out."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypedDict

__all__ = ["Completion", "Grammar", "GrammarDialect", "Message", "Model", "ModelStream", "Usage"]


class Message(TypedDict):
    """One message of a chat."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one model call, as counted by the provider."""

    prompt_tokens: int = 0
    """Tokens read, the cached ones included."""
    completion_tokens: int = 0
    """Tokens written, the reasoning ones included."""
    cached_tokens: int = 0
    """Tokens read from the provider's prefix cache."""
    reasoning_tokens: int = 0
    """Tokens spent on reasoning that is not shown."""


@dataclass(frozen=True, slots=True)
class Completion:
    """How a model call ended: the last item of its stream."""

    finish_reason: str | None
    """The provider's own word (``stop``, ``length``), or None where it gave none."""
    usage: Usage | None
    """The tokens used, or None where the provider did not count them."""


GrammarDialect = Literal["gbnf"]
"""The notations in which a provider can take a grammar. ``gbnf`` is llama.cpp's."""


@dataclass(frozen=True, slots=True)
class Grammar:
    """A grammar that the model's text must follow."""

    dialect: GrammarDialect
    text: str


ModelStream = AsyncGenerator[str | Completion, None]
"""Pieces of text, none of them empty, then exactly one `Completion`, last."""


class Model(Protocol):
    """A language model that answers a chat in a stream.

    A stream is closed by its reader (``aclose``), which also ends generation at the provider. What goes wrong, before
    the first piece or after it, is raised from the stream as a `dovetail.errors.ModelError`; a stream that ends without
    a `Completion` does not exist.
    """

    @property
    def name(self) -> str:
        """The model, as ``provider:name``."""
        ...

    @property
    def grammar_dialects(self) -> tuple[GrammarDialect, ...]:
        """The notations in which this model takes grammars, the best first; empty if it takes none."""
        ...

    def stream(
        self,
        messages: Sequence[Message],
        *,
        grammar: Grammar | None = None,
        stop: Sequence[str] = (),
        max_tokens: int | None = None,
    ) -> ModelStream:
        """Answer a chat.

        Args:
            messages: the chat so far.
            grammar: what the text must follow; its dialect must be one of `grammar_dialects`.
            stop: texts at which the model stops; they are not part of what it yields.
            max_tokens: how many tokens it may write; the provider's own limit if None.
        """
        ...

    async def aclose(self) -> None:
        """Give back connections and processes. The model cannot be used afterwards."""
        ...
