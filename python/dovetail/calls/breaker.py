"""Circuit breakers: a tool that fails again and again is not called for a while (Nygard, Release It!, 2007)."""

from __future__ import annotations

import logging

__all__ = ["Breaker"]

logger = logging.getLogger(__name__)


class Breaker:
    """The breaker of one tool. Closed it lets every call through, open none, half-open one: the trial that decides.

    Args:
        name: the tool's, for the log.
        failures: how many in a row open it.
        pause: for how many seconds.
    """

    __slots__ = ("_failed", "_failures", "_name", "_opened", "_pause", "_trial")

    def __init__(self, name: str, failures: int, pause: float) -> None:
        self._name = name
        self._failures = failures
        self._pause = pause
        self._failed = 0
        self._opened: float | None = None
        self._trial = False

    def admits(self, now: float) -> bool:
        """Whether a call may be made now; a trial is given to whoever asks first."""
        if self._opened is None:
            return True
        if self._trial or now < self._opened + self._pause:
            return False
        self._trial = True
        return True

    def seconds_left(self, now: float) -> float:
        """How long it stays open; 0 while a trial is under way."""
        return 0.0 if self._opened is None else max(0.0, self._opened + self._pause - now)

    def succeeded(self) -> None:
        """A call gave an output."""
        if self._opened is not None:
            logger.warning("the circuit of %s is closed again", self._name)
        self._failed = 0
        self._opened = None
        self._trial = False

    def failed(self, now: float) -> None:
        """A call failed."""
        self._failed += 1
        if self._trial or (self._opened is None and self._failed >= self._failures):
            logger.warning("the circuit of %s is open for %g s", self._name, self._pause)
            self._opened = now
            self._trial = False

    def withdrawn(self) -> None:
        """A call came to no end of its own: it says nothing about the tool, and another may be the trial."""
        self._trial = False
