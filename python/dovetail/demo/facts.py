"""The tools of the demo: two that look figures up, and five that compare them."""

from __future__ import annotations

from dovetail.demo.countries import FIGURES, Country
from dovetail.tools.definition import tool

__all__ = ["area", "difference", "larger", "population", "ratio", "smaller", "total"]


# All functions are async: an addition is not worth a thread.
@tool(read_only=True, idempotent=True)
async def population(country: Country) -> int:
    """How many people live in a country."""
    return FIGURES[country].population


@tool(read_only=True, idempotent=True)
async def area(country: Country) -> int:
    """How large a country is, in square kilometres."""
    return FIGURES[country].area


@tool(read_only=True, idempotent=True)
async def total(a: float, b: float) -> int | float:
    """The sum a + b."""
    return _plain(a + b)


@tool(read_only=True, idempotent=True)
async def difference(a: float, b: float) -> int | float:
    """How far a and b are apart."""
    return _plain(abs(a - b))


@tool(read_only=True, idempotent=True)
async def ratio(a: float, b: float) -> int | float:
    """How many times as much a is as b: a / b."""
    if b == 0:
        raise ZeroDivisionError("b is 0: nothing is a multiple of it")
    return _plain(a / b)


@tool(read_only=True, idempotent=True)
async def larger(first: Country, a: float, second: Country, b: float) -> Country:
    """The country with the larger figure: first if a is larger, second if b is."""
    return first if a >= b else second


@tool(read_only=True, idempotent=True)
async def smaller(first: Country, a: float, second: Country, b: float) -> Country:
    """The country with the smaller figure: first if a is smaller, second if b is."""
    return first if a <= b else second


def _plain(value: float) -> int | float:
    """A whole number as such, anything else to four digits: the figures themselves are no more exact."""
    return int(value) if float(value).is_integer() else float(f"{value:.4g}")
