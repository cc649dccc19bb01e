"""In which notations models take grammars: what was refused is not tried again.

What may have been refused is one grammar, because it is too large, or a notation: the server takes none in it. Which of
them, a refusal does not say. So the grammar alone is remembered at first, and the notation is given up once a second
grammar of the same purpose was refused while none was taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dovetail.grammar.digest import Kept

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from dovetail.models.protocol import GrammarDialect, Model
    from dovetail.v1 import Purpose

__all__ = ["Dialects"]

_MOST: Final = 1_000
"""How many things of each kind are remembered, those that were looked up lately."""

_Kind = tuple[str, "Purpose", "GrammarDialect"]


class Dialects:
    """What is known of the models and tools of an engine: who learns of a refusal spares the next run the request.

    What a grammar is made of (``about``) is any value that is the same for the same grammar.
    """

    __slots__ = ("_first", "_given_up", "_impossible", "_refused", "_taken")

    def __init__(self) -> None:
        self._impossible = Kept[bool](_MOST)
        self._refused = Kept[bool](_MOST)
        # Of a model, a purpose and a notation: the grammar that was refused first, and whether one was taken.
        self._first = Kept["Hashable"](_MOST)
        self._taken = Kept[bool](_MOST)
        self._given_up = Kept[bool](_MOST)

    def taken(
        self, model: Model, written: Iterable[GrammarDialect], purpose: Purpose, about: Hashable = None
    ) -> list[GrammarDialect]:
        """In which notations to ask a model, its best first.

        Args:
            model: the model.
            written: the notations that the grammar can be written in.
            purpose: what the model is asked for.
            about: what the grammar is made of; None if there is none yet.
        """
        written = frozenset(written)
        return [
            dialect
            for dialect in model.grammar_dialects
            if dialect in written and not self.is_refused(model, dialect, purpose, about)
        ]

    def is_refused(self, model: Model, dialect: GrammarDialect, purpose: Purpose, about: Hashable) -> bool:
        """Whether there is no point in asking a model with this grammar."""
        kind = _kind(model, purpose, dialect)
        known = (
            self._impossible.peek((purpose, dialect, about)),
            self._refused.peek((kind, about)),
            self._given_up.peek(kind),
        )
        return any(known)

    def take(self, model: Model, dialect: GrammarDialect, purpose: Purpose) -> None:
        """A model has written under a grammar in this notation."""
        self._taken.get(_kind(model, purpose, dialect), lambda: True)

    def refuse(self, model: Model, dialect: GrammarDialect, purpose: Purpose, about: Hashable) -> None:
        """A model's server has refused a grammar in this notation."""
        kind = _kind(model, purpose, dialect)
        self._refused.get((kind, about), lambda: True)
        if self._first.get(kind, lambda: about) != about and self._taken.peek(kind) is None:
            self._given_up.get(kind, lambda: True)

    def fight(self, dialect: GrammarDialect, purpose: Purpose, about: Hashable) -> None:
        """There is no grammar of these things in this notation, whoever is asked."""
        self._impossible.get((purpose, dialect, about), lambda: True)


def _kind(model: Model, purpose: Purpose, dialect: GrammarDialect) -> _Kind:
    return model.name, purpose, dialect
