"""`dovetail tools`: the tools of a server, and who carries them out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dovetail.cli.server_options import SERVER_EPILOG, add_server_arguments

if TYPE_CHECKING:
    from argparse import Namespace

    from dovetail import v1
    from dovetail.cli.arguments import Parser
    from dovetail.client import Client

__all__ = ["DESCRIPTION", "EPILOG", "HELP", "add_arguments", "tools"]

HELP = "list the tools of a server"

DESCRIPTION = """\
List the tools of a server that the token may use: who carries them out, how many further calls their executors would
take at this moment, and how many calls wait for one."""

EPILOG = f"""\
examples:
  dovetail tools --server localhost:50051
  dovetail tools --json | jq -r .spec.name

{SERVER_EPILOG}

Exit status: 0 listed, 1 the server refused it, 2 called wrongly.
"""

_HEADS = ("TOOL", "SOURCE", "EXECUTORS", "FREE", "WAITING", "DESCRIPTION")


def add_arguments(parser: Parser) -> None:
    """Tell a parser what `tools` takes."""
    parser.add_argument("--json", action="store_true", help="write each tool as JSON, one a line")
    add_server_arguments(parser)


def tools(options: Namespace) -> int:
    """List tools; returns the exit status.

    Raises:
        UsageError: no server is named, or an option cannot be used.
        ServerError: the server refused the request, or was not reached.
    """
    # What takes its time to import is imported where it is needed.
    from dovetail.cli.remote import with_client

    return with_client(options, lambda client: _list(client, as_json=options.json))


async def _list(client: Client, *, as_json: bool) -> int:
    from google.protobuf.json_format import MessageToJson

    from dovetail.cli.exits import ANSWERED
    from dovetail.cli.table import print_table

    found = [tool async for tool in client.tools()]
    if as_json:
        for tool in found:
            print(MessageToJson(tool, indent=None, ensure_ascii=False))  # noqa: T201 - this is the command line
    else:
        print_table(_HEADS, [_row(tool) for tool in found])
    return ANSWERED


def _row(tool: v1.Tool) -> tuple[str, ...]:
    from dovetail import v1

    if tool.source != v1.Tool.SOURCE_EXECUTOR:
        return tool.spec.name, "server", "-", "-", "-", tool.spec.description
    counts = (len(tool.executor_ids), tool.free_places, tool.waiting_calls)
    return (tool.spec.name, "executors", *map(str, counts), tool.spec.description)
