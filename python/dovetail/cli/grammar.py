"""`dovetail grammar`: the grammar of the plans that may be written with a set of tools."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from dovetail.cli.arguments import at_least_one

if TYPE_CHECKING:
    from argparse import Namespace

    from dovetail.cli.arguments import Parser

__all__ = ["DESCRIPTION", "EPILOG", "HELP", "add_arguments", "grammar"]

HELP = "print the grammar of plans with a set of tools"

DESCRIPTION = """\
Print the grammar of the plans that may be written with a set of tools: what a model is held to while it writes one, in
the notation that its server takes."""

EPILOG = """\
examples:
  dovetail grammar --tools tools.py                          for llama.cpp
  dovetail grammar --tools tools.py --dialect ebnf --check   for vLLM, and see whether it compiles
  dovetail grammar --tools tools.json --dialect lark         for OpenAI's custom tools, and llguidance
  dovetail grammar --tools tools.json --dialect json_schema | jq .
  dovetail grammar --tools demo --first-id 5 --tasks 4       a later plan, which may refer to tasks 1 to 4

Tools that no arguments fit are left out, and named on standard error.
Exit status: 0 printed, 2 if it was called wrongly or the grammar does not compile.
"""

_DIALECTS = ("gbnf", "ebnf", "lark", "json_schema")


def add_arguments(parser: Parser) -> None:
    """Tell a parser what `grammar` takes."""
    parser.add_argument(
        "-t",
        "--tools",
        action="append",
        required=True,
        metavar="SPEC",
        help="the tools: FILE.json in MCP's Tool shape, or a SPEC as of `dovetail run`; may be repeated",
    )
    parser.add_argument("--dialect", choices=_DIALECTS, default="gbnf", help="the notation; gbnf if none is named")
    parser.add_argument(
        "--tasks", type=at_least_one, default=16, metavar="N", help="tasks at the most; 16 if not given"
    )
    parser.add_argument("--first-id", type=at_least_one, default=1, metavar="N", help="the id of the plan's first task")
    parser.add_argument("--thought", action="store_true", help="let a line `Thought: ...` come first")
    parser.add_argument(
        "--max-string", type=at_least_one, metavar="N", help="characters of a string at the most; 120 if not given"
    )
    parser.add_argument(
        "--check", action="store_true", help="compile it here, with llguidance, and say how long that took"
    )


def grammar(options: Namespace) -> int:
    """Print a grammar; returns the exit status.

    Raises:
        UsageError: a SPEC leads nowhere, no tool can be called, the grammar does not compile, or nothing is installed
            that compiles it.
    """
    # What takes its time to import is imported where it is needed.
    from dovetail.cli.exits import ANSWERED, complain
    from dovetail.errors import UsageError
    from dovetail.grammar import plan_grammar, uncallable
    from dovetail.grammar.compilation import REMEDY, can_compile, fault_in
    from dovetail.tools.tool_set import ToolSet

    if options.check and not can_compile():
        raise UsageError(f"--check needs llguidance: {REMEDY}")
    tools = ToolSet.of(options.tools)
    if not tools:
        raise UsageError("there are no tools in what --tools names")
    bounds = {} if options.max_string is None else {"max_string": options.max_string}
    made = plan_grammar(
        tools,
        dialect=options.dialect,
        max_tasks=options.tasks,
        first_id=options.first_id,
        earlier_ids=range(1, options.first_id),
        thought=options.thought,
        **bounds,
    )
    print(made.text.rstrip("\n"))  # noqa: T201 - this is the command line
    sys.stdout.flush()
    for name, reason in uncallable(tools, options.dialect).items():
        complain(f"tool {name!r} is left out: {reason}")
    if options.check:
        began = time.perf_counter()
        fault = fault_in(made)
        if fault is not None:
            raise UsageError(f"the grammar does not compile: {fault}")
        complain(f"compiled in {(time.perf_counter() - began) * 1000:.0f} ms")
    return ANSWERED
