"""Writes the whole numbers from one to another as expressions, digit by digit."""

from __future__ import annotations

from typing import Final

from dovetail.grammar.expression import Characters, Expression, Literal, Repeat, choice, series

__all__ = ["LARGEST", "whole_numbers"]

_DIGITS: Final = 18
"""How many digits a number has at the most: so many as any engine holds."""

LARGEST: Final = 10**_DIGITS - 1
"""The largest number that is written; the smallest is as far below zero."""

_DIGIT: Final = Characters((("0", "9"),))


def whole_numbers(least: int | None, most: int | None) -> Expression:
    """The whole numbers from ``least`` to ``most``, as JSON has them, without a minus before a zero.

    Args:
        least: the first; None if there is none but the smallest that is written.
        most: the last; None if there is none but the largest that is written.

    Raises:
        ValueError: there is no such number.
    """
    low = -LARGEST if least is None else max(least, -LARGEST)
    high = LARGEST if most is None else min(most, LARGEST)
    options: list[Expression] = []
    if high >= 0:
        options += _natural(max(low, 0), high)
    if low < 0:
        options.append(series(Literal("-"), choice(_natural(max(1, -high), -low))))
    return choice(options)


def _natural(low: int, high: int) -> list[Expression]:
    """Those from a number to another, by how many digits they have; those of as many digits as they like as one."""
    options: list[Expression] = []
    while low <= high:
        digits = len(str(low))
        top = 10**digits - 1
        if high == LARGEST and low == 10 ** (digits - 1):
            first = Characters((("1", "9"),))
            return [*options, series(first, Repeat(_DIGIT, digits - 1, _DIGITS - 1))]
        options.append(_of_one_length(str(low), str(min(high, top))))
        low = top + 1
    return options


def _of_one_length(low: str, high: str) -> Expression:
    rest = len(low) - 1
    if low == high:
        return Literal(low)
    if rest == 0:
        return Characters(((low, high),))
    if low[0] == high[0]:
        return series(Literal(low[0]), _of_one_length(low[1:], high[1:]))
    options: list[Expression] = []
    first, last = int(low[0]), int(high[0])
    if low[1:] != "0" * rest:
        options.append(series(Literal(low[0]), _of_one_length(low[1:], "9" * rest)))
        first += 1
    behind: list[Expression] = []
    if high[1:] != "9" * rest:
        behind.append(series(Literal(high[0]), _of_one_length("0" * rest, high[1:])))
        last -= 1
    if first <= last:
        leading: Expression = Literal(str(first)) if first == last else Characters(((str(first), str(last)),))
        options.append(series(leading, Repeat(_DIGIT, rest, rest)))
    return choice([*options, *behind])
