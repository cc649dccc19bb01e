"""`dovetail cancel`: the end of a run of a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dovetail.cli.server_options import SERVER_EPILOG, add_server_arguments

if TYPE_CHECKING:
    from argparse import Namespace

    from dovetail.cli.arguments import Parser
    from dovetail.client import Client

__all__ = ["DESCRIPTION", "EPILOG", "HELP", "add_arguments", "cancel"]

HELP = "cancel a run of a server"

DESCRIPTION = """\
Cancel a run of a server: its model stream and its calls, also those at executors. One that has ended stays as it is."""

EPILOG = f"""\
examples:
  dovetail cancel everest --server localhost:50051 --reason "asked the wrong question"

{SERVER_EPILOG}

Exit status: 0 asked for, or the run had ended; 1 the server refused it, 2 called wrongly.
"""


def add_arguments(parser: Parser) -> None:
    """Tell a parser what `cancel` takes."""
    parser.add_argument("run", metavar="RUN", help="the run's name")
    parser.add_argument("--reason", default="", metavar="TEXT", help="why; stands in the run's events")
    add_server_arguments(parser)


def cancel(options: Namespace) -> int:
    """Cancel a run; returns the exit status.

    Raises:
        UsageError: no server is named, or an option cannot be used.
        ServerError: the server refused the request, or was not reached.
    """
    # What takes its time to import is imported where it is needed.
    from dovetail.cli.remote import with_client

    return with_client(options, lambda client: _cancel(client, options.run, options.reason))


async def _cancel(client: Client, run_id: str, reason: str) -> int:
    from dovetail.cli.board import state_text
    from dovetail.cli.exits import ANSWERED
    from dovetail.cli.printable import one_line
    from dovetail.v1 import RunState

    before = await client.get(run_id)
    if before.state == RunState.RUN_STATE_RUNNING:
        await client.cancel(run_id, reason)
        said = "is being cancelled"
    else:
        said = f"has ended already: {state_text(before.state)}"
    print(f"{one_line(run_id)} {said}")  # noqa: T201 - this is the command line
    return ANSWERED
