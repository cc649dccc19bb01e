"""An ordered set of tools: what one run, or one server, may call."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic_core import to_json

from dovetail.errors import ToolDefinitionError, UsageError
from dovetail.tools import tool_spec
from dovetail.tools.definition import Tool, tool
from dovetail.tools.live_tools import Origin
from dovetail.tools.tool_names import ToolFilter, check_names, free_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from dovetail import _core
    from dovetail.tools.live_tools import LiveTools

__all__ = ["ToolSet", "ToolSource"]

ToolSource: TypeAlias = "Tool | Callable[..., Any] | ModuleType | ToolSet | str | Path"
"""Where tools come from: a tool, a function, a module, a set, or a SPEC (see `dovetail.tools.tool_spec`)."""

_logger = logging.getLogger("dovetail.tools")


class ToolSet:
    """Tools in their order, each name once. Frozen; shared by any number of runs.

    Args:
        tools: the tools.

    Attributes:
        origin: where they come from, if that may change.
        left_out: the names of tools that were left out of the set: to leave them out again is no slip.

    Raises:
        ToolDefinitionError: two different tools have the same name.
    """

    def __init__(self, tools: Iterable[Tool] = ()) -> None:
        self._tools: dict[str, Tool] = {}
        self.left_out: frozenset[str] = frozenset()
        self.origin: Origin | None = None
        for one in tools:
            # The same tool may come in twice, from a module and by itself.
            if self._tools.setdefault(one.name, one) is not one:
                remedy = "@tool(name=...)" if one.backend is None else "NAME=SPEC gives it a namespace"
                raise ToolDefinitionError(f"two tools are named {one.name!r}; give one of them another name: {remedy}")

    @classmethod
    def of(cls, items: Iterable[ToolSource]) -> ToolSet:
        """Gather tools from where they are; plain functions become tools.

        Blocks until MCP servers have listed their tools: in a running event loop, await `load` instead. Tools of MCP
        servers whose names are taken are numbered: ``search_2``.

        Args:
            items: tools, functions, modules, tool sets, SPEC strings and paths.

        Raises:
            UsageError: an item is none of these, or a SPEC leads nowhere; the message says what to do.
            ToolDefinitionError: a function cannot be a tool, or two tools have the same name.
        """
        return _joined([_part_of(item) for item in _several(items)])

    @classmethod
    async def load(cls, items: Iterable[ToolSource]) -> ToolSet:
        """Gather tools as `of` does, but without blocking the event loop while MCP servers are reached, all at once.

        Modules and files are imported in the event loop, as they would be by an ``import`` there.

        Args:
            items: tools, functions, modules, tool sets, SPEC strings and paths.

        Raises:
            UsageError: an item is none of these, or a SPEC leads nowhere; the message says what to do.
            ToolDefinitionError: a function cannot be a tool, or two tools have the same name.
        """
        reaching = [asyncio.ensure_future(_part_reached(item)) for item in _several(items)]
        try:
            return _joined(await asyncio.gather(*reaching))
        finally:
            # If one of them cannot be had, nothing is to be left that reaches for the others.
            for one in reaching:
                one.cancel()
            if reaching:
                await asyncio.wait(reaching)

    def under(self, namespace: str) -> ToolSet:
        """The same tools with a name before theirs: ``query`` is ``db.query`` under ``db``.

        Raises:
            ToolDefinitionError: a name that comes of it is none of a tool.
        """
        return self.mapped(lambda one: replace(one, name=f"{namespace}.{one.name}"))

    def mapped(self, change: Callable[[Tool], Tool]) -> ToolSet:
        """The tools, each changed; also those that come later.

        Raises:
            UsageError: a tool cannot be changed so.
        """
        return _derived(self, lambda tools: ToolSet(map(change, tools)))

    def passing(self, filter_: ToolFilter) -> ToolSet:
        """The tools that a filter lets pass; also of those that come later."""
        return _derived(self, lambda tools: _filtered(tools, filter_))

    def current(self) -> ToolSet:
        """The set as it would be if it were made now: the set itself, unless a server has changed its tools.

        Where that cannot be, because a new tool has a name that is taken or does not fit its policy, it is logged as
        ``dovetail.tools.definition`` and the set stays as it is.
        """
        origin = self.origin
        if origin is None or origin.is_current:
            return self
        now = {source: source.tools for source in origin.seen}
        try:
            return origin.remake()
        except UsageError as error:
            _logger.warning("the tools have changed, and are kept as they were: %s", error)
            origin.seen = now
            return self

    @property
    def sources(self) -> tuple[LiveTools, ...]:
        """Where tools come from that may change."""
        return () if self.origin is None else tuple(self.origin.seen)

    def allow(self, *patterns: str) -> ToolSet:
        """The tools of these names, and no others.

        Args:
            *patterns: names, or patterns with ``*``, ``?`` and ``[…]``: ``db.*``.

        Raises:
            UsageError: there is no tool of a name that is no pattern; the message names those that are near.
        """
        check_names(patterns, [*self._tools, *self.left_out], "allow")
        return self.passing(ToolFilter(allow=patterns))

    def deny(self, *patterns: str) -> ToolSet:
        """The tools but those of these names. What was denied cannot be allowed again.

        Args:
            *patterns: names, or patterns with ``*``, ``?`` and ``[…]``: ``db.*``.

        Raises:
            UsageError: there is no tool of a name that is no pattern; the message names those that are near.
        """
        check_names(patterns, [*self._tools, *self.left_out], "deny")
        return self.passing(ToolFilter(deny=patterns))

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


def _several(items: Iterable[ToolSource]) -> Iterable[ToolSource]:
    return [items] if isinstance(items, str | Path) else items


def _part_of(item: ToolSource) -> ToolSet:
    if isinstance(item, ToolSet):
        return item
    if (spec := _live_spec(item)) is not None:
        return _live_part(tool_spec.load_live(spec[1]), spec[0])
    return ToolSet(_tools_of(item))


async def _part_reached(item: ToolSource) -> ToolSet:
    if (spec := _live_spec(item)) is not None:
        return _live_part(await tool_spec.reach_live(spec[1]), spec[0])
    return _part_of(item)


def _live_spec(item: ToolSource) -> tuple[str | None, str] | None:
    """The namespace and the rest of a SPEC whose tools may change."""
    if not isinstance(item, str | Path):
        return None
    namespace, spec = tool_spec.split_namespace(str(item))
    return (namespace, spec) if tool_spec.is_mcp(spec) else None


def _derived(tools: ToolSet, make: Callable[[ToolSet], ToolSet]) -> ToolSet:
    """What is made of a set, and of what it will be."""
    made = make(tools)
    if tools.origin is not None:
        made.origin = Origin(dict(tools.origin.seen), lambda: _derived(tools.current(), make))
    return made


def _filtered(tools: ToolSet, filter_: ToolFilter) -> ToolSet:
    passed = ToolSet(one for one in tools if filter_.passes(one.name))
    passed.left_out = tools.left_out | {one.name for one in tools if one.name not in passed}
    return passed


def _live_part(sources: Sequence[LiveTools], namespace: str | None) -> ToolSet:
    part = _joined([_of_source(source) for source in sources])
    return part if namespace is None else part.under(namespace)


def _of_source(source: LiveTools) -> ToolSet:
    tools = source.tools
    part = ToolSet(tools)
    part.origin = Origin({source: tools}, lambda: _of_source(source))
    return part


def _joined(parts: Sequence[ToolSet]) -> ToolSet:
    made = ToolSet(_told_apart([one for part in parts for one in part]))
    origins = [part.origin for part in parts if part.origin is not None]
    if origins:
        seen = {source: tools for origin in origins for source, tools in origin.seen.items()}
        made.origin = Origin(seen, lambda: _joined([part.current() for part in parts]))
    return made


def _told_apart(tools: Sequence[Tool]) -> Iterator[Tool]:
    """Number the tools of others, whose names nobody here has chosen, where names are taken."""
    ours = {one.name for one in tools if one.backend is None}
    taken: dict[str, Tool] = {}
    for one in tools:
        name = one.name
        if one.backend is not None and (name in ours or taken.get(name, one) is not one):
            name = free_name(name, {*ours, *taken})
            _logger.info("the name %s is taken: a tool is named %s; NAME=SPEC gives it a namespace", one.name, name)
        taken[name] = one
        yield one if name == one.name else replace(one, name=name)


def _tools_of(item: ToolSource) -> Iterable[Tool]:
    if isinstance(item, Tool):
        return [item]
    if isinstance(item, str | Path):
        return tool_spec.load(item)
    if isinstance(item, ModuleType):
        return tool_spec.tools_in(item, item.__name__)
    if callable(item):
        return [tool(item)]
    raise UsageError(
        f"{item!r} is no source of tools; give a tool, a function, a module, a ToolSet, or a SPEC: 'tools.py'"
    )
