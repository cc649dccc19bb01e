"""`dovetail token`: makes a token for a client, and the entry of the server's file of tokens."""

from __future__ import annotations

import argparse
import json
import os
import secrets
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from dovetail.cli.command import Command
from dovetail.errors import UsageError

if TYPE_CHECKING:
    from argparse import Namespace

    from dovetail.cli.arguments import Parser

__all__ = ["token_command"]

_DESCRIPTION = """\
Make a token for a client. It is printed once, and kept nowhere: the server's file holds its hash."""

_EPILOG = """\
examples:
  dovetail token ci --role run --file tokens.toml
  dovetail token dashboard --role read --expires 2027-12-31
  dovetail token billing-executor --role execute --tool "invoice.*" --file tokens.toml

The client is given the token as DOVETAIL_TOKEN, or sends it as the metadata `authorization: Bearer TOKEN`.
Roles: run creates, steers and reads runs; read follows them and lists tools; execute attaches executors.
A NAME may have several tokens, as while one is replaced by another. The server reads a file that was changed
again by itself; to withdraw a token, remove its entry.
"""

_PREFIX = "dvt_"
"""By which tokens are found where they do not belong."""


def _add_arguments(parser: Parser) -> None:
    from dovetail_server.callers import ROLES

    add = parser.add_argument
    add("name", metavar="NAME", type=_name, help="who the client is, in the log")
    add(
        "--role",
        action="append",
        required=True,
        choices=ROLES,
        dest="roles",
        help="what the client may do: run, execute or read; may be repeated",
    )
    add(
        "--tool",
        action="append",
        dest="tools",
        metavar="NAME",
        type=_name,
        help="a tool that it may use or serve, or a pattern: db.*; may be repeated (all)",
    )
    add(
        "--deny",
        action="append",
        metavar="NAME",
        type=_name,
        help="a tool or pattern that it may not, whatever --tool says; may be repeated",
    )
    add("--expires", metavar="DATE", type=_last_day, help="the last day on which it is valid, as 2027-12-31, UTC")
    add("--file", metavar="FILE", type=Path, help="append the entry to this file; made if there is none")


def _make_token(options: Namespace) -> int:
    """Make a token and print it.

    Raises:
        UsageError: the file is no file of tokens, or cannot be written.
    """
    from dovetail_server.callers import hash_of

    token = _PREFIX + secrets.token_urlsafe(32)
    lines = [
        "[[token]]",
        f"name = {_quoted(options.name)}",
        f"sha256 = {_quoted(hash_of(token))}",
        f"roles = [{', '.join(map(_quoted, dict.fromkeys(options.roles)))}]",
    ]
    if options.tools:
        lines.append(f"tools = [{', '.join(map(_quoted, dict.fromkeys(options.tools)))}]")
    if options.deny:
        lines.append(f"deny = [{', '.join(map(_quoted, dict.fromkeys(options.deny)))}]")
    if options.expires:
        lines.append(f"expires = {options.expires}")
    entry = "\n".join(lines) + "\n"
    if options.file is None:
        print(f"{token}\n\n# The entry for the file of --tokens:\n{entry}", end="")  # noqa: T201 - the command line
    else:
        _append(options.file, entry)
        print(token)  # noqa: T201 - the command line
    return 0


def _append(file: Path, entry: str) -> None:
    from dovetail_server.callers import read_tokens

    if file.exists():
        read_tokens(file)
    try:
        # For its owner alone: hashes are no secret, but names and roles are nobody else's business.
        descriptor = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "r+b") as stream:
            before = stream.read()
            gap = "" if not before else "\n" if before.endswith(b"\n") else "\n\n"
            # In one piece, because a server may read the file at any time.
            stream.write((gap + entry).encode())
    except OSError as error:
        raise UsageError(f"{file}: the entry cannot be written: {error.strerror}") from error


def _quoted(text: str) -> str:
    """A string of TOML: that of JSON, as long as all its characters are printable."""
    return json.dumps(text, ensure_ascii=False)


def _name(text: str) -> str:
    if not text or not text.isprintable():
        raise argparse.ArgumentTypeError(f"{text!r} is no name; it needs characters, and only printable ones")
    return text


def _last_day(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no day such as 2027-12-31") from None
    if day < datetime.now(UTC).date():
        raise argparse.ArgumentTypeError(f"{text} is over; a token that is valid needs a day to come")
    return day


token_command = Command("make a token for a client of the server", _DESCRIPTION, _EPILOG, _add_arguments, _make_token)
