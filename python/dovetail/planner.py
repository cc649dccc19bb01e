"""The planner: what a model is asked when a plan is wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dovetail.examples import nearest
from dovetail.grammar import plan_grammar
from dovetail.prompts import END_OF_PLAN, ReplanContext, planner_messages

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from dovetail.examples import Example
    from dovetail.model_call import ModelCall
    from dovetail.models.protocol import Grammar, Model
    from dovetail.progress import Progress
    from dovetail.tool_set import ToolSet

__all__ = ["Planner"]

_NEAREST_EXAMPLES = 2
_GRAMMAR_TASKS = 16


class Planner:
    """A model that writes plans with one set of tools.

    Args:
        model: the model.
        tools: the tools that its plans may call.
        examples: plans to learn from; the nearest to a question are shown.
    """

    def __init__(self, model: Model, tools: ToolSet, examples: Sequence[Example]) -> None:
        self.model = model
        self._shapes = tools.shapes
        self._examples = examples

    def ask(
        self,
        call: ModelCall,
        question: str,
        progress: Progress,
        *,
        first_id: int,
        replan_because: str | None,
        max_tokens: int | None,
    ) -> AsyncGenerator[str, None]:
        """Ask for a plan; returns its text as it is written.

        Args:
            call: the model call to make.
            question: what the run is to answer.
            progress: what the run knows already.
            first_id: the lowest id that a task may have.
            replan_because: what the plans so far lacked; None for the first.
            max_tokens: how many tokens the plan may take.
        """
        examples = nearest(question, self._examples, k=_NEAREST_EXAMPLES) if self._examples else []
        replan = None
        if replan_because is not None:
            replan = ReplanContext(observations=progress.observations(), reason=replan_because, next_id=first_id)
        messages = planner_messages(question, self._shapes, examples, replan=replan)
        grammar = self._grammar(first_id, progress)
        return call.stream(messages, grammar=grammar, stop=(END_OF_PLAN,), max_tokens=max_tokens)

    def _grammar(self, first_id: int, progress: Progress) -> Grammar | None:
        if self.model.grammar_dialect is None or not self._shapes:
            return None
        earlier = [task.task_id for task in progress.tasks]
        return plan_grammar(self._shapes, max_tasks=_GRAMMAR_TASKS, first_id=first_id, earlier_ids=earlier)
