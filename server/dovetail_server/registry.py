"""The runs of a server: those in flight, and those that ended and are kept for a while."""

from __future__ import annotations

import base64
import hashlib
import sys
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from dovetail import v1
from dovetail.v1 import RunState
from dovetail_server.log import server_log
from dovetail_server.payloads import payloads_of
from dovetail_server.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from google.protobuf.timestamp_pb2 import Timestamp

    from dovetail.run_handle import Run
    from dovetail_server.client_tools import ClientTools
    from dovetail_server.settings import ServerSettings

__all__ = ["PAGE_BYTES", "HostedRun", "Registry", "fingerprint", "page_size"]

PAGE_BYTES = 1024 * 1024
"""Where a page ends before it has as many entries as were asked for: one more of any size still fits a message."""


@dataclass(slots=True, eq=False)
class HostedRun:
    """A run, and what the server remembers of its creation.

    Attributes:
        number: its place among all runs of the server.
        run: the run.
        request: the fingerprint of the request that created it.
        created: when, in nanoseconds since the epoch.
        client_tools: its client's own tools, if it brought some.
        streams: how many streams of `StreamRun` it has.
    """

    number: int
    run: Run
    request: bytes
    created: int
    client_tools: ClientTools | None
    streams: int = 0

    def to_proto(self) -> v1.Run:
        """The run as the wire shows it."""
        journal = self.run.journal
        started = journal.read(0, 1, 0)[0].run_started
        shown = v1.Run(
            run_id=self.run.run_id,
            question=self.run.question,
            state=self.run.state,
            model=started.model,
            strategy=started.strategy,
            tools=started.tools,
            limits=started.limits,
            metadata=started.metadata,
            last_sequence=len(journal),
            awaiting_approval=self.run.awaiting_approval,
        )
        shown.create_time.FromNanoseconds(self.created)
        answered = journal.latest("run_answered")
        if answered is not None:
            shown.answer = answered.run_answered.answer
        if journal.ended:
            last = journal.last
            shown.end_time.CopyFrom(last.time)
            shown.usage.CopyFrom(last.run_ended.usage)
            if last.run_ended.HasField("cost"):
                shown.cost = last.run_ended.cost
            if last.run_ended.HasField("failure"):
                shown.failure.CopyFrom(last.run_ended.failure)
        return shown


class Registry:
    """Runs by their names.

    Args:
        settings: how many there may be, and how long those that ended are kept.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._log = server_log()
        self._runs: dict[str, HostedRun] = {}
        self._numbers = 0
        # Those that ended, in the order in which they did, each with the time.
        self._ended: deque[tuple[float, str]] = deque()

    @property
    def in_flight(self) -> int:
        """How many runs have not ended."""
        return len(self._runs) - len(self._ended)

    def running(self) -> list[Run]:
        """The runs that have not ended."""
        return [hosted.run for hosted in self._runs.values() if not hosted.run.journal.ended]

    def find(self, run_id: str, request: bytes) -> HostedRun | None:
        """The run that this request created, if it did.

        Raises:
            Refusal: another request created a run of that name.
        """
        self._forget()
        known = self._runs.get(run_id)
        if known is not None and known.request != request:
            raise Refusal.run_already_exists(run_id)
        return known

    def get(self, run_id: str) -> HostedRun:
        """A run.

        Raises:
            Refusal: there is none.
        """
        self._forget()
        known = self._runs.get(run_id)
        if known is None:
            raise Refusal.run_not_found(run_id)
        return known

    def add(self, request: bytes, start: Callable[[], Run], client_tools: ClientTools | None) -> HostedRun:
        """Start a run and remember it.

        Raises:
            Refusal: there are too many already.
        """
        self._forget()
        if self.in_flight >= self._settings.max_runs:
            most = self._settings.max_runs
            raise Refusal.limit_reached("max_runs", most, f"{most} runs are in flight; try again when some have ended")
        run = start()
        self._numbers += 1
        hosted = HostedRun(self._numbers, run, request, time.time_ns(), client_tools)
        self._runs[run.run_id] = hosted
        run.add_done_callback(self._run_ended)
        return hosted

    def page(self, request: v1.ListRunsRequest) -> v1.ListRunsResponse:
        """A page of runs, the latest first.

        Raises:
            Refusal: the size is negative, a time is none, or the token is none of ours.
        """
        self._forget()
        size = page_size(request.page_size)
        below = _number_of(request.page_token)
        created = range(_nanoseconds(request, "created_from", 0), _nanoseconds(request, "created_before", sys.maxsize))
        response = v1.ListRunsResponse()
        left, last = PAGE_BYTES, 0
        for hosted in self._newest(below):
            if hosted.created not in created or (request.states and hosted.run.state not in request.states):
                continue
            shown = hosted.to_proto() if len(response.runs) < size else None
            left -= 0 if shown is None else shown.ByteSize()
            if shown is None or (left < 0 and response.runs):
                response.next_page_token = base64.urlsafe_b64encode(str(last).encode()).decode()
                break
            response.runs.append(shown)
            last = hosted.number
        return response

    def _newest(self, below: int | None) -> Iterator[HostedRun]:
        for hosted in reversed(self._runs.values()):
            if below is None or hosted.number < below:
                yield hosted

    def _run_ended(self, run: Run) -> None:
        self._ended.append((time.monotonic(), run.run_id))
        end = run.journal.last.run_ended
        self._log.info(
            "run",
            run_id=run.run_id,
            state=RunState.Name(end.state).removeprefix("RUN_STATE_"),
            **({"reason": _reason(end.failure)} if end.HasField("failure") else {}),
            duration_ms=round(end.duration.ToNanoseconds() / 1e6, 3),
            events=len(run.journal),
            model_calls=end.model_calls,
            tokens=end.usage.prompt_tokens + end.usage.completion_tokens,
            **({"cost": end.cost} if end.HasField("cost") else {}),
            **(payloads_of(run.journal) if self._settings.log_payloads else {}),
        )
        self._forget()

    def _forget(self) -> None:
        """Let go of runs that ended long ago, or of the oldest of too many."""
        oldest = time.monotonic() - self._settings.keep_seconds
        while self._ended and (len(self._ended) > self._settings.keep_runs or self._ended[0][0] < oldest):
            _, run_id = self._ended.popleft()
            del self._runs[run_id]


def _reason(failure: v1.Failure) -> str:
    return v1.FailureReason.Name(failure.reason).removeprefix("FAILURE_REASON_")


def fingerprint(request: v1.CreateRunRequest) -> bytes:
    """What two equal requests have in common, and no others."""
    return hashlib.sha256(request.SerializeToString(deterministic=True)).digest()


def page_size(asked: int) -> int:
    """How many a page may hold.

    Raises:
        Refusal: less than none was asked for.
    """
    if asked < 0:
        raise Refusal.invalid_field("page_size", f"is {asked}; it must not be negative")
    return min(asked, 1000) or 50


def _number_of(token: str) -> int | None:
    if not token:
        return None
    try:
        return int(base64.b64decode(token, altchars=b"-_", validate=True))
    except ValueError:
        raise Refusal.invalid_field("page_token", "is none that this server gave") from None


def _nanoseconds(request: v1.ListRunsRequest, field: Literal["created_from", "created_before"], missing: int) -> int:
    if not request.HasField(field):
        return missing
    time_of_it: Timestamp = getattr(request, field)
    try:
        return time_of_it.ToNanoseconds()
    except ValueError as error:
        raise Refusal.invalid_field(field, f"is no time: {error}") from None
