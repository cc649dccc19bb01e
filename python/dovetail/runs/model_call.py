"""One call of a model: its pieces of text, and the fact of its end."""

from __future__ import annotations

import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from dovetail.durations import duration_of
from dovetail.errors import ModelError
from dovetail.models.fallback import tool_calling_model
from dovetail.models.protocol import Completion, ModelChain
from dovetail.v1 import Failure, FailureReason, Purpose

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
    from typing import Unpack

    from dovetail.models.protocol import Message, Model, Replacement, StreamTerms, ToolRequest, TurnMessage, Usage

__all__ = ["ModelCall"]

_CUT = {
    *("length", "content_filter"),
    # What others than OpenAI call it: vLLM, the Responses API, Mistral, DeepSeek.
    *("abort", "cancelled", "model_length", "insufficient_system_resource"),
}
"""The finish reasons of a text that goes on beyond its end."""


class ModelCall:
    """One call of a model.

    Args:
        model: the model that is asked.
        purpose: what for.
        plan: the plan it is asked about.
        on_replaced: is told when another model of a chain is asked instead: the fields of the fact `ModelReplaced`.
        task_id: the task whose tool asks it, if one does.

    Attributes:
        completion: how the model ended, once it did.
        failure: why the call failed, if it did.
    """

    def __init__(
        self,
        model: Model,
        purpose: Purpose,
        plan: int,
        on_replaced: Callable[[dict[str, Any]], None] | None = None,
        task_id: int | None = None,
    ) -> None:
        self._model = model.telling(self._replaced) if isinstance(model, ModelChain) else model
        self._purpose = purpose
        self._plan = plan
        self._on_replaced = on_replaced
        self._task_id = task_id
        self._asked = model.name
        self._began: float | None = None
        self._first: float | None = None
        self.completion: Completion | None = None
        self.failure: Failure | None = None

    async def stream(self, messages: Sequence[Message], **terms: Unpack[StreamTerms]) -> AsyncGenerator[str, None]:
        """The pieces of text; ends where the model ends or fails. Closing it ends the generation."""
        pieces = self._model.stream(messages, **terms)
        async with aclosing(self._follow(pieces)) as followed:
            async for piece in followed:
                yield piece

    async def turn(
        self,
        messages: Sequence[TurnMessage],
        tools: Sequence[Mapping[str, Any]],
        *,
        max_tokens: int | None = None,
    ) -> AsyncGenerator[str | ToolRequest, None]:
        """The pieces of text and the requests of one turn (see `dovetail.models.ToolCallingModel`), as `stream`.

        Raises:
            UsageError: the model has no tool calls of its own.
        """
        pieces = tool_calling_model(self._model).stream_turn(messages, tools, max_tokens=max_tokens)
        async with aclosing(self._follow(pieces)) as followed:
            async for piece in followed:
                yield piece

    async def _follow(self, pieces: AsyncGenerator[Any, None]) -> AsyncGenerator[Any, None]:
        self._began = time.monotonic()
        try:
            async with aclosing(pieces):
                async for piece in pieces:
                    if isinstance(piece, Completion):
                        self.completion = piece
                        return
                    if self._first is None:
                        self._first = time.monotonic()
                    yield piece
        except ModelError as error:
            self.failure = Failure(reason=error.reason, message=str(error))
        except Exception as error:  # a provider with a defect must not take the run's bookkeeping with it
            reason = FailureReason.FAILURE_REASON_MODEL_PROTOCOL
            message = f"{self._model.name} failed with {type(error).__name__}: {error}"
            self.failure = Failure(reason=reason, message=message)

    def _replaced(self, replacement: Replacement) -> None:
        self._asked = replacement.to_model
        if self._on_replaced is not None:
            error = replacement.error
            self._on_replaced(
                {
                    "purpose": self._purpose,
                    "plan": self._plan,
                    "from_model": replacement.from_model,
                    "to_model": replacement.to_model,
                    "failure": Failure(reason=error.reason, message=str(error)),
                }
            )

    @property
    def cut_off(self) -> bool:
        """Whether the model was stopped in the middle: by a failure, a limit of tokens, a filter or its reader."""
        return self.completion is None or self.completion.finish_reason in _CUT

    @property
    def model(self) -> str:
        """The model that answered, or was asked last, as ``provider:name``."""
        return (self.completion.model if self.completion is not None else None) or self._asked

    @property
    def usage(self) -> Usage | None:
        """The tokens used, where the provider counted them."""
        return self.completion.usage if self.completion is not None else None

    def ended(self) -> dict[str, Any]:
        """The fields of the fact `ModelCallEnded`."""
        fact: dict[str, Any] = {"purpose": self._purpose, "plan": self._plan, "model": self.model}
        if self._task_id is not None:
            fact["task_id"] = self._task_id
        now = time.monotonic()
        if self._began is not None:
            fact["duration"] = duration_of(now - self._began)
            if self._first is not None:
                fact["time_to_first_token"] = duration_of(self._first - self._began)
        if self.completion is not None:
            fact["finish_reason"] = self.completion.finish_reason or ""
        if self.usage is not None:
            fact["usage"] = {
                "prompt_tokens": self.usage.prompt_tokens,
                "completion_tokens": self.usage.completion_tokens,
                "cached_tokens": self.usage.cached_tokens,
                "reasoning_tokens": self.usage.reasoning_tokens,
            }
        if self.failure is not None:
            fact["failure"] = self.failure
        return fact
