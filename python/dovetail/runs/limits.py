"""The bounds that a run carries."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Final

from dovetail import v1
from dovetail.durations import duration_of
from dovetail.errors import UsageError

if TYPE_CHECKING:
    from dovetail.runs.run_options import StrategyName

__all__ = ["BY_STRATEGY", "Limits"]

_FURTHER_PLANS: Final = 2
_FURTHER_TURNS: Final = 15


class _ByStrategy(int):
    """A number that the strategy of a run decides."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "BY_STRATEGY"


BY_STRATEGY: Final = _ByStrategy(-1)
"""The default of `Limits.max_replans`: 2 further plans, or 15 further turns."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of a run. None stands for no bound.

    Raises:
        UsageError: a bound is negative, or zero where that leaves nothing to do.
    """

    deadline: float | None = 300.0
    """Seconds from the start of the run to its end."""
    max_replans: int | None = BY_STRATEGY
    """How many further plans may follow the first; for the strategies that go by turns, how many further turns."""
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
            if isinstance(value, _ByStrategy):
                continue
            if value is not None and (not value >= 0 or (value == 0 and bound.name != "max_replans")):
                raise UsageError(f"the limit {bound.name} is {value}; it must be above 0, or None for no bound")

    def of(self, strategy: StrategyName) -> Limits:
        """The bounds of a run that finds its answer so: none of them is `BY_STRATEGY`."""
        if not isinstance(self.max_replans, _ByStrategy):
            return self
        goes_by_turns = strategy in ("react", "tool-calls")
        return replace(self, max_replans=_FURTHER_TURNS if goes_by_turns else _FURTHER_PLANS)

    def to_proto(self) -> v1.Limits:
        """The bounds as the wire carries them; what the strategy decides is not set."""
        limits = v1.Limits(
            max_replans=None if isinstance(self.max_replans, _ByStrategy) else self.max_replans,
            max_tasks=self.max_tasks,
            max_parallel_calls=self.max_parallel_calls,
            max_tokens=self.max_tokens,
            max_cost=self.max_cost,
        )
        if self.deadline is not None:
            limits.deadline.CopyFrom(duration_of(self.deadline))
        return limits
