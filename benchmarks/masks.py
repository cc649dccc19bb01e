"""What the engines behind vLLM take to say which tokens may come next, at each token of a plan of 20 tools.

A server works the masks of all its streams out one after the other, and what is over once its GPU has calculated, each
stream waits for: the rows tell of 16 streams. The vocabulary is that of the ``tokenizer.json`` that ``TOKENIZER``
names.
"""

from __future__ import annotations

import os
import random
import time
from collections import defaultdict
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any, Final, Protocol

from benchmarks import prompt_tools
from benchmarks.report import Row
from dovetail import ToolSet, tool
from dovetail.grammar import plan_grammar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.original import Original
    from benchmarks.rounds import Settings
    from dovetail.models import Grammar

__all__ = ["run"]

_NAME: Final = "masks"
_TOOLS: Final = 20
_STREAMS: Final = 16
_MS, _US = 1e3, 1e6
_PLANS: Final = (
    '1. find_city("cities on the Danube", limit=10)\n2. rank_city($1, "population")\n3. get_city("Vienna")\n'
    '4. rate_city("$2[0]")\n5. join()',
    '1. get_river("Danube")\n2. get_river("Rhine")\n3. get_city("Bratislava")\n4. rate_city("Bratislava", '
    'scale="points")\n5. rank_river(["Danube", "Rhine"], "length in kilometres", descending=true)\n6. join($5)',
    '1. find_film("science fiction films by Ridley Scott from the seventies", limit=3)\n2. rate_film("Alien", '
    'scale="stars")\n3. rank_film($1, "rating", descending=false)\n4. find_song("the theme of $3[0]", limit=1)\n'
    '5. find_hotel("quiet hotels near the old town of Prague with breakfast")\n6. rate_hotel("$5[0]")\n7. join()',
)
_NOISE: Final = 64
"""How many tokens a text of noise has at the most."""
_DRAWS: Final = 100


class _Matcher(Protocol):
    """One text under a grammar."""

    def mask(self) -> bytes | bytearray | memoryview:
        """Work out which tokens may come next, a bit each."""
        ...

    def take(self, token: int) -> bool:
        """Go on behind a token; false if it may not come."""
        ...


def run(settings: Settings, original: Original | None) -> list[Row]:  # noqa: ARG001 - it has no grammars
    """Measure."""
    path = os.environ.get("TOKENIZER")
    if not path:
        return [Row(_NAME, "masks", None, "ms", note="TOKENIZER names no tokenizer.json")]
    if find_spec("llguidance") is None:
        return [Row(_NAME, "masks", None, "ms", note="llguidance is not installed")]
    import llguidance

    tokenizer = llguidance.LLTokenizer(Path(path).read_text(encoding="utf-8"))
    tools = ToolSet(tool(function) for function in prompt_tools.functions(_TOOLS, False))
    ebnf, lark = plan_grammar(tools, dialect="ebnf"), plan_grammar(tools, dialect="lark")
    rows = []
    for engine, grammar, opener in (
        ("xgrammar", ebnf, _xgrammar),
        ("llguidance", ebnf, _llguidance),
        ("llguidance", lark, _llguidance),
    ):
        if find_spec(engine) is None:
            rows.append(Row(_NAME, f"masks by {engine}", None, "ms", note=f"{engine} is not installed"))
            continue
        opened, compiled = opener(tokenizer, grammar)
        what = f"{engine} {version(engine)}, {grammar.dialect}"
        rows += [_plans(what, tokenizer, opened, settings, compiled), _noise(what, tokenizer, opened, settings)]
    return rows


def _llguidance(tokenizer: Any, grammar: Grammar) -> tuple[Callable[[], _Matcher], float]:
    """What opens a text, and how many seconds the grammar takes to be read."""
    import llguidance

    began = time.process_time()
    source = llguidance.grammar_from(grammar.dialect, grammar.text)
    llguidance.LLMatcher(tokenizer, source)
    compiled = time.process_time() - began

    class Matcher:
        def __init__(self) -> None:
            # A server reads the grammar again for each text.
            self._own = llguidance.LLMatcher(tokenizer, source)
            self.take: Callable[[int], bool] = self._own.consume_token

        def mask(self) -> bytes:
            return self._own.compute_bitmask()

    return Matcher, compiled


