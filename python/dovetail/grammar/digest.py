"""What a grammar depends on of its tools, as a digest; computed once for each tool, and what was made of it kept."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from weakref import WeakKeyDictionary

from dovetail.tools.tool_set import ToolSet

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from dovetail.grammar.signature import ToolShape
    from dovetail.tools.definition import Tool

__all__ = ["Kept", "digests_of"]

T = TypeVar("T")

_of_tools: WeakKeyDictionary[Tool, bytes] = WeakKeyDictionary()
_of_sets: WeakKeyDictionary[ToolSet, tuple[bytes, ...]] = WeakKeyDictionary()


def digests_of(tools: ToolSet | Sequence[ToolShape]) -> tuple[bytes, ...]:
    """A digest for each tool, of its name and its schemas. Those of a tool set are computed once."""
    if not isinstance(tools, ToolSet):
        return tuple(_digest(shape) for shape in tools)
    known = _of_sets.get(tools)
    if known is None:
        known = _of_sets[tools] = tuple(_digest_of_tool(tool) for tool in tools)
    return known


def _digest_of_tool(tool: Tool) -> bytes:
    # Sets that are chosen for a question are new, their tools are not.
    known = _of_tools.get(tool)
    if known is None:
        known = _of_tools[tool] = _digest(tool.to_mcp())
    return known


def _digest(shape: ToolShape) -> bytes:
    # Arguments are positional in the order of their properties: keys keep the order in which the schema has them.
    parts: list[Any] = [shape["name"], shape.get("inputSchema"), shape.get("outputSchema")]
    return hashlib.sha256(json.dumps(parts, separators=(",", ":"), default=dict).encode()).digest()


class Kept(Generic[T]):
    """What was made lately, by what it was made of.

    Args:
        most: how many things are kept; those that were not asked for the longest go first.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._things: OrderedDict[Hashable, T] = OrderedDict()
        # Planners of several threads may meet here. Two may make the same thing at once; the first stays.
        self._lock = Lock()

    def peek(self, key: Hashable) -> T | None:
        """The thing of this key, if it is there."""
        with self._lock:
            if key in self._things:
                self._things.move_to_end(key)
            return self._things.get(key)

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The thing of this key; made if it is not there, and kept if that raises nothing."""
        with self._lock:
            if key in self._things:
                self._things.move_to_end(key)
                return self._things[key]
        made = make()
        with self._lock:
            kept = self._things.setdefault(key, made)
            while len(self._things) > self._most:
                self._things.popitem(last=False)
        return kept
