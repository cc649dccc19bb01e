"""How a tool is called in a plan: which arguments stand where, and what may be written for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from dovetail.grammar.schema import SchemaReader, output_types
from dovetail.tool_arguments import arguments_of

if TYPE_CHECKING:
    from dovetail.grammar.shape import Record

__all__ = ["Signature", "ToolShape", "is_nameable", "signature"]

ToolShape: TypeAlias = Mapping[str, Any]
"""A tool in MCP's shape: ``name``, ``description``, ``inputSchema`` and perhaps ``outputSchema``."""

_LONGEST_NAME = 256


@dataclass(frozen=True, slots=True)
class Signature:
    """A tool as a grammar knows it.

    Attributes:
        name: its name.
        records: the arguments it may be called with; none if it cannot be called.
        forms: the same as a plan has them, each with how many arguments are positional; the others are named.
        produces: the JSON types that its outputs can have.
    """

    name: str
    records: tuple[Record, ...]
    forms: tuple[tuple[Record, int], ...]
    produces: frozenset[str]


def signature(tool: ToolShape, max_string: int) -> Signature:
    """Read the schemas of a tool.

    Args:
        tool: the tool, in MCP's shape.
        max_string: how many characters a string may have, unless a schema demands more.
    """
    schema = tool.get("inputSchema")
    schema = schema if isinstance(schema, Mapping) else {}
    parameters = list(arguments_of(schema).properties)
    records = tuple(SchemaReader(schema, max_string).arguments())
    forms = tuple((record, leading) for record in records for leading in _positional(record, parameters))
    return Signature(tool["name"], records, forms, output_types(tool.get("outputSchema")))


def is_nameable(argument: str) -> bool:
    """Whether an argument can be given by its name."""
    return (
        (argument[:1].isalpha() or argument[:1] == "_")
        and all(character.isalnum() or character in "_-" for character in argument)
        and len(argument.encode()) <= _LONGEST_NAME
    )


def _positional(record: Record, parameters: Sequence[str]) -> Iterator[int]:
    """How many arguments may be positional: those that are required and come first, or more if some have no name."""
    members = record.members
    # Positions count all parameters: behind one that cannot be given, the others must be named.
    aligned = 0
    while aligned < min(len(members), len(parameters)) and members[aligned].name == parameters[aligned]:
        aligned += 1
    leading = 0
    while leading < aligned and members[leading].required:
        leading += 1
    unnamed = [index for index, member in enumerate(members) if not is_nameable(member.name)]
    leading = max([leading, *(index + 1 for index in unnamed if members[index].required)])
    if leading <= aligned:
        yield leading
    yield from (index + 1 for index in unnamed if leading <= index < aligned)
