"""Model calls that tools make by themselves: what they say of them, and how much of that is believed."""

from __future__ import annotations

import math
from typing import Final

from dovetail.durations import duration_of
from dovetail.errors import UsageError
from dovetail.failure_text import bounded
from dovetail.v1 import ToolModelCall, Usage

__all__ = ["MOST_MODEL_CALLS", "believed", "told"]

MOST_MODEL_CALLS: Final = 64
"""How many model calls of one call of a tool are counted."""

_MOST_TOKENS: Final = 2**40
_MOST_COST: Final = 1e9
_LONGEST_NAME: Final = 200
_LONGEST_SECONDS: Final = 1e7


def told(
    model: str,
    *,
    prompt_tokens: int,
    completion_tokens: int,
    cached_tokens: int = 0,
    reasoning_tokens: int = 0,
    duration: float | None = None,
    cost: float | None = None,
) -> ToolModelCall:
    """A model call as a tool tells of it (see `dovetail.CallContext.record_model_call`).

    Raises:
        UsageError: a number is negative, or none that can be counted.
    """
    tokens = {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "cached_tokens": cached_tokens,
        "reasoning_tokens": reasoning_tokens,
    }
    for name, count in tokens.items():
        if not 0 <= count <= _MOST_TOKENS:
            raise UsageError(f"the model call's {name} is {count}; it must be from 0 to {_MOST_TOKENS:,}")
    for name, number, most in (("duration", duration, _LONGEST_SECONDS), ("cost", cost, _MOST_COST)):
        if number is not None and not 0 <= number <= most:
            raise UsageError(f"the model call's {name} is {number}; it must be from 0 to {most:g}, or None")
    made = ToolModelCall(model=bounded(model, _LONGEST_NAME), usage=Usage(**tokens), cost=cost)
    if duration is not None:
        made.duration.CopyFrom(duration_of(duration))
    return made


def believed(made: ToolModelCall) -> ToolModelCall:
    """What is believed of a model call that another process tells of: nothing that would give back what was spent."""
    usage = None
    if made.HasField("usage"):
        usage = Usage(
            **{
                field.name: min(max(0, getattr(made.usage, field.name)), _MOST_TOKENS)
                for field in Usage.DESCRIPTOR.fields
            }
        )
    cost = min(made.cost, _MOST_COST) if made.HasField("cost") and made.cost >= 0 else None
    seconds = made.duration.seconds + made.duration.nanos / 1e9
    told_seconds = made.HasField("duration") and math.isfinite(seconds) and 0 <= seconds <= _LONGEST_SECONDS
    return ToolModelCall(
        model=bounded(made.model, _LONGEST_NAME) or "unknown",
        usage=usage,
        cost=cost,
        duration=duration_of(seconds) if told_seconds else None,
    )
