"""Policies in a TOML file: what whoever runs the tools says of them, over what their authors said.

A table for each tool or pattern of tools, later ones over earlier ones::

    ["db.*"]
    max_parallel = 4
    retries = 2

    ["db.drop"]
    approval = true
"""

from __future__ import annotations

import difflib
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from dovetail.errors import UsageError
from dovetail.toml_file import read_toml
from dovetail.tools.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dovetail.tools.definition import Tool
    from dovetail.tools.tool_set import ToolSet

__all__ = ["Policies", "read_policies"]

# Of a tool itself; everything else is of its `Policy`. Hints are left out: what a tool does is its author's to say.
_OF_TOOLS: Final = {
    "timeout": float,
    "max_output_bytes": int,
    "sequential": bool,
    "approval": bool,
}


class Policies:
    """What is to change about which tools.

    Args:
        tables: changes by the names of tools, or patterns of them (``db.*``).
        source: what to call them in errors.

    Raises:
        UsageError: a field does not exist or cannot be used; the message names the source and the table.
    """

    def __init__(self, tables: Mapping[str, Mapping[str, Any]], source: str = "<policies>") -> None:
        self._source = source
        self._changes: list[tuple[str, dict[str, Any], dict[str, Any]]] = []
        for pattern, table in tables.items():
            if not isinstance(table, dict):
                raise UsageError(f"{source}: {pattern!r} is no table; begin it with [{pattern!r}]")
            of_policy = {name: value for name, value in table.items() if name in Policy.names()}
            of_tool = {name: value for name, value in table.items() if name not in of_policy}
            self._check(pattern, of_tool)
            try:
                Policy().but(_typed(of_policy))
            except (UsageError, TypeError) as error:
                raise UsageError(f"{source}: [{pattern!r}] {error}") from None
            self._changes.append((pattern, of_tool, _typed(of_policy)))

    def applied_to(self, tool: Tool) -> Tool:
        """A tool as these policies want it; the tool itself if they say nothing about it.

        Raises:
            UsageError: it cannot be so: an output is to be used again of a tool that is not read-only.
        """
        of_tool: dict[str, Any] = {}
        of_policy: dict[str, Any] = {}
        for pattern, tool_changes, policy_changes in self._changes:
            if fnmatchcase(tool.name, pattern):
                of_tool |= tool_changes
                of_policy |= policy_changes
        if not of_tool and not of_policy:
            return tool
        try:
            return replace(tool, policy=tool.policy.but(of_policy), **of_tool)
        except UsageError as error:
            raise UsageError(f"{self._source}: {error}") from error

    def applied_to_all(self, tools: ToolSet) -> ToolSet:
        """A tool set as these policies want it.

        Raises:
            UsageError: a tool cannot be so.
        """
        return tools.mapped(self.applied_to) if self._changes else tools

    def _check(self, pattern: str, of_tool: Mapping[str, Any]) -> None:
        for name, value in of_tool.items():
            kind = _OF_TOOLS.get(name)
            at = f"{self._source}: [{pattern!r}]"
            if kind is None:
                known = sorted({*_OF_TOOLS, *Policy.names()})
                near = difflib.get_close_matches(name, known, n=1)
                remedy = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
                raise UsageError(f"{at} there is no field {name!r}; {remedy}")
            fits = type(value) is kind or (kind is float and type(value) is int)
            if not fits or (kind is not bool and value <= 0):
                raise UsageError(f"{at} {name}: is {value!r}; a {kind.__name__} above 0 is needed")


def read_policies(path: str | Path) -> Policies:
    """Read a file of policies.

    Raises:
        UsageError: the file cannot be read, is no TOML, or says something that cannot be used.
    """
    return Policies(read_toml(path), str(path))


def _typed(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Lists as the tuples that policies have."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in changes.items()}
