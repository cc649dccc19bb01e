"""How runs find their answers: strategies by their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dovetail.strategies.compile import Compile
from dovetail.strategies.plan_only import PlanOnly
from dovetail.strategies.react import React
from dovetail.strategies.tool_calls import ToolCalls

if TYPE_CHECKING:
    from collections.abc import Callable

    from dovetail.runs.run_options import StrategyName
    from dovetail.strategies.strategy import Means, Strategy

__all__ = ["STRATEGIES"]

STRATEGIES: dict[StrategyName, Callable[[Means], Strategy]] = {
    "compile": Compile,
    "plan-only": PlanOnly,
    "react": React,
    "tool-calls": ToolCalls,
}
