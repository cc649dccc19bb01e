"""A reader of GBNF for tests: writes random sentences of a grammar, and says whether a text is one of its sentences."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

_TOKEN = re.compile(
    r'\s+|(?P<literal>"(?:[^"\\]|\\.)*")|(?P<chars>\[\^?(?:[^\]\\]|\\.)+\])|(?P<times>\{\d+(?:,\d*)?\}|[?*+])'
    r"|(?P<mark>[()|])|(?P<name>[A-Za-z][A-Za-z0-9-]*)"
)
_ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|(.))")
_ANY_NUMBER = 99
_PRINTABLE = "".join(chr(code) for code in range(0x20, 0x7F)) + "äß→😀"


@dataclass(frozen=True)
class Literal:
    text: str


@dataclass(frozen=True)
class Chars:
    pattern: re.Pattern[str]


@dataclass(frozen=True)
class Name:
    name: str


@dataclass(frozen=True)
class Sequence:
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Choice:
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Repeat:
    part: Part
    least: int
    most: int


Part = Literal | Chars | Name | Sequence | Choice | Repeat


class Gbnf:
    """A grammar, one rule a line, as llama.cpp takes it."""

    def __init__(self, text: str) -> None:
        self.rules: dict[str, Part] = {}
        for line in text.splitlines():
            name, _, body = line.partition(" ::= ")
            assert name not in self.rules, f"{name} is defined twice"
            self.rules[name] = _Reader(body).choice()
        for part in self.rules.values():
            for name in _names(part):
                assert name in self.rules, f"{name} is not defined"

    def accepts(self, text: str) -> bool:
        return any(end == len(text) for end in self._ends(Name("root"), text, 0))

    def sentence(self, source: random.Random) -> str:
        return self._write(Name("root"), source)

    def _ends(self, part: Part, text: str, start: int) -> Iterator[int]:
        match part:
            case Literal(literal):
                if text.startswith(literal, start):
                    yield start + len(literal)
            case Chars(pattern):
                if start < len(text) and pattern.fullmatch(text[start]):
                    yield start + 1
            case Name(name):
                yield from self._ends(self.rules[name], text, start)
            case Choice(parts):
                for branch in parts:
                    yield from self._ends(branch, text, start)
            case Sequence(parts):
                if not parts:
                    yield start
                else:
                    for middle in self._ends(parts[0], text, start):
                        yield from self._ends(Sequence(parts[1:]), text, middle)
            case Repeat(inner, least, most):
                if most > 0:
                    for middle in self._ends(inner, text, start):
                        if middle > start:
                            yield from self._ends(Repeat(inner, max(least - 1, 0), most - 1), text, middle)
                if least == 0:
                    yield start

    def _write(self, part: Part, source: random.Random) -> str:
        match part:
            case Literal(literal):
                return literal
            case Chars(pattern):
                return source.choice([char for char in _PRINTABLE if pattern.fullmatch(char)])
            case Name(name):
                return self._write(self.rules[name], source)
            case Choice(parts):
                return self._write(source.choice(parts), source)
            case Sequence(parts):
                return "".join(self._write(inner, source) for inner in parts)
            case Repeat(inner, least, most):
                # Where brackets hold what may hold brackets, there must be less than one of them on an average.
                often = source.randint(least, min(most, least + 4))
                times = often if most < _ANY_NUMBER else least + source.choice([0, 0, 0, 0, 1, 3])
                return "".join(self._write(inner, source) for _ in range(times))


class _Reader:
    def __init__(self, body: str) -> None:
        self.tokens: list[tuple[str, str]] = []
        position = 0
        while position < len(body):
            token = _TOKEN.match(body, position)
            assert token is not None, f"no GBNF: {body[position:]!r}"
            position = token.end()
            if token.lastgroup is not None:
                self.tokens.append((token.lastgroup, token[0]))

    def choice(self) -> Part:
        parts = [self.sequence()]
        while self.tokens and self.tokens[0] == ("mark", "|"):
            self.tokens.pop(0)
            parts.append(self.sequence())
        return parts[0] if len(parts) == 1 else Choice(tuple(parts))

    def sequence(self) -> Part:
        parts: list[Part] = []
        while self.tokens and self.tokens[0] not in (("mark", "|"), ("mark", ")")):
            kind, text = self.tokens.pop(0)
            if kind == "times":
                least, _, most = text.strip("{}").partition(",")
                bounds = {"?": (0, 1), "*": (0, _ANY_NUMBER), "+": (1, _ANY_NUMBER)}.get(text) or (
                    int(least),
                    int(most or least),
                )
                parts.append(Repeat(parts.pop(), *bounds))
            elif kind == "mark":
                parts.append(self.choice())
                assert self.tokens.pop(0) == ("mark", ")")
            elif kind == "literal":
                parts.append(Literal(_ESCAPE.sub(_unescaped, text[1:-1])))
            elif kind == "chars":
                parts.append(Chars(re.compile(text)))
            else:
                parts.append(Name(text))
        assert parts, "an alternative is empty"
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts))


def _unescaped(found: re.Match[str]) -> str:
    return chr(int(found[1], 16)) if found[1] else {"n": "\n", "r": "\r", "t": "\t"}.get(found[2], found[2])


def _names(part: Part) -> Iterator[str]:
    match part:
        case Name(name):
            yield name
        case Sequence(parts) | Choice(parts):
            for inner in parts:
                yield from _names(inner)
        case Repeat(inner):
            yield from _names(inner)
