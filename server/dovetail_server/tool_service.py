"""`ToolService`: the tools of the server and of its executors."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from dovetail import v1
from dovetail.tools.tool_wire import tool_to_wire
from dovetail.v1 import GetToolResponse, ListToolsResponse
from dovetail.v1.tool_service_pb2_grpc import ToolServiceServicer
from dovetail_server.door import caller
from dovetail_server.refusal import Refusal
from dovetail_server.registry import PAGE_BYTES, page_size
from dovetail_server.tool_pool import ToolPool

if TYPE_CHECKING:
    import grpc

    from dovetail.tools.definition import Tool
    from dovetail_server.catalogue import Catalogue

    Context = grpc.aio.ServicerContext[object, object]

__all__ = ["ToolService"]


class ToolService(ToolServiceServicer):
    """Tools.

    Args:
        catalogue: where they are kept.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    async def ListTools(
        self,
        request: v1.ListToolsRequest,
        context: Context,  # noqa: ARG002
    ) -> ListToolsResponse:
        """The tools, by name."""
        size = page_size(request.page_size)
        after = _name_of(request.page_token)
        asking = caller()
        every: dict[str, Tool | ToolPool] = {tool.name: tool for tool in self._catalogue.own}
        every.update((pool.tool.name, pool) for pool in self._catalogue.executors.pools())
        response = ListToolsResponse()
        left, last = PAGE_BYTES, ""
        for name in sorted(name for name in every if name > after and self._catalogue.allows(name, asking)):
            shown = _shown(every[name]) if len(response.tools) < size else None
            left -= 0 if shown is None else shown.ByteSize()
            if shown is None or (left < 0 and response.tools):
                response.next_page_token = base64.urlsafe_b64encode(last.encode()).decode()
                break
            response.tools.append(shown)
            last = name
        return response

    async def GetTool(
        self,
        request: v1.GetToolRequest,
        context: Context,  # noqa: ARG002
    ) -> GetToolResponse:
        """One tool."""
        found = self._catalogue.find(request.name) if self._catalogue.allows(request.name, caller()) else None
        if found is None:
            raise Refusal.tool_not_found(request.name)
        return GetToolResponse(tool=_shown(found))


def _shown(tool: Tool | ToolPool) -> v1.Tool:
    if not isinstance(tool, ToolPool):
        return v1.Tool(spec=tool_to_wire(tool), source=v1.Tool.SOURCE_SERVER)
    attached = [session for session in tool.sessions if session.mailbox is not None]
    return v1.Tool(
        spec=tool_to_wire(tool.tool),
        source=v1.Tool.SOURCE_EXECUTOR,
        executor_ids=sorted(session.executor_id for session in attached),
        free_places=sum(session.free for session in attached),
        waiting_calls=tool.waiting,
        calls_in_flight=tool.out,
    )


def _name_of(token: str) -> str:
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except ValueError:
        raise Refusal.invalid_field("page_token", "is none that this server gave") from None
