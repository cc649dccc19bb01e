"""`dovetail approve`: a task of a run may be called that waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dovetail.cli.arguments import at_least_one
from dovetail.cli.server_options import SERVER_EPILOG, add_server_arguments

if TYPE_CHECKING:
    from argparse import Namespace

    from dovetail.cli.arguments import Parser
    from dovetail.client import Client

__all__ = ["DESCRIPTION", "EPILOG", "HELP", "add_arguments", "approve"]

HELP = "approve a task that waits for it"

DESCRIPTION = """\
Let a task of a run be called that waits for approval, as it is or with other arguments.

`dovetail runs` shows which tasks wait, `dovetail watch RUN` what they would do."""

EPILOG = f"""\
examples:
  dovetail approve everest 3 --server localhost:50051
  dovetail approve everest 3 --arguments '{{"path": "/tmp/old"}}' --reason "only that one"
  dovetail reject everest 3 --reason "that is still needed"

{SERVER_EPILOG}

Exit status: 0 approved; 1 the task does not wait, its tool does not take the arguments, or the server refused it;
2 called wrongly.
"""


def add_arguments(parser: Parser) -> None:
    """Tell a parser what `approve` takes."""
    parser.add_argument("run", metavar="RUN", help="the run's name")
    parser.add_argument("task", type=at_least_one, metavar="TASK", help="the task's number")
    parser.add_argument("--arguments", metavar="JSON", help="call it with these in place of its own")
    parser.add_argument("--reason", default="", metavar="TEXT", help="why; stands in the run's events")
    add_server_arguments(parser)


def approve(options: Namespace) -> int:
    """Approve a task; returns the exit status.

    Raises:
        UsageError: no server is named, or an option cannot be used.
        ServerError: the server refused the request, or was not reached.
    """
    # What takes its time to import is imported where it is needed.
    from dovetail.cli.remote import with_client

    return with_client(options, lambda client: _approve(client, options))


async def _approve(client: Client, options: Namespace) -> int:
    from dovetail.cli.exits import ANSWERED
    from dovetail.cli.printable import one_line

    await client.approve(options.run, options.task, options.arguments, options.reason)
    print(f"{one_line(options.run)}: task {options.task} is approved")  # noqa: T201 - this is the command line
    return ANSWERED
