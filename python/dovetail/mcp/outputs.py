"""What a call of an MCP tool gave, as an output of a task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mcp_types

from dovetail.errors import DovetailError
from dovetail.failure_text import bounded

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["McpToolError", "McpToolGoneError", "output_of"]


class McpToolError(DovetailError):
    """A tool, or its server, said that the call failed. The message is its own."""


class McpToolGoneError(DovetailError):
    """A server has taken away the tool that was to be called: the call was not made."""


def output_of(result: mcp_types.CallToolResult) -> Any:
    """The output: the structured content, else the text, else a list with the text and what else there is.

    What is neither is described and not carried along: ``{"type": "image", "mime_type": "image/png", "bytes": 5120}``.

    Raises:
        McpToolError: the result is that the call failed.
    """
    if result.is_error:
        texts = [block.text for block in result.content if isinstance(block, mcp_types.TextContent)]
        raise McpToolError(bounded("\n".join(texts)) or "the tool failed, and did not say why")
    # A structured null is an output like any other.
    if "structured_content" in result.model_fields_set and (
        result.structured_content is not None or not result.content
    ):
        return result.structured_content
    return _described(result.content)


def _described(content: Sequence[mcp_types.ContentBlock]) -> Any:
    parts = [_part(block) for block in content]
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else parts


def _part(block: mcp_types.ContentBlock) -> Any:
    match block:
        case mcp_types.TextContent():
            return block.text
        case mcp_types.ImageContent() | mcp_types.AudioContent():
            return {"type": block.type, "mime_type": block.mime_type, "bytes": len(block.data) * 3 // 4}
        case mcp_types.ResourceLink():
            return _without_none(
                type="resource", uri=str(block.uri), mime_type=block.mime_type, description=block.description
            )
        case mcp_types.EmbeddedResource(resource=mcp_types.TextResourceContents() as resource):
            return _without_none(
                type="resource", uri=str(resource.uri), mime_type=resource.mime_type, text=resource.text
            )
        case mcp_types.EmbeddedResource(resource=mcp_types.BlobResourceContents() as resource):
            size = len(resource.blob) * 3 // 4
            return _without_none(type="resource", uri=str(resource.uri), mime_type=resource.mime_type, bytes=size)
        case _:
            return {"type": getattr(block, "type", "unknown")}


def _without_none(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
