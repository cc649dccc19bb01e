"""The handle of a run on a server: followed by watching it."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

import grpc
from pydantic_core import to_json

from dovetail.client.failures import broken_stream
from dovetail.client.patience import Patience
from dovetail.errors import RunCancelledError, RunFailedError, ServerError, ServerUnavailableError
from dovetail.v1 import (
    ApprovalDecision,
    CancelRunRequest,
    GetRunRequest,
    ResolveApprovalRequest,
    RunState,
    WatchRunRequest,
    WatchRunResponse,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Mapping

    from dovetail import v1
    from dovetail.client.exchange import Exchange
    from dovetail.v1 import Event, Failure

__all__ = ["Place", "RemoteRun", "end_of_stream", "ended_early"]

_END_SECONDS: Final = 2.0
"""How long a server may take to end a stream behind the run's last event."""


class Place:
    """How far a reader of a run's events has come.

    Args:
        run_id: the run.
        sequence: the last event already seen. Above the run's latest event, the events to come are wanted.

    Attributes:
        sequence: the last event seen.
        is_end: whether that is the run's last.
    """

    def __init__(self, run_id: str, sequence: int) -> None:
        self.sequence = sequence
        self.is_end = False
        self._run_id = run_id
        self._is_known = False

    def take(self, events: Iterable[Event]) -> list[Event]:
        """The events that were not seen before.

        Raises:
            ServerError: an event is missing between them.
        """
        batch = list(events)
        if not batch:
            return batch
        if not self._is_known:
            self._is_known = True
            self.sequence = min(self.sequence, batch[0].sequence - 1) if self.sequence else 0
        expected = self.sequence + 1
        if batch[0].sequence < expected:
            batch = [event for event in batch if event.sequence >= expected]
        for event in batch:
            if event.sequence != expected:
                raise ServerError(
                    f"run {self._run_id}: event {event.sequence} came where {expected} was due; the server left out "
                    "what stands between them: report it with the server's log",
                    code="DATA_LOSS",
                )
            expected += 1
        self.sequence = expected - 1
        if batch:
            self.is_end = batch[-1].HasField("run_ended")
        return batch


