"""Every notation is taken by a real engine, and says the same: llguidance, llama.cpp, and xgrammar where it is."""

from __future__ import annotations

import json
import random
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from sentences import sentence
from tool_sets import LOOKUP, NASTY, RATIO, RICH, random_tools, tool

from dovetail import _core
from dovetail.errors import UsageError
from dovetail.grammar import compilation, plan, plan_grammar, uncallable
from dovetail.grammar.plan_rules import plan_rules
from dovetail.grammar.reply import reply_grammar
from dovetail.grammar.signature import signature
from dovetail.grammar.terms import Terms
from dovetail.grammar.turn import turn_grammar
from dovetail.grammar.words import in_words
from dovetail.models import Grammar
from dovetail.models.local import LocalModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dovetail.models import GrammarDialect, Message

llguidance = pytest.importorskip("llguidance")

_TEXTUAL: tuple[GrammarDialect, ...] = ("gbnf", "ebnf", "lark")


@cache
def _tokenizer() -> Any:
    return llguidance.LLTokenizer("byte")


def _matcher(grammar: Grammar) -> Any:
    return llguidance.LLMatcher(_tokenizer(), llguidance.grammar_from(grammar.dialect, grammar.text))


def _accepts(matcher: Any, text: str) -> bool:
    tokens = _tokenizer().tokenize_str(text)
    own = matcher.deep_copy()
    return bool(own.try_consume_tokens(tokens) == len(tokens) and own.is_accepting())


@pytest.mark.parametrize("dialect", _TEXTUAL)
@pytest.mark.parametrize("name", NASTY)
def test_every_notation_accepts_what_the_rules_say(name: str, dialect: GrammarDialect) -> None:
    tools = NASTY[name]
    rules = plan_rules([signature(one, 120) for one in tools], Terms(max_tasks=4, thought=True))
    matcher = _matcher(plan_grammar(tools, dialect=dialect, max_tasks=4, thought=True))
    for seed in range(8):
        text = sentence(in_words(rules) if dialect == "ebnf" else rules, random.Random(seed))
        assert _accepts(matcher, text), text


@pytest.mark.parametrize(
    "grammar",
    [
        plan_grammar(RICH, dialect="lark", thought=True),
        reply_grammar("lark"),
        turn_grammar(RICH, dialect="lark", earlier_ids=(1,), must_answer=False, answer_schema=""),
    ],
    ids=["plan", "reply", "turn"],
)
def test_characters_stand_only_in_pieces_that_hold_many(grammar: Grammar) -> None:
    # Where each of them is a piece, llguidance gives up in the middle of a text, if tokens are longer than a byte.
    rules = [line for line in grammar.text.splitlines() if line[0].islower()]
    assert [line for line in rules if "/[" in line] == []


@pytest.mark.parametrize("name", NASTY)
def test_the_json_schema_of_every_tool_set_compiles(name: str) -> None:
    grammar = plan_grammar(NASTY[name], dialect="json_schema", thought=True)
    assert compilation.fault_in(grammar) is None
    assert json.loads(grammar.text)["required"] == ["thought", "tasks", "join"]


@pytest.mark.parametrize("seed", range(40))
def test_random_tool_sets_compile_in_every_notation(seed: int) -> None:
    tools = random_tools(random.Random(seed))
    for dialect in (*_TEXTUAL, "json_schema"):
        if len(uncallable(tools, dialect)) < len(tools):
            assert compilation.fault_in(plan_grammar(tools, dialect=dialect, max_tasks=4)) is None


@pytest.mark.parametrize("seed", range(12))
def test_every_notation_accepts_what_the_rules_of_random_tool_sets_say(seed: int) -> None:
    tools = random_tools(random.Random(seed))
    callable_ = [one for one in (signature(tool, 120) for tool in tools) if one.forms]
    if not callable_:
        return
    rules = plan_rules(callable_, Terms(max_tasks=3))
    for dialect in _TEXTUAL:
        matcher = _matcher(plan_grammar(tools, dialect=dialect, max_tasks=3))
        for draw in range(5):
            text = sentence(in_words(rules) if dialect == "ebnf" else rules, random.Random(draw))
            assert _accepts(matcher, text), (dialect, text)


@pytest.mark.parametrize("dialect", _TEXTUAL)
@pytest.mark.parametrize("name", ["j", "jump", "joins", "join_all", "J", "_join"])
def test_a_tool_whose_name_begins_as_join_does_can_be_called_by_every_task(name: str, dialect: GrammarDialect) -> None:
    matcher = _matcher(plan_grammar([tool(name, x={"type": "integer"})], dialect=dialect))
    assert _accepts(matcher, f"1. {name}(1)\n2. {name}($1)\n3. {name}(2)\n4. join($2)")


@pytest.mark.parametrize("dialect", _TEXTUAL)
@pytest.mark.parametrize(
    ("constant", "value"),
    [({"a": 1}, '{"a": 1, "b": 2}'), ({"a": 1}, '{"a": 5}'), ({"a": [1, "x"]}, '{"a": [1, "x"]}'), ({}, '{"b": 1}')],
)
def test_an_object_that_begins_as_a_constant_does_can_be_written(
    constant: dict[str, Any], value: str, dialect: GrammarDialect
) -> None:
    one = tool("f", x={"anyOf": [{"const": constant}, {"type": "object"}]})
    assert _accepts(_matcher(plan_grammar([one], dialect=dialect)), f"1. f({value})\n2. join()")


