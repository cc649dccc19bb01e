"""`dovetail plan`: its arguments. What it does is in `dovetail.cli.steps`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dovetail.cli.arguments import at_least_one

if TYPE_CHECKING:
    from argparse import Namespace

    from dovetail.cli.arguments import Parser

__all__ = ["DESCRIPTION", "EPILOG", "HELP", "add_arguments", "plan"]

HELP = "compile plan text without running it"

DESCRIPTION = "Compile plan text without running it: which tasks, when ready, with which arguments."

EPILOG = """\
examples:
  dovetail plan plan.txt --tools tools.json
  dovetail plan plan.txt --tools tools.json --outputs outputs.json --format json
  echo '1. search("Mount Everest")' | dovetail plan --tools dovetail.builtin

outputs.json holds outputs by task id: {"1": {"height": 8849}, "2": [1, 2]}
Exit status: 0 without errors in the plan, 1 with, 2 if it was called wrongly.
"""


def add_arguments(parser: Parser) -> None:
    """Tell a parser what `plan` takes."""
    parser.add_argument(
        "file", nargs="?", default="-", metavar="FILE|-", help="the plan text; - is standard input, as is none"
    )
    parser.add_argument(
        "-t",
        "--tools",
        action="append",
        required=True,
        metavar="SPEC",
        help="the tools: FILE.json in MCP's Tool shape, or a SPEC as of `dovetail run`; may be repeated",
    )
    parser.add_argument(
        "--outputs", type=Path, metavar="FILE.json", help="outputs by task id, each fed once its task is ready"
    )
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="text for people, or json: a step a line"
    )
    parser.add_argument("--chunk", type=at_least_one, metavar="N", help="feed N bytes at a time, which changes no step")


def plan(options: Namespace) -> int:
    """Compile a plan; returns the exit status."""
    from dovetail.cli import steps

    write = steps.write_json if options.format == "json" else steps.write_text
    return steps.compile_plan(options.file, options.tools, options.outputs, options.chunk, write)
