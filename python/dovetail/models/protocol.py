"""The one seam between Dovetail and language models: messages in, pieces of text and a completion out."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NotRequired, Protocol, TypedDict, runtime_checkable

if TYPE_CHECKING:
    from dovetail.errors import ModelError

__all__ = [
    "AssistantMessage",
    "Completion",
    "Grammar",
    "GrammarDialect",
    "Message",
    "Model",
    "ModelChain",
    "ModelStream",
    "Replacement",
    "StreamTerms",
    "ToolCallingModel",
    "ToolMessage",
    "ToolRequest",
    "TurnMessage",
    "TurnStream",
    "Usage",
    "Verbatim",
]


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
    cache_write_tokens: int = 0
    """Tokens written to the provider's prefix cache, which are among those read."""


@dataclass(frozen=True, slots=True)
class Verbatim:
    """A turn as its provider wrote it, which may want it back so: what the model reasoned is in it, encrypted."""

    origin: str
    """Which model wrote it, at which server; no other can read it."""
    items_json: Sequence[str] = field(repr=False)
    """Its items, each as JSON. What is in them is the provider's business alone."""


@dataclass(frozen=True, slots=True)
class Completion:
    """How a model call ended: the last item of its stream."""

    finish_reason: str | None
    """The provider's own word (``stop``, ``length``), or None where it gave none."""
    usage: Usage | None
    """The tokens used, or None where the provider did not count them."""
    model: str | None = None
    """The model that answered, as ``provider:name``, where it may be another than the one asked: in a chain."""
    verbatim: Verbatim | None = None
    """The turn as the provider wrote it, for the `AssistantMessage` that tells of it; None where it needs none."""


GrammarDialect = Literal["gbnf", "ebnf", "lark", "json_schema"]
"""The notations in which a provider can take a grammar.

``gbnf`` is llama.cpp's, ``ebnf`` xgrammar's, ``lark`` that of OpenAI's custom tools and of llguidance; ``json_schema``
is a strict JSON schema, as text, for providers that take nothing else.
"""


@dataclass(frozen=True, slots=True)
class Grammar:
    """A grammar that the model's text must follow."""

    dialect: GrammarDialect
    text: str


ModelStream = AsyncGenerator[str | Completion, None]
"""Pieces of text, none of them empty, then exactly one `Completion`, last."""


class StreamTerms(TypedDict, total=False):
    """What `Model.stream` may be told besides the chat, for those who only pass it on."""

    grammar: Grammar | None
    stop: Sequence[str]
    max_tokens: int | None


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


@dataclass(frozen=True, slots=True)
class Replacement:
    """A model of a chain failed before its first piece of text, and another is asked."""

    from_model: str
    """The model that failed, as ``provider:name``."""
    to_model: str
    """The model asked instead, as ``provider:name``."""
    error: ModelError
    """Why it failed."""


@runtime_checkable
class ModelChain(Model, Protocol):
    """A model that stands for several, asked in turn until one answers."""

    def telling(self, tell: Callable[[Replacement], None]) -> Model:
        """The same chain, of whose calls ``tell`` is told each replacement. It is not closed by itself."""
        ...


@dataclass(frozen=True, slots=True)
class ToolRequest:
    """A model asks for a call of a tool."""

    id: str
    """The model's own word for it, unique in its chat."""
    name: str
    """The tool, as the tool set knows it."""
    arguments_json: str
    """Its arguments as the model wrote them: they should be a JSON object, and need not be."""


class AssistantMessage(TypedDict):
    """What a model said in an earlier turn, with the tools that it asked for."""

    role: Literal["assistant"]
    content: str
    tool_requests: Sequence[ToolRequest]
    verbatim: NotRequired[Verbatim | None]
    """That of the turn's `Completion`, if it is there."""


class ToolMessage(TypedDict):
    """What came of a tool that a model asked for."""

    role: Literal["tool"]
    request_id: str
    """The id of the `ToolRequest`."""
    content: str


TurnMessage = Message | AssistantMessage | ToolMessage
"""One message of a chat in which tools are called: one tool message answers each request before the next turn."""

TurnStream = AsyncGenerator[str | ToolRequest | Completion, None]
"""Pieces of text and requests, each as soon as it is complete, then exactly one `Completion`, last."""


@runtime_checkable
class ToolCallingModel(Model, Protocol):
    """A model whose provider has tool calls of its own. Whether a model is one, `tool_calling_model` says."""

    def stream_turn(
        self,
        messages: Sequence[TurnMessage],
        tools: Sequence[Mapping[str, Any]],
        *,
        max_tokens: int | None = None,
    ) -> TurnStream:
        """Take one turn in a chat: say something, ask for calls of tools, several at a time, or both.

        Args:
            messages: the chat so far.
            tools: the tools that may be asked for, in MCP's shape (``name``, ``description``, ``inputSchema``), with
                any names; the model can only answer if there are none.
            max_tokens: how many tokens it may write; the provider's own limit if None.
        """
        ...
