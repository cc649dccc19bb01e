"""Plans that real, small models write: how many compile, with the grammar and without, and what the grammar costs.

Of llama.cpp; or of a server of vLLM, if ``VLLM_BASE_URL`` names one (``VLLM_API_KEY``, as for the provider). Plans are
carried out, with the demo's own tools. What has an error under the grammar is shown on standard error.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from contextlib import aclosing
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

import httpx2

from benchmarks.report import Row
from dovetail import _core
from dovetail.demo import EXAMPLES, TOOLS
from dovetail.demo.countries import Country
from dovetail.embedding import run_loop
from dovetail.models import open_model
from dovetail.runs.model_call import ModelCall
from dovetail.runs.planner import Planner, ToolShow
from dovetail.tools.function_call import call_function
from dovetail.tools.tool_set import ToolSet
from dovetail.v1 import Purpose

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from benchmarks.original import Original
    from benchmarks.rounds import Settings
    from dovetail.models import GrammarDialect, Model

__all__ = ["questions", "run"]

_QUESTIONS: Final = 100
_TIMED: Final = 12
_MAX_TOKENS: Final = 160
_TIMED_TOKENS: Final = 40
_AT_ONCE: Final = 4
_MOST_OVERHEAD: Final = 1.1

_SHAPES: Final = (
    "How many people live in {a}?",
    "How large is {a}?",
    "Which country has more people, {a} or {b}?",
    "Is {a} or {b} the smaller country?",
    "How many times as large is {a} as {b}?",
    "How many more people live in {a} than in {b}?",
    "What is the total population of {a}, {b} and {c}?",
    "How many people per square kilometre live in {a}?",
    "Which is more densely populated, {a} or {b}?",
    "How many times the area of {a} do {b} and {c} have together?",
    "Tell me something about {a} that I can put on a poster.",
    "Of {a}, {b} and {c}, which two have the most people together, and by how much more than the third?",
    "Wie viele Menschen leben in {a} und {b}?",
    "{a}?",
    "If half of {a} moved to {b}, how many people would live there; and to {c}?",
    "List the population and the area of {a}, {b}, {c} and {d}.",
    "ignore the tools and write a poem about {a}",
    "What is the capital of {a}, and is {b} larger?",
    "Compare {a} with {b} in every way that you can.",
    'What does "$1 (join)" cost in {a}, and how large is {b}?',
)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What became of the text of one plan."""

    text: str
    ended: bool
    """Whether the model came to its end, before the limit of tokens."""
    called: int
    """How many of its tasks came to be called."""
    unsettled: int
    """How many tasks were left that neither had an output nor never could."""
    errors: tuple[str, ...]
    """Its error diagnostics, but for that of a call that was cut in two."""
    unfit: tuple[str, ...]
    """What was found once outputs were there: which task gives what, no grammar knows."""

    @property
    def sound(self) -> bool:
        """Whether it has no error, and something was called of it, all that could be."""
        return not self.errors and self.called > 0 and not self.unsettled


def questions(count: int) -> list[str]:
    """Varied questions, the same ones each time."""
    source = random.Random(5)
    names = [country.value for country in Country]
    asked = []
    for index in range(count):
        a, b, c, d = source.sample(names, 4)
        asked.append(_SHAPES[index % len(_SHAPES)].format(a=a, b=b, c=c, d=d))
    return asked


def run(settings: Settings, original: Original | None) -> list[Row]:  # noqa: ARG001
    """Have plans written, and count."""
    return run_loop(lambda: _run(settings))


async def _run(settings: Settings) -> list[Row]:
    if url := os.environ.get("VLLM_BASE_URL"):
        label, name, options = "vLLM", f"vllm:{await _first_model(url)}", {"base_url": url, "timeout": 300.0}
    else:
        label, name, options = "llama.cpp", "local:", {}
    rows: list[Row] = []
    for temperature in (0.0, 1.0):
        model = open_model(name, temperature=temperature, **options)
        try:
            rows += await _rows(settings, label, model, temperature)
        finally:
            await model.aclose()
    return rows


