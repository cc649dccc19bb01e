"""What a tool may know of the call that it carries out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CallContext"]


def _nobody(fraction: float | None, message: str) -> None:
    """Nobody is told of progress."""


@dataclass(frozen=True, slots=True)
class CallContext:
    """The call that a tool carries out: given to it in the parameter of this type, of which models see nothing.

    Attributes:
        run_id: the run that the call belongs to; empty outside a run.
        task_id: the task that the call is an attempt at; 0 outside a run.
        call_id: the call's own name: fit to be sent on as an idempotency key of this attempt.
        deadline: until when the call may take, a time of `time.monotonic`; None for no limit.
    """

    run_id: str = ""
    task_id: int = 0
    call_id: str = ""
    deadline: float | None = None
    _report: Callable[[float | None, str], None] = _nobody

    def report(self, fraction: float | None = None, message: str = "") -> None:
        """Tell whoever follows the run how far the call is. May be called from any thread, as often as is handy.

        Args:
            fraction: how much is done, from 0 to 1, if that is known.
            message: what is being done, for people.
        """
        self._report(fraction, message)

    def seconds_left(self) -> float | None:
        """How long the call may still take: 0 at the least; None for no limit."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())
