"""Random outputs, as output schemas promise them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random


def output_of(schema: Any, source: random.Random) -> Any:
    """A value of the type that an output schema names, or of any."""
    kinds: dict[str, list[Any]] = {
        "string": ["", "text", "$1", 'join("x")'],
        "integer": [0, 7, -3],
        "number": [0.5, 12, -1e9],
        "boolean": [True, False],
        "array": [[], [1, 2, 3], [{"name": "a"}, "b"]],
        "object": [{}, {"name": "a", "height": 8849}, {"items": [1]}],
        "null": [None],
    }
    named = schema.get("type") if isinstance(schema, dict) else None
    return source.choice(kinds[named if isinstance(named, str) else source.choice(sorted(kinds))])
