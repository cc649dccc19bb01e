"""What models are asked with, as the options of `dovetail prompt` say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, get_args

from dovetail.answer_schema import read_answer_schema
from dovetail.cli.first_turn import first_turn
from dovetail.embedding import run_loop
from dovetail.errors import UsageError
from dovetail.grammar.answer_form import answer_form
from dovetail.models.protocol import GrammarDialect
from dovetail.prompts.example_selection import SHOWN_EXAMPLES, NearestExamples
from dovetail.prompts.examples import gather_examples
from dovetail.prompts.joiner_prompt import JoinerPrompt
from dovetail.prompts.lessons import Lessons, read_earlier
from dovetail.prompts.planner_prompt import PlannerPrompt
from dovetail.runs.planner import MAX_TOOLS_SHOWN, ToolShow, chosen_lessons
from dovetail.runs.run_options import RunOptions
from dovetail.settings import Settings
from dovetail.tools.tool_set import ToolSet

if TYPE_CHECKING:
    from argparse import Namespace

    from dovetail.models.protocol import Message
    from dovetail.prompts.joiner_prompt import ReplyForm
    from dovetail.prompts.replan_prompt import PlanForm, ReplanContext

__all__ = ["asked_with"]

_QUESTION: Final = "QUESTION"
_MISSING: Final = "MISSING"

_PARTS: Final = {
    "a planner": frozenset(
        {"examples", "max_examples", "examples_as", "template", "max_tools", "earlier", "missing", "dialect"}
    ),
    "a joiner": frozenset({"template", "earlier", "dialect", "cite", "answer_schema"}),
    "the model of a turn": frozenset({"max_tools", "dialect", "cite", "answer_schema"}),
}
"""The options that have a part in what only some are asked with."""


def asked_with(options: Namespace) -> list[Message]:
    """The messages.

    Raises:
        UsageError: a SPEC leads nowhere, an example has a mistake, or an option or a file cannot be read or used.
    """
    if options.dialect not in (None, *get_args(GrammarDialect)):
        raise UsageError(f"--dialect is {options.dialect!r}; it can be {', '.join(get_args(GrammarDialect))}")
    question = _QUESTION if options.question is None else options.question
    asked = RunOptions().but(strategy=options.strategy, cite=options.cite, notes=options.notes)
    if options.answer_schema is not None:
        asked = asked.but(answer_schema=read_answer_schema(Path(options.answer_schema)))
    if options.joiner:
        _check_parts(options, "a joiner")
        return _joiner(question, asked, options)
    if asked.strategy in ("compile", "plan-only"):
        _check_parts(options, "a planner")
        return _planner(question, asked, options)
    _check_parts(options, "the model of a turn")
    tools, most = _tools(options), options.max_tools or MAX_TOOLS_SHOWN
    return run_loop(lambda: first_turn(question, tools, asked, dialect=options.dialect, max_tools=most))


def _check_parts(options: Namespace, asked: str) -> None:
    for name in frozenset().union(*_PARTS.values()) - _PARTS[asked]:
        if getattr(options, name) is not None:
            raise UsageError(f"{Settings.option(name)} has no part in what {asked} is asked with; leave it out")


def _planner(question: str, asked: RunOptions, options: Namespace) -> list[Message]:
    if options.missing is not None and options.earlier is None:
        raise UsageError("--missing tells what was missing after earlier tasks; add --earlier FILE")
    tools = _tools(options)
    prompt = PlannerPrompt(options.template, options.examples_as)
    lessons = Lessons(gather_examples(options.tools, options.examples or ()), tools)
    selector = NearestExamples(options.max_examples or SHOWN_EXAMPLES)
    replan = None if options.earlier is None else _earlier(options, tools)
    again = replan is not None
    chosen = run_loop(lambda: chosen_lessons(question, lessons, tools, selector, again=again))
    show = ToolShow(most=options.max_tools or MAX_TOOLS_SHOWN)
    shown = show.of(tools, question, None if replan is None else replan.reason)
    form: PlanForm = "json" if options.dialect == "json_schema" else "lines"
    return prompt.messages(question, shown.shapes, chosen, form=form, replan=replan, notes=asked.notes)


def _joiner(question: str, asked: RunOptions, options: Namespace) -> list[Message]:
    schema = asked.answer_schema
    if schema is not None and asked.cite:
        schema = schema.with_citations()
    required = "" if schema is None else schema.json
    form: ReplyForm = "lines"
    if options.dialect == "json_schema":
        form = "quoted" if required and answer_form(required).is_quoted else "json"
    return JoinerPrompt(options.template).messages(
        question,
        () if options.earlier is None else _earlier(options, _tools(options)).observations,
        form=form,
        answer_schema=required,
        cite=asked.cite,
        notes=asked.notes,
    )


def _tools(options: Namespace) -> ToolSet:
    if not options.tools:
        remedy = "" if options.joiner else ", or --joiner for the joiner's prompt, which tells of none"
        raise UsageError(f"no tools are given; add --tools SPEC{remedy}")
    tools = ToolSet.of(options.tools)
    if not tools:
        raise UsageError("there are no tools in what --tools names")
    return tools


def _earlier(options: Namespace, tools: ToolSet) -> ReplanContext:
    try:
        text = Path(options.earlier).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{options.earlier}: the file cannot be read: {error}") from error
    missing = _MISSING if options.missing is None else options.missing
    return read_earlier(text, missing, tools, source=options.earlier)
