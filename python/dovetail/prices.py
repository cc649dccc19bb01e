"""What model calls cost: a table of prices by model, which users extend."""

from __future__ import annotations

import math
import re
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
_LONG_INPUT: Final = 2.0
_LONG_OUTPUT: Final = 1.5
_SNAPSHOT: Final = re.compile(r"-20[0-9]{2}-[0-9]{2}-[0-9]{2}$")


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
    long_prompt: int | None = None
    """How many tokens may be read before the whole call is charged as a long one: what is read at twice, what is
    written at one and a half times its price. None if length makes no difference."""
    cache_write: float | None = None
    """Of tokens read that are written to the provider's cache; as `input` if None."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None and field.default is None:
                continue
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not math.isfinite(value) or value < 0:
                unit = "a number of tokens" if field.name == "long_prompt" else "dollars per million tokens"
                raise UsageError(f"the price {field.name} is {value!r}; it must be {unit}, at least 0")

    def of(self, usage: Usage) -> float:
        """What a model call cost, in US dollars."""
        cached = min(usage.cached_tokens, usage.prompt_tokens)
        cached_input = self.input if self.cached_input is None else self.cached_input
        kept = min(usage.cache_write_tokens, usage.prompt_tokens - cached)
        cache_write = self.input if self.cache_write is None else self.cache_write
        read = (usage.prompt_tokens - cached - kept) * self.input + cached * cached_input + kept * cache_write
        written = usage.completion_tokens * self.output
        if self.long_prompt is not None and usage.prompt_tokens > self.long_prompt:
            read, written = read * _LONG_INPUT, written * _LONG_OUTPUT
        return (read + written) / _TOKENS


KNOWN_PRICES_DATE: Final = "2026-11"
"""When the prices below were those of the providers' lists. Prices change: give your own where they matter."""

# Of the standard tier, from developers.openai.com/api/docs/pricing as LiteLLM 1.110.2 has it in its price map; newer
# ones checked against what others quote of that page. Azure's list (global standard) has the same numbers.
_LONG_PROMPT: Final = 272_000
_OPENAI: Final = {
    "gpt-6.1-sol": Price(2.0, 10.0, 0.10, _LONG_PROMPT, 2.5),
    "gpt-6.1-terra": Price(1.0, 5.0, 0.05, _LONG_PROMPT, 1.25),
    "gpt-6-astra": Price(10.0, 50.0, 1.0, _LONG_PROMPT, 12.5),
    "gpt-6-sol": Price(2.0, 10.0, 0.20, _LONG_PROMPT, 2.5),
    "gpt-6-luna": Price(0.10, 0.50, 0.01, _LONG_PROMPT, 0.125),
    "gpt-5.6": Price(4.0, 20.0, 0.40, _LONG_PROMPT, 5.0),
    "gpt-5.6-sol": Price(4.0, 20.0, 0.40, _LONG_PROMPT, 5.0),
    "gpt-5.6-terra": Price(2.0, 12.0, 0.20, _LONG_PROMPT, 2.5),
    "gpt-5.6-luna": Price(0.20, 1.20, 0.02, _LONG_PROMPT, 0.25),
    "chat-latest": Price(5.0, 30.0, 0.50),
    "gpt-5.5": Price(5.0, 30.0, 0.50, _LONG_PROMPT),
    "gpt-5.5-pro": Price(30.0, 180.0, None, _LONG_PROMPT),
    "gpt-5.4": Price(2.50, 15.0, 0.25, _LONG_PROMPT),
    "gpt-5.4-pro": Price(30.0, 180.0, None, _LONG_PROMPT),
    "gpt-5.4-mini": Price(0.75, 4.50, 0.075),
    "gpt-5.4-nano": Price(0.20, 1.25, 0.02),
    "gpt-5.3-codex": Price(1.75, 14.0, 0.175),
    "gpt-5.2": Price(1.75, 14.0, 0.175),
    "gpt-5.2-pro": Price(21.0, 168.0),
    "gpt-5.1": Price(1.25, 10.0, 0.125),
    "gpt-5": Price(1.25, 10.0, 0.125),
    "gpt-5-mini": Price(0.25, 2.0, 0.025),
    "gpt-5-nano": Price(0.05, 0.40, 0.005),
    "gpt-5-pro": Price(15.0, 120.0),
    "gpt-4.1": Price(2.0, 8.0, 0.50),
    "gpt-4.1-mini": Price(0.40, 1.60, 0.10),
    "gpt-4.1-nano": Price(0.10, 0.40, 0.025),
    "gpt-4o": Price(2.50, 10.0, 1.25),
    "gpt-4o-2024-05-13": Price(5.0, 15.0),
    "gpt-4o-mini": Price(0.15, 0.60, 0.075),
    "o3": Price(2.0, 8.0, 0.50),
    "o3-pro": Price(20.0, 80.0),
    "o3-mini": Price(1.10, 4.40, 0.55),
    "o4-mini": Price(1.10, 4.40, 0.275),
    "o1": Price(15.0, 60.0, 7.50),
}

# Of serverless endpoints, from friendli.ai/pricing; checked in the same way.
_FRIENDLI: Final = {
    "zai-org/GLM-5.3": Price(1.26, 3.96, 0.234),
    "zai-org/GLM-5.3-Flash": Price(0.15, 0.50, 0.03),
    "zai-org/GLM-5.2": Price(1.40, 4.40, 0.26),
    "zai-org/GLM-5.1": Price(1.40, 4.40, 0.26),
    "google/gemma-4-31B-it": Price(0.14, 0.40),
    "deepseek-ai/DeepSeek-V3.2": Price(0.50, 1.50, 0.25),
    "MiniMaxAI/MiniMax-M2.5": Price(0.30, 1.20, 0.06),
}

KNOWN_PRICES: Final[Mapping[str, Price]] = {
    f"{provider}:{name}": price
    for provider, prices in (("openai", _OPENAI), ("azure", _OPENAI), ("friendli", _FRIENDLI))
    for name, price in prices.items()
}
"""Prices that Dovetail knows. A deployment at Azure is taken for the model that it is named after. What runs on
hardware of one's own (`local:`, `vllm:`) has no price."""


class Prices:
    """A table of prices.

    A snapshot is named by its date (``openai:gpt-5-2025-08-07``) and costs what its model does, unless it has a price
    of its own. A model that is told as ``provider/name`` is taken for ``provider:name``.

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
        name = model if ":" in model else model.replace("/", ":", 1)
        undated = _SNAPSHOT.sub("", name)
        for table in self._tables:
            for exact in (model, name, undated):
                if (named := table.get(exact)) is not None:
                    return named
            for pattern, price in table.items():
                if fnmatchcase(name, pattern):
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
        raise UsageError(
            f"{at} is no table; it must hold input, output and, if there are such, cached_input, cache_write and "
            "long_prompt"
        )
    known = [field.name for field in fields(Price)]
    if unknown := sorted(table.keys() - set(known)):
        raise UsageError(f"{at} there is no field {unknown[0]!r}; there are {', '.join(known)}")
    if missing := sorted({"input", "output"} - table.keys()):
        raise UsageError(f"{at} {missing[0]} is missing")
    try:
        return Price(**table)
    except UsageError as error:
        raise UsageError(f"{at} {error}") from None
