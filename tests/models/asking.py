"""Asking models at the local server: a question, a key that must not be shown, and a clean environment."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from dovetail.models import Completion
from fault_server import Script, chunk, sse, usage_chunk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from dovetail.models import Message, Model

__all__ = ["DONE", "KEY", "QUESTION", "TOKEN", "ask", "closing", "refusal"]

M = TypeVar("M", bound="Model")

QUESTION: list[Message] = [{"role": "system", "content": "plan"}, {"role": "user", "content": "how high?"}]
KEY = "key-canary-0123456789"
TOKEN = "token-canary-0123456789"
DONE = [chunk(finish_reason="stop"), usage_chunk(), sse(b"[DONE]")]


@asynccontextmanager
async def closing(model: M) -> AsyncIterator[M]:
    try:
        async with asyncio.timeout(60):
            yield model
    finally:
        await model.aclose()


async def ask(model: Model, **options: Any) -> tuple[str, Completion]:
    items = [item async for item in model.stream(QUESTION, **options)]
    completion = items.pop()
    assert isinstance(completion, Completion)
    return "".join(map(str, items)), completion


def refusal(message: str, *, param: str | None = None, code: str | None = None, status: int = 400) -> Script:
    """An error as OpenAI's API sends it."""
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    body = json.dumps({"error": error}, indent=2).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body))}
    return Script([body], status, headers, chunked=False)
