"""The grammar of a joiner's reply: two lines, or JSON, of which a small model cannot break the form."""

from __future__ import annotations

import json
import re
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from dovetail.errors import UsageError
from dovetail.grammar.answer_form import answer_form
from dovetail.grammar.compilation import fault_in
from dovetail.grammar.digest import Kept
from dovetail.grammar.expression import (
    EMPTY,
    Characters,
    Expression,
    Literal,
    Name,
    Repeat,
    Rules,
    choice,
    optional,
    series,
)
from dovetail.grammar.notation import written
from dovetail.grammar.schema import SchemaReader
from dovetail.grammar.shape import NEVER
from dovetail.grammar.terminals import LINE, define_terminals
from dovetail.grammar.values import Values
from dovetail.models.protocol import Grammar

if TYPE_CHECKING:
    from collections.abc import Hashable

    from dovetail.models.protocol import GrammarDialect

__all__ = ["MAX_LINE", "REPLY_DIALECTS", "finish", "kept_reply_grammar", "reply_grammar", "reply_key"]

REPLY_DIALECTS: Final[tuple[GrammarDialect, ...]] = ("gbnf", "ebnf", "lark", "json_schema")
"""The notations in which it is written."""

MAX_LINE: Final = 300
"""How many characters a thought may have."""

_MAX_STRING: Final = 1_000
_MAX_ITEMS: Final = 100
"""How many items a list of an answer may have, unless its schema demands more."""
# Of the brackets in an answer each is closed: so that the last one ends the reply.
_PLAIN: Final = Characters(
    (("(", ")"), ("\0", "\x08"), ("\x0b", "\x1f"), ("\x7f", "\x7f")),
    negated=True,
)
# What plans take for a reference is written otherwise in their grammar, and so not in answers.
_DOLLAR: Final = re.compile(r"\$[$0-9{]")


_grammars: Final = Kept[Grammar](64)


def reply_grammar(dialect: GrammarDialect, *, must_answer: bool = False, answer_schema: str = "") -> Grammar:
    """The grammar of a joiner's reply.

    Args:
        dialect: the notation, one of `REPLY_DIALECTS`. In ``json_schema`` it is that of a reply in JSON, ``{"thought":
            …, "action": "finish" | "replan", "answer": …, "reason": …}``, in the subset that strict modes take.
        must_answer: whether it cannot ask for another plan.
        answer_schema: the JSON Schema that the answer must fit, as text; empty for an answer in words.

    Raises:
        UsageError: no value can be written that fits the schema, or the grammar does not compile.
    """
    key = reply_key(dialect, must_answer=must_answer, answer_schema=answer_schema)
    return _grammars.get(key, partial(_made, dialect, must_answer, answer_schema))


def reply_key(dialect: GrammarDialect, *, must_answer: bool, answer_schema: str) -> Hashable:
    """What the grammar that `reply_grammar` gives for these arguments depends on."""
    return dialect, must_answer, answer_schema


def kept_reply_grammar(key: Hashable) -> Grammar | None:
    """The grammar of a `reply_key`, if it was made lately."""
    return _grammars.peek(key)


def _made(dialect: GrammarDialect, must_answer: bool, answer_schema: str) -> Grammar:
    if dialect == "json_schema":
        return _compiled(Grammar(dialect, json.dumps(_schema(answer_schema, must_answer=must_answer))))
    rules = Rules()
    rules.define("root", EMPTY)  # which stands first
    thought = series(Literal("Thought: "), Repeat(LINE, 1, MAX_LINE), Literal("\n"))
    finishing = finish(rules, answer_schema)
    reason = rules.define("reason", Repeat(_ON_A_LINE, 1, MAX_LINE), terminal=True)
    verdict = finishing if must_answer else choice([finishing, series(Literal("Replan("), reason, Literal(")"))])
    rules.define("root", series(rules.define("thought", thought, terminal=True), Literal("Action: "), verdict))
    define_terminals(rules, _MAX_STRING)
    return _compiled(Grammar(dialect, written(rules, dialect)))


def _compiled(grammar: Grammar) -> Grammar:
    if (fault := fault_in(grammar)) is not None:
        raise UsageError(f"the grammar of the answer does not compile: {fault}")
    return grammar


def finish(rules: Rules, answer_schema: str, max_string: int = _MAX_STRING) -> Expression:
    """The answer of a reply, ``Finish(…)``.

    Args:
        rules: where its parts are named.
        answer_schema: the JSON Schema that the answer must fit, as text; empty for an answer in words.
        max_string: the bound of the rule ``string``; strings of the answer may be longer.

    Raises:
        UsageError: no value can be written that fits the schema.
    """
    answer = _value(rules, answer_schema, max_string) if answer_schema else _words(rules)
    return series(Literal("Finish("), answer, Literal(")"))


_ON_A_LINE: Final = Characters((("(", ")"), ("\0", "\x1f"), ("\x7f", "\x7f")), negated=True)


def _schema(answer_schema: str, *, must_answer: bool) -> dict[str, Any]:
    # The action comes first: whether an answer is to be shown while it is written, it says.
    answer = answer_form(answer_schema).schema
    properties: dict[str, Any] = {
        "thought": {"type": "string"},
        "action": {"type": "string", "enum": ["finish"] if must_answer else ["finish", "replan"]},
        "answer": answer if must_answer else {"anyOf": [*answer.get("anyOf", [answer]), {"type": "null"}]},
        "reason": {"type": "null"} if must_answer else {"type": ["string", "null"]},
    }
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _words(rules: Rules) -> Name:
    # Each text can be read in one way only: engines follow all of them at once.
    # And it is made of long pieces: llguidance gives up where each character is one.
    plain = rules.define("plain", Repeat(_PLAIN, 1, None), terminal=True)
    bracketed = rules.define("bracketed", series(Literal("("), optional(Name("text")), Literal(")")))
    more = rules.define("more", series(bracketed, optional(plain)))
    text = choice([series(plain, Repeat(more, 0, None)), Repeat(more, 1, None)])
    return rules.define("answer", rules.define("text", text))


def _value(rules: Rules, answer_schema: str, max_string: int) -> Expression:
    schema = {} if _DOLLAR.search(answer_schema) else json.loads(answer_schema)
    reader = SchemaReader(schema if isinstance(schema, dict) else {}, _MAX_STRING, _MAX_ITEMS)
    if (shape := reader.shape(schema)) == NEVER:
        raise UsageError("no answer can be written that fits the answer schema")
    return Values(rules, frozenset(), max_string).write(shape, None)