def _xgrammar(tokenizer: Any, grammar: Grammar) -> tuple[Callable[[], _Matcher], float]:
    import xgrammar

    size = tokenizer.vocab_size
    tokens = [b"" if tokenizer.is_special_token(token) else tokenizer.decode_bytes([token]) for token in range(size)]
    vocabulary = xgrammar.TokenizerInfo(tokens, vocab_size=size, stop_token_ids=[tokenizer.eos_token])
    compiler = xgrammar.GrammarCompiler(vocabulary, max_threads=1, cache_enabled=False)
    began = time.process_time()
    compiled = compiler.compile_grammar(xgrammar.Grammar.from_ebnf(grammar.text))
    seconds = time.process_time() - began
    mask = xgrammar.allocate_token_bitmask(1, size)

    class Matcher:
        def __init__(self) -> None:
            self._own = xgrammar.GrammarMatcher(compiled)
            self.take: Callable[[int], bool] = self._own.accept_token

        def mask(self) -> memoryview:
            self._own.fill_next_token_bitmask(mask, 0)
            return memoryview(mask.numpy()).cast("B")

    return Matcher, seconds


def _plans(what: str, tokenizer: Any, opened: Callable[[], _Matcher], settings: Settings, compiled: float) -> Row:
    """The masks of plans as a model with sense writes them."""
    best: dict[tuple[str, int], float] = {}
    for _ in range(settings.rounds(8)):
        for plan in _PLANS:
            matcher = opened()
            for index, token in enumerate(tokenizer.tokenize_str(plan)):
                seconds = _mask(matcher)
                best[plan, index] = min(seconds, best.get((plan, index), seconds))
                if not matcher.take(token):
                    raise RuntimeError(f"{what} refuses token {index} of the plan {plan!r}")
    by_place: dict[bool, list[float]] = defaultdict(list)
    for (plan, index), seconds in best.items():
        behind = tokenizer.decode_str(tokenizer.tokenize_str(plan)[:index])
        by_place[behind.count('"') % 2 == 1].append(seconds)
    return Row(
        _NAME,
        f"{_STREAMS} masks of plans, {what}",
        _STREAMS * mean(best.values()) * _MS,
        "ms",
        note=f"in a string {mean(by_place[True]) * _US:.0f} us each, elsewhere {mean(by_place[False]) * _US:.0f}; "
        f"at most {max(best.values()) * _US:.0f}; grammar read in {compiled * _MS:.0f} ms",
    )


def _noise(what: str, tokenizer: Any, opened: Callable[[], _Matcher], settings: Settings) -> Row:
    """The masks of texts of which each token is drawn by lot of those that may come, as random weights write."""
    source = random.Random(5)
    times: list[float] = []
    for _ in range(settings.rounds(16)):
        matcher = opened()
        for _ in range(_NOISE):
            began = time.thread_time()
            bits = matcher.mask()
            times.append(time.thread_time() - began)
            token = _drawn(bits, tokenizer.vocab_size, source)
            if token == tokenizer.eos_token or not matcher.take(token):
                break
    return Row(
        _NAME,
        f"{_STREAMS} masks of noise, {what}",
        _STREAMS * mean(times) * _MS,
        "ms",
        note=f"{len(times)} tokens; at most {max(times) * _US:.0f} us each",
    )


def _mask(matcher: _Matcher) -> float:
    began = time.thread_time()
    matcher.mask()
    return time.thread_time() - began


def _drawn(bits: Sequence[int], size: int, source: random.Random) -> int:
    """One of the tokens whose bits are set."""
    # Looking through all of them would empty the caches of the processor between two masks.
    for _ in range(_DRAWS):
        token = source.randrange(size)
        if bits[token >> 3] >> (token & 7) & 1:
            return token
    allowed = [token for token in range(size) if bits[token >> 3] >> (token & 7) & 1]
    return source.choice(allowed)
