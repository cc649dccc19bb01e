"""Runs of any characters, counted in words.

An engine that works out for each token of its vocabulary whether it fits counts characters dearly. With 152,000 tokens,
xgrammar takes 50 ms a token inside of a string of up to 120 characters, and 10 s to read a grammar with a line of up to
300. Counting words of any length takes it 1 ms, and 0.2 s. How long a string is, the plan machine checks anyway.
"""

from __future__ import annotations

from typing import Final

from dovetail.grammar.expression import Characters, Choice, Expression, Literal, Name, Repeat, Rules, Series, series

__all__ = ["in_words"]

_SHORTEST: Final = 5
"""Runs that cannot be longer than that are counted in characters: they cost little, and are codes of a fixed length."""
_CHARACTERS_A_WORD: Final = 5
_ESCAPES_A_WORD: Final = 16
_BLANK: Final = " "


def in_words(rules: Rules) -> Rules:
    """The same rules, the lengths of long runs of characters bounded by how many words they have.

    Words are what stands between blanks. So many are allowed as the run has characters for, five each.
    """
    written = Rules()
    for name, expression in rules.expressions.items():
        written.define(name, _in_words(expression, rules), terminal=name in rules.terminals)
    return written


def _in_words(expression: Expression, rules: Rules) -> Expression:
    match expression:
        case Repeat(part, least, most) if most is not None and most > max(_SHORTEST, least):
            if (kinds := _kinds(part, rules)) is not None:
                return _words(*kinds, least, most)
            return Repeat(_in_words(part, rules), least, most)
        case Repeat(part, least, most):
            return Repeat(_in_words(part, rules), least, most)
        case Series(parts):
            return series(*(_in_words(part, rules) for part in parts))
        case Choice(options):
            return Choice(tuple(_in_words(option, rules) for option in options))
    return expression


def _kinds(part: Expression, rules: Rules) -> tuple[Characters, Expression | None] | None:
    """The plain characters of a run, and what else may stand there; None if its parts are other ones."""
    if isinstance(part, Name):
        part = rules.expressions[part.name]
    if isinstance(part, Characters) and part.negated:
        return part, None
    if isinstance(part, Choice) and len(part.options) == 2:
        plain, escaped = part.options
        if isinstance(plain, Characters) and plain.negated:
            return plain, escaped
    return None


def _words(plain: Characters, escaped: Expression | None, least: int, most: int) -> Expression:
    letter = Characters((*plain.ranges, (_BLANK, _BLANK)), negated=True)
    letters = Repeat(letter, 0, None)
    word = letters if escaped is None else series(letters, Repeat(series(escaped, letters), 0, _ESCAPES_A_WORD))
    first = series(letter if escaped is None else Choice((letter, escaped)), word) if least else word
    return series(first, Repeat(series(Literal(_BLANK), word), 0, most // _CHARACTERS_A_WORD))
