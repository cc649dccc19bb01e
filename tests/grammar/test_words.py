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
from dovetail.grammar.expression import Characters, Choice, Expression, Literal, Name, Repeat, Rules, Series, series
from dovetail.grammar.plan import callable_tools
from dovetail.grammar.plan_rules import plan_rules
from dovetail.grammar.reply import reply_grammar
from dovetail.grammar.terms import Terms
from dovetail.grammar.words import in_words

ANY = Characters((('"', '"'), ("\\", "\\")), negated=True)
CHAR = Choice((ANY, series(Literal("\\"), Characters((("n", "n"),)))))


def written(root: Expression) -> Rules:
    rules = Rules()
    rules.define("root", root)
    rules.define("char", CHAR, terminal=True)
    return in_words(rules)


def reader(root: Expression) -> Gbnf:
    return Gbnf(to_bnf(written(root)))


def quoted(run: Expression) -> Expression:
    return series(Literal('"'), run, Literal('"'))


@pytest.mark.parametrize("part", [ANY, CHAR, Name("char")])
def test_a_run_has_words_of_any_length_but_only_so_many(part: Expression) -> None:
    words, ended = reader(Repeat(part, 0, 24)), reader(quoted(Repeat(part, 0, 24)))
    for text in ("", "a", "a" * 90, "a b c d e", " ", "  a"):
        assert words.accepts(text), text
        assert ended.accepts(f'"{text}"'), text
    assert not words.accepts("a b c d e f")
    assert not ended.accepts('"a b c d e f"')
    assert not words.accepts('a"')
    assert not ended.accepts('"a""')


@pytest.mark.parametrize("most", [100, 200])
def test_a_run_that_must_not_be_empty_is_not(most: int) -> None:
    words = reader(quoted(Repeat(CHAR, 3, most)))
    assert not words.accepts('""')
    assert words.accepts('"\\n"')
    assert words.accepts('"a b"')


def test_what_is_escaped_is_part_of_a_word_of_a_long_run() -> None:
    words = reader(quoted(Repeat(CHAR, 0, 200)))
    assert words.accepts('"a\\nb \\n\\n"')
    assert not words.accepts(f'"{chr(92)}n' * 17 + '"')
    assert not words.accepts('"\\x"')


def test_what_is_escaped_parts_words_of_a_short_run_as_blanks_do() -> None:
    words = reader(quoted(Repeat(CHAR, 0, 24)))
    assert words.accepts('"a\\nb \\n\\nc"')
    assert not words.accepts('"a\\nb \\n\\n c"')
    assert not words.accepts('"\\x"')


def test_each_word_of_a_short_run_holds_the_sign_that_ends_it_and_no_word_is_written_twice() -> None:
    rules = written(Choice((quoted(Repeat(CHAR, 0, 120)), quoted(Repeat(CHAR, 0, 60)))))
    words = [expression for name, expression in rules.used().items() if name not in {"root", "char"}]
    assert len(words) == 120 // 6 + 1
    assert all(Literal('"') in _inside(word) for word in words)


def _inside(expression: Expression) -> tuple[Expression, ...]:
    match expression:
        case Series(parts):
            return tuple(inner for part in parts for inner in _inside(part))
        case Choice(options):
            return tuple(inner for option in options for inner in _inside(option))
    return (expression,)


def test_a_name_is_one_word() -> None:
    names = reader(Repeat(Characters((("a", "z"), ("_", "_"))), 0, 39))
    assert names.accepts("a" * 90)
    assert not names.accepts("a b")


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
