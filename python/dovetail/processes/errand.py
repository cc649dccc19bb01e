"""One call on its way through a process: what the process is told, and who is told what comes of it."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic_core import to_json

from dovetail.errors import UsageError
from dovetail.tools.secret import SecretsInUse

if TYPE_CHECKING:
    from collections.abc import Callable

    from dovetail.processes.process import Process
    from dovetail.tools.call_context import CallContext
    from dovetail.tools.call_failure import CallFailedError
    from dovetail.tools.definition import Tool
    from dovetail.v1 import ToolModelCall

__all__ = ["Errand", "Order"]


@dataclass(frozen=True, slots=True)
class Order:
    """What a process is told.

    Attributes:
        frame: the call, as JSON.
        limit: how many bytes the output may have.
        tool: the tool's name.
        secrets: what must not be seen of what the process says.
    """

    frame: bytes
    limit: int
    tool: str
    secrets: SecretsInUse

    @classmethod
    def of(cls, tool: Tool, arguments_json: str | bytes, context: CallContext, seconds: float | None) -> Order:
        """What a process is told of a call.

        Raises:
            UsageError: no process could find the function, or the variable of a secret is not set.
        """
        address, function = tool.address, tool.function
        if address is None or function is None:
            raise UsageError(f"tool {tool.name!r} has no function that a process could call")
        address.check(function, tool.name)
        arguments = arguments_json if isinstance(arguments_json, str) else arguments_json.decode()
        frame = {
            "module": address.module,
            "file": address.file,
            "name": address.name,
            "tool": {
                "name": tool.name,
                "max_output_bytes": tool.max_output_bytes,
                "large_output": tool.policy.large_output,
            },
            "arguments_json": arguments,
            "run_id": context.run_id,
            "task_id": context.task_id,
            "call_id": context.call_id,
            "seconds": seconds,
            # The environment of a process is that of its start; a secret is taken at the time of the call.
            "environment": {one.variable: os.environ.get(one.variable) for one in tool.secrets},
        }
        # A cut output of a tiny limit may be a few bytes larger than that.
        return cls(to_json(frame), tool.max_output_bytes, tool.name, SecretsInUse(tool.secrets, tool.name))


class Errand:
    """One call on its way through a process. Made in the event loop that waits for it.

    Args:
        order: what the process is told.
        started: told, in the loop, when the function is about to be entered.
        progressed: told, in the loop, what the function reports.
        model_called: told, in the loop, of the model calls that the function makes.

    Attributes:
        over: its outcome, once nothing of it is left.
        process: the process that carries it out.
        abandoned: whether nobody wants its outcome any more.
    """

    __slots__ = ("_loop", "abandoned", "model_called", "order", "over", "process", "progressed", "started")

    def __init__(
        self,
        order: Order,
        started: Callable[[], None],
        progressed: Callable[[float | None, str], None],
        model_called: Callable[[ToolModelCall], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.order = order
        self.started = started
        self.progressed = progressed
        self.model_called = model_called
        self.over: asyncio.Future[str] = self._loop.create_future()
        self.process: Process | None = None
        self.abandoned = False

    def tell(self, told: Callable[..., None], *what: object) -> None:
        """Tell the loop that waits for it something."""
        try:
            self._loop.call_soon_threadsafe(told, *what)
        except RuntimeError:
            # The loop was closed in the meantime: nobody waits any more.
            return

    def settle(self, outcome: str | CallFailedError) -> None:
        """Its end: in the loop that waits for it."""
        if self.over.done():
            return
        if isinstance(outcome, str) or self.abandoned:
            self.over.set_result(outcome if isinstance(outcome, str) else "")
        else:
            self.over.set_exception(outcome)
