"""Writes rules as `::=` grammars: llama.cpp's GBNF, which vLLM's engines (xgrammar, guidance) take as EBNF."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from dovetail.grammar.expression import Characters, Choice, Expression, Literal, Name, Repeat, Rules, Series

__all__ = ["times", "to_bnf"]

_ESCAPES: Final = {"\n": r"\n", "\r": r"\r", "\t": r"\t", "\\": r"\\", '"': r"\""}
# xgrammar writes such a character as `\xDF`, and reads hexadecimal digits behind it as if they were part of it.
_CUT: Final = re.compile(r"(?<=[\x00-\x1f\x7f-\xff])(?=[0-9a-fA-F])")
# Of what engines take in brackets, only `\x` is the same everywhere.
_IN_BRACKETS: Final = frozenset('"\\[]^-')


def to_bnf(rules: Rules) -> str:
    """The grammar, a rule a line; it begins with ``root``."""
    return "".join(f"{name} ::= {_text(expression)}\n" for name, expression in rules.used().items())


def _text(expression: Expression) -> str:
    match expression:
        case Name(name):
            return name
        case Literal(text):
            return _literal(text)
        case Characters(ranges, negated):
            inside = "".join(
                _in_brackets(first) + (f"-{_in_brackets(last)}" if last != first else "") for first, last in ranges
            )
            return f"[{'^' if negated else ''}{inside}]"
        case Series(parts):
            return " ".join([f"({_text(part)})" if isinstance(part, Choice) else _text(part) for part in parts]) or '""'
        case Choice(options):
            return " | ".join([_text(option) for option in options])
        case Repeat(part, least, most):
            several = isinstance(part, Choice | Series | Repeat) or (
                isinstance(part, Literal) and _CUT.search(part.text)
            )
            return (f"({_text(part)})" if several else _text(part)) + times(least, most)


@lru_cache(maxsize=4_096)
def _literal(text: str) -> str:
    return " ".join(f'"{_escaped(part)}"' for part in _CUT.split(text))


def _escaped(text: str) -> str:
    return "".join(_ESCAPES.get(character) or _coded(character) for character in text)


def _coded(character: str) -> str:
    return f"\\x{ord(character):02X}" if character < " " or character == "\x7f" else character


def _in_brackets(character: str) -> str:
    return f"\\x{ord(character):02X}" if character in _IN_BRACKETS else _coded(character)


def times(least: int, most: int | None) -> str:
    """How often something comes, as every notation has it."""
    if most is None:
        return "*" if least == 0 else "+" if least == 1 else f"{{{least},}}"
    if (least, most) == (0, 1):
        return "?"
    return f"{{{least}}}" if least == most else f"{{{least},{most}}}"
