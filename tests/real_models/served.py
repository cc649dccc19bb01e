"""The servers that the tests of this folder are put to, behind one face."""

from __future__ import annotations

import importlib.util
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest
from vllm_alike import VllmAlike
from vllm_place import SMOLLM2
from vllm_process import VllmProcess

from dovetail.demo import EXAMPLES
from dovetail.models import Completion
from dovetail.models.local import LocalModel
from dovetail.models.vllm import VllmModel
from dovetail.runs.model_call import ModelCall
from dovetail.runs.planner import Planner, ToolShow
from dovetail.v1 import Purpose

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from dovetail.models import GrammarDialect, Message, Model
    from dovetail.tools.tool_set import ToolSet

__all__ = ["ALIKE", "HELLO", "LLAMA", "MAX_QUEUED", "VLLM", "Served", "answer", "serving", "write_plan"]

ALIKE: Final = pytest.param("alike", id="alike")
LLAMA: Final = pytest.param("llama.cpp", id="llama.cpp", marks=pytest.mark.local_model)
_IS_HERE: Final = importlib.util.find_spec("vllm") is not None
VLLM: Final = [pytest.param("vllm", id="vllm", marks=pytest.mark.vllm)] if _IS_HERE else []
"""vLLM itself, where it is installed."""

HELLO: Final[list[Message]] = [{"role": "user", "content": "Say hello."}]
MAX_QUEUED: Final = 8
_TOKENS_PER_CHUNK: Final = 3


@dataclass
class Served:
    """A server with a model.

    Attributes:
        kind: ``alike``, ``llama.cpp`` or ``vllm``.
        dialect: the notation in which it takes grammars.
        open: opens another client of it.
        running: how many requests it is answering.
        generated: how many tokens it has written in all.
        kill_engine: kills what writes, and leaves what serves.
        writes_sense: whether its model is more than a dice.
    """

    kind: str
    dialect: GrammarDialect
    open: Callable[..., Model]
    running: Callable[[], Awaitable[float]] | None = None
    generated: Callable[[], Awaitable[float]] | None = None
    kill_engine: Callable[[], None] | None = None
    writes_sense: bool = True


@asynccontextmanager
async def serving(kind: str, log: Path, *, token_seconds: float = 0.001) -> AsyncIterator[Served]:
    """Serve until the block ends.

    Args:
        kind: ``alike``, ``llama.cpp`` or ``vllm``.
        log: where a server in a process of its own writes what it says.
        token_seconds: how long ``alike`` takes for each piece of a text.
    """
    if kind == "llama.cpp":
        local = LocalModel()
        try:
            yield Served(kind, "gbnf", lambda **_: local)
        finally:
            await local.aclose()
        return
    server: VllmAlike | VllmProcess
    if kind == "alike":
        server = VllmAlike(max_queued=MAX_QUEUED, tokens_per_chunk=_TOKENS_PER_CHUNK, token_seconds=token_seconds)
    else:
        limits = ("--max-num-queued-reqs", str(MAX_QUEUED), "--stream-interval", str(_TOKENS_PER_CHUNK))
        server = VllmProcess(SMOLLM2, log, *limits, "--enable-auto-tool-choice", "--tool-call-parser", "hermes")
    async with server.serving():
        opened: list[Model] = []

        def open_client(**settings: Any) -> Model:
            settings = {"temperature": 0.0, "max_retries": 0, "timeout": 120.0, **settings}
            opened.append(VllmModel(server.model, base_url=server.base_url, api_key=server.api_key, **settings))
            return opened[-1]

        async def running() -> float:
            return await server.metric("num_requests_running")

        async def generated() -> float:
            return await server.metric("generation_tokens_total")

        yield Served(kind, "ebnf", open_client, running, generated, server.kill_engine, writes_sense=kind != "alike")
        for model in opened:
            await model.aclose()


async def answer(model: Model, messages: list[Message] = HELLO, **options: Any) -> tuple[str, Completion]:
    """The text of one call, and how it ended."""
    items = [item async for item in model.stream(messages, **options)]
    assert all(items[:-1]), "no piece is empty"
    completion = items.pop()
    assert isinstance(completion, Completion)
    return "".join(str(item) for item in items), completion


async def write_plan(model: Model, tools: ToolSet, question: str, *, max_tokens: int) -> tuple[str, bool]:
    """A plan as a run asks for it, under its grammar; its text, and whether it was cut off."""
    call = ModelCall(model, Purpose.PURPOSE_PLAN, 1)
    planner = Planner(model, tools, EXAMPLES, ToolShow())
    pieces = await planner.ask(
        call,
        question,
        shown=tools,
        first_id=1,
        earlier_ids=(),
        dialect=model.grammar_dialects[0],
        replan=None,
        notes="",
        max_tokens=max_tokens,
    )
    text = "".join([piece async for piece in pieces])
    assert call.failure is None, call.failure
    return text, call.cut_off
