"""Twenty tools and two examples of plans: a set as large as they come, for what a prompt and a grammar cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dovetail import Example
from dovetail.tools.definition import Tool

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["EXAMPLES", "TOOLS"]

_THINGS: Final = ("page", "river", "city", "film", "song", "flight", "hotel", "recipe", "stock", "match")
_VERBS: Final = {"find": "Finds", "rate": "Rates"}


def _tool(verb: str, thing: str) -> Tool:
    properties: dict[str, Any] = {
        "name": {"type": "string", "description": f"The name of the {thing}."},
        "limit": {"type": "integer", "default": 5},
        "order": {"enum": ["newest", "nearest", "best"], "default": "best"},
    }
    schema = {"type": "object", "properties": properties, "required": ["name"]}
    output = {"type": "array", "items": {"type": "string"}}
    description = f"{_VERBS[verb]} what is known of a {thing} by its name, the best first."
    return Tool(f"{verb}_{thing}", description, schema, output, read_only=True, function=_known(thing))


def _known(thing: str) -> Callable[..., list[str]]:
    def known(name: str = "", limit: int = 5, order: str = "best") -> list[str]:
        return [f"{thing} {name} {order} {number}" for number in range(min(max(limit, 0), 3))]

    return known


TOOLS: Final = tuple(_tool(verb, thing) for verb in _VERBS for thing in _THINGS)

EXAMPLES: Final = (
    Example(
        "What is known of the Nile and of the Amazon?", '1. find_river("Nile")\n2. find_river("Amazon")\n3. join()'
    ),
    Example("How good is the film Alien?", '1. rate_film("Alien", limit=3)\n2. join($1)'),
)
