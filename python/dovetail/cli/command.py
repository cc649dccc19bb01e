"""Commands that other packages bring along: the entry point group ``dovetail.commands``."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from dovetail.errors import UsageError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

    from dovetail.cli.arguments import Parser

__all__ = ["Command", "add_installed_commands"]

_GROUP = "dovetail.commands"

_KNOWN = {"serve": "dovetail-server", "token": "dovetail-server"}
"""Where commands come from that are missing."""


@dataclass(frozen=True, slots=True)
class Command:
    """What an entry point of the group names. Its module should import little.

    Attributes:
        help: what the command does, in the list of all.
        description: what stands above its options.
        epilog: what stands below them: examples.
        add_arguments: tells a parser what the command takes; called only if it is to be run or explained.
        run: carries it out, and returns the exit status.
    """

    help: str
    description: str
    epilog: str
    add_arguments: Callable[[Parser], None]
    run: Callable[[Namespace], int]


def add_installed_commands(add_parser: Callable[..., Parser], wanted: str) -> None:
    """Tell a parser of the commands that other packages bring along.

    Args:
        add_parser: as of `argparse`'s subparsers.
        wanted: the command that was called; the arguments of others are not looked at.

    Raises:
        UsageError: the command that was called cannot be loaded, or comes with a package that is not installed.
    """
    found = {entry.name: entry for entry in entry_points(group=_GROUP)}
    if wanted in _KNOWN and wanted not in found:
        package = _KNOWN[wanted]
        raise UsageError(f"`dovetail {wanted}` comes with the package {package}: pip install {package}")
    for name, entry in sorted(found.items()):
        try:
            command: Command = entry.load()
        except Exception as error:
            # One that is broken must not take the others along.
            if name == wanted:
                raise UsageError(f"`dovetail {name}` cannot be loaded from {entry.value}: {error}") from error
            continue
        parser = add_parser(
            name, help=command.help, prog=f"dovetail {name}", description=command.description, epilog=command.epilog
        )
        if name == wanted:
            command.add_arguments(parser)
        parser.set_defaults(command=command.run)
