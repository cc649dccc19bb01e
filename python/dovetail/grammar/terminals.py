"""The pieces of which values are made: strings, numbers, words, and values of which a schema says nothing."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from dovetail.grammar.expression import (
    EMPTY,
    Characters,
    Expression,
    Literal,
    Name,
    Repeat,
    Rules,
    choice,
    optional,
    separated,
    series,
)

__all__ = [
    "COLON",
    "COMMA",
    "FREE",
    "PLACE",
    "define_terminals",
    "free_array",
    "free_object",
    "json_text",
    "plain_dollars",
    "string_of",
]

COMMA: Final = Literal(", ")
FREE: Final = ("scalar", "item", "json")
"""The rules of values of which nothing is known, by how deep they are nested."""

COLON: Final = Literal(": ")
_MAX_ITEMS: Final = 8
_DIGIT: Final = Characters((("0", "9"),))
_DIGIT_FROM_1: Final = Characters((("1", "9"),))
_HEX: Final = Characters((("0", "9"), ("a", "f"), ("A", "F")))
_LETTER: Final = Characters((("a", "z"), ("A", "Z"), ("_", "_")))
_WORD: Final = Characters((("a", "z"), ("A", "Z"), ("0", "9"), ("_", "_")))
_PLAIN: Final = Characters((('"', '"'), ("\\", "\\"), ("\0", "\x1f"), ("\x7f", "\x7f")), negated=True)
_ESCAPED: Final = Characters(tuple((one, one) for one in '"\\/bfnrt'))
_LIVE_DOLLAR: Final = re.compile(r"\$(?=[$0-9{])")

PLACE: Final = choice(
    [
        series(Literal("."), _LETTER, Repeat(_WORD, 0, 39)),
        series(Literal("["), Repeat(_DIGIT, 1, 3), Literal("]")),
    ]
)
"""A place in an output: `.name`, `[0]`."""

LINE: Final = Characters((("\0", "\x1f"), ("\x7f", "\x7f")), negated=True)
"""A character of a line."""


def define_terminals(rules: Rules, max_string: int) -> None:
    """Define the rules that values are made of."""
    escape = series(Literal("\\"), choice([_ESCAPED, series(Literal("u"), Repeat(_HEX, 4, 4))]))
    rules.define("char", choice([_PLAIN, escape]), terminal=True)
    rules.define("string", string_of(0, max_string), terminal=True)
    natural = choice([Literal("0"), series(_DIGIT_FROM_1, Repeat(_DIGIT, 0, 17))])
    exponent = series(choice([Literal("e"), Literal("E")]), optional(choice([Literal("-"), Literal("+")])))
    decimals = (
        optional(series(Literal("."), Repeat(_DIGIT, 1, 15))),
        optional(series(exponent, Repeat(_DIGIT, 1, 2))),
    )
    sign = optional(Literal("-"))
    rules.define("natural", natural, terminal=True)
    rules.define("integer", series(sign, Name("natural")), terminal=True)
    rules.define("decimal", series(Name("natural"), *decimals), terminal=True)
    rules.define("number", series(sign, Name("decimal")), terminal=True)
    rules.define("boolean", choice([Literal("true"), Literal("false")]), terminal=True)
    rules.define("null", Literal("null"), terminal=True)
    _define_free(rules)


def _define_free(rules: Rules) -> None:
    # Nesting is unrolled: with a recursive rule a small model opens brackets for ever.
    inner: Name = rules.define("scalar", choice(Name(name) for name in ("string", "number", "boolean", "null")))
    for rule, kind in (("item", "1"), ("json", "2")):
        array = rules.define(f"list{kind}", free_array(inner))
        object_ = rules.define(f"object{kind}", free_object(choice([inner, array]), 0, _MAX_ITEMS))
        inner = rules.define(rule, choice([Name("scalar"), array, object_]))


def free_array(item: Expression) -> Expression:
    """An array of any length up to what a grammar allows."""
    return series(Literal("["), separated(item, COMMA, 0, _MAX_ITEMS), Literal("]"))


def free_object(value: Expression, least: int, most: int) -> Expression:
    """An object with any keys."""
    pair = series(Name("string"), COLON, value)
    return series(Literal("{"), separated(pair, COMMA, least, most), Literal("}"))


def string_of(least: int, most: int) -> Expression:
    """A string of so many characters: one opaque piece, in which references are the plan machine's business."""
    inner = Repeat(Name("char"), least, most) if most else EMPTY
    return series(Literal('"'), inner, Literal('"'))


def json_text(value: Any) -> str:
    """A constant as a plan has it: JSON, its dollars written so that none of them begins a reference."""
    return json.dumps(plain_dollars(value), ensure_ascii=False)


def plain_dollars(value: Any) -> Any:
    """A constant whose dollars are written so that none of them begins a reference.

    Names of members stay as they are: in a plan in JSON none of them begins one.
    """
    match value:
        case str():
            return _LIVE_DOLLAR.sub("$$", value)
        case list() | tuple():
            return [plain_dollars(item) for item in value]
        case dict():
            return {name: plain_dollars(item) for name, item in value.items()}
        case _:
            return value
