"""Reads JSON Schema: what may be written for the arguments of a tool.

A shape allows no more than its schema does, except for what no grammar carries and the plan machine checks: multiples
and ranges of numbers that need not be whole, patterns and formats, whether items differ, and conditions that
`dovetail.grammar.alternatives` cannot take apart.
Recursion is unrolled: with a recursive rule a small model opens brackets for ever.
"""

from __future__ import annotations

from collections.abc import Mapping as AbstractMapping
from math import ceil, floor
from typing import Any, Final, TypeGuard

from dovetail.grammar.alternatives import Alternatives
from dovetail.grammar.merging import Plain, types_in
from dovetail.grammar.ranges import LARGEST
from dovetail.grammar.shape import (
    ANY,
    BOOLEAN,
    NEVER,
    NULL,
    Array,
    Constants,
    Free,
    Mapping,
    Member,
    Number,
    Record,
    Shape,
    Text,
    types_of,
    union,
)
from dovetail.tool_arguments import arguments_of

__all__ = ["MAX_STRING", "SchemaReader", "output_types"]

MAX_STRING: Final = 120
"""How many characters a string has at the most, unless more are demanded."""

_MAX_ITEMS: Final = 8
_DEEP: Final = 4
"""From here on only what must be there is written."""
_TOO_DEEP: Final = 16
_MANY: Final = 4_000
"""After so many shapes of one tool, only what must be there is written."""
_TOO_MANY: Final = 20_000
_LONGEST: Final = 1_000
"""A longer string, or a list of more items, than this is not demanded: engines refuse such numbers."""


class SchemaReader:
    """Reads the schemas of one document.

    Args:
        root: the document, in which references are looked up.
        max_string: how many characters a string has at the most, unless its schema demands more.
        max_items: how many items a list has at the most, and an object with any keys, unless their schemas demand more.
    """

    def __init__(
        self, root: AbstractMapping[str, Any], max_string: int = MAX_STRING, max_items: int = _MAX_ITEMS
    ) -> None:
        self._alternatives = Alternatives(root)
        self._root = root
        self._max_string = max_string
        self._max_items = max_items
        self._count = 0
        # The schema is kept beside its shape, so that nothing else comes to have its identity.
        self._known: dict[tuple[int, int], tuple[Any, Shape]] = {}

    def arguments(self) -> list[Record]:
        """The arguments that can be given, if the document is a tool's input schema; none if it cannot be called.

        As for the plan machine, an argument is what the document declares, in that order, or, if it says that there may
        be more, what is demanded beside.
        """
        named, _, is_open = arguments_of(self._root)
        records = []
        for one in self._alternatives.of(self._root):
            schemas = one.get("properties", {})
            further = [name for name in one.get("required", ()) if name not in named]
            if "object" not in types_in(one) or (further and not is_open):
                continue
            default = one.get("additionalProperties", True)
            known = {name: schemas[name] for name in named if name in schemas}
            known |= {name: schemas.get(name, default) for name in further}
            record = self._object({**one, "properties": known, "additionalProperties": False}, 0)
            if isinstance(record, Record):
                records.append(record)
        return records

    def shape(self, schema: Any, depth: int = 0) -> Shape:
        """What may be written for a schema.

        Args:
            schema: a schema, or true or false.
            depth: in how many arrays and objects it stands.
        """
        known = self._known.get((id(schema), depth))
        if known is None:
            shape = union(self._plain(one, depth) for one in self._alternatives.of(schema))
            known = self._known[id(schema), depth] = (schema, shape)
        return known[1]

    def _plain(self, schema: Plain, depth: int) -> Shape:
        self._count += 1
        if depth > _TOO_DEEP or self._count > _TOO_MANY:
            return NEVER
        if "enum" in schema:
            values = [value for value in schema["enum"] if self._alternatives.admit(schema, value)]
            return Constants(tuple(values)) if values else NEVER
        types = types_in(schema)
        if {"string", "number", "boolean", "null", "array", "object"} <= set(types):
            return ANY if depth < _DEEP else Free(0)
        numeric = [name for name in types if name != "integer" or "number" not in types]
        return union(self._typed(name, schema, depth) for name in numeric)

    def _typed(self, name: str, schema: Plain, depth: int) -> Shape:
        match name:
            case "string":
                return self._text(schema)
            case "integer":
                return _whole(schema)
            case "number":
                least = schema.get("minimum", schema.get("exclusiveMinimum"))
                return Number(unsigned=isinstance(least, int | float) and least >= 0)
            case "boolean":
                return BOOLEAN
            case "null":
                return NULL
            case "array":
                return self._array(schema, depth)
            case _:
                return self._object(schema, depth)

    def _is_deep(self, depth: int) -> bool:
        return depth >= _DEEP or self._count > _MANY

    def _text(self, schema: Plain) -> Shape:
        least, most = _bounds(schema, "minLength", "maxLength", self._max_string)
        return Text(least, most) if least <= most else NEVER

    def _array(self, schema: Plain, depth: int) -> Shape:
        prefix: list[Shape] = []
        least, most = _bounds(schema, "minItems", "maxItems", max(self._max_items, len(schema.get("prefixItems", ()))))
        if self._is_deep(depth):
            most = min(most, least)
        for place in schema.get("prefixItems", ())[:most]:
            shape = self.shape(place, depth + 1)
            if shape is NEVER:
                most = len(prefix)
                break
            prefix.append(shape)
        item = self.shape(schema.get("items", True), depth + 1) if most > len(prefix) else NEVER
        if item is NEVER:
            most = min(most, len(prefix))
        return Array(tuple(prefix), item, least, most) if least <= most else NEVER

    def _object(self, schema: Plain, depth: int) -> Shape:
        properties = dict(schema.get("properties", {}))
        required = schema.get("required", ())
        further = schema.get("additionalProperties", True)
        if "patternProperties" in schema:
            further = {"allOf": [further, *schema["patternProperties"].values()]} if further is not False else False
        if further is not False:
            properties |= dict.fromkeys(self._key_names(schema), further) if not properties else {}
        if further is not False or "patternProperties" in schema:
            properties |= {name: further or True for name in required if name not in properties}
        if not properties and further is not False:
            return self._mapping(schema, further, depth)
        if any(name not in properties for name in required):
            return NEVER
        members = []
        for name, place in properties.items():
            if self._is_deep(depth) and name not in required:
                continue
            shape = self.shape(place, depth + 1)
            if shape is not NEVER:
                members.append(Member(name, shape, name in required))
            elif name in required:
                return NEVER
        return _of_size(members, schema)

    def _key_names(self, schema: Plain) -> list[str]:
        names = [one.get("enum", ()) for one in self._alternatives.of(schema.get("propertyNames", True))]
        return [name for some in names for name in some if isinstance(name, str)]

    def _mapping(self, schema: Plain, further: Any, depth: int) -> Shape:
        least, most = _bounds(schema, "minProperties", "maxProperties", self._max_items)
        if self._is_deep(depth):
            most = min(most, least)
        value = self.shape(further, depth + 1) if most > 0 else NEVER
        if value is NEVER:
            most = 0
        if least > most:
            return NEVER
        return Mapping(value, least, most) if most else Record(())


