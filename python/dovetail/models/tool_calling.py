"""Tools and their calls as OpenAI's APIs have them, and as Dovetail does."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, cast

from dovetail.tool_arguments import declared_schema

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dovetail.models.protocol import AssistantMessage, ToolRequest, TurnMessage

__all__ = ["ToolNames", "as_function", "as_object", "chat_messages", "chat_tools"]

_LONGEST_NAME: Final = 64
_LONGEST_DESCRIPTION: Final = 1024
_FOREIGN: Final = re.compile(r"[^a-zA-Z0-9_-]")


class ToolNames:
    """The names of tools, and what a provider calls them: it takes letters, digits, ``_`` and ``-``, 64 at the most.

    A name that it takes stays as it is. In another one each foreign character becomes ``_``, and a number tells apart
    those that would be the same.

    Args:
        names: the names of the tools, each different.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._own = {name: name for name in names if _wire(name) == name}
        for name in names:
            if name not in self._own:
                self._own[_unused(_wire(name), self._own)] = name
        self._wire = {own: wire for wire, own in self._own.items()}

    def wire(self, name: str) -> str:
        """What the provider calls a tool; also one that is not among them."""
        return self._wire.get(name) or _wire(name)

    def own(self, wire: str) -> str:
        """The tool that the provider calls so; the same name if there is none."""
        return self._own.get(wire, wire)


def chat_tools(tools: Sequence[Mapping[str, Any]], names: ToolNames) -> list[dict[str, Any]]:
    """Tools in MCP's shape as Chat Completions takes them."""
    return [{"type": "function", "function": as_function(tool, names)} for tool in tools]


def chat_messages(messages: Sequence[TurnMessage], names: ToolNames) -> list[dict[str, Any]]:
    """Messages as Chat Completions takes them."""
    return [_message(message, names) for message in messages]


def as_function(tool: Mapping[str, Any], names: ToolNames) -> dict[str, Any]:
    """A tool in MCP's shape as a function: what both APIs say of it."""
    parameters = {"type": "object", "properties": {}, **declared_schema(tool.get("inputSchema") or {})}
    function = {"name": names.wire(tool["name"]), "parameters": parameters}
    description = tool.get("description")
    if description:
        function["description"] = description[:_LONGEST_DESCRIPTION]
    return function


def _message(message: TurnMessage, names: ToolNames) -> dict[str, Any]:
    if message["role"] == "tool":
        return {"role": "tool", "tool_call_id": message["request_id"], "content": message["content"]}
    requests: Sequence[ToolRequest] = cast("AssistantMessage", message).get("tool_requests") or ()
    if not requests:
        return {"role": message["role"], "content": message["content"]}
    calls = [
        {
            "id": request.id,
            "type": "function",
            "function": {"name": names.wire(request.name), "arguments": as_object(request.arguments_json)},
        }
        for request in requests
    ]
    return {"role": "assistant", "content": message["content"] or None, "tool_calls": calls}


def as_object(arguments_json: str) -> str:
    """Arguments that servers can read: many parse those of earlier turns, and fail where the model had slipped."""
    try:
        return arguments_json if isinstance(json.loads(arguments_json), dict) else "{}"
    except (ValueError, RecursionError):
        return "{}"


def _wire(name: str) -> str:
    return _FOREIGN.sub("_", name)[:_LONGEST_NAME] or "_"


def _unused(name: str, taken: Mapping[str, str]) -> str:
    free, number = name, 2
    while free in taken:
        ending = f"_{number}"
        free, number = name[: _LONGEST_NAME - len(ending)] + ending, number + 1
    return free
