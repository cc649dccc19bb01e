"""How runs find their answers: strategies by their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dovetail.errors import UsageError
from dovetail.strategies.compile import Compile
from dovetail.strategies.plan_only import PlanOnly

if TYPE_CHECKING:
    from collections.abc import Callable

    from dovetail.run_options import StrategyName
    from dovetail.strategies.strategy import Means, Strategy

__all__ = ["STRATEGIES", "choose_strategy"]

STRATEGIES: dict[StrategyName, Callable[[Means], Strategy]] = {"compile": Compile, "plan-only": PlanOnly}


def choose_strategy(name: StrategyName) -> Callable[[Means], Strategy]:
    """What makes the strategy of a run.

    Raises:
        UsageError: this version of Dovetail does not have it.
    """
    made = STRATEGIES.get(name)
    if made is None:
        known = ", ".join(STRATEGIES)
        raise UsageError(f"the strategy {name!r} is not in this version of Dovetail; it has {known}")
    return made
