"""A Dovetail server in a process of its own, with a model that answers with the question: a question is its own plan.

It logs as `dovetail serve` does, into nowhere.
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import grpc

from benchmarks.process import Process, answer_questions
from dovetail import tool, v1
from dovetail.embedding import run_loop
from dovetail.models.protocol import Completion, Grammar, GrammarDialect, Message, ModelStream
from dovetail.v1.run_service_pb2_grpc import RunServiceStub
from dovetail_server.collector import relax_collector
from dovetail_server.log import open_log
from dovetail_server.server import Server
from dovetail_server.settings import ServerSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from dovetail.v1.run_service_pb2_grpc import RunServiceAsyncStub

__all__ = ["Echo", "Served", "fan_out", "look_up", "serving"]

_NO_BOUND = 100_000


class Echo:
    """Answers with the question at once; a joiner says that it is done."""

    name = "benchmark:echo"
    grammar_dialects: tuple[GrammarDialect, ...] = ()

    async def stream(
        self,
        messages: Sequence[Message],
        *,
        grammar: Grammar | None = None,  # noqa: ARG002
        stop: Sequence[str] = (),  # noqa: ARG002
        max_tokens: int | None = None,  # noqa: ARG002
    ) -> ModelStream:
        """Answer."""
        asked = messages[-1]["content"]
        yield "Action: Finish(done)" if asked.startswith("Question: ") else asked
        yield Completion("stop", None)

    async def aclose(self) -> None:
        """Nothing to give back."""


@tool
async def look_up(query: str) -> str:
    """Look something up."""
    return query


@tool(timeout=None)
async def wait(seconds: float, size: int = 1) -> str:
    """Wait, and return a text of so many characters."""
    await asyncio.sleep(seconds)
    return "x" * size


def fan_out(calls: int, call: str) -> str:
    """A plan of calls that do not wait for one another; ``{}`` in the call is its number."""
    lines = (f"{number}. {call.format(number)}\n" for number in range(1, calls + 1))
    return "".join(lines) + f"{calls + 1}. join($1)"


class Served(Process):
    """The server's process, and a client of it.

    Attributes:
        channel: a connection to it.
        runs: its `RunService`.
    """

    channel: grpc.aio.Channel
    runs: RunServiceAsyncStub

    @property
    def address(self) -> str:
        """Where it listens."""
        return self.greeting

    async def create(self, plan: str, tool: str, limits: v1.Limits | None = None) -> str:
        """Create a run of this plan."""
        request = v1.CreateRunRequest(question=plan, tools=[tool], limits=limits)
        return (await self.runs.CreateRun(request)).run.run_id

    async def watch(self, run_id: str) -> list[v1.WatchRunResponse]:
        """Everything that happens in a run, until its end.

        Raises:
            RuntimeError: it has no answer.
        """
        messages = [message async for message in self.runs.WatchRun(v1.WatchRunRequest(run_id=run_id))]
        end = messages[-1].events[-1].run_ended
        if end.state != v1.RunState.RUN_STATE_ANSWERED:
            raise RuntimeError(f"the run {run_id} has no answer: {end.failure.message}")
        return messages


@asynccontextmanager
async def serving(*, profile: bool = False) -> AsyncIterator[Served]:
    """A server, for as long as this lasts."""
    async with Served("benchmarks.grpc_server", *(["--profile"] if profile else [])) as served:
        options = [("grpc.max_receive_message_length", -1)]
        async with grpc.aio.insecure_channel(served.address, options=options) as served.channel:
            served.runs = RunServiceStub(served.channel)
            yield served


async def _serve() -> None:
    settings = ServerSettings(  # type: ignore[call-arg]  # the others have defaults, as pydantic knows
        listen=("127.0.0.1:0",),
        deadline=3600,
        max_tasks=_NO_BOUND,
        max_parallel_calls=_NO_BOUND,
        max_question_bytes=10_000_000,
        max_runs=_NO_BOUND,
        keep_runs=_NO_BOUND,
    )
    async with Server(settings, tools=[look_up, wait], models={Echo.name: Echo()}) as server:
        relax_collector()  # as `dovetail serve` does
        await answer_questions(server.addresses[0])


def _main() -> None:
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, open_log("info", "json", stream=nowhere):
        run_loop(_serve)


if __name__ == "__main__":
    if "--profile" in sys.argv:
        import cProfile
        import pstats

        profile = cProfile.Profile()
        profile.runcall(_main)
        pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(30)
    else:
        _main()
