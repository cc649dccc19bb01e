"""What a Google-style docstring says about a function: its description, its arguments, its return value."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, field

__all__ = ["Docstring"]

_SECTION = re.compile(
    r"(args|arguments|parameters|params|keyword args|keyword arguments|other parameters|returns?|yields?|"
    r"raises|attributes|examples?|notes?|see also|references|todo|warnings?|warns):\s*"
)
_ARGUMENTS = {
    "args",
    "arguments",
    "parameters",
    "params",
    "keyword args",
    "keyword arguments",
    "other parameters",
}
# `name: text`, `name (type): text`; a colon inside the type's parentheses does not end the name.
_ENTRY = re.compile(r"\*{0,2}(\w+)\s*(?:\(.*?\))?\s*:(?!:)\s*(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Docstring:
    """A docstring, taken apart.

    Attributes:
        description: the text before the first section.
        arguments: what the ``Args:`` section says of each parameter, on one line each.
        returns: what the ``Returns:`` section says, without a leading type.
    """

    description: str = ""
    arguments: dict[str, str] = field(default_factory=dict)
    returns: str = ""

    @classmethod
    def parse(cls, text: str | None) -> Docstring:
        """Take a docstring apart. Every text gives something; nothing is raised."""
        lines = inspect.cleandoc(text or "").splitlines()
        description: list[str] = []
        arguments: dict[str, str] = {}
        returns = ""
        at = 0
        while at < len(lines) and not _is_heading(lines, at):
            description.append(lines[at])
            at += 1
        while at < len(lines):
            if not _is_heading(lines, at):
                at += 1
                continue
            title = lines[at].rstrip().rstrip(":").strip().lower()
            end = at + 1
            # A section is what is indented below its heading.
            while end < len(lines) and (not lines[end].strip() or lines[end][0].isspace()):
                end += 1
            body = lines[at + 1 : end]
            if title in _ARGUMENTS:
                arguments.update(_entries(body))
            elif title in {"return", "returns"}:
                returns = _one_line(body)
            at = end
        return cls("\n".join(description).strip(), arguments, _without_type(returns))


def _is_heading(lines: list[str], at: int) -> bool:
    """Whether a section begins here: a known title, and something indented below it."""
    if not _SECTION.fullmatch(lines[at].lower()):
        return False
    below = next((line for line in lines[at + 1 :] if line.strip()), "")
    return below[:1].isspace()


def _entries(body: list[str]) -> dict[str, str]:
    """The ``name: text`` entries of a section; what is indented deeper continues the entry above."""
    margin = min((len(line) - len(line.lstrip()) for line in body if line.strip()), default=0)
    blocks: list[list[str]] = []
    for line in body:
        if not line.strip():
            continue
        if len(line) - len(line.lstrip()) == margin or not blocks:
            blocks.append([])
        blocks[-1].append(line)
    matches = (_ENTRY.fullmatch(_one_line(block)) for block in blocks)
    return {match[1]: match[2] for match in matches if match and match[2]}


def _one_line(lines: list[str]) -> str:
    return " ".join(" ".join(lines).split())


def _without_type(text: str) -> str:
    """``int: the size`` is ``the size``; a colon in a sentence stays."""
    match = re.fullmatch(r"[\w.]+(?:\[.*?\])?(?:\s*\|\s*[\w.]+(?:\[.*?\])?)*:\s+(.+)", text, re.DOTALL)
    return match[1] if match else text
