"""The JSON schema of plans, for providers that take nothing else, in the subset that OpenAI's strict mode takes.

``{"thought": "…", "tasks": [{"tool": "search", "id": 1, "arguments": {"query": "…"}}], "join": 1}``. Every property is
required and no other allowed; an optional argument that is not wanted is null. References are strings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dovetail.grammar.shape import (
    TYPES,
    Array,
    Boolean,
    Constants,
    Free,
    Mapping,
    Null,
    Number,
    Record,
    Shape,
    Text,
    Union,
    fits_output,
    type_of,
    types_of,
)
from dovetail.grammar.terminals import plain_dollars

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dovetail.grammar.signature import Signature
    from dovetail.grammar.terms import Terms

__all__ = ["plan_schema"]

_Schema = dict[str, Any]

_PATH: Final = r"(\.[a-zA-Z_][a-zA-Z0-9_]{0,39}|\[[0-9]{1,3}\]){0,3}"
_REFERENCE: Final = rf"^\$[1-9][0-9]{{0,8}}{_PATH}$"
_MOST_CONSTANTS: Final = 250
"""How many constants one place may have; OpenAI bounds those of a whole schema at 1,000."""
_ALL_CONSTANTS: Final = 1_000


def plan_schema(tools: Sequence[Signature], terms: Terms, *, patterns: bool = True) -> _Schema:
    """The schema of the plans that may be written. Ids cannot be unrolled in it: that they run on is not said.

    Args:
        tools: the tools that can be called, at least one.
        terms: what else a plan is bound to.
        patterns: whether references are told from other strings by ``pattern``; without, any string may be written
            where an output can fit.
    """
    produced = frozenset[str]().union(*(tool.produces for tool in tools))
    # Their names are constants, too.
    writer = _Writer(produced, len(tools))
    last = terms.first_id + terms.max_tasks - 1
    # That ids run on cannot be said; but a small model writes one without an end where it has no bound.
    ids = {"type": "integer", "minimum": terms.first_id, "maximum": last}
    tasks = [_task(ids, tool.name, _one_of(writer.record(record) for record in tool.records)) for tool in tools]
    properties: _Schema = {"thought": {"type": ["string", "null"]}} if terms.thought else {}
    properties["tasks"] = {
        "type": "array",
        "items": _one_of(tasks),
        "minItems": 0 if terms.earlier_ids else 1,
        "maxItems": terms.max_tasks,
    }
    properties["join"] = _one_of([{"type": "integer", "minimum": 1, "maximum": last}, {"type": "null"}])
    plan = _object(properties)
    if writer.has_references:
        reference: _Schema = {"type": "string"} | ({"pattern": _REFERENCE} if patterns else {})
        plan["$defs"] = {"reference": reference}
    return plan


def _task(ids: _Schema, tool: str, arguments: _Schema) -> _Schema:
    # What tells alternatives apart leads: OpenAI and Azure have refused those whose first keys are the same.
    return _object({"tool": {"type": "string", "enum": [tool]}, "id": ids, "arguments": arguments})


def _object(properties: _Schema) -> _Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _one_of(options: Iterable[_Schema]) -> _Schema:
    different: list[_Schema] = []
    for option in options:
        for one in option["anyOf"] if option.keys() == {"anyOf"} else [option]:
            if one not in different:
                different.append(one)
    return different[0] if len(different) == 1 else {"anyOf": different}


class _Writer:
    """Writes shapes as schemas."""

    def __init__(self, produced: frozenset[str], constants: int) -> None:
        self._produced = produced
        self._constants = constants
        self.has_references = False

    def record(self, record: Record) -> _Schema:
        """The schema of an object."""
        return _object({member.name: self._member(member.shape, member.required) for member in record.members})

    def _member(self, shape: Shape, required: bool) -> _Schema:
        schema = self.value(shape)
        return schema if required or "null" in types_of(shape) else _one_of([schema, {"type": "null"}])

    def value(self, shape: Shape) -> _Schema:
        """The schema of a value, references where an output can fit."""
        schema = self._literal(shape)
        if not fits_output(shape, self._produced) or _takes_any_text(shape):
            return schema
        self.has_references = True
        return _one_of([schema, {"$ref": "#/$defs/reference"}])

    def _literal(self, shape: Shape) -> _Schema:
        match shape:
            case Free(depth):
                scalars: list[_Schema] = [{"type": name} for name in ("string", "number", "boolean", "null")]
                return _one_of([*scalars, {"type": "array", "items": _one_of(scalars)}] if depth else scalars)
            case Text():
                return {"type": "string"}
            case Number(False, unsigned):
                return {"type": "number"} | ({"minimum": 0} if unsigned else {})
            case Number(_, _, least, most):
                bounds = {"minimum": least, "maximum": most}
                return {"type": "integer"} | {name: bound for name, bound in bounds.items() if bound is not None}
            case Boolean():
                return {"type": "boolean"}
            case Null():
                return {"type": "null"}
            case Constants(values):
                return self._enum(values)
            case Union(options):
                return _one_of(self._literal(option) for option in options)
            case Array():
                return self._array(shape)
            case Mapping():
                # Keys that are not known beforehand are not in the subset.
                return _object({})
            case Record():
                return self.record(shape)

    def _enum(self, values: Sequence[Any]) -> _Schema:
        types = [name for name in TYPES if any(type_of(value) == name for value in values)]
        self._constants += len(values)
        if len(values) > _MOST_CONSTANTS or self._constants > _ALL_CONSTANTS:
            return _one_of(_bare(name) for name in types)
        named = {"type": types[0] if len(types) == 1 else types} if not {"array", "object"} & set(types) else {}
        return named | {"enum": [plain_dollars(value) for value in values]}

    def _array(self, shape: Array) -> _Schema:
        # Which place an item stands in cannot be said: it is of one of the shapes.
        places = [self.value(place) for place in shape.prefix]
        if shape.most > len(places):
            places.append(self.value(shape.item))
        items = _one_of(places) if places else {"type": "null"}
        return {"type": "array", "items": items, "minItems": shape.least, "maxItems": shape.most}


def _bare(name: str) -> _Schema:
    match name:
        case "array":
            return {"type": "array", "items": {"type": "string"}}
        case "object":
            return _object({})
        case _:
            return {"type": name}


def _takes_any_text(shape: Shape) -> bool:
    return isinstance(shape, Free | Text) or (isinstance(shape, Union) and any(map(_takes_any_text, shape.options)))
