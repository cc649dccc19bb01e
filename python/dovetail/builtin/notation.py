"""How people and models write arithmetic, turned into the expressions that Python's parser reads."""

from __future__ import annotations

import re

__all__ = ["normalise"]

_SPELLINGS = {"*": "×·⋅", "/": "÷", "-": "−–", "<=": "≤", ">=": "≥", "!=": "≠", '"': "“”", "'": "‘’"}
_SPACES = "\n\r\t\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}"
_CHARACTERS = str.maketrans(
    {old: new for new, olds in _SPELLINGS.items() for old in olds} | dict.fromkeys(_SPACES, " ")
)
_GROUPED = re.compile(r"(?<![\w.])\d{1,3}(?:,\d{3})+(?!\w)")
# Attached to its number, and followed by nothing that could be a right operand.
_PERCENT = re.compile(
    r"((?<![\w.])(?:\d+(?:\.\d*)?|\.\d+))%"
    r"(?=\s*$|\s*[),\]]|\s+[-+*/<>=!]|\s*(?:of|and|or|if|else)\b)"
)
_OF = re.compile(r"\)\s*of\b")
_PERCENT_OF = re.compile(r"\)\s*%\s*of\b")


def normalise(text: str) -> str:
    """Rewrite what is not Python: ``^``, ``×``, ``1,000``, ``20% of 50``, ``50%``, an ``=`` at either end.

    Text between quotes stays as it is.
    """
    text = text.translate(_CHARACTERS).strip()
    text = text.removeprefix("=").removesuffix("?").strip()
    if text.endswith("=") and not text.endswith("=="):
        text = text[:-1].rstrip()
    parts = re.split(r"(\"[^\"]*\"|'[^']*')", text)
    parts[::2] = [_normalise_code(part) for part in parts[::2]]
    return "".join(parts)


def _normalise_code(text: str) -> str:
    text = _without_separators(text).replace("^", "**")
    text = _PERCENT.sub(r"(\1/100)", text)
    return _PERCENT_OF.sub(")/100*", _OF.sub(")*", text))


def _without_separators(text: str) -> str:
    """Take the commas out of ``1,000``, where they cannot be what separates arguments.

    Outside of calls and lists every such comma goes. Inside, ``max(100,200)`` has two arguments: there they
    only go if a group has a leading zero (``1,000``), or if other commas have a space behind them
    (``max(8,849, 828)``).
    """
    pieces: list[str] = []
    depth = [False]  # for each open bracket, whether it is that of a call or a list
    start = 0
    for at, character in enumerate(text):
        if character in "([":
            pieces.append(_ungroup(text[start:at], inside=depth[-1]))
            before = text[:at].rstrip()[-1:]
            depth.append(character == "[" or before.isalnum() or before == "_")
        elif character in ")]":
            pieces.append(_ungroup(text[start:at], inside=depth[-1]))
            if len(depth) > 1:
                depth.pop()
        else:
            continue
        pieces.append(character)
        start = at + 1
    pieces.append(_ungroup(text[start:], inside=depth[-1]))
    return "".join(pieces)


def _ungroup(text: str, *, inside: bool) -> str:
    spaced = re.search(r",\s", text) is not None

    def replace(match: re.Match[str]) -> str:
        groups = match[0].split(",")
        if not inside or spaced or any(group.startswith("0") for group in groups[1:]):
            return "".join(groups)
        return match[0]

    return _GROUPED.sub(replace, text)
