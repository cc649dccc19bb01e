"""Text of others made fit for a terminal: what a tool or a model wrote must not move the cursor or forge a line."""

from __future__ import annotations

import json
import unicodedata

__all__ = ["json_line", "one_line", "printable"]

# Joiners between letters, which some scripts and emoji need, are harmless.
_JOINERS = "\u200c\u200d"


def _replacement(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    category = unicodedata.category(character)
    if category in ("Zl", "Zp"):
        return " "
    # Formatting marks (Cf) reorder what stands around them; surrogates (Cs) cannot be written at all.
    if category in ("Cc", "Cf", "Cs") and character not in _JOINERS:
        return "\ufffd"
    return character


def printable(text: str) -> str:
    """The text with every control character made visible, but for line feeds; tabs become spaces."""
    text = text.replace("\r\n", "\n").expandtabs(4)
    if text.isprintable():
        return text
    return "".join(
        character if character == "\n" or character.isprintable() else _replacement(character) for character in text
    )


def json_line(text: str) -> str:
    """JSON on one line with escapes for what may not be printed, which it would let stand beyond ASCII."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else json.dumps(one)[1:-1] for one in text)


def one_line(text: str, limit: int | None = None) -> str:
    """The text on one line, runs of white space made one space, cut to so many characters."""
    # A megabyte need not be made printable to show a hundred characters of it.
    if limit is not None and len(text) > 4 * limit + 64:
        text = text[: 4 * limit + 64] + "…"
    line = printable(" ".join(text.split()))
    if limit is not None and len(line) > limit:
        return line[: max(0, limit - 1)] + "…"
    return line
