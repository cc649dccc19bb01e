"""Tables on the command line: columns as wide as what stands in them, the last one cut at the terminal's edge."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

from dovetail.cli.printable import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["print_table"]

_WIDEST = 64
"""How wide a column may be, but for the last: more than an id or a usual name."""


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write rows to standard output. What others wrote is made printable.

    Args:
        heads: what stands above the columns.
        rows: as many texts each.
    """
    lines = [[one_line(cell, _WIDEST) for cell in row[:-1]] + [one_line(row[-1], 4_000)] for row in [heads, *rows]]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads) - 1)]
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in lines:
        text = "  ".join([*(cell.ljust(width) for cell, width in zip(line[:-1], widths, strict=True)), line[-1]])
        print(one_cut(text.rstrip(), room))  # noqa: T201 - this is the command line


def one_cut(text: str, room: int | None) -> str:
    """A text that is no longer than there is room."""
    return text if room is None or len(text) <= room else f"{text[: max(0, room - 1)]}…"
