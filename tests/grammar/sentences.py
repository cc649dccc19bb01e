"""Writes random texts that a grammar accepts, by walking its rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dovetail.grammar.expression import Characters, Choice, Expression, Literal, Name, Repeat, Rules, Series

if TYPE_CHECKING:
    import random

_PRINTABLE = "".join(chr(code) for code in range(0x20, 0x7F)) + "\u0085\u2028äß→“”’😀\U0010ffff"


def sentence(rules: Rules, source: random.Random) -> str:
    """A text that the rules accept. Long repetitions are rare, so that plans stay short."""
    return _write(Name(next(iter(rules.expressions))), rules, source)


def _write(expression: Expression, rules: Rules, source: random.Random) -> str:
    match expression:
        case Literal(text):
            return text
        case Characters(ranges, negated):
            return _character(ranges, negated, source)
        case Name(name):
            return _write(rules.expressions[name], rules, source)
        case Series(parts):
            return "".join(_write(part, rules, source) for part in parts)
        case Choice(options):
            return _write(source.choice(options), rules, source)
        case Repeat(part, least, most):
            if most is None:
                # Where brackets hold what may hold brackets, there must be less than one of them on an average.
                times = least + source.choice([0, 0, 0, 0, 1, 3])
            else:
                times = most if source.random() < 0.02 else source.randint(least, min(most, least + 3))
            return "".join(_write(part, rules, source) for _ in range(times))


def _character(ranges: tuple[tuple[str, str], ...], negated: bool, source: random.Random) -> str:
    if not negated:
        first, last = source.choice(ranges)
        return chr(source.randint(ord(first), ord(last)))
    # Dollars and digits are what references are made of.
    allowed = [char for char in _PRINTABLE + "$$$$$$1234567890{}" if not any(a <= char <= b for a, b in ranges)]
    return source.choice(allowed)
