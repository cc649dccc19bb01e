"""`dovetail prompt`: what models are asked with, by the planner, the joiner, or a strategy that goes by turns."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Final

from dovetail.cli.arguments import at_least_one

if TYPE_CHECKING:
    from argparse import Namespace

    from dovetail.cli.arguments import Parser

__all__ = ["DESCRIPTION", "EPILOG", "HELP", "add_arguments", "prompt"]

HELP = "print what a model is asked with"

DESCRIPTION = """\
Print the messages that a model is asked with, exactly: by the planner for a plan, or for another plan behind earlier
tasks; by the joiner for an answer; or in the first turn of a strategy that goes by turns. No model is needed for it."""

EPILOG = """\
examples:
  dovetail prompt --tools tools.py
  dovetail prompt --tools demo --question "How many people live in Peru?"     with the examples that are near
  dovetail prompt --tools tools.py --template planner.txt --notes "Be brief."
  dovetail prompt --tools tools.py --dialect json_schema                      of a model that takes JSON schemas alone
  dovetail prompt --tools tools.py --earlier earlier.txt --missing "the height of K2"
  dovetail prompt --tools tools.py --strategy react
  dovetail prompt --joiner --question "How high is K2?" --template joiner.txt
  dovetail prompt --joiner --tools tools.py --earlier earlier.txt
  dovetail prompt --tools tools.py --json | jq -r '.[0].content'

In the file of --earlier stand calls, and below each what became of it, as in examples:
  1. height("Mount Everest")
  -> 8849
  2. height("Kay two")
  failed: no such mountain

The number of characters, and about how many tokens these are, is told on standard error.
Exit status: 0 printed, 2 if it was called wrongly.
"""

_CHARACTERS_A_TOKEN: Final = 4


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
    add("--template", metavar="FILE", help="the prompt, a template with the place $tools, or for the joiner $reply")
    add("--notes", default="", metavar="TEXT", help="what the models are told besides")
    add("--max-tools", type=at_least_one, metavar="N", help="of more tools, show the most relevant (40)")
    add(
        "--dialect",
        metavar="DIALECT",
        help="the notation of the grammar that the model is held to: gbnf, ebnf, lark, or json_schema, for which plans "
        "and replies are asked for in JSON; none if not given",
    )
    add("--earlier", metavar="FILE", help="calls made before, and what became of them: another plan is asked for")
    add("--missing", metavar="TEXT", help="what was missing after them; the word MISSING if not given")
    add(
        "--strategy",
        metavar="NAME",
        help="compile (default) and plan-only ask for plans; react and tool-calls go by turns, of which the first is "
        "printed; what tools are there is told beside the messages of tool-calls",
    )
    add("--joiner", action="store_true", help="print what the joiner is asked with, of the tasks of --earlier or none")
    add("--cite", action="store_true", default=None, help="let the answer name the tasks that it rests on")
    add("--answer-schema", metavar="FILE.json", help="the JSON Schema that the answer must fit")
    add("--json", action="store_true", help="write the messages as one JSON list")


def prompt(options: Namespace) -> int:
    """Print the messages; returns the exit status.

    Raises:
        UsageError: a SPEC leads nowhere, an example has a mistake, or an option or a file cannot be read or used.
    """
    # What takes its time to import is imported where it is needed.
    from dovetail.cli.asked import asked_with
    from dovetail.cli.exits import ANSWERED, complain

    messages = asked_with(options)
    if options.json:
        print(json.dumps(messages, ensure_ascii=False))  # noqa: T201 - this is the command line
    else:
        parts = (f"--- {message['role']}\n{message['content']}" for message in messages)
        print("\n\n".join(parts))  # noqa: T201
    sys.stdout.flush()
    size = sum(len(message["content"]) for message in messages)
    complain(f"{size:,} characters, about {size // _CHARACTERS_A_TOKEN:,} tokens")
    return ANSWERED
