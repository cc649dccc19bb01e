"""An ordered set of tools: what one run, or one server, may call."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic_core import to_json

from dovetail import tool_spec
from dovetail.errors import ToolDefinitionError, UsageError
from dovetail.tool_names import ToolFilter, check_names
from dovetail.tools import Tool, tool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from dovetail import _core

__all__ = ["ToolSet", "ToolSource"]

ToolSource: TypeAlias = "Tool | Callable[..., Any] | ModuleType | ToolSet | str | Path"
"""Where tools come from: a tool, a function, a module, a set, or a SPEC (see `dovetail.tool_spec`)."""


class ToolSet:
    """Tools in their order, each name once. Frozen; shared by any number of runs.

    Args:
        tools: the tools.

    Raises:
        ToolDefinitionError: two different tools have the same name.
    """

    def __init__(self, tools: Iterable[Tool] = ()) -> None:
        self._tools: dict[str, Tool] = {}
        # The names of tools that were left out of the set: to leave them out again is no slip.
        self._left_out: frozenset[str] = frozenset()
        for one in tools:
            # The same tool may come in twice, from a module and by itself.
            if self._tools.setdefault(one.name, one) is not one:
                remedy = "@tool(name=...)" if one.backend is None else "NAME=SPEC gives it a namespace"
                raise ToolDefinitionError(f"two tools are named {one.name!r}; give one of them another name: {remedy}")

    @classmethod
    def of(cls, items: Iterable[ToolSource]) -> ToolSet:
        """Gather tools from where they are; plain functions become tools.

        Args:
            items: tools, functions, modules, tool sets, SPEC strings and paths.

        Raises:
            UsageError: an item is none of these, or a SPEC leads nowhere; the message says what to do.
            ToolDefinitionError: a function cannot be a tool, or two tools have the same name.
        """
        if isinstance(items, str | Path):
            items = [items]
        return cls(one for item in items for one in _tools_of(item))

    def under(self, namespace: str) -> ToolSet:
        """The same tools with a name before theirs: ``query`` is ``db.query`` under ``db``.

        Raises:
            ToolDefinitionError: a name that comes of it is none of a tool.
        """
        return ToolSet(replace(one, name=f"{namespace}.{one.name}") for one in self)

    def allow(self, *patterns: str) -> ToolSet:
        """The tools of these names, and no others.

        Args:
            *patterns: names, or patterns with ``*``, ``?`` and ``[…]``: ``db.*``.

        Raises:
            UsageError: there is no tool of a name that is no pattern; the message names those that are near.
        """
        check_names(patterns, [*self._tools, *self._left_out], "allow")
        return self._filtered(ToolFilter(allow=patterns))

    def deny(self, *patterns: str) -> ToolSet:
        """The tools but those of these names. What was denied cannot be allowed again.

        Args:
            *patterns: names, or patterns with ``*``, ``?`` and ``[…]``: ``db.*``.

        Raises:
            UsageError: there is no tool of a name that is no pattern; the message names those that are near.
        """
        check_names(patterns, [*self._tools, *self._left_out], "deny")
        return self._filtered(ToolFilter(deny=patterns))

    def _filtered(self, filter_: ToolFilter) -> ToolSet:
        passed = ToolSet(one for name, one in self._tools.items() if filter_.passes(name))
        passed._left_out = self._left_out | (self._tools.keys() - passed._tools.keys())
        return passed

    @property
    def names(self) -> list[str]:
        """The names of the tools, in their order."""
        return list(self._tools)

    @cached_property
    def core(self) -> _core.ToolSet:
        """The set as the plan machine takes it, its schemas compiled. Built once, when first asked for.

        Raises:
            ToolDefinitionError: a schema does not compile; the message names the tool and the field.
        """
        # Imported here because the extension takes longer to load than everything else in this module.
        from dovetail import _core

        try:
            return _core.ToolSet(self.to_json())
        except ValueError as error:
            raise ToolDefinitionError(str(error)) from error

    @cached_property
    def has_sequential(self) -> bool:
        """Whether there are tools whose calls must not overlap in a run."""
        return any(tool.sequential for tool in self)

    @cached_property
    def shapes(self) -> list[dict[str, Any]]:
        """The specs in MCP's Tool shape, made once: many planners share them, and none changes them."""
        return self.to_mcp()

    def to_mcp(self) -> list[dict[str, Any]]:
        """The specs in MCP's Tool shape."""
        return [one.to_mcp() for one in self]

    def to_json(self) -> str:
        """The specs as a JSON list in MCP's Tool shape, schemas in the order in which they were written."""
        return to_json(self.to_mcp()).decode()

    def get(self, name: str) -> Tool | None:
        """The tool of that name, or None."""
        return self._tools.get(name)

    def __getitem__(self, name: str) -> Tool:
        return self._tools[name]

    def __contains__(self, name: object) -> bool:
        return name in self._tools

    def __iter__(self) -> Iterator[Tool]:
        return iter(self._tools.values())

    def __len__(self) -> int:
        return len(self._tools)

    def __repr__(self) -> str:
        return f"ToolSet({', '.join(self._tools)})"


def _tools_of(item: ToolSource) -> Iterable[Tool]:
    if isinstance(item, Tool):
        return [item]
    if isinstance(item, ToolSet):
        return item
    if isinstance(item, str | Path):
        return tool_spec.load(item)
    if isinstance(item, ModuleType):
        return tool_spec.tools_in(item, item.__name__)
    if callable(item):
        return [tool(item)]
    raise UsageError(
        f"{item!r} is no source of tools; give a tool, a function, a module, a ToolSet, or a SPEC: 'tools.py'"
    )