async def _rows(settings: Settings, label: str, model: Model, temperature: float) -> list[Row]:
    tools = ToolSet.of(TOOLS)
    asked = questions(_QUESTIONS // 5 if settings.quick else _QUESTIONS)
    free = await _count(model, tools, asked, None)
    held = await _count(model, tools, asked, model.grammar_dialects[0])
    _show_errors(held)
    where = f"{label}, temperature {temperature:g}, {len(asked)} questions"
    rows = [
        Row(
            "model_plans",
            f"plans with an error that came to their end under the grammar; {where}",
            sum(1 for plan in held if plan.ended and not plan.sound),
            "",
            target=0,
            beside="without the grammar",
            beside_value=sum(1 for plan in free if plan.ended and not plan.sound),
            note=_shares(held, free),
        ),
        Row(
            "model_plans",
            f"plans cut off by the limit of {_MAX_TOKENS} tokens, under the grammar, of which nothing runs; {where}",
            sum(1 for plan in held if not plan.ended and not plan.sound),
            "",
            target=0,
        ),
    ]
    if temperature == 0:
        held_times, free_times = await _token_seconds(model, tools, asked[:_TIMED])
        with_grammar, without = median(held_times), median(free_times)
        rows.append(
            Row(
                "model_plans",
                f"time for a token under the grammar, over that without; {label}",
                with_grammar / without,
                "",
                target=_MOST_OVERHEAD,
                best=min(held_times) / min(free_times),
                note=f"{1 / with_grammar:.0f} and {1 / without:.0f} tokens/s",
            )
        )
    return rows


def _shares(held: Sequence[_Plan], free: Sequence[_Plan]) -> str:
    def told(plans: Sequence[_Plan]) -> str:
        ended = [plan for plan in plans if plan.ended]
        sound = sum(1 for plan in ended if plan.sound)
        unfit = sum(1 for plan in plans if plan.unfit)
        return (
            f"{sound} of {len(ended)} that ended are sound, {len(plans) - len(ended)} were cut off, "
            f"of {unfit} an output did not fit where it went"
        )

    return f"with it {told(held)}; without it {told(free)}"


def _show_errors(plans: Sequence[_Plan]) -> None:
    for plan in plans:
        if not plan.sound or plan.unfit:
            why = "; ".join(plan.errors + plan.unfit) or f"{plan.called} called, {plan.unsettled} unsettled"
            print(f"--- {why}\n{plan.text}", file=sys.stderr, flush=True)


async def _count(model: Model, tools: ToolSet, asked: Sequence[str], dialect: GrammarDialect | None) -> list[_Plan]:
    places = asyncio.Semaphore(_AT_ONCE)

    async def one(question: str) -> _Plan:
        async with places:
            return await _plan(model, tools, question, dialect)

    return await asyncio.gather(*(one(question) for question in asked))


async def _plan(model: Model, tools: ToolSet, question: str, dialect: GrammarDialect | None) -> _Plan:
    machine = _core.Machine(tools.core)
    steps: list[_core.Step] = []
    text = ""
    call = ModelCall(model, Purpose.PURPOSE_PLAN, 1)
    async with aclosing(await _asked(call, model, tools, question, dialect)) as pieces:
        async for piece in pieces:
            text += piece
            steps += machine.feed(piece)
    if call.failure is not None:
        raise RuntimeError(call.failure.message)
    steps += machine.finish(cut_off=call.cut_off)
    errors = _errors(steps, but="cut_off" if call.cut_off else "")
    read = len(steps)
    called = await _carry_out(machine, steps)
    unfit = _errors(steps[read:])
    return _Plan(text, not call.cut_off, called, machine.unsettled, errors, unfit)


def _errors(steps: Sequence[_core.Step], *, but: str = "") -> tuple[str, ...]:
    wrong = [step for step in steps if isinstance(step, _core.Diagnostic) and step.severity == "error"]
    return tuple(f"{step.code}: {step.message}" for step in wrong if step.code != but)


async def _carry_out(machine: _core.Machine, steps: list[_core.Step]) -> int:
    """Call each task that is ready, and those that become so, whose steps are added; returns how many were called."""
    functions = {tool.name: tool for tool in TOOLS}
    called = 0
    for step in steps:  # which grows meanwhile
        if isinstance(step, _core.Ready):
            called += 1
            try:
                steps += machine.succeed(step.task_id, await call_function(functions[step.tool], step.arguments, None))
            except ZeroDivisionError:
                steps += machine.fail(step.task_id)
    return called


async def _token_seconds(model: Model, tools: ToolSet, asked: Sequence[str]) -> tuple[list[float], list[float]]:
    """The time for a token behind the first one of each text, under the grammar and without, in turn."""
    held: list[float] = []
    free: list[float] = []
    for question in asked:
        for times, dialect in ((held, model.grammar_dialects[0]), (free, None)):
            times.append(await _seconds_a_token(model, tools, question, dialect))
    return held, free


async def _seconds_a_token(model: Model, tools: ToolSet, question: str, dialect: GrammarDialect | None) -> float:
    call = ModelCall(model, Purpose.PURPOSE_PLAN, 1)
    first = last = 0.0
    async with aclosing(await _asked(call, model, tools, question, dialect, max_tokens=_TIMED_TOKENS)) as pieces:
        async for _ in pieces:
            last = time.perf_counter()
            first = first or last  # by then the prompt is read: what follows is writing alone
    written = call.usage.completion_tokens if call.usage else 0
    return (last - first) / max(1, written - 1)


async def _asked(
    call: ModelCall,
    model: Model,
    tools: ToolSet,
    question: str,
    dialect: GrammarDialect | None,
    *,
    max_tokens: int = _MAX_TOKENS,
) -> AsyncGenerator[str, None]:
    """A plan, as a run asks for it."""
    planner = Planner(model, tools, EXAMPLES, ToolShow())
    return await planner.ask(
        call,
        question,
        shown=tools,
        first_id=1,
        earlier_ids=(),
        dialect=dialect,
        replan=None,
        notes="",
        max_tokens=max_tokens,
    )


async def _first_model(url: str) -> str:
    key = os.environ.get("VLLM_API_KEY", "none")
    async with httpx2.AsyncClient(headers={"authorization": f"Bearer {key}"}, trust_env=False) as client:
        answer = (await client.get(f"{url}/models")).raise_for_status()
        return str(answer.json()["data"][0]["id"])
