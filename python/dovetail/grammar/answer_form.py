"""How an answer that must fit a schema stands in a reply that is held to a strict JSON schema.

OpenAI's strict mode takes a subset of JSON Schema: every property is required and no other is allowed, nesting and
sizes are bounded, and few keywords are known. Where the schema of the answer can be said in it, the answer stands there
as it is; optional members that are not wanted are null, and are taken out again. Where it cannot, the answer is a
string that holds its JSON. What the subset does not say (ranges, patterns) is checked afterwards, as ever.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from dovetail.grammar.shape import TYPES, type_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["AnswerForm", "answer_form"]

_Schema = dict[str, Any]

_TEXT: Final[_Schema] = {"type": "string"}
_NULL: Final[_Schema] = {"type": "null"}
_SCALARS: Final = frozenset({"string", "integer", "number", "boolean", "null"})

# OpenAI and Azure bound them at 5 levels, the reply's own among them, and at 100 properties or more.
_DEEPEST: Final = 4
_MOST_PROPERTIES: Final = 90
_MOST_CONSTANTS: Final = 250
# Schemas may refer to themselves.
_MOST_REFERENCES: Final = 200


class AnswerForm:
    """The form of the answers that fit a schema.

    Args:
        schema: the JSON Schema of the answer; None for an answer in words.

    Attributes:
        schema: what stands where the answer does, in the strict subset.
        is_quoted: whether that is a string that holds the JSON of the answer.
    """

    __slots__ = ("_is_text", "is_quoted", "schema")

    def __init__(self, schema: Any) -> None:
        strict: _Schema | None = _TEXT
        if schema is not None:
            try:
                strict = _Strict(schema).of(schema, 1)
            except _UnfitError:
                strict = None
        types = frozenset() if strict is None else _types(strict)
        self._is_text = schema is not None and types == {"string"}
        # Of a string, a reply's reader gives the text: whether `5` was one would not be known any more.
        self.is_quoted = strict is None or bool(types & {"string", "null"} and types != {"string"})
        self.schema = _TEXT if strict is None or self.is_quoted else strict

    def json(self, answer: str) -> str:
        """The JSON of an answer as the reader of replies gives it: the text of a string, else what was written."""
        if self._is_text:
            return json.dumps(answer, ensure_ascii=False)
        if self.is_quoted or self.schema is _TEXT:
            return answer
        try:
            value = json.loads(answer, parse_int=_Digits, parse_float=_Digits)
        except (ValueError, RecursionError):  # it is checked afterwards
            return answer
        return _written(_wanted(value, self.schema))


@lru_cache(maxsize=64)
def answer_form(answer_schema: str) -> AnswerForm:
    """The form of the answers that fit a schema, made once.

    Args:
        answer_schema: the JSON Schema, as text; empty for an answer in words.
    """
    return AnswerForm(json.loads(answer_schema) if answer_schema else None)


class _UnfitError(Exception):
    """A schema cannot be said in the subset."""


class _Object(dict[str, Any]):
    """A schema of objects, with the names of its members that may be left out and take no null."""

    unwanted: frozenset[str] = frozenset()


class _Strict:
    """Says the schemas of one document in the subset."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._properties = 0
        self._references = 0

    def of(self, schema: Any, depth: int) -> _Schema:
        """A schema, in so many arrays and objects.

        Raises:
            _UnfitError: it cannot be said.
        """
        if not isinstance(schema, dict):
            raise _UnfitError
        match schema:
            case {"$ref": str(reference)}:
                return self.of(self._found(reference), depth)
            case {"allOf": [only]} if not {"type", "properties", "anyOf", "oneOf", "enum"} & schema.keys():
                return self.of(only, depth)
            case {"anyOf": list(options)} | {"oneOf": list(options)} if not {"properties", "items", "allOf"} & set(
                schema
            ):
                return _one_of(self.of(option, depth) for option in options)
            case {"allOf": _} | {"anyOf": _} | {"oneOf": _} | {"$dynamicRef": _}:
                raise _UnfitError
            case {"const": value}:
                return _constants([value])
            case {"enum": list(values)}:
                return _constants(values)
            case {"type": list(types)}:
                return _one_of(self._typed(schema, kind, depth) for kind in types)
            case {"type": str(kind)}:
                return self._typed(schema, kind, depth)
            case {"properties": _}:
                return self._typed(schema, "object", depth)
        raise _UnfitError

    def _found(self, reference: str) -> Any:
        self._references += 1
        if not reference.startswith("#") or self._references > _MOST_REFERENCES:
            raise _UnfitError
        found = self._root
        for part in reference.split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            if not isinstance(found, dict) or name not in found:
                raise _UnfitError
            found = found[name]
        return found

    def _typed(self, schema: Mapping[str, Any], kind: str, depth: int) -> _Schema:
        if kind in _SCALARS:
            return {"type": kind}
        if depth > _DEEPEST:
            raise _UnfitError
        if kind == "array" and "prefixItems" not in schema:
            return {"type": "array", "items": self.of(schema.get("items"), depth + 1)}
        if kind == "object" and isinstance(schema.get("properties"), dict) and "patternProperties" not in schema:
            return self._object(schema, depth)
        raise _UnfitError

    def _object(self, schema: Mapping[str, Any], depth: int) -> _Schema:
        properties, required = schema["properties"], schema.get("required", ())
        self._properties += len(properties)
        # An object without members would be all that may be written where any are allowed.
        is_open = not properties and schema.get("additionalProperties") is not False
        if is_open or self._properties > _MOST_PROPERTIES or any(name not in properties for name in required):
            raise _UnfitError
        members = {name: self.of(member, depth + 1) for name, member in properties.items()}
        unwanted = {name for name in members if name not in required and "null" not in _types(members[name])}
        members |= {name: _one_of([members[name], _NULL]) for name in unwanted}
        made = _Object(type="object", properties=members, required=list(members), additionalProperties=False)
        made.unwanted = frozenset(unwanted)
        return made


