"""Dovetail as an MCP server: the tools ``ask`` and ``compile_plan``."""

from __future__ import annotations

import asyncio
import contextlib
import json
from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated, Any

from mcp.server import MCPServer
from mcp.server.mcpserver import Context  # noqa: TC002 - read from the signature of a tool
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations
from pydantic import Field

from dovetail import _core
from dovetail.cli.steps import step_json
from dovetail.errors import DovetailError
from dovetail.failure_text import bounded, message_of
from dovetail.v1 import FailureReason

if TYPE_CHECKING:
    from dovetail.engine import Engine
    from dovetail.run_handle import Run
    from dovetail.v1 import Event

__all__ = ["McpService"]

_MAX_PLAN = 4 * 1024 * 1024
_LAST_SECONDS = 5.0


class McpService:
    """Questions that MCP clients ask, answered by an engine.

    Args:
        engine: what answers; stays its owner's.

    Attributes:
        server: the MCP server, to be run on any transport.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._is_draining = False
        self._runs: set[Run] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self.server = MCPServer[Any](
            "dovetail",
            instructions="Answers questions by plans of tool calls, run while they are written.",
            version=version("dovetail"),
            log_level="ERROR",
        )
        # Whether a question changes anything is a matter of the tools that its plan calls.
        asks_change_nothing = ToolAnnotations(read_only_hint=all(tool.read_only for tool in engine.tools))
        self.server.tool(annotations=asks_change_nothing, structured_output=False)(self.ask)
        self.server.tool(annotations=ToolAnnotations(read_only_hint=True))(self.compile_plan)

    async def ask(self, question: Annotated[str, Field(description="What to answer.")], context: Context) -> str:
        """Answer a question by a plan of tool calls. Takes as long as its calls do, and tells of its progress."""
        if self._is_draining:
            raise ToolError("the server is shutting down; ask again once it is back")
        try:
            run = self._engine.start(question)
            self._runs.add(run)
            self._idle.clear()
            try:
                await self._follow(run, context)
            finally:
                # Nothing happens if it has ended. If not, the client cancelled its request, or is gone.
                run.cancel("the MCP client cancelled its request")
                self._runs.discard(run)
                if not self._runs:
                    self._idle.set()
            return await run.answer()
        except DovetailError as error:
            reason = getattr(error, "reason", None)
            name = "" if reason is None else f"{FailureReason.Name(reason).removeprefix('FAILURE_REASON_')}: "
            raise ToolError(bounded(f"{name}{message_of(error)}")) from error

    async def _follow(self, run: Run, context: Context) -> None:
        tools: dict[int, str] = {}
        async for event in run.events():
            if event.HasField("approval_requested"):
                run.reject(event.approval_requested.task_id, "nobody can be asked over MCP")
            if text := _told(event, tools):
                # Of what is done and what is to come neither is known: the number only has to grow.
                await context.report_progress(event.sequence, message=text)

    def compile_plan(
        self,
        plan: Annotated[str, Field(description="The plan, in Dovetail's plan language.", max_length=_MAX_PLAN)],
        tools: Annotated[
            list[dict[str, Any]] | None,
            Field(description="The tools that it may call, in MCP's Tool shape; those of this server if left out."),
        ] = None,
    ) -> dict[str, Any]:
        """Read and check a plan without running it: its tasks, which are ready, what was mended or cannot be used."""
        try:
            tool_set = self._engine.tools.core if tools is None else _core.ToolSet(json.dumps(tools))
        except ValueError as error:
            raise ToolError(bounded(f"tools: {error}")) from error
        machine = _core.Machine(tool_set)
        steps = [*machine.feed(plan.encode(errors="replace")), *machine.finish()]
        bad = any(isinstance(step, _core.Diagnostic) and step.severity == "error" for step in steps)
        return {"valid": not bad, "steps": [json.loads(step_json(step)) for step in steps]}

    async def drain(self, seconds: float) -> None:
        """Take no further questions, let those that are being answered end for a while, then cancel their runs."""
        self._is_draining = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        for run in list(self._runs):
            run.cancel("the server is shutting down")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_SECONDS):
                await self._idle.wait()


def _told(event: Event, tools: dict[int, str]) -> str:
    match event.WhichOneof("fact"):
        case "task_planned":
            tools[event.task_planned.task_id] = event.task_planned.tool
            return f"{_task(event.task_planned.task_id, tools)}: planned"
        case "call_started":
            return f"{_task(event.call_started.task_id, tools)}: called"
        case "call_progressed":
            progressed = event.call_progressed
            share = f" {progressed.fraction:.0%}" if progressed.HasField("fraction") else ""
            return f"{_task(progressed.task_id, tools)}:{share} {progressed.message}".rstrip(" :")
        case "task_succeeded":
            return f"{_task(event.task_succeeded.task_id, tools)}: done"
        case "task_failed":
            return f"{_task(event.task_failed.task_id, tools)}: failed: {event.task_failed.failure.message}"
        case "join_started":
            return "joining the outputs"
    return ""


def _task(task_id: int, tools: dict[int, str]) -> str:
    return f"{task_id} {tools.get(task_id, '')}".rstrip()
