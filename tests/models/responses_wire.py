"""Events of OpenAI's Responses API, as its server streams them."""

from __future__ import annotations

import json
from typing import Any

from fault_server import Fault, Script

__all__ = [
    "call_item",
    "called",
    "event",
    "message_item",
    "planned",
    "reasoning_item",
    "response",
    "said",
    "taken",
]


def event(kind: str, **fields: Any) -> bytes:
    """One event of the Responses API."""
    data = json.dumps({"type": kind, "sequence_number": 1, **fields}).encode()
    return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"


def response(status: str = "completed", **fields: Any) -> dict[str, Any]:
    usage = {
        "input_tokens": 20,
        "input_tokens_details": {"cached_tokens": 16},
        "output_tokens": 9,
        "output_tokens_details": {"reasoning_tokens": 4},
        "total_tokens": 29,
    }
    return {"id": "resp_1", "object": "response", "status": status, "model": "gpt-5", "usage": usage, **fields}


def planned(*pieces: str, end: bytes | Fault | None = None) -> Script:
    """A reply whose plan is the input of a custom tool, after some reasoning."""
    call = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "call_1", "name": "write_plan", "input": ""}
    reasoning = {"type": "reasoning", "id": "rs_1", "summary": []}
    whole = {**call, "input": "".join(pieces), "status": "completed"}
    body: list[bytes | Fault] = [
        event("response.created", response=response("in_progress", usage=None, output=[])),
        event("response.output_item.added", output_index=0, item=reasoning),
        event("response.output_item.done", output_index=0, item=reasoning),
        event("response.output_item.added", output_index=1, item=call),
        *(event("response.custom_tool_call_input.delta", item_id="ctc_1", output_index=1, delta=p) for p in pieces),
    ]
    if end is None:
        body += [
            event("response.custom_tool_call_input.done", item_id="ctc_1", output_index=1, input="".join(pieces)),
            event("response.output_item.done", output_index=1, item=whole),
            event("response.completed", response=response(output=[reasoning, whole])),
        ]
    else:
        body.append(end)
    return Script(body)


def said(*pieces: str) -> Script:
    """A reply in words."""
    return Script(
        [
            event("response.created", response=response("in_progress", usage=None, output=[])),
            *(
                event("response.output_text.delta", item_id="m", output_index=0, content_index=0, delta=p)
                for p in pieces
            ),
            event("response.completed", response=response(output=[])),
        ]
    )


def reasoning_item(number: int = 1, encrypted: str | None = "gAAAA-whole") -> dict[str, Any]:
    """What a model reasoned, complete."""
    return {"id": f"rs_{number}", "type": "reasoning", "encrypted_content": encrypted, "summary": []}


def message_item(text: str, *, refusal: bool = False) -> dict[str, Any]:
    """A message, complete."""
    content: dict[str, Any] = {"type": "output_text", "annotations": [], "logprobs": [], "text": text}
    if refusal:
        content = {"type": "refusal", "refusal": text}
    item = {"id": "msg_1", "type": "message", "status": "completed", "content": [content], "phase": "commentary"}
    return {**item, "role": "assistant"}


def call_item(number: int, name: str, arguments: str) -> dict[str, Any]:
    """A call of a function, complete."""
    item = {"id": f"fc_{number}", "type": "function_call", "status": "completed", "arguments": arguments}
    return {**item, "call_id": f"call_{number}", "name": name}


def called(index: int, item: dict[str, Any], *pieces: str) -> list[bytes]:
    """The events of a call whose arguments come in pieces."""
    place = {"item_id": item["id"], "output_index": index}
    return [
        event(
            "response.output_item.added", output_index=index, item={**item, "status": "in_progress", "arguments": ""}
        ),
        *(
            event("response.function_call_arguments.delta", **place, delta=piece, obfuscation="xK9")
            for piece in pieces or (item["arguments"],)
        ),
        event("response.function_call_arguments.done", **place, arguments=item["arguments"]),
        event("response.output_item.done", output_index=index, item=item),
    ]


def taken(*items: dict[str, Any]) -> Script:
    """A turn, item by item."""
    body = [event("response.created", response=response("in_progress", usage=None, output=[]))]
    for index, item in enumerate(items):
        match item["type"]:
            case "function_call":
                body += called(index, item)
            case "message":
                body += _message(index, item)
            case _:
                begun = {**item, "encrypted_content": "gAAAA-half"} if item.get("encrypted_content") else item
                body += [
                    event("response.output_item.added", output_index=index, item=begun),
                    event("response.output_item.done", output_index=index, item=item),
                ]
    return Script([*body, event("response.completed", response=response(output=list(items)))])


def _message(index: int, item: dict[str, Any]) -> list[bytes]:
    [content] = item["content"]
    kind = content["type"]
    field = "refusal" if kind == "refusal" else "text"
    place = {"item_id": item["id"], "output_index": index, "content_index": 0}
    return [
        event("response.output_item.added", output_index=index, item={**item, "status": "in_progress", "content": []}),
        event("response.content_part.added", **place, part={**content, field: ""}),
        *(event(f"response.{kind}.delta", **place, delta=piece) for piece in (content[field][:3], content[field][3:])),
        event(f"response.{kind}.done", **place, **{field: content[field]}),
        event("response.content_part.done", **place, part=content),
        event("response.output_item.done", output_index=index, item=item),
    ]
