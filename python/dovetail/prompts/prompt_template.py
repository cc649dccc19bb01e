"""Texts with named places that are filled in: ``$tools``, ``$notes``.

A template is read once, and what is filled in is never read again: neither a tool's description nor a note can name a
place.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dovetail.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["PromptTemplate"]

# `$1` and `$N` are words of the plan language, and stay text.
_PLACE: Final = re.compile(r"\$(?:(?P<dollar>\$)|(?P<name>[a-z_]+)|\{(?P<braced>[a-z_]+)\})")
_LARGEST: Final = 256 * 1024


class PromptTemplate:
    """A text with places in it: ``$name`` or ``${name}``, in small letters. ``$$`` is a dollar; ``$1`` is itself.

    Args:
        text: the template.
        places: the names that places may have.
        required: those that must be there.
        source: what to call the text in errors.

    Raises:
        UsageError: a place has another name, is there twice or is missing, or the text is longer than 256 KiB; the
            message names the source and the line.
    """

    def __init__(
        self,
        text: str,
        *,
        places: Collection[str],
        required: Collection[str] = (),
        source: str = "<prompt>",
    ) -> None:
        if len(text) > _LARGEST:
            raise UsageError(f"{source}: the prompt has {len(text):,} characters; there may be {_LARGEST:,}")
        self._parts: list[str] = []
        self._names: list[str] = []
        known = ", ".join(f"${name}" for name in places)
        begun = 0
        piece = ""
        for found in _PLACE.finditer(text):
            piece += text[begun : found.start()]
            begun = found.end()
            if found["dollar"]:
                piece += "$"
                continue
            name = found["name"] or found["braced"]
            if name not in places:
                raise UsageError(f"{_at(text, found, source)}: there is no ${name}; there are {known}; $$ is a dollar")
            if name in self._names:
                raise UsageError(f"{_at(text, found, source)}: ${name} stands here a second time")
            self._parts.append(piece)
            self._names.append(name)
            piece = ""
        self._parts.append(piece + text[begun:])
        for name in required:
            if name not in self._names:
                lines = text.count("\n") + 1
                raise UsageError(f"{source}:{lines}: the prompt ends without ${name}; write it where that belongs")

    @classmethod
    def read(cls, path: str | Path, *, places: Collection[str], required: Collection[str] = ()) -> PromptTemplate:
        """Read a file. A newline at its end is no part of the prompt.

        Raises:
            UsageError: the file cannot be read or is no UTF-8, or holds no such template.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"the prompt file {path} cannot be read: {error}") from error
        return cls(text.removesuffix("\n"), places=places, required=required, source=str(path))

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def filled(self, given: Mapping[str, str]) -> str:
        """The text with its places filled in."""
        pieces = [self._parts[0]]
        for name, part in zip(self._names, self._parts[1:], strict=True):
            pieces += [given[name], part]
        return "".join(pieces)


def _at(text: str, found: re.Match[str], source: str) -> str:
    line = text.count("\n", 0, found.start()) + 1
    column = found.start() - text.rfind("\n", 0, found.start())
    return f"{source}:{line}:{column}"