@pytest.mark.parametrize("dialect", _TEXTUAL)
@pytest.mark.parametrize(
    ("text", "is_plan"),
    [
        ('1. lookup("Peru")\n2. lookup("Chile")\n3. ratio($1, $2)\n4. join($3)', True),
        ('1. search("x", limit=3, unit="km")\n2. note(b=[$1[0].height, 2])\n3. join()', True),
        ('1. any($1, {"z": 1})\n2. join()', False),
        ("1. ratio(1, 2)\n3. join()", False),
        ("1. ratio(1, 2)\n2. ratio($2, 1)\n3. join()", False),
        ('1. search("x", unit="m")\n2. join()', False),
        ('1. lookup("' + "a " * 121 + '")\n2. join()', False),
        ("1. ratio(1, 2)", False),
    ],
)
def test_an_engine_tells_plans_from_what_is_none(text: str, is_plan: bool, dialect: GrammarDialect) -> None:
    assert _accepts(_matcher(plan_grammar(RICH, dialect=dialect)), text) is is_plan


def test_a_word_that_a_named_argument_begins_with_can_still_be_written() -> None:
    tools = [
        tool("f", required=["a", "b"], a={"type": "boolean"}, b={"type": ["boolean", "null"]}, false={}, null_ok={})
    ]
    for dialect in _TEXTUAL:
        matcher = _matcher(plan_grammar(tools, dialect=dialect))
        assert _accepts(matcher, "1. f(true, false)\n2. join()")
        assert _accepts(matcher, "1. f(true, null, false=1, null_ok=null)\n2. join()")


def test_a_letter_that_xgrammar_reads_on_behind_is_cut_off_from_what_follows() -> None:
    tools = [tool("größe", x={"enum": ["ß" * 20, *(f"ß{digit}" for digit in range(20)), "ß"]})]
    text = plan_grammar(tools, dialect="ebnf").text
    assert '"größ" "e("' in text
    assert "ße" not in text
    assert _accepts(_matcher(plan_grammar(tools, dialect="ebnf")), '1. größe("ß17")\n2. join()')


def test_a_grammar_that_does_not_compile_is_not_given_away_and_names_its_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    real = plan.fault_in

    def refuses_ratios(grammar: Grammar) -> str | None:
        return real(Grammar("lark", f"{grammar.text}\nstart: NOWHERE")) if "ratio(" in grammar.text else real(grammar)

    monkeypatch.setattr(plan, "fault_in", refuses_ratios)
    tools = [LOOKUP, RATIO | {"name": "ratio"}, tool("third", x={"type": "integer"})]
    with pytest.raises(UsageError, match=r"tool .ratio.: its grammar does not compile: .*simplify its input schema"):
        plan_grammar(tools, dialect="lark", max_tasks=3)
    assert plan_grammar([LOOKUP, tools[2]], dialect="lark", max_tasks=3).text


@pytest.mark.parametrize("dialect", [*_TEXTUAL, "json_schema"])
def test_a_fault_is_said_in_one_line(dialect: GrammarDialect) -> None:
    fault = compilation.fault_in(Grammar(dialect, '{"type": 3}' if dialect == "json_schema" else "root ::= nowhere ("))
    assert fault
    assert "\n" not in fault


@pytest.mark.local_model
@pytest.mark.anyio
@pytest.mark.timeout(300)
async def test_llama_cpp_writes_plans_with_every_tool_set() -> None:
    chat: list[Message] = [{"role": "user", "content": "Write a plan that calls tools."}]
    model = LocalModel()
    try:
        for name, tools in NASTY.items():
            grammar = plan_grammar(tools, max_tasks=4)
            pieces = [piece async for piece in model.stream(chat, grammar=grammar, max_tokens=40)]
            text = "".join(piece for piece in pieces if isinstance(piece, str))
            assert text.startswith("1. "), name
            assert _errors_but_cut_off(text, tools) == [], text
    finally:
        await model.aclose()


def _errors_but_cut_off(text: str, tools: Sequence[Any]) -> list[str]:
    machine = _core.Machine(_core.ToolSet(json.dumps(tools)))
    steps = [*machine.feed(text), *machine.finish(cut_off=True)]
    diagnostics = [step for step in steps if isinstance(step, _core.Diagnostic)]
    return [one.message for one in diagnostics if one.severity == "error" and one.code != "cut_off"]


def test_xgrammar_takes_every_tool_set_and_accepts_what_the_rules_say(monkeypatch: pytest.MonkeyPatch) -> None:
    # Comes with vLLM, and brings torch: it is not among what the tests install.
    xgrammar = pytest.importorskip("xgrammar", exc_type=ImportError)
    # The llguidance that comes with it is older, and not what is asked here.
    monkeypatch.setattr(plan, "fault_in", lambda _: None)
    vocabulary = xgrammar.TokenizerInfo([*(bytes([byte]) for byte in range(256)), b"</s>"], stop_token_ids=[256])
    compiler = xgrammar.GrammarCompiler(vocabulary)
    for name, tools in NASTY.items():
        rules = plan_rules([signature(one, 120) for one in tools], Terms(max_tasks=4, thought=True))
        grammar = plan_grammar(tools, dialect="ebnf", max_tasks=4, thought=True)
        compiled = compiler.compile_grammar(xgrammar.Grammar.from_ebnf(grammar.text))
        compiler.compile_json_schema(plan_grammar(tools, dialect="json_schema").text)
        for seed in range(8):
            matcher = xgrammar.GrammarMatcher(compiled)
            text = sentence(in_words(rules), random.Random(seed))
            assert matcher.accept_string(text), (name, text)
            assert matcher.is_completed(), (name, text)
