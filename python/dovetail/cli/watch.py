"""`dovetail watch`: a run of a server, shown from any event to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dovetail.cli.server_options import SERVER_EPILOG, add_server_arguments

if TYPE_CHECKING:
    from argparse import Namespace

    from dovetail.cli.arguments import Parser
    from dovetail.client import Client

__all__ = ["DESCRIPTION", "EPILOG", "HELP", "add_arguments", "watch"]

HELP = "follow a run of a server"

DESCRIPTION = """\
Follow a run of a server to its end, as `dovetail run` does, or look at one that has ended.

A connection that breaks is resumed where it broke. Ctrl-C ends the watching; the run goes on."""

EPILOG = f"""\
examples:
  dovetail watch 8c0d5c5e-6f0f-4a53-9d9e-3f2a3a1c7f10 --server localhost:50051
  dovetail watch everest --json --after 17 | jq -c .taskSucceeded

{SERVER_EPILOG}

Exit status: 0 answered, 1 the run failed or the server refused it, 2 called wrongly, 130 Ctrl-C.
"""


def add_arguments(parser: Parser) -> None:
    """Tell a parser what `watch` takes."""
    parser.add_argument("run", metavar="RUN", help="the run's name")
    parser.add_argument("--after", type=_sequence, default=0, metavar="N", help="only what came after event N")
    parser.add_argument("--json", action="store_true", help="write the run's events as JSON, one a line")
    add_server_arguments(parser)


def watch(options: Namespace) -> int:
    """Follow a run; returns the exit status that it calls for.

    Raises:
        UsageError: no server is named, or an option cannot be used.
        ServerError: the server refused the request, or the connection broke and could not be resumed.
    """
    # What takes its time to import is imported where it is needed.
    from dovetail.cli.remote import with_client
    from dovetail.cli.showing import choose_view, clean_output

    view = choose_view(as_json=options.json)()

    async def follow(client: Client) -> int:
        from dovetail.cli.showing import show

        return await show(client.run(options.run), view, after_sequence=options.after)

    with clean_output(view):
        return with_client(options, follow)


def _sequence(text: str) -> int:
    from argparse import ArgumentTypeError

    if not text.isdecimal():
        raise ArgumentTypeError(f"{text!r} is no number of an event")
    return int(text)
