"""Tools that a client brings along and carries out itself, on the stream of its run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dovetail.errors import ToolDefinitionError
from dovetail.tool_set import ToolSet
from dovetail.tool_wire import tool_from_wire
from dovetail.v1 import ClientToolCall, StreamRunResponse
from dovetail_server.executor_session import seconds
from dovetail_server.mailbox import Mailbox
from dovetail_server.outcomes import deliver
from dovetail_server.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dovetail.call import Call
    from dovetail.tools import Tool
    from dovetail.v1 import ClientToolResult, RefusedApproval, ToolSpec

__all__ = ["ClientMailbox", "ClientTools", "inline_tools"]

_MOST_TOOLS = 128


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
            field, _, what = str(error).partition(": ")
            known = field.isidentifier()
            where = f"{at}.{field}" if known else f"{at}.input_schema_json"
            raise Refusal.invalid_field(where, what if known else str(error)) from None
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
        self.refused: list[RefusedApproval] = []

    def put_into(self, message: StreamRunResponse) -> None:
        """Move everything into a message."""
        for call_id, call in self.calls.items():
            added = ClientToolCall(
                call_id=call_id, task_id=call.task_id, tool=call.tool.name, arguments_json=call.arguments_json
            )
            if call.tool.timeout is not None:
                added.timeout.CopyFrom(seconds(call.tool.timeout))
            message.calls.append(added)
        message.cancelled_call_ids.extend(self.cancelled)
        message.refused_approvals.extend(self.refused)
        self.calls = {}
        self.cancelled.clear()
        self.refused.clear()


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
