"""One call of a model: its pieces of text, and the fact of its end."""

from __future__ import annotations

import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from dovetail.durations import duration_of
from dovetail.errors import ModelError
from dovetail.models.protocol import Completion
from dovetail.v1 import Failure, FailureReason, Purpose

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from dovetail.models.protocol import Grammar, Message, Model, Usage

__all__ = ["ModelCall"]


class ModelCall:
    """One call of a model.

    Args:
        model: the model that is asked.
        purpose: what for.
        plan: the plan it is asked about.

    Attributes:
        completion: how the model ended, once it did.
        failure: why the call failed, if it did.
    """

    def __init__(self, model: Model, purpose: Purpose, plan: int) -> None:
        self._model = model
        self._purpose = purpose
        self._plan = plan
        self._began: float | None = None
        self._first: float | None = None
        self.completion: Completion | None = None
        self.failure: Failure | None = None

    async def stream(
        self,
        messages: Sequence[Message],
        *,
        grammar: Grammar | None = None,
        stop: Sequence[str] = (),
        max_tokens: int | None = None,
    ) -> AsyncGenerator[str, None]:
        """The pieces of text; ends where the model ends or fails. Closing it ends the generation."""
        self._began = time.monotonic()
        try:
            pieces = self._model.stream(messages, grammar=grammar, stop=stop, max_tokens=max_tokens)
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

    @property
    def cut_off(self) -> bool:
        """Whether the model was stopped in the middle: by a failure, a limit of tokens or its reader."""
        return self.completion is None or self.completion.finish_reason == "length"

    @property
    def usage(self) -> Usage | None:
        """The tokens used, where the provider counted them."""
        return self.completion.usage if self.completion is not None else None

    def ended(self) -> dict[str, Any]:
        """The fields of the fact `ModelCallEnded`."""
        fact: dict[str, Any] = {"purpose": self._purpose, "plan": self._plan}
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
