"""Rules in the notation that a server takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dovetail.errors import UsageError
from dovetail.grammar.bnf import to_bnf
from dovetail.grammar.lark import to_lark
from dovetail.grammar.words import in_words

if TYPE_CHECKING:
    from dovetail.grammar.expression import Rules
    from dovetail.models.protocol import GrammarDialect

__all__ = ["written"]


def written(rules: Rules, dialect: GrammarDialect) -> str:
    """The rules as a text.

    Raises:
        UsageError: rules cannot be written in this notation.
    """
    match dialect:
        case "gbnf":
            return to_bnf(rules)
        case "ebnf":
            return to_bnf(in_words(rules))
        case "lark":
            return to_lark(rules)
        case "json_schema":
            raise UsageError("rules cannot be written as a JSON schema")
