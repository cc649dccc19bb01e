"""The arguments of a tool, wherever in its input schema they are declared."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

__all__ = ["ToolArguments", "arguments_of", "declared_schema"]

_ELSEWHERE: Final = frozenset({"$ref", "allOf", "anyOf", "oneOf"})
_DEFINITIONS: Final = ("$defs", "definitions")


class ToolArguments(NamedTuple):
    """What a call of a tool may give, and what it has to.

    Attributes:
        properties: the schemas of the arguments, in the order in which positional ones are given.
        required: those that have to be given, whichever alternative of the schema they are to fit.
        is_open: whether others may be given.
    """

    properties: Mapping[str, Any]
    required: Sequence[str]
    is_open: bool


def arguments_of(schema: Any) -> ToolArguments:
    """The arguments that the input schema of a tool declares: as the plan machine, which checks calls, has them.

    What the schemas of arguments refer to stands in the input schema.
    """
    flat = declared_schema(schema) if isinstance(schema, Mapping) else {}
    further = flat.get("additionalProperties", "patternProperties" in flat)
    return ToolArguments(flat.get("properties") or {}, flat.get("required") or (), further is not False)


def declared_schema(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The input schema of a tool with all that it declares among its own properties, and no alternatives beside them.

    It may allow more than the schema. APIs of models take no other ones: OpenAI refuses alternatives at the root.
    """
    if _ELSEWHERE.isdisjoint(schema):
        return schema
    # Imported here because the extension takes long to load.
    from dovetail import _core

    declared: dict[str, Any] = json.loads(_core.declared_arguments(json.dumps(schema, default=dict)))
    return declared | {keyword: schema[keyword] for keyword in _DEFINITIONS if keyword in schema}
