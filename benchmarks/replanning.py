"""What another plan costs after one task of ten came to nothing: calls that are made again, and tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.report import Row
from dovetail import Engine, tool
from dovetail.embedding import run_loop
from dovetail.models.protocol import Completion, Grammar, GrammarDialect, Message, ModelStream, Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.original import Original
    from benchmarks.rounds import Settings

__all__ = ["run"]

_CITIES = ("Paris", "Rome", "Gotham", "Oslo", "Bern", "Riga", "Kyiv", "Lima", "Cairo")
_FIRST = "\n".join(
    [*(f'{n}. population("{city}")' for n, city in enumerate(_CITIES, 1)), "10. total($1, $3)", "11. join()"]
)
_AGAIN = '12. population("New York")\n13. total($1, $12)\n14. join()'
_BROKEN = _FIRST.replace('3. population("Gotham")', '3. inhabitants("New York")')
_TOKEN = 4  # characters, as a rule of thumb: the same for both plans


class _Written:
    """Writes one text after another, and counts what it is asked and what it writes."""

    name = "benchmark:written"
    grammar_dialects: tuple[GrammarDialect, ...] = ()

    def __init__(self, *texts: str) -> None:
        self._texts = list(texts)

    async def stream(
        self,
        messages: Sequence[Message],
        *,
        grammar: Grammar | None = None,  # noqa: ARG002
        stop: Sequence[str] = (),  # noqa: ARG002
        max_tokens: int | None = None,  # noqa: ARG002
    ) -> ModelStream:
        text = self._texts.pop(0)
        asked = sum(len(message["content"]) for message in messages)
        yield text
        yield Completion("stop", Usage(prompt_tokens=asked // _TOKEN, completion_tokens=len(text) // _TOKEN))

    async def aclose(self) -> None:
        """Nothing to give back."""


def run(settings: Settings, original: Original | None) -> list[Row]:  # noqa: ARG001 - there is nothing to repeat
    """Measure."""
    return run_loop(_replanning)


async def _replanning() -> list[Row]:
    rows = await _after(_FIRST, "a task failed", replan_on_failure=True)
    return rows + await _after(_BROKEN, "a task was invalid", replan_on_failure=False)


async def _after(first: str, what: str, *, replan_on_failure: bool) -> list[Row]:
    calls: list[str] = []

    @tool(read_only=True)
    async def population(city: str) -> int:
        """How many people live in a city."""
        calls.append(city)
        if city == "Gotham":
            raise ValueError("there is no such city")
        return len(city)

    @tool(read_only=True)
    async def total(first: int, second: int) -> int:
        """Adds two numbers."""
        return first + second

    # A second plan that repeats what was asked before, as models do that were not told to leave it.
    again = f'{_AGAIN.removesuffix("14. join()")}14. population("Paris")\n15. population("Rome")\n16. join()'
    rows = []
    for second, repeats in ((_AGAIN, False), (again, True)):
        calls.clear()
        model = _Written(first, second, "Action: Finish(done)")
        async with Engine([population, total], model, replan_on_failure=replan_on_failure) as engine:
            events = [event async for event in engine.start("How many live in Paris and New York?").events()]
        tokens = [event.model_call_ended.usage for event in events if event.HasField("model_call_ended")]
        if repeats:
            repeated = len(calls) - len(set(calls))
            measure = f"calls made again when a plan of ten in which {what} is followed by one that repeats two"
            rows.append(Row("replanning", measure, repeated, "calls", target=0))
        else:
            written = tokens[1].completion_tokens / tokens[0].completion_tokens * 100
            measure = f"tokens of the plan behind one of ten in which {what}, of those of the first"
            rows.append(
                Row(
                    "replanning",
                    measure,
                    written,
                    "%",
                    target=40,
                    note=f"scripted; its prompt has {tokens[1].prompt_tokens - tokens[0].prompt_tokens} tokens more",
                )
            )
    return rows
