"""The grammar of one JSON value."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from dovetail.errors import UsageError
from dovetail.grammar.compilation import fault_in
from dovetail.grammar.expression import EMPTY, Rules
from dovetail.grammar.notation import written
from dovetail.grammar.schema import SchemaReader
from dovetail.grammar.shape import NEVER
from dovetail.grammar.terminals import define_terminals
from dovetail.grammar.values import Values
from dovetail.models.protocol import Grammar

if TYPE_CHECKING:
    from dovetail.models.protocol import GrammarDialect

__all__ = ["value_grammar"]

_MAX_STRING: Final = 1_000


@lru_cache(maxsize=64)
def value_grammar(dialect: GrammarDialect, schema: str) -> Grammar:
    """The grammar of a JSON value and nothing besides.

    Args:
        dialect: the notation; ``json_schema`` is the schema itself, which must then be a strict one.
        schema: the JSON Schema that the value must fit, as text.

    Raises:
        UsageError: no value can be written that fits the schema, or the grammar does not compile.
    """
    if dialect == "json_schema":
        return Grammar(dialect, schema)
    rules = Rules()
    rules.define("root", EMPTY)  # which stands first
    reader = SchemaReader(json.loads(schema), _MAX_STRING)
    if (shape := reader.shape(json.loads(schema))) == NEVER:
        raise UsageError("no value can be written that fits the schema")
    rules.define("root", Values(rules, frozenset(), _MAX_STRING).write(shape, None))
    define_terminals(rules, _MAX_STRING)
    grammar = Grammar(dialect, written(rules, dialect))
    if (fault := fault_in(grammar)) is not None:
        raise UsageError(f"the grammar of the value does not compile: {fault}")
    return grammar
