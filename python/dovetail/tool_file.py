"""Tool specs in a JSON file, in MCP's Tool shape: tools that plans may name, without functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from dovetail.errors import ToolDefinitionError, UsageError
from dovetail.tools import APPROVAL, SEQUENTIAL, Tool

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_tools"]


def read_tools(path: Path) -> list[Tool]:
    """Read a list of tools, or an object with such a list under ``tools``, as MCP's ``tools/list`` gives it.

    Args:
        path: the file.

    Raises:
        UsageError: the file cannot be read, is no JSON, or has no tools in it.
        ToolDefinitionError: an entry is no tool; the message names the entry and the field.
    """
    try:
        content = from_json(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: the file cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise UsageError(f"{path}: the file is no JSON: {error}") from error
    entries = content.get("tools") if isinstance(content, dict) else content
    if not isinstance(entries, list):
        raise UsageError(f"{path}: a list of tools is needed, or an object with such a list under 'tools'")
    if not entries:
        raise UsageError(f"{path}: the list of tools is empty")
    return [_read(entry, f"{path}: tool {number}") for number, entry in enumerate(entries, 1)]


def _read(entry: Any, where: str) -> Tool:
    if not isinstance(entry, dict):
        raise ToolDefinitionError(f"{where} is a {type(entry).__name__}; an object is needed")
    name = _field(entry, "name", str, where)
    if name is None:
        raise ToolDefinitionError(f"{where} has no 'name'")
    where = f"{where} ({name})"
    input_schema = _field(entry, "inputSchema", dict, where)
    if input_schema is None:
        raise ToolDefinitionError(f"{where} has no 'inputSchema'")
    annotations = _field(entry, "annotations", dict, where) or {}
    meta = _field(entry, "_meta", dict, where) or {}
    try:
        return Tool(
            name=name,
            description=_field(entry, "description", str, where) or "",
            input_schema=input_schema,
            output_schema=_field(entry, "outputSchema", dict, where),
            # A hint that is not there is not claimed, whatever its default would be.
            read_only=annotations.get("readOnlyHint") is True,
            idempotent=annotations.get("idempotentHint") is True,
            destructive=annotations.get("destructiveHint") is True,
            sequential=meta.get(SEQUENTIAL) is True,
            approval=meta.get(APPROVAL) is True,
        )
    except ToolDefinitionError as error:
        raise ToolDefinitionError(f"{where}: {error}") from error


def _field(entry: dict[str, Any], key: str, kind: type, where: str) -> Any:
    value = entry.get(key)
    if value is not None and not isinstance(value, kind):
        raise ToolDefinitionError(f"{where}: {key!r} is a {type(value).__name__}; a {kind.__name__} is needed")
    return value
