"""Writes shapes as expressions: what a plan may have where a value is expected, references among it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dovetail.grammar.expression import (
    EMPTY,
    Expression,
    Literal,
    Name,
    Repeat,
    Rules,
    any_of,
    choice,
    optional,
    separated,
    series,
)
from dovetail.grammar.ranges import whole_numbers
from dovetail.grammar.shape import (
    Array,
    Boolean,
    Constants,
    Free,
    Mapping,
    Null,
    Number,
    Record,
    Shape,
    Text,
    Union,
    fits_output,
)
from dovetail.grammar.terminals import COLON, COMMA, FREE, free_object, json_text, string_of

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Values", "written_in_order"]

_FEW: Final = 4


class Values:
    """Writes values into the rules of one grammar.

    Args:
        rules: where the expressions are named.
        produced: the JSON types that the outputs of the tools can have.
        max_string: the bound of the rule ``string``.
    """

    def __init__(self, rules: Rules, produced: frozenset[str], max_string: int) -> None:
        self._rules = rules
        self._produced = produced
        self._max_string = max_string
        self._written: dict[tuple[Shape, Name | None], Expression] = {}
        self._referable: dict[Shape, bool] = {}

    def write(self, shape: Shape, reference: Name | None) -> Expression:
        """What may be written for a shape.

        Args:
            shape: what the schema allows; not nothing.
            reference: the rule of the references that may be written, where an output can fit; None if there are none.
        """
        if reference is not None and not self.takes_references(shape):
            reference = None
        known = self._written.get((shape, reference))
        if known is None:
            literal = self._literal(shape, reference)
            if reference is not None and fits_output(shape, self._produced):
                literal = self._rules.share("v", choice([reference, literal]))
            known = self._written[shape, reference] = literal
        return known

    def takes_references(self, shape: Shape) -> bool:
        """Whether a bare reference may stand somewhere in the values of a shape."""
        known = self._referable.get(shape)
        if known is None:
            known = fits_output(shape, self._produced) or any(self.takes_references(inner) for inner in _inside(shape))
            self._referable[shape] = known
        return known

    def _literal(self, shape: Shape, reference: Name | None) -> Expression:
        match shape:
            case Free(depth):
                return Name(FREE[depth])
            case Text(least, most):
                if (least, most) == (0, self._max_string):
                    return Name("string")
                return self._rules.share("string", string_of(least, most), terminal=True)
            case Number(_, _, least, most) if least not in {None, 0} or most is not None:
                return self._rules.share("whole", whole_numbers(least, most), terminal=True)
            case Number(whole, unsigned):
                return Name(("natural" if unsigned else "integer") if whole else "decimal" if unsigned else "number")
            case Boolean():
                return Name("boolean")
            case Null():
                return Name("null")
            case Constants(values):
                return self._constants(values)
            case Union(options):
                return self._rules.share("v", choice(self._literal(option, reference) for option in options))
            case Array():
                return self._rules.share("v", self._array(shape, reference))
            case Mapping(value, least, most):
                return self._rules.share("v", free_object(self.write(value, reference), least, most))
            case Record(members):
                named = [(_pair(one.name, self.write(one.shape, reference)), one.required) for one in members]
                return self._rules.share("v", series(Literal("{"), written_in_order(self._rules, named), Literal("}")))

    def _constants(self, values: Sequence[Any]) -> Expression:
        # Lists and objects are written in the pieces that other lists and objects are written in, for readers that cut
        # text into pieces before they parse.
        texts = list(dict.fromkeys(json_text(value) for value in values if not isinstance(value, list | tuple | dict)))
        known = [self._rules.share("choice", any_of(texts), terminal=True)] if texts else []
        nested = [_constant(value) for value in values if isinstance(value, list | tuple | dict)]
        return self._rules.share("v", choice([*known, *nested])) if nested else known[0]

    def _array(self, shape: Array, reference: Name | None) -> Expression:
        places = [self.write(place, reference) for place in shape.prefix]
        further = shape.most - len(places)
        item = self.write(shape.item, reference) if further > 0 else EMPTY
        if not places:
            return series(Literal("["), separated(item, COMMA, shape.least, shape.most), Literal("]"))
        needed = max(shape.least - len(places), 0)
        rest: Expression = Repeat(series(COMMA, item), needed, further) if further > 0 else EMPTY
        for index in range(len(places) - 1, 0, -1):
            rest = series(COMMA, places[index], rest)
            if shape.least <= index:
                rest = optional(rest)
        items = series(places[0], rest)
        return series(Literal("["), items if shape.least else optional(items), Literal("]"))


def written_in_order(rules: Rules, items: Sequence[tuple[Expression, bool]]) -> Expression:
    """Items between commas: the required ones first, then any of the others, all in their order.

    Args:
        rules: where long rests get rules of their own.
        items: each with whether it is required.
    """
    required = [item for item, is_required in items if is_required]
    others = [item for item, is_required in items if not is_required]
    # Written from the back: each optional item may be the first, and then needs no comma before it.
    rest: Expression = EMPTY
    starts: list[Expression] = []
    for item in reversed(others):
        starts.append(series(item, rest))
        rest = series(optional(series(COMMA, item)), rest)
        if len(others) > _FEW:
            rest = rules.share("rest", rest)
    if required:
        return series(*_between(required), rest)
    return optional(choice(reversed(starts))) if starts else EMPTY


def _constant(value: Any) -> Expression:
    match value:
        case list() | tuple():
            items = [_constant(item) for item in value]
            return series(Literal("["), *_between(items), Literal("]"))
        case dict():
            pairs = [_pair(name, _constant(item)) for name, item in value.items()]
            return series(Literal("{"), *_between(pairs), Literal("}"))
        case _:
            return Literal(json_text(value))


def _pair(name: str, value: Expression) -> Expression:
    return series(Literal(json_text(name)), COLON, value)


def _between(items: Sequence[Expression]) -> list[Expression]:
    """Items with commas between them."""
    return [part for item in items for part in (COMMA, item)][1:]


def _inside(shape: Shape) -> tuple[Shape, ...]:
    match shape:
        case Array(prefix, item):
            return (*prefix, item)
        case Record(members):
            return tuple(member.shape for member in members)
        case Mapping(value):
            return (value,)
        case Union(options):
            return options
        case _:
            return ()