def output_types(schema: Any) -> frozenset[str]:
    """The JSON types that outputs with this schema can have; all of them if there is none."""
    return types_of(SchemaReader(schema).shape(schema) if isinstance(schema, AbstractMapping) else ANY)


def _of_size(members: list[Member], schema: Plain) -> Shape:
    least, most = _bounds(schema, "minProperties", "maxProperties", _LONGEST)
    needed = sum(member.required for member in members)
    spare = most - needed
    if spare < 0 or len(members) < least:
        return NEVER
    sized = []
    for member in members:
        if not member.required:
            if spare <= 0:
                continue
            spare -= 1
        # The first of those that may be there must be, as many as are demanded.
        demanded = not member.required and needed < least
        needed += demanded
        sized.append(Member(member.name, member.shape, required=True) if demanded else member)
    return Record(tuple(sized))


def _whole(schema: Plain) -> Shape:
    """The whole numbers that a schema takes, but for what they must be multiples of."""
    least = [-bound for bound in _tops(schema, "minimum", "exclusiveMinimum", -1)]
    most = _tops(schema, "maximum", "exclusiveMaximum", 1)
    low, high = max(least, default=None), min(most, default=None)
    if (-LARGEST if low is None else low) > (LARGEST if high is None else high):
        return NEVER
    return Number(whole=True, unsigned=low is not None and low >= 0, least=low, most=high)


def _tops(schema: Plain, inclusive: str, exclusive: str, sign: int) -> list[int]:
    """The largest whole numbers that each bound of a schema allows; with the sign turned, the smallest."""
    top, beyond = schema.get(inclusive), schema.get(exclusive)
    tops = []
    if _is_number(top):
        # The oldest drafts say `true` of a bound that is excluded.
        tops.append(ceil(sign * top) - 1 if beyond is True else floor(sign * top))
    if _is_number(beyond):
        tops.append(ceil(sign * beyond) - 1)
    return tops


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST


def _bounds(schema: Plain, least: str, most: str, limit: int) -> tuple[int, int]:
    low, high = schema.get(least), schema.get(most)
    lower = min(int(low), _LONGEST) if isinstance(low, int | float) and low > 0 else 0
    upper = max(limit, lower)
    return lower, min(int(high), upper) if isinstance(high, int | float) and high >= 0 else upper
