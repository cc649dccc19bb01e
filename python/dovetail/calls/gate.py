"""Gates: where calls wait until their tool's policy lets them begin, over all runs of a process.

A gate knows how many calls of its tool are out and when calls began; a lock belongs to an exclusive key. A call stands
in the line of its gate and those of its locks from the moment that it comes, so whoever came first of all that wait is
first in each line it stands in: there is no deadlock, and nobody is passed over for ever.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from dovetail.calls.breaker import Breaker
from dovetail.tools.policy import Rate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dovetail.tools.call import Call
    from dovetail.tools.policy import Policy

__all__ = ["Gate", "Lock", "Ticket"]


class Lock:
    """What an exclusive key stands for."""

    __slots__ = ("holder", "line")

    def __init__(self) -> None:
        self.holder: Ticket | None = None
        self.line: deque[Ticket] = deque()


class Ticket:
    """A call at its gate.

    Attributes:
        call: the call.
        gate: its gate.
        locks: what it needs for itself.
        inside: whether it was let through.
        gone: whether it has left, or waits no more.
    """

    __slots__ = ("call", "gate", "gone", "inside", "locks")

    def __init__(self, call: Call, gate: Gate, locks: tuple[Lock, ...]) -> None:
        self.call = call
        self.gate = gate
        self.locks = locks
        self.inside = False
        self.gone = False


class Gate:
    """The gate of one tool.

    Args:
        name: the tool's name.
        policy: the tool's policy.
        enter: makes a call that is let through.
        refuse: fails a call, soon, because the circuit is open.
    """

    __slots__ = ("_began", "_enter", "_line", "_out", "_policy", "_refuse", "_timer", "breaker", "waiting")

    def __init__(
        self, name: str, policy: Policy, enter: Callable[[Call], None], refuse: Callable[[Call, Breaker], None]
    ) -> None:
        self._policy = policy
        self._enter = enter
        self._refuse = refuse
        self._out = 0
        self._line: deque[Ticket] = deque()
        # When the latest calls began: as many as the rate counts.
        self._began: deque[float] = deque(maxlen=policy.rate.calls if isinstance(policy.rate, Rate) else 0)
        self._timer: asyncio.TimerHandle | None = None
        self.waiting = 0
        self.breaker: Breaker | None = None
        if policy.breaker_failures is not None:
            self.breaker = Breaker(name, policy.breaker_failures, policy.breaker_pause)

    def arrive(self, ticket: Ticket) -> None:
        """A call comes: it goes through, or waits."""
        ahead = self.waiting
        self._line.append(ticket)
        self.waiting += 1
        for lock in ticket.locks:
            lock.line.append(ticket)
        self.pump()
        if not (ticket.inside or ticket.gone):
            ticket.call.wait(ahead)

    def leave(self, ticket: Ticket) -> None:
        """A call has ended, or waits no more: those behind it may go on."""
        if ticket.gone:
            return
        ticket.gone = True
        if ticket.inside:
            self._out -= 1
            for lock in ticket.locks:
                lock.holder = None
        else:
            self.waiting -= 1
        self.pump()
        for gate in _first_in(ticket.locks):
            gate.pump()

    def pump(self) -> None:
        """Let through whoever may go, in the order in which they came."""
        while (ticket := _head(self._line)) is not None and self._has_place() and _locks_are_free(ticket):
            self._line.popleft()
            self.waiting -= 1
            # Here and not where calls come: those that wait behind one that failed are not to fail in their turn.
            if self.breaker is not None and not self.breaker.admits(asyncio.get_running_loop().time()):
                ticket.gone = True
                self._refuse(ticket.call, self.breaker)
                continue
            self._out += 1
            self._began.append(asyncio.get_running_loop().time())
            ticket.inside = True
            for lock in ticket.locks:
                lock.line.popleft()
                lock.holder = ticket
            self._enter(ticket.call)

    def _has_place(self) -> bool:
        policy = self._policy
        if policy.max_parallel is not None and self._out >= policy.max_parallel:
            return False
        began = self._began
        if not isinstance(policy.rate, Rate) or len(began) < policy.rate.calls:
            return True
        loop = asyncio.get_running_loop()
        due = began[0] + policy.rate.period
        if due <= loop.time():
            return True
        if self._timer is None:
            self._timer = loop.call_at(due, self._due)
        return False

    def _due(self) -> None:
        self._timer = None
        self.pump()


def _head(line: deque[Ticket]) -> Ticket | None:
    """The first that still waits."""
    while line and line[0].gone:
        line.popleft()
    return line[0] if line else None


def _locks_are_free(ticket: Ticket) -> bool:
    return all(lock.holder is None and _head(lock.line) is ticket for lock in ticket.locks)


def _first_in(locks: Iterable[Lock]) -> list[Gate]:
    heads = (_head(lock.line) for lock in locks)
    return [head.gate for head in heads if head is not None]
