"""`dovetail prompt`: what the planner, or the joiner, is asked with."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from dovetail.cli.arguments import at_least_one

if TYPE_CHECKING:
    from argparse import Namespace

    from dovetail.cli.arguments import Parser
    from dovetail.models.protocol import Message

__all__ = ["DESCRIPTION", "EPILOG", "HELP", "add_arguments", "prompt"]

HELP = "print what a planner is asked with"

DESCRIPTION = """\
Print the messages that a model is asked with, exactly: by the planner for a plan, or by the joiner for an answer. No
model is needed for it."""

EPILOG = """\
examples:
  dovetail prompt --tools tools.py
  dovetail prompt --tools demo --question "How many people live in Peru?"     with the examples that are near
  dovetail prompt --tools tools.py --template planner.txt --notes "Be brief."
  dovetail prompt --joiner --question "How high is K2?"
  dovetail prompt --tools tools.py --json | jq -r '.[0].content'

The number of characters, and about how many tokens these are, is told on standard error.
Exit status: 0 printed, 2 if it was called wrongly.
"""

_QUESTION = "QUESTION"
_CHARACTERS_A_TOKEN = 4


def add_arguments(parser: Parser) -> None:
    """Tell a parser what `prompt` takes."""
    add = parser.add_argument
    add("-t", "--tools", action="append", metavar="SPEC", help="tools to plan with; may be repeated")
    add("--question", metavar="TEXT", help="what is to be answered; the word QUESTION if not given")
    add(
        "--example",
        action="append",
        dest="examples",
        metavar="FILE",
        help="questions and their plans, to learn from; may be repeated",
    )
    add("--max-examples", type=at_least_one, metavar="N", help="of more examples, show the nearest (2)")
    add("--examples-as", metavar="WHERE", help="turns (of the chat; default), or system (behind the tools)")
    add("--template", metavar="FILE", help="the planner's prompt, a template with the place $tools")
    add("--notes", default="", metavar="TEXT", help="what the models are told besides")
    add("--max-tools", type=at_least_one, metavar="N", help="of more tools, show the most relevant (40)")
    add("--joiner", action="store_true", help="print what the joiner is asked with, before there are any outputs")
    add("--json", action="store_true", help="write the messages as one JSON list")


def prompt(options: Namespace) -> int:
    """Print the messages; returns the exit status.

    Raises:
        UsageError: a SPEC leads nowhere, an example has a mistake, or a file cannot be read or used.
    """
    # What takes its time to import is imported where it is needed.
    from dovetail.cli.exits import ANSWERED, complain

    question = _QUESTION if options.question is None else options.question
    messages = _joiner(question, options) if options.joiner else _planner(question, options)
    if options.json:
        print(json.dumps(messages, ensure_ascii=False))  # noqa: T201 - this is the command line
    else:
        parts = (f"--- {message['role']}\n{message['content']}" for message in messages)
        print("\n\n".join(parts))  # noqa: T201
    sys.stdout.flush()
    size = sum(len(message["content"]) for message in messages)
    complain(f"{size:,} characters, about {size // _CHARACTERS_A_TOKEN:,} tokens")
    return ANSWERED


def _planner(question: str, options: Namespace) -> list[Message]:
    from dovetail.embedding import run_loop
    from dovetail.errors import UsageError
    from dovetail.example_selection import SHOWN_EXAMPLES, NearestExamples
    from dovetail.examples import gather_examples
    from dovetail.lessons import Lessons
    from dovetail.planner import MAX_TOOLS_SHOWN, ToolShow, chosen_lessons
    from dovetail.prompts import PlannerPrompt
    from dovetail.tool_set import ToolSet

    if not options.tools:
        raise UsageError("the planner's prompt tells of tools; add --tools SPEC, or --joiner for the joiner's prompt")
    tools = ToolSet.of(options.tools)
    if not tools:
        raise UsageError("there are no tools in what --tools names")
    asked = PlannerPrompt(options.template, options.examples_as)
    lessons = Lessons(gather_examples(options.tools, options.examples or ()), tools)
    selector = NearestExamples(options.max_examples or SHOWN_EXAMPLES)
    chosen = run_loop(lambda: chosen_lessons(question, lessons, tools, selector))
    shown = ToolShow(most=options.max_tools or MAX_TOOLS_SHOWN).of(tools, question)
    return asked.messages(question, shown.shapes, chosen, notes=options.notes)


def _joiner(question: str, options: Namespace) -> list[Message]:
    from dovetail.joiner_prompt import joiner_messages

    return joiner_messages(question, (), notes=options.notes)
