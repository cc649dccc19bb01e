"""What the policies of tools share over all runs: gates, exclusive keys, breakers and outputs that are used again."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from dovetail.calls.gate import Gate, Lock, Ticket
from dovetail.tools.call import call_key
from dovetail.v1 import FailureReason

if TYPE_CHECKING:
    from collections.abc import Callable

    from dovetail.calls.breaker import Breaker
    from dovetail.tools.call import Call
    from dovetail.tools.definition import Tool

__all__ = ["Gates"]

_ENDING_SECONDS: Final = 1.0
_MOST_OUTPUTS: Final = 4_096
_MOST_CACHED_BYTES: Final = 64 * 1024 * 1024

# What says something about the tool, and not about whoever called it.
_FAULTS: Final = frozenset(
    {
        FailureReason.FAILURE_REASON_TOOL_ERROR,
        FailureReason.FAILURE_REASON_TIMEOUT,
        FailureReason.FAILURE_REASON_OUTPUT_INVALID,
        FailureReason.FAILURE_REASON_OUTPUT_TOO_LARGE,
        FailureReason.FAILURE_REASON_EXECUTOR_LOST,
        FailureReason.FAILURE_REASON_OUTCOME_UNKNOWN,
        FailureReason.FAILURE_REASON_TOOL_CRASHED,
    }
)

_Key = tuple[str, str]


class _Flight:
    """The same call, asked for by several: made by the first, awaited by the others."""

    __slots__ = ("followers", "key", "leader")

    def __init__(self, key: _Key, leader: Call) -> None:
        self.key = key
        self.leader = leader
        self.followers: list[Call] = []


class Gates:
    """The gates of an engine's tools. Belongs to one event loop.

    Every call of a tool with a policy comes in by `admit` and goes out by one of `succeeded`, `failed` and `withdraw`.

    Args:
        enter: makes a call that was let through.
    """

    def __init__(self, enter: Callable[[Call], None]) -> None:
        self._enter = enter
        self._gates: dict[str, tuple[Tool, Gate]] = {}
        self._locks: dict[str, Lock] = {}
        self._tickets: dict[Call, Ticket] = {}
        self._flights: dict[_Key, _Flight] = {}
        self._in_flight: dict[Call, _Flight] = {}
        self._outputs: OrderedDict[_Key, tuple[float, str]] = OrderedDict()
        self._cached_characters = 0

    def admit(self, call: Call) -> None:
        """A call comes: it is made now or later, or has its outcome without being made."""
        loop = asyncio.get_running_loop()
        if call.tool.policy.cache is not None:
            key = call_key(call.tool.name, call.arguments_json)
            output = self._fresh(key, loop.time())
            if output is not None:
                # Soon and not now: see `dovetail.tools.call.Backend`.
                loop.call_soon(call.succeed, output, True)
                return
            flight = self._flights.get(key)
            if flight is not None:
                flight.followers.append(call)
                self._in_flight[call] = flight
                return
            self._flights[key] = self._in_flight[call] = _Flight(key, call)
        self._to_gate(call)

    def succeeded(self, call: Call, output_json: str) -> None:
        """A call gave an output."""
        ticket = self._tickets.pop(call, None)
        if ticket is not None:
            if ticket.inside and ticket.gate.breaker is not None:
                ticket.gate.breaker.succeeded()
            _depart(ticket)
        if call.is_for_a_place:
            self._pass_on(call)
            return
        flight = self._in_flight.pop(call, None)
        if flight is None or flight.leader is not call:
            return
        del self._flights[flight.key]
        self._keep(flight.key, output_json, call.tool.policy.cache)
        for follower in flight.followers:
            del self._in_flight[follower]
            asyncio.get_running_loop().call_soon(follower.succeed, output_json, True)

    def failed(self, call: Call, reason: FailureReason) -> None:
        """A call gave no output."""
        ticket = self._tickets.pop(call, None)
        if ticket is not None:
            breaker = ticket.gate.breaker
            if ticket.inside and breaker is not None:
                if reason in _FAULTS:
                    breaker.failed(asyncio.get_running_loop().time())
                else:
                    breaker.withdrawn()
            _depart(ticket)
        self._pass_on(call)

    def let_through(self, call: Call) -> bool:
        """Whether a call was let through, so that its backend has to be told if it is not wanted any more."""
        ticket = self._tickets.get(call)
        return ticket is not None and ticket.inside

    def withdraw(self, call: Call) -> None:
        """The outcome of a call is not wanted any more."""
        ticket = self._tickets.pop(call, None)
        if ticket is not None:
            if ticket.inside and ticket.gate.breaker is not None:
                ticket.gate.breaker.withdrawn()
            _depart(ticket)
        self._pass_on(call)

    # Gates and locks ------------------------------------------------------------------------------------------

    def _to_gate(self, call: Call) -> None:
        locks = tuple(self._locks.setdefault(key, Lock()) for key in call.tool.policy.exclusive)
        gate = self._gate(call.tool)
        ticket = self._tickets[call] = Ticket(call, gate, locks)
        gate.arrive(ticket)

    def _gate(self, tool: Tool) -> Gate:
        known = self._gates.get(tool.name)
        # Another tool may have come under the name: it has another policy, and nothing in common with the first.
        if known is None or known[0].policy != tool.policy:
            known = self._gates[tool.name] = (tool, Gate(tool.name, tool.policy, self._enter, _refuse))
        return known[1]

    # Outputs that are used again ------------------------------------------------------------------------------

    def _pass_on(self, call: Call) -> None:
        """A call that others wait for has no output: the next of them is made in its place."""
        flight = self._in_flight.pop(call, None)
        if flight is None:
            return
        if flight.leader is not call:
            flight.followers.remove(call)
        elif flight.followers:
            flight.leader = flight.followers.pop(0)
            # Soon, so that a thousand followers of a tool that always fails are no deep recursion.
            asyncio.get_running_loop().call_soon(self._lead, flight.leader)
        else:
            del self._flights[flight.key]

    def _lead(self, call: Call) -> None:
        if not call.over:
            self._to_gate(call)

    def _fresh(self, key: _Key, now: float) -> str | None:
        found = self._outputs.get(key)
        if found is None:
            return None
        if found[0] < now:
            self._drop(key)
            return None
        return found[1]

    def _keep(self, key: _Key, output_json: str, seconds: float | None) -> None:
        if seconds is None or len(output_json) > _MOST_CACHED_BYTES // 16:
            return
        if key in self._outputs:
            self._drop(key)
        self._outputs[key] = (asyncio.get_running_loop().time() + seconds, output_json)
        self._cached_characters += len(output_json)
        while len(self._outputs) > _MOST_OUTPUTS or self._cached_characters > _MOST_CACHED_BYTES:
            self._drop(next(iter(self._outputs)))

    def _drop(self, key: _Key) -> None:
        _, output_json = self._outputs.pop(key)
        self._cached_characters -= len(output_json)


def _depart(ticket: Ticket) -> None:
    """Let the next in as soon as what was cancelled has come to its end, or does not come to one."""
    ending = ticket.call.ending
    if not ticket.inside or ending is None or ending.done():
        ticket.gate.leave(ticket)
        return
    ending.add_done_callback(lambda _: ticket.gate.leave(ticket))
    asyncio.get_running_loop().call_later(_ENDING_SECONDS, ticket.gate.leave, ticket)


def _refuse(call: Call, breaker: Breaker) -> None:
    loop = asyncio.get_running_loop()
    left = breaker.seconds_left(loop.time())
    when = f"in {left:.1f} s" if left else "once its trial call has ended"
    message = f"{call.tool.name} failed too often of late and is not called; it may be {when}"
    # Soon and not now: see `dovetail.tools.call.Backend`.
    loop.call_soon(call.fail, FailureReason.FAILURE_REASON_CIRCUIT_OPEN, message)
