"""The books of a run: its facts go into its journal here, and its tokens and costs are counted against its limits."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from dovetail import v1
from dovetail.durations import duration_of
from dovetail.models.protocol import Usage
from dovetail.prices import Prices
from dovetail.runs.model_call import ModelCall
from dovetail.tools.tool_model_calls import believed
from dovetail.v1 import Failure, FailureReason, Purpose, RunState

if TYPE_CHECKING:
    from dovetail.models.protocol import Model
    from dovetail.runs.journal import MemoryJournal
    from dovetail.runs.limits import Limits
    from dovetail.v1 import ToolModelCall

__all__ = ["Books", "StoppedError"]

_TOKENS: Final = tuple(v1.Usage.DESCRIPTOR.fields_by_name)
"""The kinds of tokens that events count."""


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
        prices: what its model calls cost.
    """

    __slots__ = ("_began", "_prices", "_totals", "journal", "limits")

    def __init__(self, journal: MemoryJournal, limits: Limits, prices: Prices | None = None) -> None:
        self.journal = journal
        self.limits = limits
        self._prices = prices or Prices()
        self._totals = _Totals()
        self._began = time.monotonic()

    def record(self, fact: str, **fields: object) -> None:
        """Record a fact; a field that is None is left out."""
        self.journal.append((fact, {name: value for name, value in fields.items() if value is not None}))

    def model_call(self, model: Model, purpose: Purpose, plan: int, task_id: int | None = None) -> ModelCall:
        """A call of a model, of which it is recorded if another model of a chain is asked instead.

        Args:
            model: the model that is asked.
            purpose: what for.
            plan: the plan it is asked about.
            task_id: the task whose tool asks it, if one does.
        """
        return ModelCall(model, purpose, plan, lambda fact: self.record("model_replaced", **fact), task_id)

    def model_call_ended(self, call: ModelCall) -> None:
        """A model call came to its end: its tokens and its cost count."""
        cost = self._prices.cost(call.model, call.usage)
        self._totals.add(call.usage, cost)
        self.record("model_call_ended", cost=cost, **call.ended())

    def tool_model_call(self, made: ToolModelCall, task_id: int, plan: int) -> None:
        """A tool made a model call by itself, and told of it: its tokens and its cost count as any other's."""
        made = believed(made)
        counted = made.usage
        usage = Usage(**{name: getattr(counted, name) for name in _TOKENS}) if made.HasField("usage") else None
        cost = made.cost if made.HasField("cost") else self._prices.cost(made.model, usage)
        self._totals.add(usage, cost)
        self.record(
            "model_call_ended",
            purpose=Purpose.PURPOSE_TOOL,
            plan=plan,
            task_id=task_id,
            model=made.model,
            usage=counted if usage is not None else None,
            duration=made.duration if made.HasField("duration") else None,
            cost=cost,
        )

    @property
    def budgeted(self) -> bool:
        """Whether what model calls use is bounded, so that each has to be counted before the next is made."""
        return self.limits.max_tokens is not None or self.limits.max_cost is not None

    def tokens_left(self) -> int | None:
        """How many tokens a model call may still write; None for no bound.

        Raises:
            StoppedError: none, or the run has cost what it may.
        """
        budget = self.limits.max_cost
        if budget is not None and self._totals.cost >= budget:
            message = f"the run has cost ${self._totals.cost:.6g}, and its budget max_cost is ${budget:g}"
            raise StoppedError(FailureReason.FAILURE_REASON_LIMIT_EXCEEDED, message)
        if self.limits.max_tokens is None:
            return None
        left = self.limits.max_tokens - self._totals.tokens
        if left <= 0:
            message = (
                f"the run has used {self._totals.tokens} tokens, and its budget max_tokens is {self.limits.max_tokens}"
            )
            raise StoppedError(FailureReason.FAILURE_REASON_LIMIT_EXCEEDED, message)
        return left

    def ended(self, state: RunState, failure: Failure | None) -> dict[str, Any]:
        """The fields of the fact `RunEnded`."""
        return self._totals.ended(state, failure, self._began)


class _Totals:
    """The tokens and the costs of a run's model calls."""

    def __init__(self) -> None:
        self._calls = 0
        self._usage = dict.fromkeys(_TOKENS, 0)
        self._priced = False
        self.cost = 0.0

    @property
    def tokens(self) -> int:
        """Prompts and completions together."""
        return self._usage["prompt_tokens"] + self._usage["completion_tokens"]

    def add(self, usage: Usage | None, cost: float | None) -> None:
        """A model call came to its end, with these tokens and this cost in US dollars, where they are known."""
        self._calls += 1
        if usage is not None:
            for name in self._usage:
                self._usage[name] += getattr(usage, name)
        if cost is not None:
            self._priced = True
            self.cost += cost

    def ended(self, state: RunState, failure: Failure | None, began: float) -> dict[str, Any]:
        """The fields of the fact `RunEnded`. ``began`` is a time of `time.monotonic`."""
        duration = duration_of(time.monotonic() - began)
        fact: dict[str, Any] = {"state": state, "usage": self._usage, "model_calls": self._calls, "duration": duration}
        if self._priced:
            fact["cost"] = self.cost
        if failure is not None:
            fact["failure"] = failure
        return fact
