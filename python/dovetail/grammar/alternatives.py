"""Schemas taken apart: references, `allOf`, `anyOf`, `oneOf`, conditions and `not` become a list of plain schemas.

What satisfies one of them satisfies the schema. Where that cannot be said (a `oneOf` whose branches overlap, a `not` of
something that is no list of constants, types or names) the condition is left to the plan machine, which checks it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any, Final
from urllib.parse import unquote

from dovetail.grammar.merging import NOT_ENUM, Plain, key_of, merged, plain, product, types_in
from dovetail.grammar.shape import TYPES, type_of

__all__ = ["Alternatives"]

_DEEPEST: Final = 4


class Alternatives:
    """Takes the schemas apart that stand in one document.

    Args:
        root: the document, in which references are looked up.
    """

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._depth = 0

    def of(self, schema: Any, through: tuple[str, ...] = ()) -> list[Plain]:
        """The plain schemas of which one must be satisfied; none if nothing can be.

        Args:
            schema: a schema, or true or false.
            through: the references that led to it: one that leads to itself leads nowhere.
        """
        if not isinstance(schema, Mapping):
            return [] if schema is False else [{}]
        found: list[Plain] = [plain(schema)]
        if isinstance(reference := schema.get("$ref"), str):
            if reference in through:
                return []
            found = self._product(found, self.of(self._target(reference), (*through, reference)))
        for part in _list(schema, "allOf"):
            found = self._product(found, self.of(part, through))
        if branches := _list(schema, "anyOf"):
            found = self._product(found, [one for branch in branches for one in self.of(branch, through)])
        if branches := _list(schema, "oneOf"):
            found = self._exactly_one(found, [self.of(branch, through) for branch in branches])
        for name, demand in self._dependencies(schema):
            with_it = self._product([{"required": [name]}], self.of(demand, through))
            found = self._product(found, [{"properties": {name: False}}, *with_it])
        if "if" in schema:
            found = self._if(found, schema, through)
        if "not" in schema:
            found = self._without(found, self.of(schema["not"], through)) or found
        return found

    def _product(self, some: Sequence[Plain], others: Sequence[Plain]) -> list[Plain]:
        """Every alternative of the one together with every alternative of the other, as far as they agree.

        What cannot be is left out at once: a chain of conditions would double them with each.
        """
        return product(some, others, self._can_be)

    def _can_be(self, one: Plain, other: Plain, both: Plain) -> bool:
        """Whether each required member of which two schemas speak can have a value, as far as constants tell."""
        if self._depth >= _DEEPEST:
            return True
        self._depth += 1
        try:
            mine, theirs = one.get("properties", {}), other.get("properties", {})
            shared = [name for name in both.get("required", ()) if name in mine and name in theirs]
            return all(any(map(self._has_value, self.of(both["properties"][name]))) for name in shared)
        finally:
            self._depth -= 1

    def _has_value(self, schema: Plain) -> bool:
        return "enum" not in schema or any(self.admit(schema, value) for value in schema["enum"])

    def admit(self, schema: Plain, value: Any) -> bool:
        """Whether a constant is of the types, keys, items and number of items that a plain schema demands."""
        kind = type_of(value)
        types = schema.get("type", TYPES)
        is_of_type = kind in types or (kind == "integer" and "number" in types)
        if not is_of_type or any(key_of(value) == key_of(other) for other in schema.get(NOT_ENUM, ())):
            return False
        if isinstance(value, Mapping):
            named = schema.get("properties", {})
            further = True if "patternProperties" in schema else schema.get("additionalProperties", True)
            places = [(named.get(name, further), inner) for name, inner in value.items()]
            if any(name not in value for name in schema.get("required", ())):
                return False
        elif isinstance(value, list | tuple):
            first, further = schema.get("prefixItems", ()), schema.get("items", True)
            places = list(zip_longest(first[: len(value)], value, fillvalue=further))
            if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
                return False
        else:
            return True
        return all(any(self._takes(one, inner) for one in self.of(place)) for place, inner in places)

    def _takes(self, schema: Plain, value: Any) -> bool:
        constants = schema.get("enum")
        is_constant = constants is None or key_of(value) in {key_of(one) for one in constants}
        return is_constant and self.admit(schema, value)

    def _target(self, reference: str) -> Any:
        if not reference.startswith("#/") and reference != "#":
            return self._named(reference)
        found: Any = self._root
        for part in unquote(reference.removeprefix("#")).split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            if isinstance(found, Mapping):
                found = found.get(key, True)
            elif isinstance(found, list) and key.isdigit() and int(key) < len(found):
                found = found[int(key)]
            else:
                return True
        return found

    def _named(self, reference: str) -> Any:
        """What has this anchor or identifier among the document's definitions; anything, if nothing has."""
        for _, one in (*_members(self._root, "$defs"), *_members(self._root, "definitions")):
            names = (f"#{one.get('$anchor')}", one.get("$id")) if isinstance(one, Mapping) else ()
            if reference in names:
                return one
        return True

    @staticmethod
    def _dependencies(schema: Plain) -> list[tuple[str, Any]]:
        demands = [*_members(schema, "dependentSchemas"), *_members(schema, "dependencies")]
        demands += _members(schema, "dependentRequired")
        return [(name, {"required": one} if isinstance(one, list) else one) for name, one in demands]

    def _exactly_one(self, found: Sequence[Plain], branches: Sequence[Sequence[Plain]]) -> list[Plain]:
        apart: list[Plain] = []
        for index, own in enumerate(branches):
            others = [one for other, branch in enumerate(branches) if other != index for one in branch]
            for one in self._product(found, own):
                alone = self._kept_from(one, others)
                if alone is not None:
                    apart.append(alone)
        return apart or self._product(found, [one for branch in branches for one in branch])

    def _kept_from(self, one: Plain, others: Sequence[Plain]) -> Plain | None:
        for other in others:
            if self._apart(one, other):
                continue
            # Without a member that the other demands, it cannot be the other.
            spare = [name for name in other.get("required", ()) if name not in one.get("required", ())]
            kept = merged(one, {"properties": {spare[0]: False}}) if spare else None
            if kept is None:
                return None
            one = kept
        return one

    def _if(self, found: Sequence[Plain], schema: Plain, through: tuple[str, ...]) -> list[Plain]:
        condition = self.of(schema["if"], through)
        holds = self._product(self._product(found, condition), self.of(schema.get("then", True), through))
        fails = self._without(self._product(found, self.of(schema.get("else", True), through)), condition)
        return [*holds, *fails]

    def _without(self, found: Sequence[Plain], excluded: Sequence[Plain]) -> list[Plain]:
        """What is left of alternatives if none of the excluded ones may be satisfied, as far as that can be said."""
        left = list(found)
        for condition in excluded:
            kept: list[Plain] = []
            for one in left:
                if self._apart(one, condition):
                    kept.append(one)
                else:
                    kept += [
                        both for both in self._product([one], _contraries(condition)) if self._apart(both, condition)
                    ]
            left = kept
        return left

    def _apart(self, one: Plain, other: Plain, depth: int = 0) -> bool:
        """Whether nothing that is written for the one satisfies the other."""
        mine, theirs = types_in(one), types_in(other)
        if not any(name in theirs or (name == "integer" and "number" in theirs) for name in mine) and not (
            "number" in mine and "integer" in theirs
        ):
            return True
        if "enum" in other or "enum" in one:
            return _constants_apart(one, other)
        return mine == ("object",) and depth < _DEEPEST and self._members_apart(one, other, depth)

    def _members_apart(self, one: Plain, other: Plain, depth: int) -> bool:
        mine, theirs = one.get("properties", {}), other.get("properties", {})
        required = one.get("required", ())
        # Only members that are named are written, if any are.
        absent = [name for name in other.get("required", ()) if name not in required]
        if any((mine and name not in mine) or (name in mine and not self.of(mine[name])) for name in absent):
            return True
        for name in required:
            if name not in theirs:
                if other.get("additionalProperties") is False and "patternProperties" not in other:
                    return True
            elif all(
                self._apart(here, there, depth + 1)
                for here in self.of(mine.get(name, True))
                for there in self.of(theirs[name])
            ):
                return True
        return False


