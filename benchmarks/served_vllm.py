"""What Dovetail costs a server of vLLM: plans of 20 tools under their grammar, prompts seen before, runs cancelled.

The server is the one that ``VLLM_BASE_URL`` names (``VLLM_API_KEY``, as for the provider); what its model writes
does not matter: it may serve random weights (``--load-format dummy``). It needs ``--enable-prompt-tokens-details``.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from contextlib import AsyncExitStack, aclosing
from statistics import median
from typing import TYPE_CHECKING, Any, Final

import httpx2

from benchmarks import prompt_tools
from benchmarks.report import Row
from dovetail import Engine, Limits, ToolSet, tool
from dovetail.embedding import run_loop
from dovetail.grammar import plan_grammar
from dovetail.models.protocol import Completion
from dovetail.models.vllm import VllmModel
from dovetail.prompts.examples import Example
from dovetail.prompts.lessons import Lessons
from dovetail.prompts.planner_prompt import PlannerPrompt
from dovetail.v1 import Purpose

if TYPE_CHECKING:
    from benchmarks.original import Original
    from benchmarks.rounds import Settings
    from dovetail.models.protocol import Grammar, Message
    from dovetail.run_handle import Run

__all__ = ["run"]

_NAME: Final = "served_vllm"
_TOOLS: Final = 20
_QUESTION: Final = "Which of the rivers that flow through a capital is rated best, and how long is it?"
_EXAMPLES: Final = (
    Example("Which of Paris and Rome has more people?", '1. get_city("Paris")\n2. get_city("Rome")\n3. join()'),
    Example("How do people rate the film Alien?", '1. rate_film("Alien", "points")\n2. join($1)'),
)
_TOKENS: Final = 200
_FEWEST: Final = 24
"""How many tokens a text must have for the time of one to be taken from it."""
_MANY: Final = 16
_MS: Final = 1e3
_MOST_OVERHEAD: Final = 1.1
_MOST_UNCACHED: Final = 0.1
_MOST_ABORT_MS: Final = 200.0


def run(settings: Settings, original: Original | None) -> list[Row]:  # noqa: ARG001
    """Measure."""
    url = os.environ.get("VLLM_BASE_URL")
    if not url:
        return [Row(_NAME, "a server of vLLM", None, "", note="VLLM_BASE_URL names none")]
    return run_loop(lambda: _run(settings, url))


async def _run(settings: Settings, url: str) -> list[Row]:
    key = os.environ.get("VLLM_API_KEY", "none")
    async with httpx2.AsyncClient(headers={"authorization": f"Bearer {key}"}, trust_env=False, timeout=60) as client:
        listed = (await client.get(f"{url}/models")).raise_for_status()
        server = _Server(url, key, str(listed.json()["data"][0]["id"]), client)
        rows = [
            await _uncached(server),
            await _token(server, settings.rounds(8), 1),
            await _token(server, settings.rounds(8), _MANY),
            await _first_token(server, settings.rounds(10)),
            await _abort(server, settings.rounds(10), 0),
            await _abort(server, settings.rounds(10), _MANY - 1),
        ]
        await server.model.aclose()
        await server.endless.aclose()
    return rows


class _Server:
    """The server, and what it is asked.

    Attributes:
        model: a client of it.
        endless: another, whose texts do not end by themselves.
        tools: the tools of the plans.
        messages: what a planner is asked with.
        grammar: that of the plans.
    """

    def __init__(self, url: str, key: str, name: str, client: httpx2.AsyncClient) -> None:
        self._metrics = f"{url.removesuffix('/v1')}/metrics"
        self._client = client
        settings: dict[str, Any] = {"base_url": url, "api_key": key, "temperature": 1.0, "timeout": 300}
        self.model = VllmModel(name, **settings)
        self.endless = VllmModel(name, **settings, extra_body={"ignore_eos": True})
        self.tools = ToolSet(tool(function) for function in prompt_tools.functions(_TOOLS, False))
        lessons = Lessons(_EXAMPLES, self.tools).of(self.tools)
        self.messages: list[Message] = PlannerPrompt().messages(_QUESTION, self.tools.shapes, lessons)
        self.grammar = self.grammar_from(1)

    def grammar_from(self, first_id: int) -> Grammar:
        """The grammar of plans whose ids begin with a number: another text for each."""
        return plan_grammar(self.tools, dialect="ebnf", first_id=first_id)

    async def running(self) -> float:
        """How many requests it is answering."""
        text = (await self._client.get(self._metrics)).text
        found = re.search(r"^vllm:num_requests_running{[^}]*} (\S+)$", text, re.MULTILINE)
        if found is None:
            raise RuntimeError(f"{self._metrics} does not say how many requests are running")
        return float(found[1])

    async def wait_until_running(self, count: int, began: float) -> float:
        """Until no more than so many requests are answered; how many seconds that took."""
        async with asyncio.timeout(60):
            while await self.running() > count:  # noqa: ASYNC110  # metrics tell nobody by themselves
                await asyncio.sleep(0)
        return time.perf_counter() - began


async def _uncached(server: _Server) -> Row:
    """How much of the second run's prompt was not in the server's cache, another question in the third."""
    limits = Limits(deadline=300, max_replans=0, max_tokens=64)
    engine = Engine(server.tools, server.model, examples=_EXAMPLES, limits=limits)
    prompt_tokens, shares = 0, []
    for question in (_QUESTION, _QUESTION, "How long is the Nile?"):
        run = engine.start(question)
        await run.wait()
        prompt_tokens, cached = await _prompt_tokens(run)
        shares.append(1 - cached / prompt_tokens)
    note = f"{prompt_tokens} tokens; of the first run's {shares[0]:.1%}, of another question's {shares[2]:.1%}"
    return Row(_NAME, "share of the second run's prompt not cached", shares[1], "", _MOST_UNCACHED, note=note)


async def _prompt_tokens(run: Run) -> tuple[int, int]:
    async for event in run.events():
        ended = event.model_call_ended
        if event.WhichOneof("fact") == "model_call_ended" and ended.purpose == Purpose.PURPOSE_PLAN:
            return ended.usage.prompt_tokens, ended.usage.cached_tokens
    raise RuntimeError("the run asked for no plan")


async def _token(server: _Server, rounds: int, streams: int) -> Row:
    """The time for a token behind the first, under the grammar and without, in turn."""
    held: list[float] = []
    free: list[float] = []
    await _texts(server, streams, server.grammar)  # whatever is slow the first time
    for _ in range(rounds):
        held += await _texts(server, streams, server.grammar)
        free += await _texts(server, streams, None)
    return Row(
        _NAME,
        f"a token under the grammar of {_TOOLS} tools, {streams} at once",
        median(held) * _MS,
        "ms",
        target=median(free) * _MS * _MOST_OVERHEAD,
        best=min(held) * _MS,
        beside="without a grammar",
        beside_value=median(free) * _MS,
        note=f"{len(held)} texts of {_FEWEST} to {_TOKENS} tokens",
    )


async def _texts(server: _Server, streams: int, grammar: Grammar | None) -> list[float]:
    times = await asyncio.gather(*(_text(server, grammar) for _ in range(streams)))
    return [seconds for seconds in times if seconds is not None]


async def _text(server: _Server, grammar: Grammar | None) -> float | None:
    """The time for a token of one text; None if it is too short."""
    model = server.endless if grammar is None else server.model
    first = last = 0.0
    async with aclosing(model.stream(server.messages, grammar=grammar, max_tokens=_TOKENS)) as pieces:
        async for piece in pieces:
            if isinstance(piece, Completion):
                written = piece.usage.completion_tokens if piece.usage else 0
                return (last - first) / (written - 1) if written >= _FEWEST else None
            last = time.perf_counter()
            first = first or last
    return None


async def _first_token(server: _Server, rounds: int) -> Row:
    """The time to the first token with a grammar that the server never saw, with one that it knows, and with none."""
    unseen, known, free = [], [], []
    for number in range(rounds):
        grammar = server.grammar_from(1000 + number)
        unseen.append(await _first(server, grammar))
        known.append(await _first(server, grammar))
        free.append(await _first(server, None))
    return Row(
        _NAME,
        f"first token under a grammar of {_TOOLS} tools that is new to the server",
        median(unseen) * _MS,
        "ms",
        best=min(unseen) * _MS,
        beside="the same again",
        beside_value=median(known) * _MS,
        note=f"without a grammar {median(free) * _MS:.1f} ms; prompt cached",
    )


async def _first(server: _Server, grammar: Grammar | None) -> float:
    began = time.perf_counter()
    async with aclosing(server.model.stream(server.messages, grammar=grammar, max_tokens=2)) as pieces:
        await anext(pieces)
        return time.perf_counter() - began


async def _abort(server: _Server, rounds: int, others: int) -> Row:
    """From the cancellation of a run to metrics without its request; the worst round."""
    times, asking = [], []
    engine = Engine(server.tools, server.endless, examples=_EXAMPLES)
    async with AsyncExitStack() as held:
        for _ in range(others):
            pieces = server.endless.stream(server.messages, max_tokens=8000)
            await anext(await held.enter_async_context(aclosing(pieces)))
        for _ in range(rounds):
            run = engine.start(_QUESTION)
            await _wait_for_text(run)
            if await server.running() != others + 1:
                continue  # it has ended by itself
            began = time.perf_counter()
            run.cancel()
            times.append(await server.wait_until_running(others, began))
            await run.wait()
            began = time.perf_counter()
            await server.running()
            asking.append(time.perf_counter() - began)
    return Row(
        _NAME,
        f"run cancelled -> not generated any more, beside {others} others, the worst of {len(times)}",
        max(times) * _MS if times else None,
        "ms",
        target=_MOST_ABORT_MS,
        best=min(times) * _MS if times else None,
        beside="reading the metrics",
        beside_value=median(asking) * _MS if asking else None,
        note=f"median {median(times) * _MS:.1f} ms" if times else "every run ended by itself",
    )


async def _wait_for_text(run: Run) -> None:
    async for event in run.events():
        if event.WhichOneof("fact") in {"plan_text", "run_ended"}:
            return
