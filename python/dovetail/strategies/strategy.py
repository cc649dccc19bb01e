"""The seam between a run and how its answer is found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dovetail.models.protocol import Model
    from dovetail.prompts.joiner_prompt import JoinerPrompt
    from dovetail.runs.books import Books
    from dovetail.runs.dialects import Dialects
    from dovetail.runs.execution import Execution
    from dovetail.runs.planner import Planner
    from dovetail.runs.run_options import RunOptions
    from dovetail.tools.tool_set import ToolSet

__all__ = ["Means", "Strategy"]


@dataclass(frozen=True, slots=True)
class Means:
    """What a strategy has to find the answer of one run with.

    Calls are made by `Execution` alone: it owns the plan machine, and with it ids, checks, policies, approvals and the
    events of tasks. Facts that are a strategy's own, and the ends of its model calls, go through `Books`.
    """

    question: str
    """What the run is to answer."""
    options: RunOptions
    """What is asked of it besides."""
    tools: ToolSet
    """The tools that it may call."""
    planner: Planner
    """What writes plans; its model takes turns."""
    joiner: Model
    """The model that joins outputs into an answer."""
    joiner_prompt: JoinerPrompt
    """How that is asked."""
    dialects: Dialects
    """Which grammars its models take."""
    books: Books
    """Where its facts go, and what is left of its limits."""
    execution: Execution
    """Its plans, tasks and calls."""

    def shown(self, replan_because: str | None = None) -> ToolSet:
        """The tools that its model is shown; on a replan also those for what the plans so far lacked."""
        return self.planner.shown(self.question, replan_because)

    def names_of(self, shown: ToolSet) -> Sequence[str] | None:
        """The names of the tools that its model is shown, if they are fewer than those of the run."""
        return shown.names if len(shown) < len(self.tools) else None


class Strategy(Protocol):
    """Finds the answer of one run. Its deadline, cancellation and end are the business of `dovetail.life`."""

    async def find_answer(self) -> None:
        """Find the answer and record it as ``run_answered``.

        Raises:
            StoppedError: there is none.
        """
        ...
