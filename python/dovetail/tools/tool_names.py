"""Names of tools: which of them patterns stand for, and what to say of one that does not exist."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from dovetail.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

__all__ = ["LONGEST_NAME", "ToolFilter", "check_names", "free_name", "is_pattern"]

LONGEST_NAME: Final = 128
"""How many characters the name of a tool may have."""


@dataclass(frozen=True, slots=True)
class ToolFilter:
    """Which tools may be used, by their names. What is denied is denied, whatever is allowed.

    Attributes:
        allow: names and patterns (``db.*``, ``get_?``, ``[a-m]*``) of the tools that may be used; None for all.
        deny: names and patterns of those that may not.
    """

    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] = ()

    def passes(self, name: str) -> bool:
        """Whether the tool of this name may be used."""
        if any(fnmatchcase(name, pattern) for pattern in self.deny):
            return False
        return self.allow is None or any(fnmatchcase(name, pattern) for pattern in self.allow)


def is_pattern(name: str) -> bool:
    """Whether this may stand for several names; the name of a tool has none of these characters."""
    return any(character in name for character in "*?[")


def check_names(names: Iterable[str], known: Iterable[str], what: str) -> None:
    """See that names which are no patterns are those of tools: a slip in a list of denied tools would allow one.

    Args:
        names: names and patterns.
        known: the names of the tools that there are.
        what: what the names are for, the beginning of the message: ``deny``.

    Raises:
        UsageError: there is no such tool; the message names those that are near.
    """
    every = list(known)
    for name in names:
        if is_pattern(name) or name in every:
            continue
        near = difflib.get_close_matches(name, every, n=3)
        remedy = f"did you mean {' or '.join(near)}?" if near else f"there are {_some(every)}"
        raise UsageError(f"{what}: there is no tool {name!r}; {remedy}")


def free_name(name: str, taken: Container[str]) -> str:
    """A name like this that is not taken: itself, or with the first number that makes it free, ``search_2``."""
    free, number = name[:LONGEST_NAME], 1
    while free in taken:
        number += 1
        ending = f"_{number}"
        free = name[: LONGEST_NAME - len(ending)] + ending
    return free


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown or "no tools"
