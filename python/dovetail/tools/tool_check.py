"""What a tool's spec must be: checked when it is made, and said with the name of the field."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import to_json

from dovetail.errors import ToolDefinitionError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["MAX_DESCRIPTION", "check_output_schema", "check_spec", "kind_of", "near_miss"]

MAX_DESCRIPTION: Final = 16 * 1024
"""How many bytes a description may have."""

_KINDS: Final = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}


def check_spec(name: str, description: Any, input_schema: Any, output_schema: Any) -> None:
    """Check what a planner is shown of a tool, as far as that costs nothing. Schemas are compiled with their set.

    Raises:
        ToolDefinitionError: something cannot be used; the message names the tool, the field and the place in it.
    """
    if not isinstance(description, str):
        raise _wrong(name, "description", f"is {kind_of(description)}; text is needed")
    if len(description) * 4 > MAX_DESCRIPTION and (size := len(description.encode(errors="replace"))) > MAX_DESCRIPTION:
        raise _wrong(name, "description", f"has {size:,} bytes; {MAX_DESCRIPTION:,} at the most")
    if not isinstance(input_schema, Mapping):
        raise _wrong(name, "input_schema", f"is {kind_of(input_schema)}; a JSON Schema of an object is needed")
    if input_schema.get("type", "object") != "object":
        found = input_schema["type"]
        raise _wrong(name, "input_schema", f"must have type 'object', because arguments have names; it has {found!r}")
    properties = input_schema.get("properties", {})
    if not isinstance(properties, Mapping):
        raise _wrong(name, "input_schema", f"properties is {kind_of(properties)}; an object is needed")
    for argument, schema in properties.items():
        if isinstance(schema, bool):
            continue
        if not isinstance(schema, Mapping):
            raise _wrong(name, "input_schema", f"properties.{argument} is {kind_of(schema)}; a schema is needed")
        if "enum" in schema and not (isinstance(schema["enum"], list | tuple) and schema["enum"]):
            what = "is empty" if isinstance(schema["enum"], list | tuple) else f"is {kind_of(schema['enum'])}"
            raise _wrong(name, "input_schema", f"properties.{argument}.enum {what}; a list of values is needed")
    required = input_schema.get("required", [])
    if not isinstance(required, list | tuple) or not all(isinstance(one, str) for one in required):
        raise _wrong(name, "input_schema", "required is no list of names of arguments")
    if output_schema is not None and not isinstance(output_schema, Mapping):
        raise _wrong(name, "output_schema", f"is {kind_of(output_schema)}; a JSON Schema is needed")


def check_output_schema(name: str, output_schema: Mapping[str, Any] | None) -> None:
    """See that the schema of an output is one: for specs that others wrote; those of functions are made from types.

    Raises:
        ToolDefinitionError: it is none.
    """
    if not output_schema:
        return
    # Imported here because the extension takes long to load.
    from dovetail import _core

    # The machine compiles schemas of arguments: the output is made one, and what it refers to stays at the root.
    inner = {
        key: value for key, value in output_schema.items() if key not in ("$defs", "definitions", "$schema", "$id")
    }
    outer = {key: output_schema[key] for key in ("$defs", "definitions", "$schema") if key in output_schema}
    shape = {"name": "output", "inputSchema": {**outer, "type": "object", "properties": {"output": inner}}}
    try:
        _core.ToolSet(to_json([shape]))
    except ValueError as error:
        found = str(error).rpartition("compiled: ")[2]
        raise _wrong(name, "output_schema", f"is no schema that can be compiled: {found}") from error


def near_miss(keys: Iterable[str], known: Iterable[str]) -> tuple[str, str] | None:
    """A key that is not known and looks like one that is missing, and that one."""
    given = set(keys)
    missing = [one for one in known if one not in given]
    for key in sorted(given - set(known)):
        near = {_plain(one): one for one in missing}
        if found := difflib.get_close_matches(_plain(key), near, n=1, cutoff=0.85):
            return key, near[found[0]]
    return None


def kind_of(value: Any) -> str:
    """What a value is, as JSON has it."""
    return _KINDS.get(type(value), "a number" if isinstance(value, int | float) else f"a {type(value).__name__}")


def _plain(key: str) -> str:
    return key.lower().replace("_", "").replace("-", "")


def _wrong(name: str, field: str, what: str) -> ToolDefinitionError:
    return ToolDefinitionError(f"tool {name!r}: {field}: {what}", field=field)
