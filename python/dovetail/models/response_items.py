"""Chats in which tools are called as items of OpenAI's Responses API, where nothing is kept at the server.

What a model reasoned belongs to its turn: without it a reasoning model begins anew with each output of a tool. The API
gives it encrypted, and takes it back in the items that it gave, unchanged and all together; their ids are refused where
what they go with is missing.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, cast

from dovetail.models.protocol import Verbatim
from dovetail.models.tool_calling import as_function, as_object

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import openai

    from dovetail.models.protocol import AssistantMessage, ToolRequest, TurnMessage
    from dovetail.models.tool_calling import ToolNames

__all__ = ["response_items", "response_tools", "spelled_out", "verbatim", "without_reasoning"]

_MOST: Final = 256_000
"""How many characters of a turn are given back as they are."""
_CALL: Final = "function_call"
_REASONING: Final = "reasoning"
_ABOUT_ITEMS: Final = re.compile(r"encrypted|reasoning|\bitem\b|expected schema|continuation", re.IGNORECASE)
"""What a refusal says that is about the items of earlier turns."""
_ABOUT_FORM: Final = re.compile(r"\bitem\b", re.IGNORECASE)
"""What it says where it may be about how they are written."""


def response_tools(tools: Sequence[Mapping[str, Any]], names: ToolNames) -> list[dict[str, Any]]:
    """Tools in MCP's shape as Responses takes them."""
    # Where it is not told otherwise, this API makes every argument a required one.
    return [{"type": "function", **as_function(tool, names), "strict": False} for tool in tools]


def response_items(messages: Sequence[TurnMessage], names: ToolNames, origin: str) -> list[dict[str, Any]]:
    """Messages as items of a request.

    Args:
        messages: the chat.
        names: what the provider calls the tools.
        origin: who is asked, as `Verbatim.origin`.
    """
    return [item for message in messages for item in _items(message, names, origin)]


def verbatim(items_json: Sequence[str], origin: str) -> Verbatim | None:
    """A turn to be given back as it is; None if there is none, or it is too large.

    Args:
        items_json: the items of its output.
        origin: who wrote them.
    """
    size = sum(map(len, items_json))
    return Verbatim(origin, tuple(items_json)) if 0 < size <= _MOST else None


def without_reasoning(request: Mapping[str, Any], refusal: openai.APIStatusError) -> dict[str, Any] | None:
    """A request without what was reasoned in earlier turns, for a server that refused it.

    Args:
        request: the request.
        refusal: why it was refused.

    Returns:
        The request, or None if it would be the same one, or was refused for something else.
    """
    items: Sequence[Mapping[str, Any]] = request["input"]
    if not any("id" in item for item in items) or not _ABOUT_ITEMS.search(_said(refusal)):
        return None
    return {**request, "input": [_nameless(item) for item in items if item.get("type") != _REASONING]}


def spelled_out(request: Mapping[str, Any], refusal: openai.APIStatusError | None = None) -> dict[str, Any] | None:
    """A request in which what the model said is a list of parts: llama.cpp takes plain texts of others alone.

    Args:
        request: the request.
        refusal: why it was refused, if it was.

    Returns:
        The request, or None if it would be the same one, or was refused for something else.
    """
    items = [_with_parts(item) for item in request["input"]]
    if items == request["input"] or (refusal is not None and not _ABOUT_FORM.search(_said(refusal))):
        return None
    return {**request, "input": items}


def _said(refusal: openai.APIStatusError) -> str:
    return f"{refusal.param or ''} {refusal.code or ''} {refusal.body or refusal.message}"


def _items(message: TurnMessage, names: ToolNames, origin: str) -> list[dict[str, Any]]:
    if message["role"] == "tool":
        return [{"type": "function_call_output", "call_id": message["request_id"], "output": message["content"]}]
    assistant = cast("AssistantMessage", message)
    requests = assistant.get("tool_requests") or ()
    given = assistant.get("verbatim")
    if given is not None and given.origin == origin and (items := _given_back(given, requests)):
        return items
    # A turn may hold requests alone.
    said = [{"role": message["role"], "content": message["content"]}] if message["content"] or not requests else []
    calls = [
        {
            "type": _CALL,
            "call_id": request.id,
            "name": names.wire(request.name),
            "arguments": as_object(request.arguments_json),
        }
        for request in requests
    ]
    return [*said, *calls]


def _given_back(given: Verbatim, requests: Sequence[ToolRequest]) -> list[dict[str, Any]]:
    """The items of a turn; none if its calls are not those that have outputs: the API insists on one for each."""
    items = [item for item in map(json.loads, given.items_json) if isinstance(item, dict)]
    calls = [item.get("call_id") for item in items if item.get("type") == _CALL]
    if sorted(map(str, calls)) != sorted(request.id for request in requests):
        return []
    readable = [item for item in items if item.get("type") != _REASONING or _is_readable(item)]
    if len(readable) < len(items):
        readable = [_nameless(item) for item in readable]
    while readable and readable[-1].get("type") == _REASONING:
        readable.pop()
    return readable


def _is_readable(reasoning: Mapping[str, Any]) -> bool:
    """Whether the server can read it without having kept it."""
    return bool(reasoning.get("encrypted_content") or reasoning.get("content"))


def _with_parts(item: Mapping[str, Any]) -> dict[str, Any]:
    text = item.get("content")
    if item.get("role") != "assistant" or not isinstance(text, str):
        return dict(item)
    part = {"type": "output_text", "text": text, "annotations": []}
    return {"type": "message", "status": "completed", **item, "content": [part]}


def _nameless(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item without its id, by which the server would look for what it goes with."""
    return {name: value for name, value in item.items() if name != "id"}
