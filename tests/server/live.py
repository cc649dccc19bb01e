"""A live server in this process, with scripted models, and what speaks to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc

from dovetail import v1
from dovetail.models.protocol import Completion, Grammar, GrammarDialect, Message, ModelStream, Usage
from dovetail.v1.executor_service_pb2_grpc import ExecutorServiceStub
from dovetail.v1.plan_service_pb2_grpc import PlanServiceStub
from dovetail.v1.run_service_pb2_grpc import RunServiceStub
from dovetail.v1.tool_service_pb2_grpc import ToolServiceStub
from dovetail_server.server import Server
from dovetail_server.settings import ServerSettings

PATIENCE = 60.0
"""The bound of every wait in these tests, in seconds; far above what any of them takes."""


class Echo:
    """A model that answers with the question itself: a question is its own plan. A joiner says that it is done."""

    name = "echo:plan"
    grammar_dialects: tuple[GrammarDialect, ...] = ()

    async def stream(
        self,
        messages: Sequence[Message],
        *,
        grammar: Grammar | None = None,
        stop: Sequence[str] = (),
        max_tokens: int | None = None,
    ) -> ModelStream:
        asked = messages[-1]["content"]
        yield "Action: Finish(done)" if asked.startswith("Question: ") else asked
        yield Completion("stop", Usage(prompt_tokens=10, completion_tokens=5))

    async def aclose(self) -> None:
        """Nothing to give back."""


class Silent(Echo):
    """A model that never says anything."""

    name = "echo:silent"

    async def stream(self, messages: Sequence[Message], **_: Any) -> ModelStream:
        await asyncio.Event().wait()
        yield ""


@dataclass
class Live:
    """A server that runs, and stubs of its services."""

    server: Server
    address: str
    channel: grpc.aio.Channel
    runs: RunServiceStub
    plans: PlanServiceStub
    tools: ToolServiceStub
    executors: ExecutorServiceStub

    async def create(self, question: str, **fields: Any) -> str:
        """Start a run; returns its name."""
        response = await self.runs.CreateRun(v1.CreateRunRequest(question=question, **fields), timeout=PATIENCE)
        return response.run.run_id

    async def events(self, run_id: str, after_sequence: int = 0) -> list[v1.Event]:
        """All events of a run, to its end."""
        request = v1.WatchRunRequest(run_id=run_id, after_sequence=after_sequence)
        return [event async for batch in self.runs.WatchRun(request, timeout=PATIENCE) for event in batch.events]

    async def until(self, run_id: str, fact: str, count: int = 1) -> v1.Event:
        """Wait for so many events with this fact; returns the last of them."""
        watch = self.runs.WatchRun(v1.WatchRunRequest(run_id=run_id), timeout=PATIENCE)
        try:
            async for batch in watch:
                for event in batch.events:
                    count -= event.WhichOneof("fact") == fact
                    if count == 0:
                        return event
        finally:
            watch.cancel()
        raise AssertionError(f"the run ended without the fact {fact}")

    async def answer(self, question: str, **fields: Any) -> str:
        """Ask, and wait for the answer."""
        events = await self.events(await self.create(question, **fields))
        answers = [event.run_answered.answer for event in events if event.HasField("run_answered")]
        assert answers, events[-1]
        return answers[0]


@asynccontextmanager
async def serving(
    tools: Iterable[Any] = (), *, models: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[Live]:
    """A server on a free port, and a channel to it. Both are closed at the end, and nothing is left behind."""
    given = {"listen": ("127.0.0.1:0",), **settings}
    async with Server(ServerSettings(**given), tools=tools, models=models or {"echo:plan": Echo()}) as server:
        address = server.addresses[0]
        async with grpc.aio.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            yield Live(
                server,
                address,
                channel,
                RunServiceStub(channel),
                PlanServiceStub(channel),
                ToolServiceStub(channel),
                ExecutorServiceStub(channel),
            )


async def code_of(call: Any) -> tuple[str, str]:
    """The status code and the ErrorInfo's reason that an RPC ends with, which must fail."""
    try:
        async with asyncio.timeout(PATIENCE):
            if hasattr(call, "__aiter__"):
                async for _ in call:
                    pass
            else:
                await call
    except grpc.aio.AioRpcError as error:
        from google.rpc.error_details_pb2 import ErrorInfo
        from grpc_status import rpc_status

        status = rpc_status.from_call(error)  # type: ignore[arg-type]  # an AioRpcError has what it needs
        info = ErrorInfo()
        for detail in status.details if status else ():
            detail.Unpack(info)
        return error.code().name, info.reason
    raise AssertionError("the call succeeded")
