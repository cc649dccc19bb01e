"""A plan that is read by a server as it is written: text up, steps down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable
from typing import TYPE_CHECKING, Any, Final

import grpc

from dovetail.client.failures import is_hidden, translated
from dovetail.errors import ServerUnavailableError
from dovetail.v1 import CompilePlanRequest, CompilePlanResponse, Severity, TaskOutcome

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping

    from dovetail.client.exchange import Exchange
    from dovetail.v1 import CompilePlanStart, Step

__all__ = ["PlanReading"]

_QUIET_SECONDS: Final = 1.0


class PlanReading:
    """One plan. Reads it once.

    Args:
        exchange: how the server is reached.
        start: which tools the plan may call.
        outputs: outputs of tasks, as JSON, by the id of the task.
    """

    def __init__(self, exchange: Exchange, start: CompilePlanStart, outputs: Mapping[int, str]) -> None:
        self._exchange = exchange
        self._start = start
        self._outputs = outputs
        self._needs: dict[int, frozenset[int]] = {}
        self._given: set[int] = set()
        self._lost: set[int] = set()
        self._is_closed = False
        self._is_listening = False
        self._ready: asyncio.Queue[int] = asyncio.Queue()
        self._heard = asyncio.Event()

    async def steps(self, pieces: str | Iterable[str] | AsyncIterable[str]) -> AsyncGenerator[Step, None]:
        """The steps that follow from the text, each as soon as it comes.

        Args:
            pieces: the text, in pieces of any size.

        Raises:
            ServerError: the server refused the plan, or the stream broke.
        """
        exchange = self._exchange
        call: Any = exchange.plans.CompilePlan(metadata=exchange.metadata)
        writer = asyncio.create_task(self._write(call, pieces))
        try:
            self._is_listening = True
            while isinstance(message := await exchange.read(call), CompilePlanResponse):
                for step in message.steps:
                    self._heed(step)
                self._heard.set()
                self._is_listening = False
                for step in message.steps:
                    yield step
                self._is_listening = True
            await writer  # what the source of the text raised
        except grpc.aio.AioRpcError as error:
            _raise_error_of(writer)
            if is_hidden(error):
                await self._refusal()
            raise translated(error) from None
        except asyncio.CancelledError:
            # A source that raises has ended the stream, which looks like a cancellation.
            _raise_error_of(writer)
            raise
        finally:
            call.cancel()
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)

    async def _refusal(self) -> None:
        """Learn why the server ended the stream, by asking for a plan without text.

        Raises:
            ServerError: the server refused that one too; or it did not, and it was the text that it did not take.
        """
        call: Any = self._exchange.plans.CompilePlan(
            iter([CompilePlanRequest(start=self._start)]),
            metadata=self._exchange.metadata,
            timeout=self._exchange.timeout,
        )
        try:
            async for _ in call:
                pass
        except grpc.aio.AioRpcError as error:
            raise translated(error) from None
        finally:
            call.cancel()
        raise ServerUnavailableError("the server ended the stream while the plan was sent", code="UNAVAILABLE")

    async def _write(self, call: Any, pieces: str | Iterable[str] | AsyncIterable[str]) -> None:
        try:
            await call.write(CompilePlanRequest(start=self._start))
            async for piece in _pieces(pieces):
                if piece:
                    await call.write(CompilePlanRequest(text=piece))
                while not self._ready.empty():
                    await self._give(call, self._ready.get_nowait())
            while self._may_become_ready():
                try:
                    async with asyncio.timeout(_QUIET_SECONDS):
                        task_id = await self._next_ready()
                except TimeoutError:
                    if self._is_listening:
                        break  # a plan that does not close itself: nothing says that it is over
                    continue
                if task_id is not None:
                    await self._give(call, task_id)
            await call.done_writing()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return  # the reader learns why the stream ended
        except BaseException:
            call.cancel()
            raise

    async def _next_ready(self) -> int | None:
        """The next task whose output is wanted; None if something else was heard."""
        if self._ready.empty():
            self._heard.clear()
            await self._heard.wait()
        return None if self._ready.empty() else self._ready.get_nowait()

    async def _give(self, call: Any, task_id: int) -> None:
        self._given.add(task_id)
        outcome = TaskOutcome(task_id=task_id, output_json=self._outputs[task_id])
        await call.write(CompilePlanRequest(outcome=outcome))

    def _heed(self, step: Step) -> None:
        match step.WhichOneof("step"):
            case "task_planned":
                self._needs[step.task_planned.task_id] = frozenset(step.task_planned.depends_on)
            case "task_ready" if step.task_ready.task_id in self._outputs:
                self._ready.put_nowait(step.task_ready.task_id)
            case "task_skipped":
                self._lost.add(step.task_skipped.task_id)
            case "plan_diagnosed" if step.plan_diagnosed.severity == Severity.SEVERITY_ERROR:
                self._lost.add(step.plan_diagnosed.task_id)
            case "plan_closed":
                self._is_closed = True

    def _may_become_ready(self) -> bool:
        """Whether a task may still ask for its output, so that the stream up must stay open."""
        wanted = self._outputs.keys() - self._given - self._lost
        if not wanted:
            return False
        if not self._is_closed:
            return True
        return any(task_id in self._needs and self._needs[task_id] <= self._given for task_id in wanted)


def _raise_error_of(writer: asyncio.Task[None]) -> None:
    if writer.done() and not writer.cancelled() and (raised := writer.exception()) is not None:
        raise raised from None


async def _pieces(pieces: str | Iterable[str] | AsyncIterable[str]) -> AsyncIterator[str]:
    if isinstance(pieces, str):
        yield pieces
    elif isinstance(pieces, AsyncIterable):
        async for piece in pieces:
            yield piece
    else:
        for piece in pieces:
            yield piece
