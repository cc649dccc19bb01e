"""The books of a run: its facts go into its journal here, and its tokens are counted against its limits."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from dovetail.durations import duration_of
from dovetail.model_call import ModelCall
from dovetail.v1 import Failure, FailureReason, RunState

if TYPE_CHECKING:
    from dovetail.journal import MemoryJournal
    from dovetail.limits import Limits
    from dovetail.models.protocol import Model, Usage
    from dovetail.v1 import Purpose

__all__ = ["Books", "StoppedError"]


class StoppedError(Exception):
    """A run cannot go on, for a reason that is no defect."""

    def __init__(self, reason: FailureReason, message: str) -> None:
        super().__init__(message)
        self.failure = Failure(reason=reason, message=message)


class Books:
    """What one run writes down.

    Args:
        journal: where its events go.
        limits: its bounds.
    """

    __slots__ = ("_began", "_usage", "journal", "limits")

    def __init__(self, journal: MemoryJournal, limits: Limits) -> None:
        self.journal = journal
        self.limits = limits
        self._usage = _Usage()
        self._began = time.monotonic()

    def record(self, fact: str, **fields: object) -> None:
        """Record a fact; a field that is None is left out."""
        self.journal.append((fact, {name: value for name, value in fields.items() if value is not None}))

    def model_call(self, model: Model, purpose: Purpose, plan: int) -> ModelCall:
        """A call of a model, of which it is recorded if another model of a chain is asked instead."""
        return ModelCall(model, purpose, plan, lambda fact: self.record("model_replaced", **fact))

    def model_call_ended(self, call: ModelCall) -> None:
        """A model call came to its end: its tokens count."""
        self._usage.add(call.usage)
        self.record("model_call_ended", **call.ended())

    def tokens_left(self) -> int | None:
        """How many tokens a model call may still write; None for no bound.

        Raises:
            StoppedError: none.
        """
        if self.limits.max_tokens is None:
            return None
        left = self.limits.max_tokens - self._usage.tokens
        if left <= 0:
            message = f"the run has used {self._usage.tokens} tokens of {self.limits.max_tokens}"
            raise StoppedError(FailureReason.FAILURE_REASON_LIMIT_EXCEEDED, message)
        return left

    def ended(self, state: RunState, failure: Failure | None) -> dict[str, Any]:
        """The fields of the fact `RunEnded`."""
        return self._usage.ended(state, failure, self._began)


class _Usage:
    """The tokens of a run's model calls."""

    def __init__(self) -> None:
        self._calls = 0
        self._usage = {"prompt_tokens": 0, "completion_tokens": 0, "cached_tokens": 0, "reasoning_tokens": 0}

    @property
    def tokens(self) -> int:
        """Prompts and completions together."""
        return self._usage["prompt_tokens"] + self._usage["completion_tokens"]

    def add(self, usage: Usage | None) -> None:
        """A model call came to its end, with these tokens if they were counted."""
        self._calls += 1
        if usage is not None:
            for name in self._usage:
                self._usage[name] += getattr(usage, name)

    def ended(self, state: RunState, failure: Failure | None, began: float) -> dict[str, Any]:
        """The fields of the fact `RunEnded`. ``began`` is a time of `time.monotonic`."""
        duration = duration_of(time.monotonic() - began)
        fact = {"state": state, "usage": self._usage, "model_calls": self._calls, "duration": duration}
        if failure is not None:
            fact["failure"] = failure
        return fact
