"""Rounds of a measurement: the median shows the usual, the best what is left when nobody disturbs."""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

__all__ = ["Rounds", "Settings", "measure", "measure_async"]


@dataclass(frozen=True, slots=True)
class Settings:
    """How much to measure."""

    quick: bool = False
    profile: bool = False
    """Whether servers in processes of their own are profiled, which slows them down."""
    peers: Path | None = None
    """An interpreter that has other frameworks, to be measured beside them."""

    def rounds(self, count: int) -> int:
        """So many rounds, fewer in a quick run."""
        return max(2, count // 4) if self.quick else count


@dataclass(frozen=True, slots=True)
class Rounds:
    """What some rounds of the same work took, in seconds for each thing done."""

    wall: float
    cpu: float
    best: float


class _Watch:
    def __init__(self, things: int) -> None:
        self._things = things
        self._wall: list[float] = []
        self._cpu: list[float] = []

    def start(self) -> None:
        gc.collect()
        self._began = time.perf_counter(), time.process_time()

    def stop(self) -> None:
        wall, cpu = self._began
        self._wall.append((time.perf_counter() - wall) / self._things)
        self._cpu.append((time.process_time() - cpu) / self._things)

    def rounds(self) -> Rounds:
        return Rounds(median(self._wall), median(self._cpu), min(self._wall))


def measure(work: Callable[[], object], *, things: int, rounds: int) -> Rounds:
    """Do some work again and again.

    Args:
        work: one round.
        things: how many things one round does.
        rounds: how many rounds.
    """
    watch = _Watch(things)
    for _ in range(rounds):
        watch.start()
        work()
        watch.stop()
    return watch.rounds()


async def measure_async(work: Callable[[], Awaitable[object]], *, things: int, rounds: int) -> Rounds:
    """Do some asynchronous work again and again (see `measure`)."""
    watch = _Watch(things)
    for _ in range(rounds):
        watch.start()
        await work()
        watch.stop()
    return watch.rounds()