class RemoteRun:
    """A question on its way to an answer, at a server. Made by a `Client`; any number of handles may follow a run.

    Attributes:
        run_id: the run's name.
    """

    def __init__(self, exchange: Exchange, run_id: str, run: v1.Run | None = None) -> None:
        self.run_id = run_id
        self._exchange = exchange
        self._state = RunState.RUN_STATE_UNSPECIFIED if run is None else run.state

    @property
    def state(self) -> RunState:
        """How the run stood when it was last heard of: unspecified if it never was. `get` asks."""
        return self._state

    async def get(self) -> v1.Run:
        """Ask how the run stands.

        Raises:
            NotFoundError: there is no such run, or not any more.
            ServerError: the server refused the request, or was not reached.
        """
        response = await self._exchange.ask(self._exchange.runs.GetRun, GetRunRequest(run_id=self.run_id))
        return self._heard(response.run)

    async def events(self, after_sequence: int = 0) -> AsyncGenerator[Event, None]:
        """The events of the run, from the first or behind a number, until its end; also after its end.

        A stream that breaks is resumed where it broke: each event comes once and in order.

        Args:
            after_sequence: the number of the last event already seen.

        Raises:
            NotFoundError: there is no such run, or not any more.
            ServerUnavailableError: the stream broke, and nothing further came for the client's ``patience``.
            ServerError: the server refused the request, or left an event out.
        """
        async with aclosing(self.batches(after_sequence)) as batches:
            async for batch in batches:
                for event in batch:
                    yield event

    async def batches(self, after_sequence: int = 0) -> AsyncGenerator[list[Event], None]:
        """The events as `events` gives them, in the lists in which they came: fewer steps where there are many.

        Raises:
            ServerError: as of `events`.
        """
        exchange = self._exchange
        place = Place(self.run_id, after_sequence)
        patience = Patience(exchange.patience)
        while True:
            request = WatchRunRequest(run_id=self.run_id, after_sequence=place.sequence)
            call = exchange.runs.WatchRun(request, metadata=exchange.metadata)
            broken: ServerUnavailableError
            try:
                while isinstance(message := await exchange.read(call), WatchRunResponse):
                    if batch := place.take(message.events):
                        patience.progressed()
                        self._note(batch[-1])
                        yield batch
                    if place.is_end:
                        await end_of_stream(call)
                        return
                broken = ended_early(self.run_id)
            except grpc.aio.AioRpcError as error:
                broken = broken_stream(error)
            else:
                # Behind the last event of a run that has ended there is nothing, which is no break.
                run = await self.get()
                if run.state != RunState.RUN_STATE_RUNNING and run.last_sequence <= place.sequence:
                    return
            finally:
                call.cancel()
            await patience.pause(broken)

    async def answer(self) -> str:
        """Wait for the answer.

        Raises:
            RunFailedError: the run ended without an answer; its ``reason`` and message say why.
            RunCancelledError: the run was cancelled.
            ServerError: as of `events`.
        """
        run = await self.get()
        if run.HasField("answer"):
            return run.answer
        if run.state != RunState.RUN_STATE_RUNNING:
            raise _why_no_answer(run.state, run.failure)
        return await self._answer_behind(run.last_sequence)

    async def _answer_behind(self, after_sequence: int) -> str:
        async with aclosing(self.events(after_sequence)) as events:
            async for event in events:
                if event.HasField("run_answered"):
                    return event.run_answered.answer
                if event.HasField("run_ended"):
                    raise _why_no_answer(event.run_ended.state, event.run_ended.failure)
        raise ended_early(self.run_id)

    async def wait(self) -> RunState:
        """Wait for the end of the run.

        Raises:
            ServerError: as of `events`.
        """
        run = await self.get()
        if run.state == RunState.RUN_STATE_RUNNING:
            async with aclosing(self.batches(run.last_sequence)) as batches:
                async for _ in batches:
                    pass
        return self._state

    async def cancel(self, reason: str = "cancelled by its owner") -> v1.Run:
        """Cancel the run: its model stream and its calls. Nothing happens if it has ended.

        Returns:
            The run; it may still be running, for a moment.

        Raises:
            NotFoundError: there is no such run, or not any more.
            ServerError: the server refused the request, or was not reached.
        """
        request = CancelRunRequest(run_id=self.run_id, reason=reason)
        return self._heard((await self._exchange.ask(self._exchange.runs.CancelRun, request)).run)

    async def approve(self, task_id: int, arguments: Mapping[str, Any] | str | None = None, reason: str = "") -> v1.Run:
        """Let a task be called that waits for approval.

        Not repeated if the server is unavailable: what became of it, the events tell.

        Args:
            task_id: the task.
            arguments: the arguments to call it with, if they are to be others than those that were bound; as JSON if
                they are text.
            reason: why, for the journal.

        Raises:
            InvalidRequestError: the arguments do not fit the tool; the task goes on waiting.
            NotPossibleError: the task does not wait for approval, or not any more.
            NotFoundError: there is no such run, or not any more.
            ServerError: the server refused the request, or was not reached.
        """
        decision = ApprovalDecision(task_id=task_id, approve=True, reason=reason)
        if arguments is not None:
            decision.arguments_json = arguments if isinstance(arguments, str) else to_json(arguments).decode()
        return await self._resolve(decision)

    async def reject(self, task_id: int, reason: str = "") -> v1.Run:
        """Let a task fail that waits for approval; the joiner is told the reason.

        Raises:
            ServerError: as of `approve`.
        """
        return await self._resolve(ApprovalDecision(task_id=task_id, approve=False, reason=reason))

    async def aclose(self) -> None:
        """Let go of the run. What reads its events by itself is not held up."""

    def __repr__(self) -> str:
        state = RunState.Name(self._state).removeprefix("RUN_STATE_").lower()
        return f"{type(self).__name__}({self.run_id!r}, {state})"

    async def _resolve(self, decision: ApprovalDecision) -> v1.Run:
        request = ResolveApprovalRequest(run_id=self.run_id, decision=decision)
        response = await self._exchange.ask(self._exchange.runs.ResolveApproval, request, repeat=False)
        return self._heard(response.run)

    def _heard(self, run: v1.Run) -> v1.Run:
        self._state = run.state
        return run

    def _note(self, event: Event) -> None:
        """Learn the state from an event: the last of a batch, since the run's last event is the last of all."""
        self._state = event.run_ended.state if event.HasField("run_ended") else RunState.RUN_STATE_RUNNING


async def end_of_stream(call: Any) -> None:
    """Let the server end a stream behind the run's last event, so that to it the stream was not broken off."""
    with contextlib.suppress(TimeoutError, grpc.aio.AioRpcError):
        async with asyncio.timeout(_END_SECONDS):
            await call.read()


def ended_early(run_id: str) -> ServerUnavailableError:
    """The failure of a stream that ended as if all was well, but before the run's last event."""
    return ServerUnavailableError(f"the server ended the stream before the end of run {run_id}", code="UNAVAILABLE")


def _why_no_answer(state: RunState, failure: Failure) -> RunFailedError | RunCancelledError:
    if state == RunState.RUN_STATE_CANCELLED:
        return RunCancelledError(failure.message)
    return RunFailedError(failure.reason, failure.message)