def _constants(values: list[Any]) -> _Schema:
    types = [kind for kind in TYPES if any(type_of(value) == kind for value in values)]
    if not types or not _SCALARS.issuperset(types):
        raise _UnfitError
    named: _Schema = {"type": types[0] if len(types) == 1 else types}
    return named if len(values) > _MOST_CONSTANTS else named | {"enum": list(values)}


def _one_of(options: Iterable[_Schema]) -> _Schema:
    different: list[_Schema] = []
    for option in options:
        for one in option["anyOf"] if option.keys() == {"anyOf"} else [option]:
            if one not in different:
                different.append(one)
    if not different:
        raise _UnfitError
    return different[0] if len(different) == 1 else {"anyOf": different}


def _types(schema: _Schema) -> frozenset[str]:
    if "anyOf" in schema:
        return frozenset[str]().union(*(_types(option) for option in schema["anyOf"]))
    return frozenset([schema["type"]] if isinstance(schema["type"], str) else schema["type"])


class _Digits(str):
    """A number as it is written: of any precision."""

    __slots__ = ()


def _wanted(value: Any, schema: _Schema) -> Any:
    """The value without the nulls that only say that an optional member is not there."""
    for option in schema.get("anyOf", [schema]):
        match value:
            case dict() if isinstance(option, _Object) and value.keys() == option["properties"].keys():
                places = option["properties"]
                return {
                    name: _wanted(member, places[name])
                    for name, member in value.items()
                    if member is not None or name not in option.unwanted
                }
            case list() if "items" in option:
                return [_wanted(item, option["items"]) for item in value]
    return value


def _written(value: Any) -> str:
    match value:
        case dict():
            return "{" + ",".join(f"{_written(name)}:{_written(member)}" for name, member in value.items()) + "}"
        case list():
            return "[" + ",".join(map(_written, value)) + "]"
        case _Digits():
            return str(value)
    return json.dumps(value, ensure_ascii=False)
