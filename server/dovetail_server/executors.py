"""The executors of a server: who is attached, who was lost, and what each serves. Knows no gRPC.

A session is *attached* while it has a stream, *detached* while its lease runs on without one, *lost* once the lease is
over and calls that must not be repeated still wait for it, and then gone. `docs/protocol.md` draws it.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from dovetail.durations import duration_of
from dovetail.errors import UsageError
from dovetail.failure_text import bounded
from dovetail.tools.tool_set import ToolSet
from dovetail.v1 import AttachResponse, ServerDrain, Welcome
from dovetail_server.executor_session import ExecutorMailbox, Session
from dovetail_server.fleet import Fleet
from dovetail_server.log import server_log
from dovetail_server.refusal import Refusal
from dovetail_server.tool_pool import Queue, ToolPool

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from dovetail.tools.policy_file import Policies
    from dovetail.v1 import Hello, ToolSpec
    from dovetail_server.callers import Caller
    from dovetail_server.settings import ServerSettings

__all__ = ["Executors"]

_MOST_POOLS = 20_000


class Executors:
    """Everyone who is attached.

    Args:
        settings: lease, grace and limits.
        taken: the tools of the server's own process.
        policies: what the server's owner says of tools.
        changed: is called when tools come or go.
    """

    def __init__(
        self, settings: ServerSettings, taken: ToolSet, policies: Policies, changed: Callable[[], None]
    ) -> None:
        self._settings = settings
        self._taken = taken
        self._policies = policies
        self._changed = changed
        self._log = server_log()
        self.queue = Queue(settings.max_waiting_calls)
        self.sessions: dict[str, Session] = {}
        self._pools: dict[str, ToolPool] = {}
        self._fleets: dict[frozenset[ToolPool], Fleet] = {}
        # They also grow from one start of the server to the next: executors outlive it.
        self._last_number = time.time_ns() // 1_000_000
        # When the server will have drained at the latest, in the loop's time.
        self._ends: float | None = None

    def pools(self) -> Iterator[ToolPool]:
        """The tools that executors serve, or that calls wait for."""
        return (pool for pool in self._pools.values() if pool.waiting or pool.served)

    def attach(self, hello: Hello, caller: Caller) -> tuple[Session, ExecutorMailbox]:
        """Welcome an executor: to the session that it comes back to, or to a new one.

        Raises:
            Refusal: it cannot be welcomed; the refusal names the field.
        """
        before = self.sessions.get(hello.executor_id)
        # While the server drains its runs go on: who carries out their calls may come back.
        if self._ends is not None and (before is None or hello.fencing_number != before.number):
            raise Refusal.shutting_down()
        if before is not None and before.caller != caller.name:
            raise Refusal.executor_already_exists(hello.executor_id)
        if before is None and len(self.sessions) >= self._settings.max_executors:
            most = self._settings.max_executors
            raise Refusal.limit_reached("max_executors", most, f"{most} executors are attached already")
        self._admit_tools(hello, caller)
        mailbox = ExecutorMailbox()
        resumed = (
            before is not None
            and hello.fencing_number == before.number
            and before.pools == {spec.name: self._pools[spec.name] for spec in hello.tools}
        )
        if before is not None and before.mailbox is not None:
            before.mailbox.close(Refusal.session_taken_over())
        if before is not None and resumed:
            session = before
            session.draining = False
            session.resume(mailbox, hello.max_parallel_calls, hello.known_call_ids)
        else:
            if before is not None:
                self._end(before, "a new session took its place")
            session = self._welcome(hello, caller, mailbox)
        welcome = AttachResponse(
            welcome=Welcome(
                fencing_number=session.number,
                resumed=resumed,
                heartbeat_interval=duration_of(self._settings.heartbeat_seconds),
                lease=duration_of(self._settings.lease_seconds),
                grace=duration_of(self._settings.grace_seconds),
                max_message_bytes=self._settings.max_message_bytes,
            )
        )
        mailbox.notices.append(welcome)
        if self._ends is not None:
            mailbox.notices.append(_drain_notice(self._ends))
        self.hear(session)
        self._watch(session)
        self._changed()
        self._log.info(
            "executor attached",
            executor_id=session.executor_id,
            fencing_number=session.number,
            resumed=resumed,
            tools=len(session.pools),
            places=session.places,
        )
        session.refill()
        return session, mailbox

    def hear(self, session: Session) -> None:
        """Something came from this executor."""
        session.heard = asyncio.get_running_loop().time()

    def drain(self, session: Session) -> None:
        """An executor takes no further calls."""
        session.draining = True

    def detach(self, session: Session, mailbox: ExecutorMailbox) -> None:
        """A stream is gone without a goodbye: its session waits for another one."""
        if session.mailbox is mailbox:
            session.mailbox = None
            self._changed()
            self._log.info("executor detached", executor_id=session.executor_id, calls=len(session.out))

    def leave(self, session: Session, mailbox: ExecutorMailbox, reason: str) -> None:
        """An executor has said goodbye: what it still has is lost at once."""
        if session.mailbox is mailbox:
            session.mailbox = None
            self._end(session, f"it said goodbye: {bounded(reason)}" if reason else "it said goodbye")

    def announce_drain(self, within: float) -> None:
        """Tell all executors that the server is about to end, and welcome no more."""
        self._ends = asyncio.get_running_loop().time() + within
        for session in self.sessions.values():
            if session.mailbox is not None:
                session.mailbox.notices.append(_drain_notice(self._ends))
                session.mailbox.wake()

    def close(self) -> None:
        """Let all streams end."""
        for session in self.sessions.values():
            if session.timer is not None:
                session.timer.cancel()
            if session.mailbox is not None:
                session.mailbox.close()

    # Tools ----------------------------------------------------------------------------------------------------

    def _admit_tools(self, hello: Hello, caller: Caller) -> None:
        """Check the tools of an executor, all before any of them is taken up."""
        fresh: list[ToolPool] = []
        names = set()
        for index, spec in enumerate(hello.tools):
            at = f"hello.tools[{index}]"
            if spec.name in names:
                raise Refusal.invalid_field(f"{at}.name", f"{spec.name!r} stands twice")
            names.add(spec.name)
            if not caller.allows(spec.name):
                raise Refusal.tool_not_allowed(spec.name)
            if spec.name in self._taken.current():
                message = f"{at}: the server itself has a tool {spec.name!r}; give this one another name"
                raise Refusal.tool_spec_conflict(spec.name, message)
            known = self._pools.get(spec.name)
            # Nearly always it is the same to the letter, and nothing has to be compiled again.
            if known is not None and known.spec == spec.SerializeToString(deterministic=True):
                continue
            pool = self._pool(spec, at)
            if known is not None and known.identity == pool.identity:
                continue
            fresh.append(pool)
            others = [] if known is None else _others(known, hello.executor_id)
            if others:
                message = (
                    f"{at}: the executor {others[0]!r} serves a tool {spec.name!r} with another spec; all executors of "
                    "a tool must give the same one"
                )
                raise Refusal.tool_spec_conflict(spec.name, message)
        for pool in fresh:
            replaced = self._pools.get(pool.tool.name)
            if replaced is not None:
                replaced.retire()
            self._pools[pool.tool.name] = pool
        if len(self._pools) > _MOST_POOLS:
            self._forget_unserved(names)

    def _pool(self, spec: ToolSpec, at: str) -> ToolPool:
        try:
            pool = ToolPool(spec, self.queue, self._policies)
            _ = ToolSet([pool.tool]).core
        except UsageError as error:
            raise Refusal.invalid_spec(at, error) from None
        return pool

    def _forget_unserved(self, kept: Collection[str]) -> None:
        """Keep the list of tools bounded, whatever names executors come and go with."""
        for name, pool in list(self._pools.items()):
            if name not in kept and not pool.sessions and not pool.waiting:
                pool.retire()
                del self._pools[name]

    # Sessions -------------------------------------------------------------------------------------------------

    def _welcome(self, hello: Hello, caller: Caller, mailbox: ExecutorMailbox) -> Session:
        self._last_number += 1
        pools = {spec.name: self._pools[spec.name] for spec in hello.tools}
        fleet = self._fleets.setdefault(frozenset(pools.values()), Fleet())
        places = hello.max_parallel_calls
        session = Session(hello.executor_id, self._last_number, caller.name, places, pools, fleet, self.queue)
        session.mailbox = mailbox
        for pool in pools.values():
            pool.sessions.add(session)
            pool.fleets.add(fleet)
        fleet.enter(session)
        # What an executor knows of an older session is of no use to anyone.
        mailbox.cancelled = list(hello.known_call_ids)
        self.sessions[session.executor_id] = session
        return session

    def _watch(self, session: Session) -> None:
        """End the lease of a session when it is over."""
        if session.timer is not None:
            session.timer.cancel()
        loop = asyncio.get_running_loop()
        session.timer = loop.call_at(session.heard + self._settings.lease_seconds, self._check_lease, session)

    def _check_lease(self, session: Session) -> None:
        now = asyncio.get_running_loop().time()
        if now < session.heard + self._settings.lease_seconds:
            self._watch(session)
            return
        if session.mailbox is not None:
            session.mailbox.close(Refusal.lease_over())
            session.mailbox = None
        self._log.warning("executor lost", executor_id=session.executor_id, calls=len(session.out))
        session.lost = True
        seconds = self._settings.lease_seconds
        for call_id, call in list(session.out.items()):
            if call.tool.repeatable:
                del session.out[call_id]
                call.lose(session.executor_id, f"nothing was heard of it for its lease of {seconds:g} s")
        self._changed()
        if session.out:
            grace = self._settings.grace_seconds
            reason = f"it did not come back within its grace of {grace:g} s"
            session.timer = asyncio.get_running_loop().call_later(grace, self._end, session, reason)
        else:
            self._end(session, "nothing waits for it")

    def _end(self, session: Session, reason: str) -> None:
        if session.timer is not None:
            session.timer.cancel()
        if self.sessions.get(session.executor_id) is session:
            del self.sessions[session.executor_id]
        session.fleet.leave(session)
        if not session.fleet:
            self._fleets.pop(frozenset(session.pools.values()), None)
        for pool in session.pools.values():
            pool.sessions.discard(session)
            if not session.fleet:
                pool.fleets.discard(session.fleet)
        out = list(session.out.values())
        session.out.clear()
        for call in out:
            call.lose(session.executor_id, reason)
        self._changed()
        self._log.info("executor gone", executor_id=session.executor_id, reason=reason, calls_lost=len(out))


def _others(pool: ToolPool, executor_id: str) -> list[str]:
    """The executors that serve a tool, apart from the one that wants to give it another spec."""
    return sorted(session.executor_id for session in pool.sessions if session.executor_id != executor_id)


def _drain_notice(ends: float) -> AttachResponse:
    """The word that the server is about to end."""
    left = max(0.0, ends - asyncio.get_running_loop().time())
    return AttachResponse(drain=ServerDrain(within=duration_of(left)))
