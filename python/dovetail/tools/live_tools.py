"""Tools that come from elsewhere and may change there, while runs go on with those that they know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from dovetail.tools.call import HeldBackend, backend_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from dovetail.tools.definition import Tool
    from dovetail.tools.tool_set import ToolSet

__all__ = ["LiveTools", "Origin", "held_by"]


class LiveTools(HeldBackend, Protocol):
    """A source of tools that follows what they are where they come from: an MCP server."""

    @property
    def tools(self) -> tuple[Tool, ...]:
        """Those of this moment: the same tuple until they change."""


@dataclass(slots=True)
class Origin:
    """Where a tool set comes from that may change.

    Attributes:
        seen: its sources, and the tools that they had when it was made.
        remake: makes it again, of what the sources have by now.
    """

    seen: dict[LiveTools, tuple[Tool, ...]]
    remake: Callable[[], ToolSet]

    @property
    def is_current(self) -> bool:
        """Whether the sources still have the tools that the set was made of."""
        return all(source.tools is tools for source, tools in self.seen.items())


def held_by(tools: ToolSet) -> list[HeldBackend]:
    """What whoever calls these tools has to hold: the sources that may change, and backends that keep sessions."""
    backends = (backend_of(tool) for tool in tools)
    return [*tools.sources, *(backend for backend in backends if isinstance(backend, HeldBackend))]
