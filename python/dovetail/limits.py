"""The bounds that a run carries."""

from __future__ import annotations

from dataclasses import dataclass, fields

from dovetail import v1
from dovetail.durations import duration_of
from dovetail.errors import UsageError

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of a run. None stands for no bound.

    Raises:
        UsageError: a bound is negative, or zero where that leaves nothing to do.
    """

    deadline: float | None = 300.0
    """Seconds from the start of the run to its end."""
    max_replans: int | None = 2
    """How many further plans may follow the first."""
    max_tasks: int | None = 1000
    """How many tasks may be planned, over all plans."""
    max_parallel_calls: int | None = 256
    """How many calls may be out at the same time; further ones wait in the order in which they became ready."""
    max_tokens: int | None = None
    """How many tokens the model calls may use, prompts and completions together."""
    max_cost: float | None = None
    """How much the model calls may cost, in US dollars, as far as their prices are known (see `dovetail.prices`)."""

    def __post_init__(self) -> None:
        for bound in fields(self):
            value = getattr(self, bound.name)
            if value is not None and (not value >= 0 or (value == 0 and bound.name != "max_replans")):
                raise UsageError(f"the limit {bound.name} is {value}; it must be above 0, or None for no bound")

    def to_proto(self) -> v1.Limits:
        """The bounds as an event carries them."""
        limits = v1.Limits(
            max_replans=self.max_replans,
            max_tasks=self.max_tasks,
            max_parallel_calls=self.max_parallel_calls,
            max_tokens=self.max_tokens,
            max_cost=self.max_cost,
        )
        if self.deadline is not None:
            limits.deadline.CopyFrom(duration_of(self.deadline))
        return limits
