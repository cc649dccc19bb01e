"""Events of OpenAI's Responses API, as its server streams them."""

from __future__ import annotations

import json
from typing import Any

from fault_server import Fault, Script

__all__ = ["event", "planned", "response", "said"]


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
