"""Arguments of the command line: a parser whose errors are one line, and the types of its values."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from dovetail.cli.exits import USAGE, complain

if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["Parser", "at_least_one"]


class Parser(argparse.ArgumentParser):
    """A parser that teaches by example, and complains in one line.

    Args:
        name: how the command is called, ``dovetail run``.
        description: what it does.
        examples: what stands below its options, as it is.
    """

    def __init__(self, prog: str, description: str = "", epilog: str = "", **_: object) -> None:
        super().__init__(
            prog=prog,
            description=description,
            epilog=epilog,
            allow_abbrev=False,
            formatter_class=_Formatter,
        )

    def error(self, message: str) -> NoReturn:
        """Complain and end the process."""
        complain(f"{message} (see '{self.prog} --help')")
        sys.exit(USAGE)


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Examples keep their lines; options get a wider column, so that each takes one line where it can."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=32)


def at_least_one(text: str) -> int:
    """A number from 1.

    Raises:
        ArgumentTypeError: it is none.
    """
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1")
    return number
