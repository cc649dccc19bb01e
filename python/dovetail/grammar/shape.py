"""What may be written where a schema stands: a small algebra of values, which every notation can say.

A shape allows no more than its schema does, but for what no grammar carries (see `dovetail.grammar.schema`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "ANY",
    "BOOLEAN",
    "NEVER",
    "NULL",
    "TYPES",
    "Array",
    "Boolean",
    "Constants",
    "Free",
    "Mapping",
    "Member",
    "Null",
    "Number",
    "Record",
    "Shape",
    "Text",
    "Union",
    "fits_output",
    "type_of",
    "types_of",
    "union",
]

TYPES: Final = ("string", "integer", "number", "boolean", "null", "array", "object")


@dataclass(frozen=True, slots=True, eq=False)
class Free:
    """Any JSON value, nested ``depth`` deep at the most."""

    depth: int


@dataclass(frozen=True, slots=True)
class Text:
    """A string of so many characters."""

    least: int
    most: int


@dataclass(frozen=True, slots=True)
class Number:
    """A number, or only a whole one, or only one without a sign; whole ones are from ``least`` to ``most``."""

    whole: bool = False
    unsigned: bool = False
    least: int | None = None
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Boolean:
    """True or false."""


@dataclass(frozen=True, slots=True)
class Null:
    """Null."""


@dataclass(frozen=True, slots=True, eq=False)
class Constants:
    """One of these JSON values, at least one."""

    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Array:
    """First one item of each shape in ``prefix``, then items; ``least`` to ``most`` in all."""

    prefix: tuple[Shape, ...]
    item: Shape
    least: int
    most: int


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """A member of an object."""

    name: str
    shape: Shape
    required: bool


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """An object with these members and no others, in their order."""

    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Mapping:
    """An object with any keys."""

    value: Shape
    least: int
    most: int


@dataclass(frozen=True, slots=True, eq=False)
class Union:
    """Any of the options; without one, nothing may be written."""

    options: tuple[Shape, ...]


Shape: TypeAlias = Free | Text | Number | Boolean | Null | Constants | Array | Record | Mapping | Union

NEVER: Final = Union(())
ANY: Final = Free(2)
BOOLEAN: Final = Boolean()
NULL: Final = Null()


def union(options: Iterable[Shape]) -> Shape:
    """One of the options; unions among them are taken apart."""
    flat: dict[Shape, None] = {}
    for option in options:
        flat.update(dict.fromkeys(option.options if isinstance(option, Union) else (option,)))
    return next(iter(flat)) if len(flat) == 1 else Union(tuple(flat)) if flat else NEVER


def types_of(shape: Shape) -> frozenset[str]:
    """The JSON types that values of a shape can have."""
    match shape:
        case Free():
            return frozenset(TYPES)
        case Text():
            return frozenset({"string"})
        case Number(whole=whole):
            return frozenset({"integer" if whole else "number"})
        case Boolean():
            return frozenset({"boolean"})
        case Null():
            return frozenset({"null"})
        case Constants(values):
            return frozenset(type_of(value) for value in values)
        case Array():
            return frozenset({"array"})
        case Record() | Mapping():
            return frozenset({"object"})
        case Union(options):
            return frozenset[str]().union(*(types_of(option) for option in options))


def fits_output(shape: Shape, produced: frozenset[str]) -> bool:
    """Whether an output can fit where a shape stands, so that a bare reference may be written there.

    Where only a string fits, a reference is written inside it (``"$1"``): the plan machine knows what that means, and a
    small model that is offered a bare one there takes it too readily.

    Args:
        shape: what may be written there.
        produced: the types that outputs can have.
    """
    accepted = types_of(shape) - {"string"}
    if accepted & {"number", "integer"}:
        accepted |= {"number", "integer"}
    # What is inside an array or an object is reached by a path: it can be of any type.
    return bool(accepted) and bool(produced & (accepted | {"array", "object"}))


def type_of(value: Any) -> str:
    """The JSON type of a value; ``integer`` for a number that is whole."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "integer" if value.is_integer() else "number"
        case str():
            return "string"
        case list() | tuple():
            return "array"
        case _:
            return "object"
