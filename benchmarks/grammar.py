"""What the grammar of a set of 20 tools costs: to write, to compile, and to have again."""

from __future__ import annotations

import json
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from benchmarks.report import Row
from benchmarks.rounds import measure
from dovetail import ToolSet
from dovetail.grammar import plan_grammar
from dovetail.grammar.compilation import can_compile, fault_in
from dovetail.grammar.notation import written
from dovetail.grammar.plan_rules import plan_rules
from dovetail.grammar.plan_schema import plan_schema
from dovetail.grammar.signature import signature
from dovetail.grammar.terms import Terms
from dovetail.tools.definition import Tool

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.original import Original
    from benchmarks.rounds import Settings
    from dovetail.grammar.signature import ToolShape
    from dovetail.models import Grammar, GrammarDialect

__all__ = ["run"]

_TOOLS = 20
_MS, _US = 1e3, 1e6
_DIALECTS: tuple[GrammarDialect, ...] = ("ebnf", "lark", "json_schema")


def run(settings: Settings, original: Original | None) -> list[Row]:  # noqa: ARG001 - it has no grammars
    """Measure."""
    tools = ToolSet(_tool(index) for index in range(_TOOLS))
    grammars = {dialect: plan_grammar(tools, dialect=dialect) for dialect in _DIALECTS}
    return [
        *(_written(dialect, tools.shapes, grammars[dialect], settings) for dialect in _DIALECTS),
        *(_compiled(dialect, grammars[dialect], settings) for dialect in _DIALECTS),
        _compiled_by_xgrammar(grammars["ebnf"], settings),
        *_had_again(tools, settings),
    ]


def _tool(index: int) -> Tool:
    number, text = {"type": "number"}, {"type": "string"}
    properties: dict[str, Any] = {
        "query": text,
        "limit": {"type": "integer", "minimum": 1},
        "score": number,
        "unit": {"enum": ["km", "mi", "m"]},
        "tags": {"type": "array", "items": text},
        "place": {"type": "object", "properties": {"latitude": number, "longitude": number, "name": text}},
    }
    schema = {"type": "object", "properties": properties, "required": ["query", "score"]}
    return Tool(f"tool_{index}", "Does something.", schema, {"type": "object"})


def _written(dialect: GrammarDialect, shapes: list[ToolShape], grammar: Grammar, settings: Settings) -> Row:
    terms = Terms()
    writers: dict[str, Callable[[], object]] = {
        "ebnf": lambda: written(plan_rules([signature(shape, terms.max_string) for shape in shapes], terms), "ebnf"),
        "lark": lambda: written(plan_rules([signature(shape, terms.max_string) for shape in shapes], terms), "lark"),
        "json_schema": lambda: json.dumps(plan_schema([signature(shape, terms.max_string) for shape in shapes], terms)),
    }
    took = measure(writers[dialect], things=1, rounds=settings.rounds(20))
    return Row(
        "grammar",
        f"written for {_TOOLS} tools and 16 tasks, {dialect}",
        took.wall * _MS,
        "ms",
        target=50,
        cpu=took.cpu * _MS,
        best=took.best * _MS,
        note=f"{len(grammar.text) / 1000:.0f} kB",
    )


def _compiled(dialect: GrammarDialect, grammar: Grammar, settings: Settings) -> Row:
    measure_of = f"compiled by llguidance, {dialect}"
    if not can_compile():
        return Row("grammar", measure_of, None, "ms", target=1000, note="llguidance is not installed")
    took = measure(lambda: fault_in(grammar), things=1, rounds=settings.rounds(12))
    return Row("grammar", measure_of, took.wall * _MS, "ms", 1000, took.cpu * _MS, took.best * _MS)


def _compiled_by_xgrammar(grammar: Grammar, settings: Settings) -> Row:
    measure_of = "compiled by xgrammar, ebnf, a vocabulary of bytes"
    if find_spec("xgrammar") is None:
        return Row("grammar", measure_of, None, "ms", target=1000, note="xgrammar is not installed")
    import xgrammar

    vocabulary = xgrammar.TokenizerInfo([*(bytes([byte]) for byte in range(256)), b"</s>"], stop_token_ids=[256])

    def compile_afresh() -> None:
        compiler = xgrammar.GrammarCompiler(vocabulary, cache_enabled=False)
        compiler.compile_grammar(xgrammar.Grammar.from_ebnf(grammar.text))

    took = measure(compile_afresh, things=1, rounds=settings.rounds(12))
    return Row("grammar", measure_of, took.wall * _MS, "ms", 1000, took.cpu * _MS, took.best * _MS)


def _had_again(tools: ToolSet, settings: Settings) -> list[Row]:
    times = 200

    def again() -> None:
        for _ in range(times):
            plan_grammar(tools, dialect="ebnf")

    def chosen() -> None:
        # A set that was chosen for a question is new; its tools are not.
        for _ in range(times):
            plan_grammar(ToolSet(tools), dialect="ebnf")

    rows = []
    for what, work in (("the same set", again), ("another set of the same tools", chosen)):
        took = measure(work, things=times, rounds=settings.rounds(20))
        rows.append(Row("grammar", f"had again, {what}", took.wall * _US, "us", 100, took.cpu * _US, took.best * _US))
    return rows
