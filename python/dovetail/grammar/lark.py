"""Writes rules as a Lark grammar, as llguidance takes it, and OpenAI's custom tools."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Final

from dovetail.grammar.bnf import times
from dovetail.grammar.expression import Characters, Choice, Expression, Literal, Name, Repeat, Rules, Series, names_in

__all__ = ["to_lark"]

_SPECIAL: Final = re.compile(r"[\\/.^$*+?()\[\]{}|\-&~#]")


def to_lark(rules: Rules) -> str:
    """The grammar, a rule a line; it begins with ``start``, and terminals are regular expressions."""
    lines = []
    used = rules.used()
    inlined = set(used) - _mentioned(rules, used)
    for name, expression in used.items():
        if name not in rules.terminals:
            lines.append(f"{'start' if name == 'root' else name}: {_text(expression, rules)}\n")
        elif name not in inlined:
            lines.append(f"{name.upper()}: /{_regex(expression, rules)}/\n")
    return "".join(lines)


def _mentioned(rules: Rules, used: dict[str, Expression]) -> set[str]:
    """The rules that are named by others than terminals, which spell out what they name."""
    return {"root"} | {
        found for name, expression in used.items() if name not in rules.terminals for found in names_in(expression)
    }


def _text(expression: Expression, rules: Rules) -> str:
    match expression:
        case Name(name):
            return name.upper() if name in rules.terminals else name
        case Literal(text):
            return _literal(text)
        case Characters():
            return f"/{_regex(expression, rules)}/"
        case Series(parts):
            texts = [f"({_text(part, rules)})" if isinstance(part, Choice) else _text(part, rules) for part in parts]
            return " ".join(texts) or '""'
        case Choice(options):
            return " | ".join(_text(option, rules) for option in options)
        case Repeat(part, least, most):
            inner = _text(part, rules)
            if isinstance(part, Choice | Series | Repeat):
                inner = f"({inner})"
            return inner + times(least, most)


@lru_cache(maxsize=4_096)
def _literal(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _regex(expression: Expression, rules: Rules) -> str:
    match expression:
        case Literal(text):
            return "".join(_escaped(character) for character in text)
        case Characters(ranges, negated):
            inside = "".join(
                _escaped(first) + (f"-{_escaped(last)}" if last != first else "") for first, last in ranges
            )
            return f"[{'^' if negated else ''}{inside}]"
        case Name(name):
            return _grouped(rules.expressions[name], rules)
        case Series(parts):
            return "".join(_grouped(part, rules) if isinstance(part, Choice) else _regex(part, rules) for part in parts)
        case Choice(options):
            return "|".join(_regex(option, rules) for option in options)
        case Repeat(part, least, most):
            return _grouped(part, rules) + times(least, most)


def _grouped(expression: Expression, rules: Rules) -> str:
    inner = _regex(expression, rules)
    is_one = isinstance(expression, Characters) or (isinstance(expression, Literal) and len(expression.text) == 1)
    return inner if is_one else f"(?:{inner})"


def _escaped(character: str) -> str:
    if character < " " or character == "\x7f":
        return f"\\x{ord(character):02X}"
    return _SPECIAL.sub(r"\\\g<0>", character)
