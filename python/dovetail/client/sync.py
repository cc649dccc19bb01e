"""The client for synchronous code: the same calls, carried out on one event loop in a thread of its own."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, cast

from dovetail.client.client import Client
from dovetail.client.loop_thread import LoopThread
from dovetail.tools.threads import shared_threads

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator, Iterable, Mapping, Sequence
    from datetime import datetime
    from types import TracebackType
    from typing import Self, Unpack

    from dovetail import v1
    from dovetail.client.approvals import Approval, Decide
    from dovetail.client.connection import Connection
    from dovetail.client.remote_run import RemoteRun
    from dovetail.client.run_request import RunFields
    from dovetail.tools.tool_set import ToolSource
    from dovetail.v1 import Event, RunState

__all__ = ["SyncClient", "SyncRun"]


class SyncClient:
    """Speaks to a server, from any thread. A context manager; `close` it if it is not used as one.

    The methods are those of `Client`, without `await`; iterators are plain ones.

    Args:
        server: where the server is, ``HOST:PORT`` or ``unix:PATH``; or a `Connection`.
        **options: as of `Client`.

    Raises:
        UsageError: an option cannot be used, or a certificate cannot be read.
    """

    def __init__(self, server: str | Connection, **options: Any) -> None:
        client = Client(server, **options)
        self._client = client
        self._side = side = LoopThread()
        try:
            side.wait_for(client.__aenter__())
        except BaseException:
            side.stop()
            raise
        # Also at the exit of the interpreter, which must not meet a loop that still runs.
        self._finish = weakref.finalize(self, _finish, client, side)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all streams, close the connection and end the thread. A second time does nothing."""
        self._finish()

    def create(self, question: str, *, timeout: float | None = None, **fields: Unpack[RunFields]) -> SyncRun:
        """Start a run. See `Client.create`.

        Raises:
            ServerError: as of `Client.create`.
        """
        return self._handle(self._side.wait_for(self._client.create(question, timeout=timeout, **fields)))

    def stream(
        self,
        question: str,
        *,
        client_tools: Iterable[ToolSource] = (),
        cancel_on_disconnect: bool = False,
        on_approval: Callable[[Approval], v1.ApprovalDecision] | None = None,
        timeout: float | None = None,
        **fields: Unpack[RunFields],
    ) -> SyncRun:
        """Start a run whose plans may call tools of this process. See `Client.stream`.

        Args:
            question: what to answer.
            client_tools: functions and tools that this process carries out, in threads or, if async, on the client's
                own loop.
            cancel_on_disconnect: whether the run is cancelled when the stream ends before the run does.
            on_approval: decides about each task that waits for approval; called in a thread.
            timeout: how many seconds it may take until the run has begun.
            **fields: what else is said of the run: see `RunFields`.

        Raises:
            ServerError: as of `Client.stream`.
        """
        stream = self._client.stream(
            question,
            client_tools=client_tools,
            cancel_on_disconnect=cancel_on_disconnect,
            on_approval=None if on_approval is None else _deciding_in_a_thread(on_approval),
            timeout=timeout,
            **fields,
        )
        return self._handle(self._side.wait_for(stream))

    def run(self, run_id: str) -> SyncRun:
        """The handle of a run that was started before. See `Client.run`."""
        return self._handle(self._client.run(run_id))

    def get(self, run_id: str) -> v1.Run:
        """Ask how a run stands. See `Client.get`.

        Raises:
            ServerError: as of `Client.get`.
        """
        return self._side.wait_for(self._client.get(run_id))

    def list(
        self,
        states: Iterable[v1.RunState] = (),
        *,
        created_from: datetime | None = None,
        created_before: datetime | None = None,
        page_size: int = 0,
    ) -> Generator[v1.Run, None, None]:
        """The runs of the server, the latest first. See `Client.list`.

        Raises:
            ServerError: as of `Client.list`.
        """
        return self._side.iterate(
            self._client.list(states, created_from=created_from, created_before=created_before, page_size=page_size)
        )

    def cancel(self, run_id: str, reason: str = "cancelled by its owner") -> v1.Run:
        """Cancel a run. See `Client.cancel`.

        Raises:
            ServerError: as of `Client.cancel`.
        """
        return self._side.wait_for(self._client.cancel(run_id, reason))

    def approve(
        self, run_id: str, task_id: int, arguments: Mapping[str, Any] | str | None = None, reason: str = ""
    ) -> v1.Run:
        """Let a task be called that waits for approval. See `Client.approve`.

        Raises:
            ServerError: as of `Client.approve`.
        """
        return self._side.wait_for(self._client.approve(run_id, task_id, arguments, reason))

    def reject(self, run_id: str, task_id: int, reason: str = "") -> v1.Run:
        """Let a task fail that waits for approval. See `Client.reject`.

        Raises:
            ServerError: as of `Client.reject`.
        """
        return self._side.wait_for(self._client.reject(run_id, task_id, reason))

    def tools(self, *, page_size: int = 0) -> Generator[v1.Tool, None, None]:
        """The tools that the token may use, by name. See `Client.tools`.

        Raises:
            ServerError: as of `Client.tools`.
        """
        return self._side.iterate(self._client.tools(page_size=page_size))

    def tool(self, name: str) -> v1.Tool:
        """One tool. See `Client.tool`.

        Raises:
            ServerError: as of `Client.tool`.
        """
        return self._side.wait_for(self._client.tool(name))

    def compile_plan(
        self,
        pieces: str | Iterable[str],
        *,
        tools: Sequence[str] = (),
        inline_tools: Iterable[ToolSource] = (),
        outputs: Mapping[int, Any] | None = None,
        max_tasks: int | None = None,
    ) -> Generator[v1.Step, None, None]:
        """Have a plan read as it is written. See `Client.compile_plan`; the pieces are taken in another thread.

        Raises:
            ServerError: as of `Client.compile_plan`.
        """
        text = pieces if isinstance(pieces, str) else _taken_in_a_thread(pieces)
        steps = self._client.compile_plan(
            text, tools=tools, inline_tools=inline_tools, outputs=outputs, max_tasks=max_tasks
        )
        return self._side.iterate(steps)

    def _handle(self, run: RemoteRun) -> SyncRun:
        return SyncRun(run, self._side)


