"""Who carries out calls of tools with ``isolation="process"``: child processes, shared by all runs of this one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from dovetail.failure_text import message_of
from dovetail.processes.pool import shared_processes
from dovetail.tools.call_context import CallContext
from dovetail.tools.call_failure import failure_of

if TYPE_CHECKING:
    from dovetail.tools.call import Call

__all__ = ["IN_PROCESSES"]


class _InProcesses:
    """A `dovetail.tools.call.Backend`, and one that is held."""

    def begin(self, call: Call) -> None:
        """Carry out a call."""
        call.handle = asyncio.create_task(self._carry_out(call))

    def cancel(self, call: Call) -> asyncio.Task[None] | None:
        """Stop a call: its process is killed."""
        handle: asyncio.Task[None] = call.handle
        handle.cancel()
        return handle

    def hold(self) -> None:
        """Keep processes from now on."""
        shared_processes.hold()

    async def release(self) -> None:
        """Need them no more."""
        await shared_processes.release()

    async def _carry_out(self, call: Call) -> None:
        tool = call.tool
        try:
            output_json = await shared_processes.call(
                tool,
                call.arguments_json,
                CallContext(call.run_id, call.task_id, f"{call.run_id}/{call.call_id}"),
                seconds=tool.timeout,
                waiting=call.wait,
                started=call.start,
                progressed=call.progress,
                model_called=call.model_called,
            )
        except Exception as error:  # whatever came of it is data
            failure = failure_of(error)
            call.fail(failure.reason, message_of(failure), may_be_repeated=failure.may_be_repeated)
        else:
            call.succeed(output_json)


IN_PROCESSES = _InProcesses()
"""Carries out calls in child processes."""
