"""Why a tool is left out of a grammar: the place in its input schema that no arguments get past."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dovetail.grammar.alternatives import Alternatives
from dovetail.grammar.schema import SchemaReader
from dovetail.grammar.shape import NEVER
from dovetail.grammar.signature import is_nameable
from dovetail.tool_arguments import arguments_of

if TYPE_CHECKING:
    from dovetail.grammar.signature import ToolShape

__all__ = ["obstacle"]


def obstacle(tool: ToolShape) -> str:
    """The place, and what is in the way there, of a tool of which a grammar has no call.

    Args:
        tool: the tool, in MCP's shape.
    """
    found = tool.get("inputSchema")
    schema: Mapping[str, Any] = found if isinstance(found, Mapping) else {}
    named, required, _ = arguments_of(schema)
    reader = SchemaReader(schema)
    for name in required:
        if name in named and reader.shape(named[name], 1) is NEVER:
            return (
                f"inputSchema.properties.{name}: it is required, and no value can be written that fits it: "
                "its schema contradicts itself, refers to itself without an end, or is nested too deep"
            )
    demanded = [name for one in Alternatives(schema).of(schema) for name in one.get("required", ())]
    for name in dict.fromkeys([*required, *demanded]):
        if name not in named:
            return f"inputSchema: argument {name!r} is demanded, and is none of its properties: name it there"
    if reader.arguments():
        unnamed = next((name for name in demanded if not is_nameable(name)), "")
        return (
            f"inputSchema.properties: argument {unnamed!r} has a name that a plan cannot write, and stands behind one "
            "that cannot be given: rename it, or put it first"
        )
    return "inputSchema: no arguments fit it: what it demands of them together contradicts itself"
