"""The client of a server: creates, follows and steers runs."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from google.protobuf.timestamp_pb2 import Timestamp
from pydantic_core import to_json

from dovetail import v1
from dovetail.client.connection import Connection
from dovetail.client.exchange import DEFAULT_PATIENCE, DEFAULT_TIMEOUT, Exchange
from dovetail.client.plan_reading import PlanReading
from dovetail.client.remote_run import RemoteRun
from dovetail.client.run_request import run_request
from dovetail.client.streamed_run import StreamedRun
from dovetail.errors import UsageError
from dovetail.tools.secret import check_secrets
from dovetail.tools.tool_set import ToolSet
from dovetail.tools.tool_wire import tool_to_wire

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path
    from types import TracebackType
    from typing import Self, Unpack

    from dovetail.client.approvals import Decide
    from dovetail.client.run_request import RunFields
    from dovetail.tools.tool_set import ToolSource

__all__ = ["Client"]


class Client:
    """Speaks to a server. An asynchronous context manager; belongs to one event loop, and may be shared by its tasks.

    What the server refuses is raised as a `ServerError` of the class that says what kind it is. Requests that can be
    repeated are, while the server is unavailable.

    Args:
        server: where the server is, ``HOST:PORT`` or ``unix:PATH``; or a `Connection`, which says everything itself.
        timeout: how many seconds a request may take, its repetitions included.
        patience: how many seconds a broken stream is resumed without getting any further.
        token: a bearer token, if the server asks for one.
        tls: whether to speak TLS; also with one of the following.
        ca: a PEM file of the authorities to trust in place of the system's.
        certificate: a PEM file with the client's own certificate, for mutual TLS.
        key: the PEM file of its key.
        server_name: the name to look for in the server's certificate, if it is not that of the address.

    Raises:
        UsageError: an option cannot be used; on entering: a certificate cannot be read, or it was entered before.
    """

    def __init__(
        self,
        server: str | Connection,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        patience: float = DEFAULT_PATIENCE,
        token: str | None = None,
        tls: bool = False,
        ca: str | Path | None = None,
        certificate: str | Path | None = None,
        key: str | Path | None = None,
        server_name: str | None = None,
    ) -> None:
        connection = Connection.to(
            server, token=token, tls=tls, ca=ca, certificate=certificate, key=key, server_name=server_name
        )
        if not (timeout > 0 and patience >= 0):
            raise UsageError(f"timeout is {timeout} and patience is {patience}; they are seconds, from 0")
        self._exchange = Exchange(connection, timeout, patience)

    async def __aenter__(self) -> Self:
        self._exchange.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End all streams and close the connection. Runs go on, but for streamed ones that were not to outlive it."""
        await self._exchange.aclose()

    async def create(
        self,
        question: str,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - ends in an error that says more
        **fields: Unpack[RunFields],
    ) -> RemoteRun:
        """Start a run. It goes on by itself, whatever becomes of this client.

        Args:
            question: what to answer.
            timeout: how many seconds the request may take; the client's if None.
            **fields: what else is said of the run: see `RunFields`.

        Raises:
            UsageError: an option cannot be used.
            InvalidRequestError: a field cannot be used; ``violations`` names it.
            AlreadyExistsError: the ``run_id`` belongs to the run of another request.
            NotFoundError: a tool is not known.
            AccessDeniedError: the token lacks the role ``run``, or may not use a tool.
            NotPossibleError: there is no tool at all.
            LimitReachedError: too many runs are in flight.
            ServerUnavailableError: the server was not reached in time.
            ServerError: it failed otherwise.
        """
        request = run_request(question, fields)
        response = await self._exchange.ask(self._exchange.runs.CreateRun, request, within=timeout)
        return RemoteRun(self._exchange, response.run.run_id, response.run)

    async def stream(
        self,
        question: str,
        *,
        client_tools: Iterable[ToolSource] = (),
        cancel_on_disconnect: bool = False,
        on_approval: Decide | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - ends in an error that says more
        **fields: Unpack[RunFields],
    ) -> RemoteRun:
        """Start a run whose plans may call tools of this process, and follow it. `RemoteRun.aclose` ends the stream.

        A stream that breaks is begun again: the run is the same, and each call of a tool is carried out once.

        Args:
            question: what to answer.
            client_tools: functions and tools that this process carries out, for this run only.
            cancel_on_disconnect: whether the run is cancelled when the stream ends before the run does. A stream that
                breaks ends too.
            on_approval: decides about each task that waits for approval: ``async def decide(asked): return
                asked.approve()``. If it raises, the task is rejected.
            timeout: how many seconds it may take until the run has begun; the client's if None.
            **fields: what else is said of the run: see `RunFields`.

        Raises:
            ToolDefinitionError: a function cannot be a tool.
            UsageError: the variable of a tool's secret is not set, or an option cannot be used.
            ServerError: as of `create`.
        """
        request = run_request(question, fields)
        own = await ToolSet.load(client_tools)
        check_secrets(own)
        request.client_tools.extend(tool_to_wire(tool) for tool in own)
        request.cancel_on_disconnect = cancel_on_disconnect
        run = StreamedRun(self._exchange, request, own, on_approval)
        await run.begin(self._exchange.timeout if timeout is None else timeout)
        return run

    def run(self, run_id: str) -> RemoteRun:
        """The handle of a run that was started before, here or elsewhere. Asks the server nothing."""
        return RemoteRun(self._exchange, run_id)

    async def get(self, run_id: str) -> v1.Run:
        """Ask how a run stands.

        Raises:
            NotFoundError: there is no such run, or not any more.
            ServerError: the server refused the request, or was not reached.
        """
        return await self.run(run_id).get()

    async def list(
        self,
        states: Iterable[v1.RunState] = (),
        *,
        created_from: datetime | None = None,
        created_before: datetime | None = None,
        page_size: int = 0,
    ) -> AsyncGenerator[v1.Run, None]:
        """The runs of the server, the latest first; pages are asked for as they are needed.

        Args:
            states: only runs in one of these; all if empty.
            created_from: only runs created at this time or later; one without a time zone is local.
            created_before: only runs created before this time.
            page_size: how many to ask for at once; the server's choice if 0.

        Raises:
            ServerError: the server refused the request, or was not reached.
        """
        request = v1.ListRunsRequest(page_size=page_size, states=states)
        if created_from is not None:
            request.created_from.CopyFrom(_timestamp(created_from))
        if created_before is not None:
            request.created_before.CopyFrom(_timestamp(created_before))
        async with aclosing(self._exchange.pages(self._exchange.runs.ListRuns, request)) as pages:
            async for page in pages:
                for run in page.runs:
                    yield run

    async def cancel(self, run_id: str, reason: str = "cancelled by its owner") -> v1.Run:
        """Cancel a run. See `RemoteRun.cancel`.

        Raises:
            ServerError: as of `RemoteRun.cancel`.
        """
        return await self.run(run_id).cancel(reason)

    async def approve(
        self, run_id: str, task_id: int, arguments: Mapping[str, Any] | str | None = None, reason: str = ""
    ) -> v1.Run:
        """Let a task be called that waits for approval. See `RemoteRun.approve`.

        Raises:
            ServerError: as of `RemoteRun.approve`.
        """
        return await self.run(run_id).approve(task_id, arguments, reason)

    async def reject(self, run_id: str, task_id: int, reason: str = "") -> v1.Run:
        """Let a task fail that waits for approval. See `RemoteRun.reject`.

        Raises:
            ServerError: as of `RemoteRun.approve`.
        """
        return await self.run(run_id).reject(task_id, reason)

    async def tools(self, *, page_size: int = 0) -> AsyncGenerator[v1.Tool, None]:
        """The tools that the token may use, by name, and who carries them out.

        Raises:
            ServerError: the server refused the request, or was not reached.
        """
        request = v1.ListToolsRequest(page_size=page_size)
        async with aclosing(self._exchange.pages(self._exchange.tools.ListTools, request)) as pages:
            async for page in pages:
                for tool in page.tools:
                    yield tool

    async def tool(self, name: str) -> v1.Tool:
        """One tool.

        Raises:
            NotFoundError: there is no such tool, or the token may not use it.
            ServerError: the server refused the request, or was not reached.
        """
        response = await self._exchange.ask(self._exchange.tools.GetTool, v1.GetToolRequest(name=name))
        return response.tool

    async def compile_plan(
        self,
        pieces: str | Iterable[str] | AsyncIterable[str],
        *,
        tools: Sequence[str] = (),
        inline_tools: Iterable[ToolSource] = (),
        outputs: Mapping[int, Any] | None = None,
        max_tasks: int | None = None,
    ) -> AsyncGenerator[v1.Step, None]:
        """Have a plan read, checked and bound as it is written; nothing is called.

        Args:
            pieces: the text of the plan, in pieces of any size.
            tools: the names of the server's tools that the plan may call.
            inline_tools: tools given here; with neither, all that the token may use.
            outputs: outputs of tasks by their ids, each sent once its task is ready, to bind the arguments of others. A
                plan that does not close itself is then taken as complete once nothing was heard for a second.
            max_tasks: how many tasks may be planned; 1,000 if None.

        Raises:
            ToolDefinitionError: a function cannot be a tool.
            ServerError: the server refused the request, was not reached, or the stream broke.
        """
        specs = [tool_to_wire(tool) for tool in await ToolSet.load(inline_tools)]
        start = v1.CompilePlanStart(tools=tools, inline_tools=specs, max_tasks=max_tasks)
        bound = {task_id: to_json(output).decode() for task_id, output in (outputs or {}).items()}
        async with aclosing(PlanReading(self._exchange, start, bound).steps(pieces)) as steps:
            async for step in steps:
                yield step


def _timestamp(time: datetime) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromNanoseconds(int(time.timestamp() * 1_000_000) * 1_000)
    return timestamp
