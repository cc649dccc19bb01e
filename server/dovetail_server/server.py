"""The server: an engine, its runs and executors, and the services that show them over gRPC."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection

from dovetail.engine import Engine
from dovetail.errors import UsageError
from dovetail.models.provider import open_beside
from dovetail.prices import read_prices
from dovetail.prompts.example_selection import NearestExamples
from dovetail.prompts.examples import gather_examples
from dovetail.prompts.joiner_prompt import JoinerPrompt
from dovetail.prompts.lessons import Lessons
from dovetail.prompts.planner_prompt import PlannerPrompt
from dovetail.tools.policy_file import Policies, read_policies
from dovetail.tools.tool_set import ToolSet
from dovetail.tools.tool_wire import tool_to_wire
from dovetail.v1.executor_service_pb2_grpc import add_ExecutorServiceServicer_to_server
from dovetail.v1.plan_service_pb2_grpc import add_PlanServiceServicer_to_server
from dovetail.v1.run_service_pb2_grpc import add_RunServiceServicer_to_server
from dovetail.v1.tool_service_pb2_grpc import add_ToolServiceServicer_to_server
from dovetail_server.catalogue import Catalogue
from dovetail_server.door import Door
from dovetail_server.executor_service import ExecutorService
from dovetail_server.listening import channel_options, listen
from dovetail_server.log import server_log
from dovetail_server.orders import OrderDesk
from dovetail_server.plan_service import PlanService
from dovetail_server.registry import Registry
from dovetail_server.run_service import RunService
from dovetail_server.tool_service import ToolService

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType
    from typing import Self

    from dovetail.models.protocol import Model
    from dovetail.tools.tool_set import ToolSource
    from dovetail_server.settings import ServerSettings

__all__ = ["Server"]

_SERVICES = tuple(f"dovetail.v1.{name}Service" for name in ("Run", "Plan", "Tool", "Executor"))
# How long runs may take to end that were cancelled, and then what is left of streams: their last events are at hand.
_CANCEL_SECONDS = 5.0
_CLOSE_SECONDS = 0.5
_SHUTTING_DOWN = "the server is shutting down"


class Server:
    """Serves runs over gRPC. An asynchronous context manager: entered, it accepts; left, it has ended.

    Args:
        settings: what it is told.
        tools: tools of this process, besides those that the settings name.
        models: models by the names that requests use, besides those that the settings name.

    Raises:
        UsageError: on entering: an address, a certificate, a model, a tool, an example or a prompt cannot be used.
    """

    def __init__(
        self,
        settings: ServerSettings,
        *,
        tools: Iterable[ToolSource] = (),
        models: Mapping[str, Model] | None = None,
    ) -> None:
        self._settings = settings
        self._tools = list(tools)
        self._models: dict[str, Model] = dict(models or {})
        self._stack = AsyncExitStack()
        self._draining = False
        self.addresses: list[str] = []

    @property
    def tools(self) -> list[str]:
        """The names of the tools of this process."""
        return self._catalogue.own.names

    @property
    def models(self) -> list[str]:
        """The models that runs may ask for, the default first."""
        return list(self._models)

    async def __aenter__(self) -> Self:
        settings = self._settings
        async with AsyncExitStack() as stack:
            for name in settings.models:
                self._models.setdefault(name, self._open(name, stack))
            if not self._models:
                raise UsageError(
                    "no model is given; add --model PROVIDER:NAME (openai:gpt-5-mini, vllm:NAME, local:), set "
                    'DOVETAIL_MODELS, or write models = ["…"] into the table [serve] of dovetail.toml'
                )
            # What can be mistaken in files is read before servers of tools are waited for.
            prompt = PlannerPrompt(settings.prompt, settings.examples_as)
            joiner_prompt = JoinerPrompt(settings.joiner_prompt)
            policies = Policies({}) if settings.policies is None else read_policies(settings.policies)
            own = policies.applied_to_all(await ToolSet.load([*settings.tools, *self._tools]))
            for tool in own:
                tool_to_wire(tool)  # says so if it cannot be shown over gRPC
            self._catalogue = Catalogue(own, settings, policies)
            own = self._catalogue.own
            self._registry = Registry(settings)
            joiner = None if settings.joiner is None else self._open(settings.joiner, stack)
            engine = Engine(
                own,
                next(iter(self._models.values())),
                joiner=joiner,
                examples=Lessons(gather_examples(settings.tools, settings.examples), own, awaits_tools=True),
                example_selector=NearestExamples(settings.max_examples),
                prompt=prompt,
                joiner_prompt=joiner_prompt,
                limits=settings.limits(),
                prices=None if settings.prices is None else read_prices(settings.prices),
                require_approval=settings.require_approval,
                max_tools_shown=settings.max_tools,
            )
            self._engine = await stack.enter_async_context(engine)
            self._runs = RunService(engine, OrderDesk(settings, self._models, self._catalogue), self._registry, joiner)
            self._server = grpc.aio.server(interceptors=(Door(settings),), options=channel_options(settings))
            self._add_services(self._server)
            self.addresses = await listen(self._server, settings)
            await self._server.start()
            stack.push_async_callback(self._close)
            await self._say(health_pb2.HealthCheckResponse.SERVING)
            self._stack = stack.pop_all()
        server_log().info("serving", addresses=self.addresses, models=self.models, tools=len(own))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def drain(self) -> None:
        """Take nothing new, let runs end for a while, then cancel those that have not; returns when all have ended."""
        if self._draining:
            return
        self._draining = True
        seconds = self._settings.drain_seconds
        server_log().info("draining", runs=self._registry.in_flight, seconds=seconds)
        await self._say(health_pb2.HealthCheckResponse.NOT_SERVING)
        self._runs.drain()
        self._catalogue.executors.announce_drain(seconds)
        ends = [asyncio.ensure_future(run.wait()) for run in self._registry.running()]
        if ends:
            _, late = await asyncio.wait(ends, timeout=seconds)
            if late:
                server_log().warning("cancelling", runs=len(late))
                for run in self._registry.running():
                    run.cancel(_SHUTTING_DOWN)
                await asyncio.wait(late)

    async def _close(self) -> None:
        self._runs.drain()
        ends = []
        for run in self._registry.running():
            run.cancel(_SHUTTING_DOWN)
            ends.append(asyncio.ensure_future(run.wait()))
        if ends:
            _, late = await asyncio.wait(ends, timeout=_CANCEL_SECONDS)
            for end in late:
                end.cancel()
        self._catalogue.executors.close()
        # Whoever reads has the rest by then; one that has stalled must not hold up the end.
        await self._server.stop(_CLOSE_SECONDS)
        server_log().info("ended")

    def _open(self, name: str, stack: AsyncExitStack) -> Model:
        model = open_beside(name, next(iter(self._settings.models), name), self._settings)
        stack.push_async_callback(model.aclose)
        return model

    def _add_services(self, server: grpc.aio.Server) -> None:
        add_RunServiceServicer_to_server(self._runs, server)
        add_PlanServiceServicer_to_server(PlanService(self._catalogue), server)
        add_ToolServiceServicer_to_server(ToolService(self._catalogue), server)
        add_ExecutorServiceServicer_to_server(ExecutorService(self._catalogue.executors), server)
        self._health = HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        names = (*_SERVICES, "grpc.health.v1.Health", reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)

    async def _say(self, status: int) -> None:
        for name in ("", *_SERVICES):
            await self._health.set(name, status)