def _constants_apart(one: Plain, other: Plain) -> bool:
    mine = {key_of(value) for value in one.get("enum", ())} - {key_of(value) for value in one.get(NOT_ENUM, ())}
    theirs = {key_of(value) for value in other.get("enum", ())} - {key_of(value) for value in other.get(NOT_ENUM, ())}
    if "enum" in one and "enum" in other:
        return not mine & theirs
    if "enum" in other:
        return theirs <= {key_of(value) for value in one.get(NOT_ENUM, ())}
    return mine <= {key_of(value) for value in other.get(NOT_ENUM, ())}


def _contraries(condition: Plain) -> list[Plain]:
    """Schemas of which each, if it is satisfied, makes it likely that the condition is not."""
    found: list[Plain] = []
    if "enum" in condition:
        found.append({NOT_ENUM: condition["enum"]})
    elif "type" in condition:
        excluded = set(types_in(condition))
        # A number may turn out to be whole.
        excluded |= {"integer", "number"} if excluded & {"integer", "number"} else set()
        found.append({"type": tuple(name for name in TYPES if name not in excluded)})
    for name, schema in condition.get("properties", {}).items():
        found.append({"type": ("object",), "properties": {name: {"not": schema}}, "required": [name]})
    found += [{"properties": {name: False}} for name in condition.get("required", ())]
    return found


def _list(schema: Plain, keyword: str) -> list[Any]:
    value = schema.get(keyword)
    return list(value) if isinstance(value, list | tuple) else []


def _members(schema: Plain, keyword: str) -> list[tuple[str, Any]]:
    value = schema.get(keyword)
    return list(value.items()) if isinstance(value, Mapping) else []
