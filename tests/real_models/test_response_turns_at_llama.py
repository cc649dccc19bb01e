"""Turns by the Responses API of llama.cpp's server, with a real, small model that is made to call."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tool_weights import weights_with_template

from dovetail.models import OpenAIModel, ToolRequest
from dovetail.models.local import LocalModel

if TYPE_CHECKING:
    from dovetail.models import TurnMessage
    from dovetail.models.protocol import AssistantMessage

pytestmark = [pytest.mark.anyio, pytest.mark.local_model, pytest.mark.timeout(600)]

TEMPLATE = Path(__file__).with_name("shown_tools.jinja")
SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
TOOLS = [{"name": "geo.height", "description": "How high it is, in metres.", "inputSchema": SCHEMA}]


async def test_calls_and_their_outputs_go_from_turn_to_turn(tmp_path: Path) -> None:
    local = LocalModel(str(weights_with_template(tmp_path / "tools.gguf", TEMPLATE.read_text())))
    here = await asyncio.to_thread(local._ready)

    def at_server(**settings: Any) -> OpenAIModel:
        server = local._server
        assert server is not None
        return OpenAIModel(
            "m",
            base_url=here._endpoint.address.url,
            api_key=server.api_key,
            api="responses",
            temperature=0.0,
            timeout=300.0,
            max_tokens=120,
            **settings,
        )

    calling, free = at_server(extra_body={"tool_choice": "required"}), at_server()
    question: list[TurnMessage] = [{"role": "user", "content": "How high is Everest?"}]
    try:
        items = [item async for item in calling.stream_turn(question, TOOLS)]
        *requests, completion = items
        assert requests
        assert all(isinstance(item, ToolRequest) and item.name == "geo.height" for item in requests)
        assert completion.finish_reason == "tool_calls"
        assert completion.usage.completion_tokens > 0
        assert len(completion.verbatim.items_json) == len(requests)
        told: AssistantMessage = {"role": "assistant", "content": "", "tool_requests": requests}
        told["verbatim"] = completion.verbatim
        answers: list[TurnMessage] = [
            {"role": "tool", "request_id": request.id, "content": "8849"} for request in requests
        ]
        *_, following = [item async for item in free.stream_turn([*question, told, *answers], TOOLS)]
        # It has read the calls and their outputs.
        assert following.usage.prompt_tokens > completion.usage.prompt_tokens
    finally:
        await calling.aclose()
        await free.aclose()
        await local.aclose()
