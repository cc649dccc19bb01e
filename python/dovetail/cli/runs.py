"""`dovetail runs`: the runs of a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dovetail.cli.arguments import at_least_one
from dovetail.cli.server_options import SERVER_EPILOG, add_server_arguments

if TYPE_CHECKING:
    from argparse import Namespace

    from dovetail import v1
    from dovetail.cli.arguments import Parser
    from dovetail.client import Client

__all__ = ["DESCRIPTION", "EPILOG", "HELP", "add_arguments", "runs"]

HELP = "list the runs of a server"

DESCRIPTION = "List the runs of a server, the latest first."

EPILOG = f"""\
examples:
  dovetail runs --server localhost:50051
  dovetail runs --state failed --state cancelled --limit 100
  dovetail runs --json | jq -r .runId

{SERVER_EPILOG}

Exit status: 0 listed, 1 the server refused it, 2 called wrongly.
"""

_STATES = ("running", "answered", "failed", "cancelled")
_HEADS = ("RUN", "STATE", "CREATED", "TOOK", "QUESTION")


def add_arguments(parser: Parser) -> None:
    """Tell a parser what `runs` takes."""
    add = parser.add_argument
    add(
        "--state",
        action="append",
        dest="states",
        choices=_STATES,
        metavar="STATE",
        help=f"only those that are {', '.join(_STATES[:-1])} or {_STATES[-1]}; may be repeated",
    )
    add("--limit", type=at_least_one, default=20, metavar="N", help="how many at most (20)")
    add("--json", action="store_true", help="write each run as JSON, one a line")
    add_server_arguments(parser)


def runs(options: Namespace) -> int:
    """List runs; returns the exit status.

    Raises:
        UsageError: no server is named, or an option cannot be used.
        ServerError: the server refused the request, or was not reached.
    """
    # What takes its time to import is imported where it is needed.
    from dovetail.cli.remote import with_client

    return with_client(options, lambda client: _list(client, options))


async def _list(client: Client, options: Namespace) -> int:
    from contextlib import aclosing

    from google.protobuf.json_format import MessageToJson

    from dovetail.cli.exits import ANSWERED
    from dovetail.cli.table import print_table
    from dovetail.v1 import RunState

    states: list[RunState] = [getattr(RunState, f"RUN_STATE_{state.upper()}") for state in options.states or ()]
    found: list[v1.Run] = []
    async with aclosing(client.list(states, page_size=min(options.limit, 1000))) as listed:
        async for run in listed:
            found.append(run)
            if len(found) == options.limit:
                break
    if options.json:
        for run in found:
            print(MessageToJson(run, indent=None, ensure_ascii=False))  # noqa: T201 - this is the command line
    else:
        print_table(_HEADS, [_row(run) for run in found])
    return ANSWERED


def _row(run: v1.Run) -> tuple[str, ...]:
    from datetime import UTC

    from dovetail.cli.board import state_text

    created = run.create_time.ToDatetime(tzinfo=UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    took = ""
    if run.HasField("end_time"):
        took = f"{(run.end_time.ToNanoseconds() - run.create_time.ToNanoseconds()) / 1e9:.1f} s"
    state = state_text(run.state)
    if run.awaiting_approval:
        waiting = ", ".join(map(str, run.awaiting_approval))
        state += f", task {waiting} waits" if len(run.awaiting_approval) == 1 else f", tasks {waiting} wait"
    return run.run_id, state, created, took, run.question
