"""The planner's prompt: the tools, plans to learn from, the question.

What does not change from run to run comes first and is byte-identical, so that a provider's prefix cache can keep it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, get_args

from dovetail.errors import UsageError
from dovetail.prompts.lessons import END_OF_PLAN
from dovetail.prompts.prompt_template import PromptTemplate
from dovetail.prompts.replan_prompt import PlanForm, replan_text
from dovetail.prompts.tool_lines import tools_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dovetail.grammar import ToolShape
    from dovetail.models.protocol import Message
    from dovetail.prompts.lessons import Lesson
    from dovetail.prompts.replan_prompt import ReplanContext

__all__ = ["END_OF_PLAN", "ExamplesAs", "PlanForm", "PlannerPrompt"]

ExamplesAs = Literal["turns", "system"]
"""Where examples stand: as turns of the chat before the question, or in the system prompt behind the tools."""

_PLACES: Final = ("tools", "examples", "notes")
_REQUIRED: Final = ("tools",)
_IN_LINES: Final = """\
Plan tool calls, one a line: N. tool(arguments)
$N is its output. End with join($N) if that is the answer, else join()."""
_IN_JSON: Final = """\
Plan tool calls that answer the question. The plan is JSON: \
{"tasks": [{"tool": "name", "id": 1, "arguments": {"argument": value}}, …], "join": N}
IDs count up from 1. In later tasks, "$1" is the output of task 1. Independent tasks run in parallel.
An optional argument that is not needed is null. "join" is N if the output of task N is the answer, else null."""


def _planner(instructions: str) -> PromptTemplate:
    return PromptTemplate(f"{instructions}\nTools:\n$tools", places=_PLACES, required=_REQUIRED)


_OWN: Final[dict[PlanForm, PromptTemplate]] = {"lines": _planner(_IN_LINES), "json": _planner(_IN_JSON)}


class PlannerPrompt:
    """How a planner is asked.

    Args:
        template: the file of the system prompt, with the place ``$tools``, and ``$examples`` and ``$notes`` where these
            are to stand; what has no place stands at the end. Dovetail's own if None. It tells how plans are written in
            lines; where one has to be in JSON, Dovetail says so behind it.
        examples_as: where examples stand; None for ``system`` if the template has a place for them, else ``turns``.

    Raises:
        UsageError: the file cannot be read, has a place that does not exist or no ``$tools``, or it has a place for
            examples that are to be turns.
    """

    def __init__(self, template: str | Path | None = None, examples_as: ExamplesAs | None = None) -> None:
        self._custom: PromptTemplate | None = None
        if template is not None:
            self._custom = PromptTemplate.read(template, places=_PLACES, required=_REQUIRED)
        placed = self._custom is not None and "examples" in self._custom
        if examples_as not in (None, *get_args(ExamplesAs)):
            raise UsageError(f"examples cannot be shown as {examples_as!r}; they can as {get_args(ExamplesAs)}")
        if placed and examples_as == "turns":
            raise UsageError(f"{template}: $examples is no place for examples that are shown as turns of the chat")
        self._in_system = placed or examples_as == "system"

    def messages(
        self,
        question: str,
        tools: Sequence[ToolShape],
        lessons: Sequence[Lesson] = (),
        *,
        form: PlanForm = "lines",
        replan: ReplanContext | None = None,
        notes: str = "",
    ) -> list[Message]:
        """The chat that asks for a plan.

        Args:
            question: what the run is to answer.
            tools: the tools that the plan may call, in MCP's shape.
            lessons: examples to learn from, the most telling last.
            form: how the plan is to be written.
            replan: what the run knows already, if this is not its first plan.
            notes: what the planner is told besides.
        """
        taught = [
            (_asked(lesson.example.question, lesson.replan, form), plan)
            for lesson in lessons
            if (plan := lesson.plan(form)) is not None
        ]
        shown = _examples_text(taught) if self._in_system and taught else ""
        given = {"tools": tools_text(tools), "examples": shown, "notes": notes}
        template = self._custom or _OWN[form]
        system = template.filled(given)
        if self._custom is not None and form == "json":
            system += f"\n\n{_IN_JSON}"
        for name in ("examples", "notes"):
            if given[name] and name not in template:
                system += f"\n\n{given[name]}"
        messages: list[Message] = [{"role": "system", "content": system}]
        for asked, plan in () if self._in_system else taught:
            messages.append({"role": "user", "content": asked})
            messages.append({"role": "assistant", "content": plan})
        messages.append({"role": "user", "content": _asked(question, replan, form)})
        return messages


def _asked(question: str, replan: ReplanContext | None, form: PlanForm) -> str:
    return question if replan is None else f"{question}\n\n{replan_text(replan, form)}"


def _examples_text(taught: Sequence[tuple[str, str]]) -> str:
    return "\n\n".join(["Examples:", *(f"Question: {asked}\n{plan}" for asked, plan in taught)])
