"""What model calls cost: a table of prices by model, which users extend."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from dovetail.errors import UsageError
from dovetail.toml_file import read_toml

if TYPE_CHECKING:
    from pathlib import Path

    from dovetail.models.protocol import Usage

__all__ = ["KNOWN_PRICES", "KNOWN_PRICES_DATE", "Price", "Prices", "read_prices"]

_TOKENS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """What a model's tokens cost, in US dollars per million.

    Raises:
        UsageError: a price is negative or no finite number.
    """

    input: float
    """Of tokens read."""
    output: float
    """Of tokens written, reasoning included."""
    cached_input: float | None = None
    """Of tokens read from the provider's cache; as `input` if None."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None and field.name == "cached_input":
                continue
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not math.isfinite(value) or value < 0:
                raise UsageError(
                    f"the price {field.name} is {value!r}; it must be dollars per million tokens, at least 0"
                )

    def of(self, usage: Usage) -> float:
        """What a model call cost, in US dollars."""
        cached = min(usage.cached_tokens, usage.prompt_tokens)
        cached_input = self.input if self.cached_input is None else self.cached_input
        whole = (
            (usage.prompt_tokens - cached) * self.input + cached * cached_input + usage.completion_tokens * self.output
        )
        return whole / _TOKENS


KNOWN_PRICES_DATE: Final = "2025-11"
"""When the prices below were those of the provider's list. Prices change: give your own where they matter."""

# Of the standard tier. A snapshot is named by its date (`gpt-5-2025-08-07`) and costs what its model does.
_OPENAI: Final = {
    "gpt-5.1": Price(1.25, 10.0, 0.125),
    "gpt-5": Price(1.25, 10.0, 0.125),
    "gpt-5-mini": Price(0.25, 2.0, 0.025),
    "gpt-5-nano": Price(0.05, 0.40, 0.005),
    "gpt-4.1": Price(2.0, 8.0, 0.50),
    "gpt-4.1-mini": Price(0.40, 1.60, 0.10),
    "gpt-4.1-nano": Price(0.10, 0.40, 0.025),
    "gpt-4o": Price(2.50, 10.0, 1.25),
    "gpt-4o-mini": Price(0.15, 0.60, 0.075),
    "o3": Price(2.0, 8.0, 0.50),
    "o4-mini": Price(1.10, 4.40, 0.275),
}

KNOWN_PRICES: Final[Mapping[str, Price]] = {
    f"openai:{name}{snapshot}": price for name, price in _OPENAI.items() for snapshot in ("", "-20[0-9][0-9]-*")
}
"""Prices that Dovetail knows. What runs on hardware of one's own (`local:`, `vllm:`) has none."""


class Prices:
    """A table of prices.

    Args:
        table: prices by model, ``provider:name``, or by a pattern of models such as ``azure:*``. A name goes before a
            pattern, a longer pattern before a shorter one, and all of them before `KNOWN_PRICES`.
    """

    __slots__ = ("_tables",)

    def __init__(self, table: Mapping[str, Price] | None = None) -> None:
        # The longest first: it says most.
        given = dict(sorted((table or {}).items(), key=lambda item: -len(item[0])))
        self._tables = (given, KNOWN_PRICES)

    def of(self, model: str) -> Price | None:
        """The price of a model, ``provider:name``; None if the table does not know it."""
        for table in self._tables:
            if (named := table.get(model)) is not None:
                return named
            for pattern, price in table.items():
                if fnmatchcase(model, pattern):
                    return price
        return None

    def cost(self, model: str, usage: Usage | None) -> float | None:
        """What a model call cost, in US dollars; None where the price or the tokens are not known."""
        price = self.of(model)
        return None if price is None or usage is None else price.of(usage)


def read_prices(path: str | Path) -> dict[str, Price]:
    """Read a file of prices: a table for each model or pattern of models, in US dollars per million tokens.

    ::

        ["azure:*"]
        input = 1.25
        cached_input = 0.125
        output = 10.0

    Raises:
        UsageError: the file cannot be read, is no TOML, or says something that cannot be used.
    """
    return {model: _price(table, f"{path}: [{model!r}]") for model, table in read_toml(path).items()}


def _price(table: Any, at: str) -> Price:
    if not isinstance(table, Mapping):
        raise UsageError(f"{at} is no table; it must hold input, output and, if there is one, cached_input")
    known = [field.name for field in fields(Price)]
    if unknown := sorted(table.keys() - set(known)):
        raise UsageError(f"{at} there is no field {unknown[0]!r}; there are {', '.join(known)}")
    if missing := sorted({"input", "output"} - table.keys()):
        raise UsageError(f"{at} {missing[0]} is missing")
    try:
        return Price(**table)
    except UsageError as error:
        raise UsageError(f"{at} {error}") from None
