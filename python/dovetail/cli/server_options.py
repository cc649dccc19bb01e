"""Options of the commands that speak to a server: where it is, how it is trusted, and the token."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from dovetail.errors import UsageError

if TYPE_CHECKING:
    from argparse import Namespace

    from dovetail.cli.arguments import Parser
    from dovetail.client.connection import Connection

__all__ = ["SERVER_EPILOG", "add_server_arguments", "connection_of"]

SERVER_EPILOG = """\
The server is that of --server, else of DOVETAIL_SERVER. A token is read from DOVETAIL_TOKEN; it has no option, so that
no shell's history keeps it."""


def add_server_arguments(parser: Parser) -> None:
    """Tell a parser how a server is named."""
    add = parser.add_argument_group("server").add_argument
    add("--server", metavar="HOST:PORT", help="where the server is; or unix:PATH")
    add("--tls", action="store_true", help="speak TLS; implied by the options below")
    add("--ca", metavar="FILE", help="PEM: the authorities to trust in place of the system's")
    add("--cert", metavar="FILE", help="PEM: this side's own certificate, for mutual TLS")
    add("--key", metavar="FILE", help="PEM: the certificate's key")
    add("--server-name", metavar="NAME", help="the name in the server's certificate, if not that of its address")


def connection_of(options: Namespace) -> Connection:
    """How the server is reached that the options, or else the environment, name.

    Raises:
        UsageError: no server is named, its address is none, or only one of certificate and key is given.
    """
    address = options.server or os.environ.get("DOVETAIL_SERVER")
    if not address:
        raise UsageError("no server is given; add --server HOST:PORT or set DOVETAIL_SERVER")
    # Standard error is for lines to people; gRPC's own log would stand between them. Read when it is loaded.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    # Imported here because gRPC takes its time to load, and a command called wrongly does without.
    from dovetail.client.connection import Connection

    return Connection(
        address,
        token=os.environ.get("DOVETAIL_TOKEN") or None,
        tls=options.tls,
        ca=options.ca,
        certificate=options.cert,
        key=options.key,
        server_name=options.server_name,
    )
