"""`dovetail reject`: a task of a run fails that waits for approval."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dovetail.cli.arguments import at_least_one
from dovetail.cli.server_options import SERVER_EPILOG, add_server_arguments

if TYPE_CHECKING:
    from argparse import Namespace

    from dovetail.cli.arguments import Parser
    from dovetail.client import Client

__all__ = ["DESCRIPTION", "EPILOG", "HELP", "add_arguments", "reject"]

HELP = "reject a task that waits for approval"

DESCRIPTION = """\
Let a task of a run fail that waits for approval. The model that joins the outputs is told the reason."""

EPILOG = f"""\
examples:
  dovetail reject everest 3 --server localhost:50051 --reason "that is still needed"

{SERVER_EPILOG}

Exit status: 0 rejected; 1 the task does not wait, or the server refused it; 2 called wrongly.
"""


def add_arguments(parser: Parser) -> None:
    """Tell a parser what `reject` takes."""
    parser.add_argument("run", metavar="RUN", help="the run's name")
    parser.add_argument("task", type=at_least_one, metavar="TASK", help="the task's number")
    parser.add_argument("--reason", required=True, metavar="TEXT", help="why; the joiner is told")
    add_server_arguments(parser)


def reject(options: Namespace) -> int:
    """Reject a task; returns the exit status.

    Raises:
        UsageError: no server is named, or an option cannot be used.
        ServerError: the server refused the request, or was not reached.
    """
    # What takes its time to import is imported where it is needed.
    from dovetail.cli.remote import with_client

    return with_client(options, lambda client: _reject(client, options))


async def _reject(client: Client, options: Namespace) -> int:
    from dovetail.cli.exits import ANSWERED
    from dovetail.cli.printable import one_line

    await client.reject(options.run, options.task, options.reason)
    print(f"{one_line(options.run)}: task {options.task} is rejected")  # noqa: T201 - this is the command line
    return ANSWERED
