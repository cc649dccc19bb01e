"""Runs of any characters, counted in words.

An engine that works out for each token of its vocabulary whether it fits counts characters dearly. With 152,000 tokens,
xgrammar takes 50 ms a token inside of a string of up to 120 characters, and 10 s to read a grammar with a line of up to
300. Counting words of any length takes it 0.05 ms inside of a string, and 0.2 s to read such a line.

What it takes for a token depends on how the words are written. A part that ends where a word does leaves most tokens
undecided until what stands around it is known: half of them begin with a blank. So each word of a short run holds all
that may follow it, up to the sign behind the run. That costs 20 ms of compiling for each word, once in the life of a
server, and is not done for long runs. How long a string is, the plan machine checks anyway.
"""

from __future__ import annotations

from typing import Final

from dovetail.grammar.expression import (
    EMPTY,
    Characters,
    Choice,
    Expression,
    Literal,
    Name,
    Repeat,
    Rules,
    Series,
    choice,
    series,
)

__all__ = ["in_words"]

_SHORTEST: Final = 5
"""Runs that cannot be longer than that are counted in characters: they cost little, and are codes of a fixed length."""
_CHARACTERS_A_WORD: Final = 6
_ESCAPES_A_WORD: Final = 16
_SHORT: Final = 24
"""How many blanks and escapes a run may have of which each word holds what follows."""
_BLANK: Final = Literal(" ")
_LETTERS: Final = ("a", "z")


def in_words(rules: Rules) -> Rules:
    """The same rules, the lengths of long runs of characters bounded by how many words they have.

    Words are what stands between blanks, and in a short run between escapes too. So many are allowed as the run has
    characters for, six each. A run of letters that has no blanks is one word.
    """
    written = _Words(rules)
    for name, expression in rules.expressions.items():
        written.rules.define(name, EMPTY)  # before the rules that it comes to
        written.rules.define(name, written.of(expression), terminal=name in rules.terminals)
    return written.rules


class _Words:
    """Writes rules anew.

    Args:
        rules: those that are written anew.

    Attributes:
        rules: what is written.
    """

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self.rules = Rules()

    def of(self, expression: Expression) -> Expression:
        """An expression, its runs counted in words."""
        if isinstance(expression, Series):
            return self._series(expression.parts)
        if isinstance(expression, Choice):
            return Choice(tuple(self.of(option) for option in expression.options))
        if not isinstance(expression, Repeat):
            return expression
        part, least, most = expression.part, expression.least, expression.most
        if most is not None and most > max(_SHORTEST, least):
            if isinstance(part, Characters) and _LETTERS in part.ranges and not part.negated:
                return Repeat(part, least, None)
            if (kinds := self._kinds(part)) is not None:
                return _run(*kinds, least, most)
        return Repeat(self.of(part), least, most)

    def _series(self, parts: tuple[Expression, ...]) -> Expression:
        written: list[Expression] = []
        index = 0
        while index < len(parts):
            part, behind = parts[index], parts[index + 1] if index + 1 < len(parts) else None
            ended = self._ended(part, behind) if isinstance(part, Repeat) and isinstance(behind, Literal) else None
            written.append(self.of(part) if ended is None else ended)
            index += 1 if ended is None else 2
        return series(*written)

    def _ended(self, run: Repeat, end: Literal) -> Expression | None:
        """A short run together with what ends it; None if it is none."""
        if run.most is None or not max(_SHORTEST, run.least) < run.most <= _SHORT * _CHARACTERS_A_WORD:
            return None
        kinds = self._kinds(run.part)
        if kinds is None:
            return None
        plain, escaped = kinds
        letter = _letter(plain)
        further: list[Expression] = []
        for _ in range(run.most // _CHARACTERS_A_WORD + 1):
            word = series(Repeat(letter, 0, None), choice([end, *further]))
            rest = self.rules.share("words", word)
            further = [series(_BLANK, rest), *([] if escaped is None else [series(escaped, rest)])]
        return rest if run.least == 0 else series(_first(letter, escaped), rest)

    def _kinds(self, part: Expression) -> tuple[Characters, Expression | None] | None:
        """The plain characters of a run, and what else may stand there; None if its parts are other ones."""
        if isinstance(part, Name):
            part = self._rules.expressions[part.name]
        if isinstance(part, Characters) and part.negated:
            return part, None
        if isinstance(part, Choice) and len(part.options) == 2:
            plain, escaped = part.options
            if isinstance(plain, Characters) and plain.negated:
                return plain, escaped
        return None


def _run(plain: Characters, escaped: Expression | None, least: int, most: int) -> Expression:
    letter = _letter(plain)
    letters = Repeat(letter, 0, None)
    word = letters if escaped is None else series(letters, Repeat(series(escaped, letters), 0, _ESCAPES_A_WORD))
    first = series(_first(letter, escaped), word) if least else word
    return series(first, Repeat(series(_BLANK, word), 0, most // _CHARACTERS_A_WORD))


def _letter(plain: Characters) -> Characters:
    return Characters((*plain.ranges, (_BLANK.text, _BLANK.text)), negated=True)


def _first(letter: Characters, escaped: Expression | None) -> Expression:
    return letter if escaped is None else Choice((letter, escaped))
