"""The planner: what a model is asked when a plan is wanted."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from dovetail.errors import UsageError
from dovetail.grammar.away import plan_grammar_away
from dovetail.prompts.example_selection import NearestExamples, nearest
from dovetail.prompts.lessons import Lessons
from dovetail.prompts.planner_prompt import END_OF_PLAN, PlannerPrompt
from dovetail.tools.retrieval import LexicalRetriever

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Sequence

    from dovetail.models.protocol import GrammarDialect, Message, Model
    from dovetail.prompts.example_selection import ExampleSelector
    from dovetail.prompts.examples import Example
    from dovetail.prompts.lessons import Lesson
    from dovetail.prompts.replan_prompt import PlanForm, ReplanContext
    from dovetail.runs.model_call import ModelCall
    from dovetail.tools.retrieval import Retriever
    from dovetail.tools.tool_set import ToolSet

__all__ = ["MAX_TOOLS_SHOWN", "Planner", "ToolShow", "chosen_lessons"]

MAX_TOOLS_SHOWN = 40

_logger = logging.getLogger("dovetail.examples")

_DIALECTS: Final[tuple[GrammarDialect, ...]] = ("gbnf", "ebnf", "lark", "json_schema")

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
        examples: plans to learn from; those that `selector` chooses are shown.
        show: which tools are shown, if there are many. Plans may call the others too: whoever knows a name from an
            example or an earlier plan may use it.
        prompt: how it is asked; as Dovetail does if None.
        selector: which examples are shown; the two nearest to the question by their words if None.

    Raises:
        ExampleError: an example has a mistake.
    """

    def __init__(
        self,
        model: Model,
        tools: ToolSet,
        examples: Sequence[Example] | Lessons,
        show: ToolShow,
        prompt: PlannerPrompt | None = None,
        selector: ExampleSelector | None = None,
    ) -> None:
        self.model = model
        self._tools = tools
        self._lessons = examples if isinstance(examples, Lessons) else Lessons(examples, tools)
        self._show = show
        self._prompt = prompt or PlannerPrompt()
        self._selector = selector or NearestExamples()

    def but(
        self,
        *,
        model: Model | None = None,
        tools: ToolSet | None = None,
        examples: Sequence[Example] | Lessons | None = None,
    ) -> Planner:
        """This planner with another model, other tools or other examples.

        Raises:
            ExampleError: an example has a mistake.
        """
        if model is None and tools is None and examples is None:
            return self
        return Planner(
            model or self.model,
            self._tools if tools is None else tools,
            self._lessons if examples is None else examples,
            self._show,
            self._prompt,
            self._selector,
        )

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
        form: PlanForm = "json" if dialect == "json_schema" else "lines"
        messages = await self.messages(question, shown=shown, form=form, replan=replan, notes=notes)
        grammar = None
        if dialect is not None:
            grammar = await plan_grammar_away(
                shown, dialect=dialect, max_tasks=_GRAMMAR_TASKS, first_id=first_id, earlier_ids=earlier_ids
            )
        # JSON ends by itself.
        stop = (END_OF_PLAN,) if form == "lines" else ()
        return call.stream(messages, grammar=grammar, stop=stop, max_tokens=max_tokens)

    async def messages(
        self,
        question: str,
        *,
        shown: ToolSet,
        form: PlanForm = "lines",
        replan: ReplanContext | None = None,
        notes: str = "",
    ) -> list[Message]:
        """What the model is asked with, for a plan in this form; the other arguments are those of `ask`."""
        again = replan is not None
        lessons = await chosen_lessons(question, self._lessons, self._tools, self._selector, again=again)
        return self._prompt.messages(question, shown.shapes, lessons, form=form, replan=replan, notes=notes)


async def chosen_lessons(
    question: str, lessons: Lessons, tools: ToolSet, selector: ExampleSelector, *, again: bool = False
) -> Sequence[Lesson]:
    """The examples that a planner is shown.

    Args:
        question: what the run is to answer.
        lessons: all that there are.
        tools: the tools of the run.
        selector: what chooses. If it fails, those nearest by their words are chosen.
        again: whether another plan is wanted.
    """
    known = {lesson.example: lesson for lesson in lessons.of(tools, again=again)}
    if not known:
        return ()
    examples = list(known)
    try:
        return [known[example] for example in await selector.choose(question, examples)]
    except Exception:
        # A selector may ask a server of embeddings; a plan is better asked for without it than not at all.
        _logger.exception("examples are chosen by their words, because their selector failed")
        return [known[example] for example in nearest(question, examples)]
