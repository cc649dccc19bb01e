"""The planner: what a model is asked when a plan is wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dovetail.errors import UsageError
from dovetail.examples import nearest
from dovetail.grammar.away import plan_grammar_away
from dovetail.prompts import END_OF_PLAN, planner_messages
from dovetail.retrieval import LexicalRetriever

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Sequence

    from dovetail.examples import Example
    from dovetail.model_call import ModelCall
    from dovetail.models.protocol import GrammarDialect, Model
    from dovetail.replan_prompt import ReplanContext
    from dovetail.retrieval import Retriever
    from dovetail.tool_set import ToolSet

__all__ = ["MAX_TOOLS_SHOWN", "Planner", "ToolShow"]

MAX_TOOLS_SHOWN = 40

# Those of `plan_grammar` whose plans the machine reads: it reads no JSON plans yet, so json_schema is not among them.
_DIALECTS: Final[tuple[GrammarDialect, ...]] = ("gbnf", "ebnf", "lark")

_NEAREST_EXAMPLES = 2
_GRAMMAR_TASKS = 16
_CHOSEN = 20


class ToolShow:
    """Which tools of a large set a planner is shown.

    Args:
        retriever: what chooses; the most relevant 20 by their words, or fewer if fewer may be shown, if None.
        most: how many tools are shown without any choice.

    Raises:
        UsageError: ``most`` is below 1.
    """

    __slots__ = ("_most", "_retriever")

    def __init__(self, retriever: Retriever | None = None, most: int = MAX_TOOLS_SHOWN) -> None:
        if most < 1:
            raise UsageError(f"max_tools_shown is {most}; a planner needs at least one tool")
        self._most = most
        self._retriever = retriever or LexicalRetriever(min(_CHOSEN, most))

    def of(self, tools: ToolSet, question: str, replan_because: str | None = None) -> ToolSet:
        """The tools that are shown for a question, on a replan also for what the plans so far lacked."""
        if len(tools) <= self._most:
            return tools
        text = question if replan_because is None else f"{question}\n{replan_because}"
        return self._retriever.choose(text, tools)


class Planner:
    """A model that writes plans with one set of tools.

    Args:
        model: the model.
        tools: the tools that its plans may call.
        examples: plans to learn from; the nearest to a question are shown.
        show: which tools are shown, if there are many. Plans may call the others too: whoever knows a name from an
            example or an earlier plan may use it.
    """

    def __init__(self, model: Model, tools: ToolSet, examples: Sequence[Example], show: ToolShow) -> None:
        self.model = model
        self._tools = tools
        self._examples = examples
        self._show = show

    def shown(self, question: str, replan_because: str | None) -> ToolSet:
        """The tools that the model is shown when it is asked for a plan: all that its plans may call, or some."""
        return self._show.of(self._tools, question, replan_because)

    def dialects(self, shown: ToolSet) -> tuple[GrammarDialect, ...]:
        """The notations in which the grammar of its plans can be written."""
        return _DIALECTS if shown.shapes else ()

    async def ask(
        self,
        call: ModelCall,
        question: str,
        *,
        shown: ToolSet,
        first_id: int,
        earlier_ids: Iterable[int],
        dialect: GrammarDialect | None,
        replan: ReplanContext | None,
        notes: str,
        max_tokens: int | None,
    ) -> AsyncGenerator[str, None]:
        """Ask for a plan; returns its text as it is written. A grammar that is not kept is made in a thread first.

        Args:
            call: the model call to make.
            question: what the run is to answer.
            shown: the tools that the model is shown.
            first_id: the lowest id that a task may have.
            earlier_ids: the tasks of earlier plans that the plan may refer to.
            dialect: the notation of the grammar that constrains the plan; None for none.
            replan: what the run knows already; None for its first plan.
            notes: what the model is told besides.
            max_tokens: how many tokens the plan may take.

        Raises:
            UsageError: there is no grammar of these tools in that notation.
        """
        examples = nearest(question, self._examples, k=_NEAREST_EXAMPLES) if self._examples else []
        messages = planner_messages(question, shown.shapes, examples, replan=replan, notes=notes)
        grammar = None
        if dialect is not None:
            grammar = await plan_grammar_away(
                shown, dialect=dialect, max_tasks=_GRAMMAR_TASKS, first_id=first_id, earlier_ids=earlier_ids
            )
        return call.stream(messages, grammar=grammar, stop=(END_OF_PLAN,), max_tokens=max_tokens)
