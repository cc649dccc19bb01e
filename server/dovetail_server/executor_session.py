"""The session of an executor: its calls, its places, and what is to be sent to it. Knows no gRPC."""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING

from dovetail.durations import duration_of
from dovetail.v1 import AttachResponse, RefusedResult
from dovetail_server.mailbox import Mailbox
from dovetail_server.outcomes import deliver
from dovetail_server.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from google.protobuf.duration_pb2 import Duration

    from dovetail.tools.call import Call
    from dovetail.v1 import CallProgress, CallResult
    from dovetail_server.fleet import Fleet
    from dovetail_server.tool_pool import Queue, ToolPool

__all__ = ["ExecutorMailbox", "Session", "time_left"]

_CALLS_A_MESSAGE = 64
# Characters, each of which may be four bytes.
_CALL_CHARACTERS_A_MESSAGE = 768 * 1024
_NAMES_A_MESSAGE = 1024
_MOST_REFUSED = 10_000
# More than any name of a call has: what is kept to be refused must not be of any size.
_LONGEST_NAME = 256


class ExecutorMailbox(Mailbox):
    """What is to be sent on one stream to an executor."""

    __slots__ = ("calls", "cancelled", "heartbeat", "notices", "recorded", "refused")

    def __init__(self) -> None:
        super().__init__()
        # A dictionary, so that a call which is cancelled before it was sent is forgotten at once.
        self.calls: dict[str, Call] = {}
        self.cancelled: list[str] = []
        self.recorded: list[str] = []
        self.refused: list[tuple[str, RefusedResult.Reason]] = []
        # Only the latest is answered: whoever sends many must not make us keep them.
        self.heartbeat: int | None = None
        # A welcome, or the word that the server drains: each sent alone, before anything else.
        self.notices: list[AttachResponse] = []

    def refuse(self, call_id: str, reason: RefusedResult.Reason) -> None:
        """Say that a result was not taken.

        Raises:
            Refusal: nobody reads what is said, or the call has a name that none can have.
        """
        if len(call_id) > _LONGEST_NAME:
            raise Refusal.invalid_field(
                "results.call_id", f"has {len(call_id):,} characters; no call's name has so many"
            )
        if len(self.refused) >= _MOST_REFUSED:
            message = f"{_MOST_REFUSED} results were refused, and the refusals are not read"
            raise Refusal.limit_reached("refused_results", _MOST_REFUSED, message)
        self.refused.append((call_id, reason))

    def take(self, number: int) -> AttachResponse | None:
        """The next message to a session of this number, or None if there is nothing to send."""
        if self.notices:
            return self.notices.pop(0)
        message = AttachResponse()
        if self.recorded:
            message.recorded_call_ids.extend(self.recorded[:_NAMES_A_MESSAGE])
            del self.recorded[:_NAMES_A_MESSAGE]
        if self.cancelled:
            message.cancelled_call_ids.extend(self.cancelled[:_NAMES_A_MESSAGE])
            del self.cancelled[:_NAMES_A_MESSAGE]
        if self.refused:
            for call_id, reason in self.refused[:_NAMES_A_MESSAGE]:
                message.refused_results.add(call_id=call_id, reason=reason)
            del self.refused[:_NAMES_A_MESSAGE]
        if self.calls and not self.cancelled:
            self._take_calls(message, number)
        # Behind the calls that were given before it came: an executor that drains waits for this answer.
        if self.heartbeat is not None and not self.calls:
            message.heartbeat.SetInParent()
            message.heartbeat.number = self.heartbeat
            self.heartbeat = None
        return message if message.ByteSize() else None

    def _take_calls(self, message: AttachResponse, number: int) -> None:
        left = _CALL_CHARACTERS_A_MESSAGE
        now = asyncio.get_running_loop().time()
        sent: list[str] = []
        for call_id, call in islice(self.calls.items(), _CALLS_A_MESSAGE):
            left -= len(call.arguments_json)
            if left < 0 and sent:
                break
            added = message.calls.add(
                call_id=call_id,
                tool=call.tool.name,
                arguments_json=call.arguments_json,
                fencing_number=number,
                run_id=call.run_id,
                task_id=call.task_id,
                traceparent=call.traceparent,
            )
            if call.tool.timeout is not None:
                added.timeout.CopyFrom(time_left(call, call.tool.timeout, now))
            sent.append(call_id)
        for call_id in sent:
            del self.calls[call_id]


