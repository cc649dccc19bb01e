"""What may be asked of a run besides its question: how its answer is found, and what it must be like."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final, Literal, get_args

from dovetail.answer_schema import AnswerSchema
from dovetail.errors import UsageError
from dovetail.v1 import Strategy

__all__ = ["STRATEGY_NAMES", "RunOptions", "StrategyName", "strategy_to_wire"]

StrategyName = Literal["compile", "plan-only", "react", "tool-calls"]
"""How a run finds its answer. See `dovetail.strategies`."""

STRATEGY_NAMES: Final[tuple[StrategyName, ...]] = get_args(StrategyName)

_WIRE: Final = {
    "compile": Strategy.STRATEGY_COMPILE,
    "plan-only": Strategy.STRATEGY_PLAN_ONLY,
    "react": Strategy.STRATEGY_REACT,
    "tool-calls": Strategy.STRATEGY_TOOL_CALLS,
}

_MOST_NOTES: Final = 16 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What is asked of a run.

    Raises:
        UsageError: the strategy is not known, or the notes are longer than 16 KiB of UTF-8.
    """

    strategy: StrategyName = "compile"
    """How the answer is found."""
    answer_schema: AnswerSchema | None = None
    """What the answer must fit; it is then JSON."""
    cite: bool = False
    """Whether the answer names the tasks that it rests on."""
    notes: str = ""
    """What the planner and the joiner are told besides: the house style, today's date."""
    replan_on_failure: bool = False
    """Whether a failed task leads to another plan before anything is joined."""

    def __post_init__(self) -> None:
        if self.strategy not in STRATEGY_NAMES:
            known = ", ".join(STRATEGY_NAMES)
            raise UsageError(f"there is no strategy {self.strategy!r}; strategies are {known}")
        if len(self.notes.encode(errors="replace")) > _MOST_NOTES:
            raise UsageError(f"notes have {len(self.notes.encode(errors='replace')):,} bytes; at most {_MOST_NOTES:,}")

    def but(self, **given: Any) -> RunOptions:
        """These options, but for those that are given and not None; ``answer_schema`` may be all that makes one.

        Raises:
            UsageError: one cannot be used.
        """
        given = {name: value for name, value in given.items() if value is not None}
        if "answer_schema" in given and not isinstance(given["answer_schema"], AnswerSchema):
            given["answer_schema"] = AnswerSchema(given["answer_schema"])
        return replace(self, **given)


def strategy_to_wire(name: StrategyName) -> Strategy:
    """The strategy as an event carries it."""
    return _WIRE[name]
