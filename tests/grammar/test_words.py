"""Runs of characters, counted in words: in EBNF, for engines to which counting characters is dear."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from gbnf import Gbnf
from sentences import sentence
from tool_sets import NASTY, tool

from dovetail import _core
from dovetail.grammar import plan_grammar
from dovetail.grammar.bnf import to_bnf
from dovetail.grammar.expression import Characters, Choice, Expression, Literal, Name, Repeat, Rules, series
from dovetail.grammar.plan import callable_tools
from dovetail.grammar.plan_rules import plan_rules
from dovetail.grammar.reply import reply_grammar
from dovetail.grammar.terms import Terms
from dovetail.grammar.words import in_words

ANY = Characters((('"', '"'), ("\\", "\\")), negated=True)
CHAR = Choice((ANY, series(Literal("\\"), Characters((("n", "n"),)))))


def reader(run: Expression) -> Gbnf:
    rules = Rules()
    rules.define("root", run)
    rules.define("char", CHAR, terminal=True)
    return Gbnf(to_bnf(in_words(rules)))


@pytest.mark.parametrize("part", [ANY, CHAR, Name("char")])
def test_a_run_has_words_of_any_length_but_only_so_many(part: Expression) -> None:
    words = reader(Repeat(part, 0, 20))
    for text in ("", "a", "a" * 90, "a b c d e", " ", "  a"):
        assert words.accepts(text), text
    assert not words.accepts("a b c d e f")
    assert not words.accepts('a"')


def test_a_run_that_must_not_be_empty_is_not() -> None:
    words = reader(Repeat(CHAR, 3, 100))
    assert not words.accepts("")
    assert words.accepts("\\n")
    assert words.accepts("a b")


def test_what_is_escaped_is_part_of_a_word() -> None:
    words = reader(Repeat(CHAR, 0, 100))
    assert words.accepts("a\\nb \\n\\n")
    assert not words.accepts("\\n" * 17)
    assert not words.accepts("\\x")


@pytest.mark.parametrize(
    "run",
    [
        Repeat(ANY, 0, 5),
        Repeat(ANY, 7, 7),
        Repeat(Characters((("0", "9"),)), 0, 90),
        Repeat(Literal("ab"), 0, 90),
        Repeat(Choice((Literal("a"), Literal("b"))), 0, 90),
        Repeat(ANY, 0, None),
    ],
)
def test_short_runs_fixed_lengths_and_runs_of_few_kinds_of_characters_stay_as_they_are(run: Expression) -> None:
    rules = Rules()
    rules.define("root", run)
    assert in_words(rules).expressions["root"] == run


def test_only_ebnf_counts_words() -> None:
    one = [tool("f", x={"type": "string"})]
    long = f'1. f("{"a" * 70} {"b" * 70}")\n2. join()'
    assert Gbnf(plan_grammar(one, dialect="ebnf").text).accepts(long)
    assert not Gbnf(plan_grammar(one, dialect="gbnf").text).accepts(long)
    assert "{1,300}" not in reply_grammar("ebnf").text
    assert "{1,300}" in reply_grammar("gbnf").text


@pytest.mark.parametrize("name", NASTY)
def test_plans_that_are_counted_in_words_are_read_without_an_error_but_for_lengths(name: str) -> None:
    tools: list[dict[str, Any]] = NASTY[name]
    rules = in_words(plan_rules(callable_tools(tools, "ebnf"), Terms(max_tasks=3)))
    core = _core.ToolSet(json.dumps(tools))
    for seed in range(20):
        text = sentence(rules, random.Random(seed))
        machine = _core.Machine(core)
        steps = [*machine.feed(text), *machine.finish()]
        errors = [step for step in steps if isinstance(step, _core.Diagnostic) and step.severity == "error"]
        assert all("long" in error.message or "short" in error.message for error in errors), text
