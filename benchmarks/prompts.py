"""How long a planner's prompt is, in tokens, beside the original's for the same tools and examples.

Both are given the same Python functions and describe them in their own way; both are asked the same question with the
same examples. Counted is the whole chat that a model would read. Without a checkout of the original only ours is.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import prompt_tools
from benchmarks.report import Row
from benchmarks.token_counts import counters
from dovetail import ToolSet, tool
from dovetail.prompts.examples import Example
from dovetail.prompts.lessons import END_OF_PLAN, Lessons
from dovetail.prompts.planner_prompt import PlannerPrompt

if TYPE_CHECKING:
    from benchmarks.original import Original
    from benchmarks.rounds import Settings
    from dovetail.models.protocol import Message

__all__ = ["run"]

_SHARE = 0.6
# Tools, examples, and whether docstrings say what each argument is.
_CASES = ((20, 2, False), (20, 2, True), (20, 0, False), (5, 2, False), (5, 0, False), (40, 2, False), (40, 0, False))
_QUESTION = "Which of the rivers that flow through a capital is rated best, and how long is it?"
_EXAMPLES = (
    Example(
        "Which of Paris, Rome and Oslo has the most people?",
        '1. get_city("Paris")\n2. get_city("Rome")\n3. get_city("Oslo")\n4. join()',
    ),
    Example(
        "How do people rate the three best places to swim in the Alps?",
        '1. find_city("swim in the Alps", 3)\n2. rate_city("$1[0]", "points")\n3. rate_city("$1[1]", "points")\n'
        '4. rate_city("$1[2]", "points")\n5. rank_city($1, "visitors")\n6. join()',
    ),
)


def run(settings: Settings, original: Original | None) -> list[Row]:  # noqa: ARG001 - a count needs no rounds
    """Measure."""
    rows = []
    with counters() as tokenizers:
        if not tokenizers:
            return [Row("prompts", "a planner's prompt", None, "tokens", note="there is no tokenizer here")]
        for case in _CASES:
            ours = _ours(*case)
            theirs = None if original is None else _theirs(original, *case)
            for name, count in tokenizers.items():
                rows.append(_row(case, name, count(ours), None if theirs is None else count(theirs)))
    return rows


def _row(case: tuple[int, int, bool], tokenizer: str, ours: int, theirs: int | None) -> Row:
    tools, examples, arguments_told = case
    told = "a sentence and its arguments each" if arguments_told else "a sentence each"
    required = theirs is not None and (tools, examples) == (20, 2)
    return Row(
        "prompts",
        f"a planner's prompt of {tools} tools ({told}) and {examples} examples, {tokenizer}",
        ours,
        "tokens",
        target=_SHARE * theirs if required and theirs is not None else None,
        beside="" if theirs is None else "the original's",
        beside_value=theirs,
    )


def _ours(tools: int, examples: int, arguments_told: bool) -> list[Message]:
    told = ToolSet(tool(function) for function in prompt_tools.functions(tools, arguments_told))
    return PlannerPrompt().messages(_QUESTION, told.shapes, Lessons(_EXAMPLES[:examples], told).of(told))


def _theirs(original: Original, tools: int, examples: int, arguments_told: bool) -> list[Message]:
    shown = "".join(f"Question: {one.question}\n{one.plan}{END_OF_PLAN}\n###\n\n" for one in _EXAMPLES[:examples])
    return original.chat(Path(prompt_tools.__file__), (tools, arguments_told), shown, _QUESTION)
