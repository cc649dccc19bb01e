"""The expressions of a grammar, whatever notation it is written in, and the rules that name them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = [
    "EMPTY",
    "Characters",
    "Choice",
    "Expression",
    "Literal",
    "Name",
    "Repeat",
    "Rules",
    "Series",
    "any_of",
    "choice",
    "names_in",
    "optional",
    "renamed",
    "separated",
    "series",
]


@dataclass(frozen=True, slots=True)
class Literal:
    """This text."""

    text: str


@dataclass(frozen=True, slots=True)
class Characters:
    """One character of these ranges (first and last, both included), or, negated, one of none of them."""

    ranges: tuple[tuple[str, str], ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Name:
    """What the rule of this name says."""

    name: str


@dataclass(frozen=True, slots=True)
class Series:
    """One part after the other."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the options."""

    options: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """A part from ``least`` to ``most`` times; any number of times above that if it is None."""

    part: Expression
    least: int
    most: int | None


Expression: TypeAlias = Literal | Characters | Name | Series | Choice | Repeat

EMPTY: Final = Series(())

_FEW: Final = 16
"""How many texts are written one beside the other."""


def series(*parts: Expression) -> Expression:
    """Parts one after the other; series among them are taken apart.

    Literals stay apart: readers that cut text into pieces before they parse must not be offered ``, file=`` where
    ``, `` and ``false`` may follow.
    """
    flat: list[Expression] = []
    for part in parts:
        flat.extend(part.parts if isinstance(part, Series) else (part,))
    return flat[0] if len(flat) == 1 else Series(tuple(flat))


def choice(options: Iterable[Expression]) -> Expression:
    """One of the options, each of them once; choices among them are taken apart.

    Raises:
        ValueError: there is no option.
    """
    flat: dict[Expression, None] = {}
    for option in options:
        flat.update(dict.fromkeys(option.options if isinstance(option, Choice) else (option,)))
    if not flat:
        raise ValueError("a choice needs an option")
    return next(iter(flat)) if len(flat) == 1 else Choice(tuple(flat))


def optional(part: Expression) -> Expression:
    """The part, or nothing."""
    return part if part == EMPTY else Repeat(part, 0, 1)


def separated(item: Expression, separator: Expression, least: int, most: int) -> Expression:
    """From ``least`` to ``most`` items with a separator between them."""
    if most == 0:
        return EMPTY
    more = Repeat(series(separator, item), max(least - 1, 0), most - 1)
    items = item if most == 1 else series(item, more)
    return items if least else optional(items)


def any_of(texts: Sequence[str]) -> Expression:
    """One of these texts, none of them empty; what many of them begin with is written once.

    A reader follows all options at once: with thousands of them it must not keep thousands of places.
    """
    if len(texts) <= _FEW:
        return choice(Literal(text) for text in texts)
    by_first: dict[str, list[str]] = {}
    for text in dict.fromkeys(texts):
        by_first.setdefault(text[0], []).append(text)
    return choice(_beginning(group) for group in by_first.values())


def _beginning(texts: list[str]) -> Expression:
    shared = len(texts[0])
    for text in texts[1:]:
        while not text.startswith(texts[0][:shared]):
            shared -= 1
    rests = [text[shared:] for text in texts]
    longer = [rest for rest in rests if rest]
    if not longer:
        return Literal(texts[0])
    rest = any_of(longer)
    return series(Literal(texts[0][:shared]), optional(rest) if len(longer) < len(rests) else rest)


def names_in(expression: Expression) -> list[str]:
    """The names of the rules that an expression uses."""
    found: list[str] = []
    open_ = [expression]
    while open_:
        one = open_.pop()
        if isinstance(one, Name):
            found.append(one.name)
        elif isinstance(one, Repeat):
            open_.append(one.part)
        elif isinstance(one, Series):
            open_.extend(one.parts)
        elif isinstance(one, Choice):
            open_.extend(one.options)
    return found


def renamed(expression: Expression, names: Mapping[str, str]) -> Expression:
    """The same expression, with other names for some rules; what names none of them stays as it is."""
    # Called for each rule of each task: chains of `isinstance` take half the time of a `match`.
    if isinstance(expression, Name):
        return Name(names[expression.name]) if expression.name in names else expression
    if isinstance(expression, Repeat):
        part = renamed(expression.part, names)
        return expression if part is expression.part else Repeat(part, expression.least, expression.most)
    if isinstance(expression, Series):
        return Series(tuple([renamed(part, names) for part in expression.parts]))
    if isinstance(expression, Choice):
        return Choice(tuple([renamed(option, names) for option in expression.options]))
    return expression


@dataclass(slots=True)
class Rules:
    """The rules of a grammar, in their order. The first is where a text begins.

    Attributes:
        expressions: what each rule says. Names are lower-case letters and digits, beginning with a letter.
        terminals: the rules that a reader may take as one piece: characters and other terminals, and never nothing.
    """

    expressions: dict[str, Expression] = field(default_factory=dict)
    terminals: set[str] = field(default_factory=set)
    _shared: dict[Expression, Name] = field(default_factory=dict)

    def define(self, name: str, expression: Expression, *, terminal: bool = False) -> Name:
        """Give an expression a name; what it was before is forgotten."""
        self.expressions[name] = expression
        if terminal:
            self.terminals.add(name)
        return Name(name)

    def share(self, prefix: str, expression: Expression, *, terminal: bool = False) -> Name:
        """The name of a rule that says this: the same for the same expression."""
        known = self._shared.get(expression)
        if known is None:
            known = self.define(f"{prefix}{len(self._shared) + 1}", expression, terminal=terminal)
            self._shared[expression] = known
        return known

    def using(self, name: str) -> list[str]:
        """The rules that come to the rule of this name, itself not among them, in their order."""
        found = {name}
        # A rule is defined after those that it names, but for the few that are defined last and name none of these.
        for rule, expression in self.expressions.items():
            if not found.isdisjoint(names_in(expression)):
                found.add(rule)
        return [rule for rule in self.expressions if rule in found and rule != name]

    def used(self) -> dict[str, Expression]:
        """The rules that a text may come to, in their order."""
        root = next(iter(self.expressions))
        seen, open_ = {root}, [root]
        while open_:
            for name in names_in(self.expressions[open_.pop()]):
                if name not in seen:
                    seen.add(name)
                    open_.append(name)
        return {name: expression for name, expression in self.expressions.items() if name in seen}
