"""What a strategy that goes by turns asks its model with first: a run is begun with a model that keeps it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dovetail.engine import Engine
from dovetail.errors import ModelError
from dovetail.tools.definition import Tool
from dovetail.tools.tool_set import ToolSet
from dovetail.v1 import FailureReason

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dovetail.models.protocol import GrammarDialect, Message, ModelStream, TurnMessage, TurnStream
    from dovetail.runs.run_options import RunOptions

__all__ = ["first_turn"]


async def first_turn(
    question: str, tools: ToolSet, options: RunOptions, *, dialect: GrammarDialect | None, max_tools: int
) -> list[Message]:
    """The messages of the first turn. No tool is called, and none has to be reached.

    Args:
        question: what is to be answered.
        tools: the tools that may be called.
        options: what is asked of the run, its strategy first.
        dialect: the notation in which the model takes grammars; None if it takes none.
        max_tools: how many tools are shown without a choice.

    Raises:
        UsageError: the question is empty, or an option cannot be used.
    """
    model = _Listener(() if dialect is None else (dialect,))
    specs = ToolSet(Tool(one.name, one.description, one.input_schema, one.output_schema) for one in tools)
    async with Engine(specs, model, options=options, max_tools_shown=max_tools) as engine:
        await engine.start(question).wait()
    return model.heard


class _Listener:
    """A model that keeps what it is asked with, and has nothing to say."""

    name = "prompt:"

    def __init__(self, dialects: tuple[GrammarDialect, ...]) -> None:
        self.grammar_dialects = dialects
        self.heard: list[Message] = []

    async def stream(self, messages: Sequence[Message], **_: Any) -> ModelStream:
        """Take what is asked, and fail, which ends the run."""
        self.heard = list(messages)
        raise ModelError(FailureReason.FAILURE_REASON_MODEL_UNREACHABLE, "no model is asked here")
        yield ""

    async def stream_turn(
        self, messages: Sequence[TurnMessage], tools: Sequence[Mapping[str, Any]], **_: Any
    ) -> TurnStream:
        """The same; the tools go beside the messages, in the provider's own format."""
        del tools
        # The first turn has no requests and no outcomes in it.
        self.heard = list(messages)  # type: ignore[arg-type]
        raise ModelError(FailureReason.FAILURE_REASON_MODEL_UNREACHABLE, "no model is asked here")
        yield ""

    async def aclose(self) -> None:
        """Nothing to give back."""
