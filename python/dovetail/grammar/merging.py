"""Schemas that hold together, as one: what satisfies the one that comes of it satisfies both."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from dovetail.grammar.shape import TYPES, type_of

__all__ = ["NOT_ENUM", "Plain", "key_of", "merged", "plain", "product", "types_in"]

Plain: TypeAlias = Mapping[str, Any]
"""A schema without references, its alternatives taken apart: its ``type`` is a tuple, its constants are an ``enum``."""

NOT_ENUM: Final = "dovetail:notEnum"
"""The keyword under which a plain schema keeps the constants that it does not allow."""

_MOST: Final = 64
"""How many alternatives a schema may have; further ones are left out."""

_COMBINING: Final = frozenset(
    {
        *("$ref", "$defs", "definitions", "allOf", "anyOf", "oneOf", "not", "if", "then", "else", "const"),
        *("dependentRequired", "dependentSchemas", "dependencies", "description", "title", "default", "examples"),
    }
)
_IMPLIED: Final = {
    "string": ("minLength", "maxLength", "pattern", "format"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    "array": ("items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains"),
    "object": (
        *("properties", "required", "additionalProperties", "patternProperties", "propertyNames"),
        *("minProperties", "maxProperties"),
    ),
}


def plain(schema: Plain) -> dict[str, Any]:
    """What a schema says by itself, without what it refers to and combines."""
    own = {keyword: value for keyword, value in schema.items() if keyword not in _COMBINING}
    if "type" in own:
        named = own["type"] if isinstance(own["type"], list | tuple) else (own["type"],)
        own["type"] = tuple(name for name in named if name in TYPES)
    if "const" in schema:
        own["enum"] = [schema["const"]]
    if isinstance(own.get("items"), list | tuple):
        # The older drafts' way of writing a tuple.
        own["prefixItems"] = own["items"]
        own["items"] = own.get("additionalItems", True)
    return own


def types_in(schema: Plain) -> tuple[str, ...]:
    """The types that a plain schema takes: those it names, or those of which its keywords speak, or all."""
    if "enum" in schema:
        found = {type_of(value) for value in schema["enum"]}
        named = schema.get("type", TYPES)
        return tuple(name for name in TYPES if name in found and _is_among(name, named))
    if "type" in schema:
        return tuple(schema["type"])
    spoken_of = tuple(name for name, keywords in _IMPLIED.items() if any(keyword in schema for keyword in keywords))
    return spoken_of or TYPES


def key_of(value: Any) -> str:
    """The same text for values that JSON Schema takes to be equal."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, sort_keys=True, default=str)


def product(
    some: Sequence[Plain], others: Sequence[Plain], can_be: Callable[[Plain, Plain, Plain], bool]
) -> list[Plain]:
    """Every alternative of the one together with every alternative of the other, as far as they agree.

    Args:
        some: the alternatives of the one.
        others: those of the other.
        can_be: whether two alternatives and what has come of them can be satisfied.
    """
    found: list[Plain] = []
    for one in some:
        for other in others:
            both = merged(one, other)
            if both is not None and can_be(one, other, both):
                found.append(both)
            if len(found) >= _MOST:
                return found
    return found


def merged(one: Plain, other: Plain) -> Plain | None:
    """Two plain schemas as one; None if nothing satisfies both."""
    if not one or not other:
        return one or other
    both = dict(one)
    for keyword, value in other.items():
        if keyword not in both:
            both[keyword] = value
        elif keyword in _MERGING:
            both[keyword] = _MERGING[keyword](both[keyword], value)
    both |= _merged_members(one, other) | _merged_places(one, other)
    if both.get("type", TYPES) == () or both.get("enum", TYPES) == []:
        return None
    return both


def _merged_members(one: Plain, other: Plain) -> dict[str, Any]:
    mine, theirs = one.get("properties", {}), other.get("properties", {})
    if not mine and not theirs:
        return {}
    together = {}
    for name in dict.fromkeys((*mine, *theirs)):
        # A member that only one of them names is what the other says of all further ones.
        schemas = [mine.get(name, _further(one)), theirs.get(name, _further(other))]
        schemas = [schema for schema in schemas if schema is not True]
        together[name] = schemas[0] if len(schemas) == 1 else {"allOf": schemas} if schemas else True
    return {"properties": together}


def _merged_places(one: Plain, other: Plain) -> dict[str, Any]:
    mine, theirs = one.get("prefixItems", ()), other.get("prefixItems", ())
    if not mine and not theirs:
        return {}
    longest = max(len(mine), len(theirs))
    mine = [*mine, *[one.get("items", True)] * (longest - len(mine))]
    theirs = [*theirs, *[other.get("items", True)] * (longest - len(theirs))]
    return {"prefixItems": [_all(here, there) for here, there in zip(mine, theirs, strict=True)]}


def _further(schema: Plain) -> Any:
    # Which names a pattern stands for is not looked at: what it allows may be allowed.
    return True if "patternProperties" in schema else schema.get("additionalProperties", True)


def _is_among(name: str, types: Iterable[str]) -> bool:
    return name in types or (name == "integer" and "number" in types)


def _types(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in TYPES if name in {*one, *other} and _is_among(name, one) and _is_among(name, other))


def _constants(one: Sequence[Any], other: Sequence[Any]) -> list[Any]:
    keys = {key_of(value) for value in other}
    return [value for value in one if key_of(value) in keys]


def _all(one: Any, other: Any) -> Any:
    if one is False or other is False:
        return False
    both = [schema for schema in (one, other) if schema is not True]
    return both[0] if len(both) == 1 else {"allOf": both} if both else True


def _names(one: Iterable[str], other: Iterable[str]) -> list[str]:
    return list(dict.fromkeys((*one, *other)))


_MERGING: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "type": _types,
    "enum": _constants,
    NOT_ENUM: lambda one, other: [*one, *other],
    "required": _names,
    "additionalProperties": _all,
    "propertyNames": _all,
    "items": _all,
    **dict.fromkeys(("minLength", "minItems", "minProperties", "minimum", "exclusiveMinimum"), max),
    **dict.fromkeys(("maxLength", "maxItems", "maxProperties", "maximum", "exclusiveMaximum"), min),
}
