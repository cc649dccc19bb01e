"""In which notations models take grammars: what one has refused is not sent to it again."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dovetail.models.protocol import GrammarDialect, Model

__all__ = ["Dialects"]


class Dialects:
    """What is known of the models of an engine. A run that learns of a refusal spares the next one the request."""

    __slots__ = ("_refused",)

    def __init__(self) -> None:
        self._refused: set[tuple[str, GrammarDialect]] = set()

    def taken(self, model: Model, written: Iterable[GrammarDialect]) -> list[GrammarDialect]:
        """Of the notations that a grammar can be written in, those that a model takes, its best first."""
        written = frozenset(written)
        known = ((model.name, dialect) for dialect in model.grammar_dialects if dialect in written)
        return [dialect for name, dialect in known if (name, dialect) not in self._refused]

    def refuse(self, model: Model, dialect: GrammarDialect) -> None:
        """A model's server has refused a grammar in this notation."""
        self._refused.add((model.name, dialect))