class Session:
    """What an executor was welcomed to, over one or more streams.

    Attributes:
        executor_id: the executor.
        number: the fencing number.
        caller: the name of the token that it attached with.
        pools: the tools that it serves, by name.
        fleet: the executors that serve the same.
        given: how many calls it was given, counted with those that its fleet was given before it came.
        places: how many calls it takes at once.
        out: the calls that it has, by their names on the wire.
        mailbox: what is to be sent on the stream that it has now; None while it has none.
        heard: when it was last heard, in the loop's time.
        draining: it takes no further calls.
        lost: its lease is over, and what is still out waits for it within the grace.
        timer: what ends its lease or its grace.

    Args:
        queue: the calls of the server that wait.
    """

    __slots__ = (
        "_queue",
        "caller",
        "draining",
        "executor_id",
        "fleet",
        "given",
        "heard",
        "lost",
        "mailbox",
        "number",
        "out",
        "places",
        "pools",
        "timer",
    )

    def __init__(
        self,
        executor_id: str,
        number: int,
        caller: str,
        places: int,
        pools: dict[str, ToolPool],
        fleet: Fleet,
        queue: Queue,
    ) -> None:
        self._queue = queue
        self.executor_id = executor_id
        self.number = number
        self.caller = caller
        self.places = places
        self.pools = pools
        self.fleet = fleet
        self.given = 0
        self.out: dict[str, Call] = {}
        self.mailbox: ExecutorMailbox | None = None
        self.heard = 0.0
        self.draining = False
        self.lost = False
        self.timer: asyncio.TimerHandle | None = None

    @property
    def free(self) -> int:
        """How many further calls it would take now."""
        if self.mailbox is None or self.draining:
            return 0
        return self.places - len(self.out)

    def give(self, call: Call) -> None:
        """Have it carry out a call; there must be a free place."""
        mailbox = self.mailbox
        if mailbox is None:
            raise RuntimeError(f"{self.executor_id} is not attached")
        call_id = f"{call.run_id}/{call.call_id}"
        call.handle = self
        self.given += 1
        self.out[call_id] = call
        mailbox.calls[call_id] = call
        mailbox.wake()
        call.start(self.executor_id)

    def refill(self) -> None:
        """Give it what waits for it, as far as it has places: what came first, whatever its tool."""
        while self._queue.length and self.free > 0:
            pools = [pool for pool in self.pools.values() if pool.waiting]
            if not pools:
                return
            self.give(min(pools, key=_first_in_line).next())

    def take_back(self, call: Call) -> None:
        """Its result is not wanted any more."""
        call_id = f"{call.run_id}/{call.call_id}"
        if self.out.pop(call_id, None) is None or self.mailbox is None:
            return
        self.fleet.rank(self)
        if self.mailbox.calls.pop(call_id, None) is None:
            self.mailbox.cancelled.append(call_id)
            self.mailbox.wake()

    def report(self, progress: Iterable[CallProgress]) -> None:
        """It says how far calls are."""
        for one in progress:
            call = self.out.get(one.call_id)
            if call is not None:
                call.progress(one.fraction if one.HasField("fraction") else None, one.message)

    def settle(self, results: Iterable[CallResult]) -> None:
        """It says how calls ended. Each is answered: recorded or refused."""
        mailbox = self.mailbox
        for result in results:
            call_id = result.call_id
            call = self.out.get(call_id)
            if call is None or result.fencing_number != self.number:
                reason = RefusedResult.REASON_UNKNOWN_CALL
                if result.fencing_number != self.number:
                    reason = RefusedResult.REASON_STALE_SESSION
                if mailbox is not None:
                    mailbox.refuse(call_id, reason)
                continue
            del self.out[call_id]
            # The name goes with the message that answers this one: the fact is in the journal by then.
            if mailbox is not None:
                mailbox.calls.pop(call_id, None)
                mailbox.recorded.append(call_id)
            # Before the outcome is told: what follows from it would take the place of those who have waited.
            self.refill()
            self.fleet.rank(self)
            deliver(call, result.outcome)
        if mailbox is not None:
            mailbox.wake()

    def resume(self, mailbox: ExecutorMailbox, places: int, known: Iterable[str]) -> None:
        """It is back, on another stream, and knows these calls: what it does not know of is sent again."""
        self.places = places
        known = set(known)
        self.mailbox = mailbox
        self.lost = False
        mailbox.calls = {call_id: call for call_id, call in self.out.items() if call_id not in known}
        mailbox.cancelled = [call_id for call_id in known if call_id not in self.out]
        self.fleet.rank(self)


def _first_in_line(pool: ToolPool) -> int:
    return pool.first_in_line()


def time_left(call: Call, timeout: float, now: float) -> Duration:
    """How long a call may take from now on: less than its timeout, if it was given out before."""
    return duration_of(timeout if call.timer is None else max(0.0, call.timer.when() - now))
