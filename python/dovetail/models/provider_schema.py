"""JSON schemas as providers take them: each knows fewer keywords than JSON Schema has, and has rules of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

__all__ = ["with_unlike_first_keys", "without_friendlis_unknown"]

_Schema: TypeAlias = dict[str, Any]

_UNKNOWN: Final = frozenset({"maxItems"})
_ONLY_OF_INTEGERS: Final = frozenset({"minimum", "maximum"})
_MOST_DEMANDED: Final = 1
"""How many items Friendli can demand of an array."""


def with_unlike_first_keys(schema: Any) -> Any:
    """The schema, the alternatives in it told apart by their first keys where that can be.

    OpenAI and Azure have refused objects of one ``anyOf`` whose first keys are the same, name and schema. The order of
    keys is the order in which they are written, and says nothing else.
    """
    inner = _with_parts(schema, with_unlike_first_keys)
    if isinstance(inner, dict) and isinstance(inner.get("anyOf"), list):
        inner["anyOf"] = _led_by_what_differs(inner["anyOf"])
    return inner


def without_friendlis_unknown(schema: Any) -> Any:
    """The schema without what Friendli's structured outputs do not know: the plan machine checks it anyway.

    Those take no bounds of numbers that need not be whole and none of how many items an array has but that there is
    one; and constants that are neither objects nor arrays. Of several types of one place they do not speak: these are
    alternatives.
    """
    inner = _with_parts(schema, without_friendlis_unknown)
    if not isinstance(inner, dict):
        return inner
    kept = {keyword: value for keyword, value in inner.items() if keyword not in _UNKNOWN}
    if "minItems" in kept:
        kept["minItems"] = min(kept["minItems"], _MOST_DEMANDED)
    if kept.get("type") == "number":
        kept = {keyword: value for keyword, value in kept.items() if keyword not in _ONLY_OF_INTEGERS}
    return _with_plain_constants(_with_one_type(kept))


def _with_parts(schema: Any, change: Any) -> Any:
    """A copy of a schema, the schemas in it changed."""
    if not isinstance(schema, Mapping):
        return schema
    changed = dict(schema)
    for keyword in ("properties", "$defs"):
        if isinstance(schema.get(keyword), Mapping):
            changed[keyword] = {name: change(part) for name, part in schema[keyword].items()}
    if isinstance(schema.get("anyOf"), list):
        changed["anyOf"] = [change(part) for part in schema["anyOf"]]
    if "items" in schema:
        changed["items"] = change(schema["items"])
    return changed


def _led_by_what_differs(options: list[Any]) -> list[Any]:
    objects = [option for option in options if isinstance(option, dict) and option.get("properties")]
    firsts = [next(iter(option["properties"].items())) for option in objects]
    if all(first not in firsts[:index] for index, first in enumerate(firsts)):
        return options
    return [_led_by_its_own(option, objects) if option in objects else option for option in options]


def _led_by_its_own(schema: _Schema, objects: list[_Schema]) -> _Schema:
    """The schema of an object, first the first of its members that no other has."""
    others = [other["properties"] for other in objects if other is not schema]
    members = schema["properties"]
    own = next((name for name in members if all(other.get(name) != members[name] for other in others)), None)
    if own is None:
        return schema
    required = sorted(schema.get("required", ()), key=lambda name: name != own)
    return schema | {"properties": {own: members[own], **members}, "required": required}


def _with_one_type(schema: _Schema) -> _Schema:
    types = schema.get("type")
    if not isinstance(types, list):
        return schema
    others = {keyword: value for keyword, value in schema.items() if keyword != "type"}
    return others if "enum" in others else {"anyOf": [{"type": one, **others} for one in types]}


def _with_plain_constants(schema: _Schema) -> _Schema:
    constants = schema.get("enum")
    if not isinstance(constants, list) or not any(isinstance(value, dict | list) for value in constants):
        return schema
    plain = [value for value in constants if not isinstance(value, dict | list)]
    options = [{"enum": plain}] if plain else []
    options += [_written_out(value) for value in constants if isinstance(value, dict | list)]
    return options[0] if len(options) == 1 else {"anyOf": options}


def _written_out(value: Any) -> _Schema:
    """A constant, as a schema that takes little else."""
    match value:
        case dict():
            properties = {name: _written_out(part) for name, part in value.items()}
            closed = {"required": list(properties), "additionalProperties": False}
            return {"type": "object", "properties": properties, **closed}
        case list():
            items = [_written_out(part) for part in value]
            least = {"minItems": min(len(items), _MOST_DEMANDED)}
            return {"type": "array", "items": {"anyOf": items} if items else {"type": "null"}, **least}
    return {"enum": [value]}
