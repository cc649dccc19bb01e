"""A tool that executors serve: where its calls are placed, or wait for a place. Knows no gRPC."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from dovetail.tools.tool_wire import tool_from_wire, tool_to_wire
from dovetail.v1 import FailureReason

if TYPE_CHECKING:
    from dovetail.tools.call import Call
    from dovetail.tools.definition import Tool
    from dovetail.tools.policy_file import Policies
    from dovetail.v1 import ToolSpec
    from dovetail_server.executor_session import Session
    from dovetail_server.fleet import Fleet

__all__ = ["Queue", "ToolPool"]


class Queue:
    """The calls of a server that wait for executors: how many they are, and in which order they came.

    Args:
        most: how many there may be.
    """

    __slots__ = ("_numbers", "length", "most")

    def __init__(self, most: int) -> None:
        self.most = most
        self.length = 0
        self._numbers = 0

    def number(self) -> int:
        """The place in line of a call that comes now."""
        self._numbers += 1
        return self._numbers


class ToolPool:
    """One tool with one spec, and the executors that serve it: the `Backend` of its calls.

    A call goes to the executor with the most free places, of several such to the one that was given
    the fewest. If there is none it waits, and is given to the first executor that has a place, in the order in which
    calls came.

    Args:
        spec: the tool's spec.
        queue: counts what waits.
        policies: what the server's owner says of tools.

    Attributes:
        tool: the tool.
        spec: the spec as it came.
        identity: what all specs of this tool have in common, however they were written down.
        sessions: the executors that serve it and are attached, detached or within their grace.
        fleets: the same, those together that serve the same tools besides.
        waiting: how many calls wait.
        retired: the tool was replaced by another of this name.

    Raises:
        ToolDefinitionError: the spec cannot be used.
        UsageError: the policies do not fit the tool.
    """

    def __init__(self, spec: ToolSpec, queue: Queue, policies: Policies) -> None:
        self.spec = spec.SerializeToString(deterministic=True)
        tool = tool_from_wire(spec, backend=self)
        self.identity = tool_to_wire(tool).SerializeToString(deterministic=True)
        self.tool: Tool = policies.applied_to(tool)
        self.sessions: set[Session] = set()
        self.fleets: set[Fleet] = set()
        self.waiting = 0
        # Each with its place in line. The first is always one that still waits; others may have been cancelled.
        self._line: deque[tuple[int, Call]] = deque()
        self.retired = False
        self._queue = queue

    @property
    def served(self) -> bool:
        """Whether an executor that serves it is attached, or expected to be back within its lease."""
        return any(not session.lost for session in self.sessions)

    @property
    def out(self) -> int:
        """How many of its calls are at executors."""
        return sum(call.tool is self.tool for session in self.sessions for call in session.out.values())

    def begin(self, call: Call) -> None:
        """Give a call to an executor, or let it wait for one."""
        session = None if self.waiting else self._freest()
        if session is not None and session.free > 0:
            session.give(call)
        elif self.retired:
            message = f"the tool {self.tool.name} was replaced by another of that name"
            self._refuse(call, FailureReason.FAILURE_REASON_TOOL_UNAVAILABLE, message)
        elif self._queue.length >= self._queue.most:
            message = f"{self._queue.length} calls wait for executors already; attach more executors"
            self._refuse(call, FailureReason.FAILURE_REASON_OVERLOADED, message)
        else:
            call.wait(self.waiting)
            self._line.append((self._queue.number(), call))
            self.waiting += 1
            self._queue.length += 1

    def _freest(self) -> Session | None:
        freest = None
        for fleet in self.fleets:
            session = fleet.first()
            if session is not None and (freest is None or session.free > freest.free):
                freest = session
        return freest

    def cancel(self, call: Call) -> None:
        """Take a call back from its executor, or out of the line."""
        session: Session | None = call.handle
        if session is not None:
            session.take_back(call)
            session.refill()
        else:
            self._leave_line()

    def first_in_line(self) -> int:
        """The place in line of the call that has waited the longest."""
        return self._line[0][0]

    def next(self) -> Call:
        """Take the call that has waited the longest out of the line."""
        _, call = self._line.popleft()
        self._leave_line()
        return call

    def _leave_line(self) -> None:
        self.waiting -= 1
        self._queue.length -= 1
        while self._line and self._line[0][1].over:
            self._line.popleft()

    def retire(self) -> None:
        """The tool is replaced: what waits for it fails."""
        self.retired = True
        message = f"the tool {self.tool.name} was replaced by another of that name"
        while self.waiting:
            self._refuse(self.next(), FailureReason.FAILURE_REASON_TOOL_UNAVAILABLE, message)

    def _refuse(self, call: Call, reason: FailureReason, message: str) -> None:
        # Soon and not now: see `Backend`.
        asyncio.get_running_loop().call_soon(call.fail, reason, message)
