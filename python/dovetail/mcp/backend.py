"""Who carries out the calls of one MCP tool: its server, asked from the event loop of the run."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING

from dovetail.failure_text import bounded, failure_text, message_of
from dovetail.mcp.connection import McpLostError, McpUnavailableError
from dovetail.mcp.outputs import McpToolError, McpToolGoneError
from dovetail.tools.outputs import OutputError
from dovetail.v1 import FailureReason

if TYPE_CHECKING:
    from dovetail.mcp.server import McpServer
    from dovetail.tools.call import Call

__all__ = ["McpBackend"]


class _Reports:
    """Progress on its way from the quarters to the event loop of a run: the latest, whatever a server floods."""

    __slots__ = ("_call", "_latest", "_lock", "_loop")

    def __init__(self, call: Call, loop: asyncio.AbstractEventLoop) -> None:
        self._call = call
        self._loop = loop
        self._lock = threading.Lock()
        self._latest: tuple[float | None, str] | None = None

    def __call__(self, fraction: float | None, message: str) -> None:
        with self._lock:
            is_on_its_way = self._latest is not None
            self._latest = (fraction, message)
        # The loop is closed if it did not wait for a call that was cancelled.
        if not is_on_its_way:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._arrive)

    def _arrive(self) -> None:
        with self._lock:
            latest, self._latest = self._latest, None
        if latest is not None:
            self._call.progress(*latest)


class McpBackend:
    """A `dovetail.tools.call.Backend`, and one that is held.

    Args:
        server: the server.
        name: the tool's name there, which is not that of the tool set.
    """

    def __init__(self, server: McpServer, name: str) -> None:
        self._server = server
        self._name = name

    def begin(self, call: Call) -> None:
        """Carry out a call."""
        call.handle = asyncio.create_task(self._carry_out(call))

    def cancel(self, call: Call) -> asyncio.Task[None] | None:
        """Stop a call: the server is told."""
        handle: asyncio.Task[None] = call.handle
        handle.cancel()
        return handle

    def hold(self) -> None:
        """Keep the session open from now on."""
        self._server.hold()

    async def release(self) -> None:
        """Need the session no more."""
        await self._server.release()

    async def _carry_out(self, call: Call) -> None:
        report = _Reports(call, asyncio.get_running_loop())
        call.start()
        tool = call.tool
        try:
            output_json = tool.encode(await self._server.call(self._name, call.arguments_json, report))
        except McpToolError as error:
            call.fail(FailureReason.FAILURE_REASON_TOOL_ERROR, message_of(error))
        except McpToolGoneError as error:
            call.fail(FailureReason.FAILURE_REASON_TOOL_UNAVAILABLE, message_of(error))
        except OutputError as error:
            call.fail(error.reason, message_of(error))
        except McpUnavailableError as error:
            reason = FailureReason.FAILURE_REASON_TOOL_UNAVAILABLE
            call.fail(reason, message_of(error), may_be_repeated=True)
        except McpLostError as error:
            if tool.repeatable:
                call.lose(self._server.executor_id, message_of(error))
            else:
                message = f"{message_of(error)}; {tool.name} must not be called twice"
                call.fail(FailureReason.FAILURE_REASON_OUTCOME_UNKNOWN, bounded(message))
        except Exception as error:  # of the package below: data like all else
            call.fail(FailureReason.FAILURE_REASON_TOOL_ERROR, failure_text(error))
        else:
            call.succeed(output_json)