class SyncRun:
    """The handle of a run, for synchronous code. Its methods are those of `RemoteRun`.

    Attributes:
        run_id: the run's name.
    """

    def __init__(self, run: RemoteRun, side: LoopThread) -> None:
        self.run_id = run.run_id
        self._run = run
        self._side = side

    @property
    def state(self) -> RunState:
        """How the run stood when it was last heard of. See `RemoteRun.state`."""
        return self._run.state

    def get(self) -> v1.Run:
        """Ask how the run stands.

        Raises:
            ServerError: as of `RemoteRun.get`.
        """
        return self._side.wait_for(self._run.get())

    def events(self, after_sequence: int = 0) -> Generator[Event, None, None]:
        """The events of the run, until its end. See `RemoteRun.events`.

        Raises:
            ServerError: as of `RemoteRun.events`.
        """
        for batch in self._side.iterate(self._run.batches(after_sequence)):
            yield from batch

    def batches(self, after_sequence: int = 0) -> Generator[list[Event], None, None]:
        """The events in the lists in which they came. See `RemoteRun.batches`.

        Raises:
            ServerError: as of `RemoteRun.events`.
        """
        return self._side.iterate(self._run.batches(after_sequence))

    def answer(self) -> str:
        """Wait for the answer.

        Raises:
            RunFailedError: the run ended without an answer.
            RunCancelledError: the run was cancelled.
            ServerError: as of `RemoteRun.answer`.
        """
        return self._side.wait_for(self._run.answer())

    def wait(self) -> RunState:
        """Wait for the end of the run.

        Raises:
            ServerError: as of `RemoteRun.wait`.
        """
        return self._side.wait_for(self._run.wait())

    def cancel(self, reason: str = "cancelled by its owner") -> v1.Run:
        """Cancel the run. See `RemoteRun.cancel`.

        Raises:
            ServerError: as of `RemoteRun.cancel`.
        """
        return self._side.wait_for(self._run.cancel(reason))

    def approve(self, task_id: int, arguments: Mapping[str, Any] | str | None = None, reason: str = "") -> v1.Run:
        """Let a task be called that waits for approval. See `RemoteRun.approve`.

        Raises:
            ServerError: as of `RemoteRun.approve`.
        """
        return self._side.wait_for(self._run.approve(task_id, arguments, reason))

    def reject(self, task_id: int, reason: str = "") -> v1.Run:
        """Let a task fail that waits for approval. See `RemoteRun.reject`.

        Raises:
            ServerError: as of `RemoteRun.reject`.
        """
        return self._side.wait_for(self._run.reject(task_id, reason))

    def close(self) -> None:
        """End the stream of a run that was begun by `SyncClient.stream`. See `RemoteRun.aclose`."""
        self._side.wait_for(self._run.aclose())

    def __repr__(self) -> str:
        return repr(self._run).replace(type(self._run).__name__, type(self).__name__, 1)


def _finish(client: Client, side: LoopThread) -> None:
    side.wait_for(client.aclose())
    side.stop()


def _deciding_in_a_thread(decide: Callable[[Approval], v1.ApprovalDecision]) -> Decide:
    async def in_a_thread(asked: Approval) -> v1.ApprovalDecision:
        return cast("v1.ApprovalDecision", await shared_threads.run(lambda: decide(asked), {}))

    return in_a_thread


async def _taken_in_a_thread(pieces: Iterable[str]) -> AsyncIterator[str]:
    iterator = iter(pieces)
    # Taking the next one may take its time: the loop serves others meanwhile.
    while (piece := await shared_threads.run(lambda: next(iterator, None), {})) is not None:
        yield piece
