"""Tool specs in a JSON file, in MCP's Tool shape: tools that plans may name, without functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from dovetail.errors import ToolDefinitionError, UsageError
from dovetail.tools.definition import APPROVAL, SEQUENTIAL, Tool
from dovetail.tools.tool_check import check_output_schema, kind_of, near_miss

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_tools"]

_KEYS = ("name", "description", "inputSchema", "outputSchema", "annotations", "_meta")
_ANNOTATIONS = ("readOnlyHint", "idempotentHint", "destructiveHint")


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
    # Other keys are MCP's or somebody's own; but one that was meant for one of these would be passed over in silence.
    _refuse_slips(entry, _KEYS, where)
    if input_schema is None:
        raise ToolDefinitionError(f"{where} has no 'inputSchema'")
    output_schema = _field(entry, "outputSchema", dict, where)
    annotations = _hints(entry, "annotations", _ANNOTATIONS, where)
    meta = _hints(entry, "_meta", (SEQUENTIAL, APPROVAL), where)
    try:
        check_output_schema(name, output_schema)
        return Tool(
            name=name,
            description=_field(entry, "description", str, where) or "",
            input_schema=input_schema,
            output_schema=output_schema,
            # A hint that is not there is not claimed, whatever its default would be.
            read_only=annotations.get("readOnlyHint") is True,
            idempotent=annotations.get("idempotentHint") is True,
            destructive=annotations.get("destructiveHint") is True,
            sequential=meta.get(SEQUENTIAL) is True,
            approval=meta.get(APPROVAL) is True,
        )
    except ToolDefinitionError as error:
        raise ToolDefinitionError(f"{where}: {error}") from error


def _hints(entry: dict[str, Any], key: str, known: tuple[str, ...], where: str) -> dict[str, Any]:
    hints: dict[str, Any] = _field(entry, key, dict, where) or {}
    _refuse_slips(hints, known, f"{where}: {key}")
    for hint in known:
        if not isinstance(hints.get(hint, False), bool):
            raise ToolDefinitionError(f"{where}: {key}.{hint} is {kind_of(hints[hint])}; true or false is needed")
    return hints


def _refuse_slips(entry: dict[str, Any], known: tuple[str, ...], where: str) -> None:
    if (slip := near_miss(entry, known)) is not None:
        raise ToolDefinitionError(f"{where}: there is no key {slip[0]!r}; did you mean {slip[1]!r}?")


def _field(entry: dict[str, Any], key: str, kind: type, where: str) -> Any:
    value = entry.get(key)
    if value is not None and not isinstance(value, kind):
        raise ToolDefinitionError(f"{where}: {key!r} is a {type(value).__name__}; a {kind.__name__} is needed")
    return value
