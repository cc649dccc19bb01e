"""The policy of a tool: how its calls are made. One definition, whoever carries them out."""

from __future__ import annotations

import math
import random
import re
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from dovetail.errors import UsageError
from dovetail.v1 import FailureReason

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PASSING", "PLAIN", "Policy", "Rate"]

LargeOutput = Literal["fail", "cut"]

_MOST_RETRIES: Final = 100
_MOST_KEYS: Final = 16
_LONGEST_PAUSE: Final = 60.0
_RATE = re.compile(r"(\d+)\s*/\s*(\d*\.?\d*)\s*(s|second|m|min|minute|h|hour)")
_PERIODS: Final = {"s": 1.0, "second": 1.0, "m": 60.0, "min": 60.0, "minute": 60.0, "h": 3600.0, "hour": 3600.0}


@dataclass(frozen=True, slots=True)
class Rate:
    """So many calls may begin in each period.

    Attributes:
        calls: how many.
        period: seconds.
    """

    calls: int
    period: float = 1.0

    @classmethod
    def parse(cls, text: str) -> Rate:
        """Read ``10/s``, ``100/min``, ``5/2s``.

        Raises:
            ValueError: the text is no rate.
        """
        found = _RATE.fullmatch(text.strip())
        if found is None:
            raise ValueError(f"{text!r} is no rate; write 10/s, 100/min or 5/2s")
        calls, count, unit = found.groups()
        return cls(int(calls), float(count or 1) * _PERIODS[unit])


@dataclass(frozen=True, slots=True)
class Policy:
    """How calls of a tool are made, over all runs of a process. None stands for no bound.

    Attributes:
        task_timeout: how many seconds a task may take as a whole: waiting, its calls and the pauses between them.
        idle_timeout: how many seconds a call may go on without a sign of progress.
        retries: how many further calls may follow one that failed. Of tools that are neither ``read_only`` nor
            ``idempotent`` only if the error says that it may be repeated (`dovetail.RetryableError`).
        backoff: seconds before the first of them; each later pause is twice as long, up to a minute; a random part of
            it is taken.
        max_parallel: how many calls may be out at the same time.
        rate: how many calls may begin in a period: a `Rate`, or text such as ``10/s``.
        breaker_failures: after how many failures in a row calls fail at once.
        breaker_pause: for how many seconds, until one call is let through as a trial.
        cache: for how many seconds an output is used again for the same arguments. Only of ``read_only`` tools.
        exclusive: names of what its calls need for themselves: no two calls that share one overlap.
        large_output: whether an output over ``max_output_bytes`` fails the task or is cut.
        approval_timeout: how many seconds a task waits for approval.

    Raises:
        UsageError: a field cannot be used; the message begins with its name.
    """

    task_timeout: float | None = None
    idle_timeout: float | None = None
    retries: int = 0
    backoff: float = 0.5
    max_parallel: int | None = None
    rate: Rate | str | None = None
    breaker_failures: int | None = None
    breaker_pause: float = 30.0
    cache: float | None = None
    exclusive: tuple[str, ...] | str = ()
    large_output: LargeOutput = "fail"
    approval_timeout: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.rate, str):
            try:
                object.__setattr__(self, "rate", Rate.parse(self.rate))
            except ValueError as error:
                raise UsageError(f"rate: {error}") from None
        keys = (self.exclusive,) if isinstance(self.exclusive, str) else tuple(self.exclusive)
        # In one order everywhere, so that two calls never wait for one another.
        object.__setattr__(self, "exclusive", tuple(sorted(set(keys))))
        for name in ("task_timeout", "idle_timeout", "backoff", "breaker_pause", "cache", "approval_timeout"):
            value = getattr(self, name)
            if value is not None and not (0 < value < math.inf):
                raise UsageError(f"{name}: is {value}; it must be a number of seconds above 0")
        for name in ("max_parallel", "breaker_failures"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name}: is {value}; it must be at least 1, or None")
        if not 0 <= self.retries <= _MOST_RETRIES:
            raise UsageError(f"retries: is {self.retries}; it must be from 0 to {_MOST_RETRIES}")
        if isinstance(self.rate, Rate) and (self.rate.calls < 1 or not 0 < self.rate.period < math.inf):
            raise UsageError(f"rate: is {self.rate.calls} in {self.rate.period:g} s; both must be above 0")
        if len(self.exclusive) > _MOST_KEYS or not all(self.exclusive):
            raise UsageError(f"exclusive: must be at most {_MOST_KEYS} names, none of them empty")
        if self.large_output not in get_args(LargeOutput):
            raise UsageError(f"large_output: is {self.large_output!r}; it must be 'fail' or 'cut'")

    @classmethod
    def names(cls) -> frozenset[str]:
        """The names of the fields."""
        return frozenset(field.name for field in fields(cls))

    def pause(self, failed: int) -> float:
        """How many seconds to wait before the next call, after so many (1 or more) that failed.

        A random part of them, so that many calls do not come back together.
        """
        longest = min(_LONGEST_PAUSE, self.backoff * 2.0 ** (failed - 1))
        return random.uniform(longest / 2, longest)  # noqa: S311 - no secret

    def but(self, changes: Mapping[str, Any]) -> Policy:
        """The policy with some fields changed.

        Raises:
            UsageError: a field cannot be used.
        """
        return replace(self, **changes)


PASSING: Final = frozenset(
    {
        FailureReason.FAILURE_REASON_TOOL_ERROR,
        FailureReason.FAILURE_REASON_TIMEOUT,
        FailureReason.FAILURE_REASON_TOOL_CRASHED,
        FailureReason.FAILURE_REASON_OVERLOADED,
    }
)
"""Failures of which another call may come out better."""

PLAIN: Final = Policy()
"""The policy of a tool that has none: its calls are made as they come."""
