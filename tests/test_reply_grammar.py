"""The grammar of a joiner's reply, read by the engine that compiles grammars here, and by the reader of replies."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from dovetail import _core
from dovetail.errors import UsageError
from dovetail.grammar.away import reply_grammar_away
from dovetail.grammar.reply import REPLY_DIALECTS, reply_grammar
from dovetail.models.protocol import Grammar, GrammarDialect

llguidance = pytest.importorskip("llguidance")

# Replies in JSON have tests of their own.
LINES = [dialect for dialect in REPLY_DIALECTS if dialect != "json_schema"]
HEIGHT = json.dumps({"type": "object", "properties": {"metres": {"type": "integer"}}, "required": ["metres"]})


def accepts(grammar: Grammar, text: str) -> bool:
    source = llguidance.grammar_from(grammar.dialect, grammar.text)
    matcher: Any = llguidance.LLMatcher(llguidance.LLTokenizer("byte"), source, log_level=0)
    return bool(matcher.consume_tokens(list(text.encode())) and matcher.is_accepting())


def verdict(text: str) -> _core.Verdict:
    reader = _core.ReplyReader()
    found = [step for step in [*reader.feed(text), *reader.finish()] if isinstance(step, _core.Verdict)]
    return found[0]


@pytest.mark.parametrize("dialect", LINES)
@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("finish", "8,849 m"),
        ("finish", "8,849 m (29,032 ft), says task [1]"),
        ("finish", "two\nlines, and f(g(x)) in them"),
        ("finish", 'she said "no"'),
        ("finish", "珠穆朗玛峰"),
        ("replan", "the height of K2"),
    ],
)
def test_what_the_grammar_takes_is_read_without_mending(dialect: GrammarDialect, kind: str, text: str) -> None:
    reply = f"Thought: enough.\nAction: {kind.capitalize()}({text})"
    assert accepts(reply_grammar(dialect), reply)
    read = verdict(reply)
    assert (read.kind, read.text, read.mended) == (kind, text, False)


@pytest.mark.parametrize("dialect", LINES)
@pytest.mark.parametrize(
    "reply",
    [
        "8,849 m",
        "Action: Finish(8,849 m)",
        "Thought: enough.\nAction: Finish()",
        "Thought: enough.\nAction: Finish(8,849 m",
        "Thought: enough.\nAction: Finish(a) b)",
        "Thought: enough.\nAction: Guess(8,849 m)",
        "Thought: a\nb\nAction: Finish(8,849 m)",
    ],
)
def test_a_reply_that_keeps_no_form_cannot_be_written(dialect: GrammarDialect, reply: str) -> None:
    assert not accepts(reply_grammar(dialect), reply)


@pytest.mark.parametrize("dialect", LINES)
def test_who_must_answer_cannot_ask_for_another_plan(dialect: GrammarDialect) -> None:
    again = "Thought: no.\nAction: Replan(more)"
    assert accepts(reply_grammar(dialect), again)
    assert not accepts(reply_grammar(dialect, must_answer=True), again)


@pytest.mark.parametrize("dialect", LINES)
def test_an_answer_by_schema_is_held_to_it(dialect: GrammarDialect) -> None:
    grammar = reply_grammar(dialect, answer_schema=HEIGHT)
    assert accepts(grammar, 'Thought: enough.\nAction: Finish({"metres": 8849})')
    assert not accepts(grammar, 'Thought: enough.\nAction: Finish({"metres": "high"})')
    assert not accepts(grammar, "Thought: enough.\nAction: Finish(8849)")
    assert accepts(grammar, "Thought: no.\nAction: Replan(more)")


@pytest.mark.parametrize("dialect", LINES)
def test_an_answer_may_be_a_long_list(dialect: GrammarDialect) -> None:
    grammar = reply_grammar(dialect, answer_schema=json.dumps({"type": "array", "items": {"type": "integer"}}))
    assert accepts(grammar, f"Thought: x\nAction: Finish([{', '.join(map(str, range(100)))}])")
    keyed = reply_grammar(dialect, answer_schema=json.dumps({"additionalProperties": {"type": "integer"}}))
    members = ", ".join(f'"k{number}": {number}' for number in range(50))
    assert accepts(keyed, f"Thought: x\nAction: Finish({{{members}}})")


def test_dollars_of_a_schema_stay_as_they_are() -> None:
    schema = json.dumps({"enum": ["$5", "$10"]})
    assert accepts(reply_grammar("gbnf", answer_schema=schema), 'Thought: x\nAction: Finish("$5")')


def test_a_schema_that_nothing_fits_has_no_grammar() -> None:
    with pytest.raises(UsageError, match="no answer can be written"):
        reply_grammar("gbnf", answer_schema="false")


def test_the_same_reply_has_the_same_grammar_made_once() -> None:
    assert reply_grammar("gbnf", answer_schema=HEIGHT) is reply_grammar("gbnf", answer_schema=HEIGHT)


@pytest.mark.anyio
async def test_many_runs_that_want_the_same_grammar_wait_for_one() -> None:
    schema = json.dumps({"type": "object", "properties": {"once": {"type": "integer"}}})
    async with asyncio.timeout(60):
        made = await asyncio.gather(
            *(reply_grammar_away("lark", must_answer=False, answer_schema=schema) for _ in range(20))
        )
        with pytest.raises(UsageError, match="no answer can be written"):
            await reply_grammar_away("lark", must_answer=False, answer_schema="false")
    assert all(grammar is made[0] for grammar in made)
    assert reply_grammar("lark", answer_schema=schema) is made[0]
