"""The command `dovetail`: its subcommands, and what becomes of their errors."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from dovetail.cli import approve, cancel, demo, executor, grammar, mcp, plan, prompt, reject, run, runs, tools, watch
from dovetail.cli.arguments import Parser
from dovetail.cli.exits import BROKEN_PIPE, FAILED, INTERRUPTED, USAGE, abandon_output, complain, is_closed_pipe
from dovetail.errors import ServerError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

__all__ = ["main"]

_DESCRIPTION = "Answer questions by a language model's plan of tool calls, run while it is still being written."

_EPILOG = """\
examples:
  dovetail demo
  dovetail run --model local: --tools demo "Is France larger than Spain?"
  dovetail run --model openai:gpt-5-mini --tools tools.py "How high is Mount Everest in feet?"
  dovetail run --model vllm:Qwen/Qwen3-8B --base-url http://gpu:8000/v1 --json "..." | jq .
  dovetail plan plan.txt --tools tools.json
  dovetail grammar --tools tools.json --dialect ebnf
  dovetail executor --server localhost:50051 --tools tools.py
  dovetail run --server localhost:50051 "How high is Mount Everest in feet?"

more: dovetail run --help, and so on for every command
"""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and end the process with its status.

    Args:
        arguments: what stands behind the command's name; the process's own arguments if None.
    """
    sys.exit(_status(sys.argv[1:] if arguments is None else arguments))


def _status(arguments: Sequence[str]) -> int:
    try:
        parser = _parser(arguments[0] if arguments else "")
        if not arguments:
            parser.print_help(sys.stderr)
            return USAGE
        options = parser.parse_args(arguments)
        status: int = options.command(options)
        sys.stdout.flush()
    except UsageError as refused:
        complain(str(refused))
        return USAGE
    except ServerError as refused:
        complain(str(refused))
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        if not is_closed_pipe(error):
            raise
        abandon_output(sys.stdout)
        return BROKEN_PIPE
    return status


def _parser(wanted: str) -> Parser:
    parser = Parser("dovetail", _DESCRIPTION, _EPILOG)
    parser.add_argument("--version", action=_Version, help="print the version and exit")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")
    for name, module, command in (
        ("run", run, run.run),
        ("plan", plan, plan.plan),
        ("grammar", grammar, grammar.grammar),
        ("prompt", prompt, prompt.prompt),
        ("demo", demo, demo.demo),
        ("executor", executor, executor.executor),
        ("mcp", mcp, mcp.mcp),
        ("runs", runs, runs.runs),
        ("watch", watch, watch.watch),
        ("cancel", cancel, cancel.cancel),
        ("approve", approve, approve.approve),
        ("reject", reject, reject.reject),
        ("tools", tools, tools.tools),
    ):
        subparser = commands.add_parser(
            name, help=module.HELP, prog=f"dovetail {name}", description=module.DESCRIPTION, epilog=module.EPILOG
        )
        module.add_arguments(subparser)
        subparser.set_defaults(command=command)
    if wanted not in commands.choices:
        # Imported here because it takes its time to look what is installed.
        from dovetail.cli.command import add_installed_commands

        add_installed_commands(commands.add_parser, wanted)
    return parser


class _Version(argparse.Action):
    """Looks the version up only if it is asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:  # noqa: A002
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib.metadata import version

        print(f"dovetail {version('dovetail')}")  # noqa: T201
        parser.exit()


if __name__ == "__main__":
    main()
