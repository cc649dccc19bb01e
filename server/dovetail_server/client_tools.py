"""Tools that a client brings along and carries out itself, on the stream of its run."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from dovetail.errors import ToolDefinitionError
from dovetail.tools.tool_set import ToolSet
from dovetail.tools.tool_wire import tool_from_wire
from dovetail.v1 import ClientToolCall, RefusedApproval, StreamRunResponse
from dovetail_server.executor_session import time_left
from dovetail_server.mailbox import Mailbox
from dovetail_server.outcomes import deliver
from dovetail_server.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dovetail.tools.call import Call
    from dovetail.tools.definition import Tool
    from dovetail.v1 import ClientToolProgress, ClientToolResult, ToolSpec

__all__ = ["ClientMailbox", "ClientTools", "inline_tools"]

_MOST_TOOLS = 128
_MOST_REFUSED = 1_000
# Below what a client receives by default, also with one more call of the largest size.
_BYTES_A_MESSAGE = 1024 * 1024


def inline_tools(specs: Sequence[ToolSpec], path: str, backend: ClientTools | None = None) -> list[Tool]:
    """Tools of specs that a request carries.

    Args:
        specs: the specs.
        path: the field that they stand in, for errors.
        backend: who carries out their calls.

    Raises:
        Refusal: one cannot be used.
    """
    if len(specs) > _MOST_TOOLS:
        raise Refusal.invalid_field(path, f"there are {len(specs)}; there may be {_MOST_TOOLS}")
    tools: list[Tool] = []
    for index, spec in enumerate(specs):
        at = f"{path}[{index}]"
        try:
            tool = tool_from_wire(spec, backend=backend)
            _ = ToolSet([tool]).core
        except ToolDefinitionError as error:
            raise Refusal.invalid_spec(at, error) from None
        if any(tool.name == other.name for other in tools):
            raise Refusal.invalid_field(f"{at}.name", f"{tool.name!r} stands twice")
        tools.append(tool)
    return tools


class ClientMailbox(Mailbox):
    """What is to be sent on one stream of a run, besides its events."""

    __slots__ = ("calls", "cancelled", "refused")

    def __init__(self) -> None:
        super().__init__()
        self.calls: dict[str, Call] = {}
        self.cancelled: list[str] = []
        self.refused: deque[RefusedApproval] = deque()

    def refuse(self, task_id: int, message: str) -> None:
        """Say that an approval was not used.

        Raises:
            Refusal: nobody reads what is said.
        """
        if len(self.refused) >= _MOST_REFUSED:
            what = f"{_MOST_REFUSED} approvals were refused, and the refusals are not read"
            raise Refusal.limit_reached("refused_approvals", _MOST_REFUSED, what)
        self.refused.append(RefusedApproval(task_id=task_id, message=message))
        self.wake()

    def put_into(self, message: StreamRunResponse) -> bool:
        """Move into a message what fits; returns whether something is left for another."""
        message.cancelled_call_ids.extend(self.cancelled)
        self.cancelled.clear()
        left = _BYTES_A_MESSAGE - message.ByteSize()
        while self.refused and left > 0:
            refused = self.refused.popleft()
            left -= refused.ByteSize()
            message.refused_approvals.append(refused)
        now = asyncio.get_running_loop().time()
        for call_id, call in list(self.calls.items()):
            added = ClientToolCall(
                call_id=call_id, task_id=call.task_id, tool=call.tool.name, arguments_json=call.arguments_json
            )
            if call.tool.timeout is not None:
                added.timeout.CopyFrom(time_left(call, call.tool.timeout, now))
            left -= added.ByteSize()
            if left < 0 and message.ByteSize():
                break
            message.calls.append(added)
            del self.calls[call_id]
        return bool(self.calls or self.refused)


class ClientTools:
    """The client of a run as the `Backend` of the tools that it brought along.

    Calls wait for its stream; one that is out when the stream breaks is sent again on the next.
    """

    __slots__ = ("_mailbox", "_out", "_started")

    def __init__(self) -> None:
        self._mailbox: ClientMailbox | None = None
        self._out: dict[str, Call] = {}
        self._started: set[str] = set()

    def attach(self, mailbox: ClientMailbox) -> None:
        """A stream of the client: all calls go there from now on."""
        self._mailbox = mailbox
        for call in self._out.values():
            self._send(mailbox, call)

    def detach(self, mailbox: ClientMailbox) -> None:
        """A stream is gone."""
        if self._mailbox is mailbox:
            self._mailbox = None

    def begin(self, call: Call) -> None:
        """Send a call to the client, or let it wait for its stream."""
        ahead = len(self._out)
        self._out[call.call_id] = call
        if self._mailbox is None:
            call.wait(ahead)
        else:
            self._send(self._mailbox, call)

    def cancel(self, call: Call) -> None:
        """Tell the client that a result is not wanted any more."""
        self._forget(call.call_id)
        if self._mailbox is not None and self._mailbox.calls.pop(call.call_id, None) is None:
            self._mailbox.cancelled.append(call.call_id)
            self._mailbox.wake()

    def report(self, progress: ClientToolProgress) -> None:
        """The client says how far a call is; of one that was not sent, or is over, nothing is to be told."""
        if progress.call_id in self._started:
            fraction = progress.fraction if progress.HasField("fraction") else None
            self._out[progress.call_id].progress(fraction, progress.message)

    def settle(self, result: ClientToolResult) -> None:
        """The client says how a call ended; what is not waited for is ignored."""
        call = self._out.get(result.call_id)
        if call is not None:
            self._forget(result.call_id)
            deliver(call, result.outcome)

    def _send(self, mailbox: ClientMailbox, call: Call) -> None:
        mailbox.calls[call.call_id] = call
        mailbox.wake()
        if call.call_id not in self._started:
            self._started.add(call.call_id)
            call.start()

    def _forget(self, call_id: str) -> None:
        self._out.pop(call_id, None)
        self._started.discard(call_id)
