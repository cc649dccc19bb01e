"""The grammar of a turn: a thought on one line, then one call, or the answer. A small model cannot break its form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dovetail.errors import UsageError
from dovetail.grammar.compilation import fault_in
from dovetail.grammar.digest import Kept, digests_of
from dovetail.grammar.expression import EMPTY, Literal, Name, Repeat, Rules, choice, series
from dovetail.grammar.notation import written
from dovetail.grammar.plan import callable_tools
from dovetail.grammar.plan_rules import Calls
from dovetail.grammar.reply import MAX_LINE, finish, reply_grammar
from dovetail.grammar.schema import MAX_STRING
from dovetail.grammar.terminals import LINE, define_terminals
from dovetail.models.protocol import Grammar

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from dovetail.grammar.signature import Signature, ToolShape
    from dovetail.models.protocol import GrammarDialect
    from dovetail.tools.tool_set import ToolSet

__all__ = ["TURN_DIALECTS", "kept_turn_grammar", "turn_grammar", "turn_key", "turn_rules"]

TURN_DIALECTS: Final[tuple[GrammarDialect, ...]] = ("gbnf", "ebnf", "lark")
"""The notations in which it is written."""

_ONLY: Final = 1
"""The number of the call among those of its grammar; its id is none that a model writes."""

_grammars: Final = Kept[Grammar](64)


def turn_grammar(
    tools: ToolSet | Sequence[ToolShape],
    *,
    dialect: GrammarDialect = "gbnf",
    earlier_ids: Iterable[int] = (),
    must_answer: bool = False,
    answer_schema: str = "",
) -> Grammar:
    """The grammar of a turn: ``Thought: …`` and ``Action: tool(…)`` or ``Action: Finish(…)``, on two lines.

    Arguments stand as in plans (see `dovetail.grammar.plan_grammar`), and so do the tools that are left out. The same
    tools and ids give the same grammar, made and compiled once.

    Args:
        tools: the tools, at least one: a tool set, or tools in MCP's shape.
        dialect: the notation, one of `TURN_DIALECTS`.
        earlier_ids: the tasks that may be referred to: those that have an output.
        must_answer: whether no call may be made.
        answer_schema: the JSON Schema that the answer must fit, as text; empty for an answer in words.

    Raises:
        ToolDefinitionError: the schema of a tool is none.
        UsageError: no tool can be called, no answer can be written that fits its schema, or the grammar does not
            compile; the message says which.
    """
    if must_answer:
        return reply_grammar(dialect, must_answer=True, answer_schema=answer_schema)
    referable = tuple(sorted(set(earlier_ids)))

    def make() -> Grammar:
        rules = turn_rules(callable_tools(tools, dialect), referable, answer_schema)
        grammar = Grammar(dialect, written(rules, dialect))
        if (fault := fault_in(grammar)) is not None:
            raise UsageError(f"the grammar of a turn with these {len(tools)} tools does not compile: {fault}")
        return grammar

    return _grammars.get(turn_key(tools, dialect=dialect, earlier_ids=referable, answer_schema=answer_schema), make)


def turn_key(
    tools: ToolSet | Sequence[ToolShape],
    *,
    dialect: GrammarDialect,
    earlier_ids: tuple[int, ...],
    must_answer: bool = False,
    answer_schema: str,
) -> Hashable:
    """What the grammar that `turn_grammar` gives for these arguments depends on; the ids ascend."""
    return "turn", digests_of(tools), dialect, earlier_ids, must_answer, answer_schema


def kept_turn_grammar(key: Hashable) -> Grammar | None:
    """The grammar of a `turn_key`, if it was made lately."""
    return _grammars.peek(key)


def turn_rules(tools: Sequence[Signature], referable: Sequence[int], answer_schema: str) -> Rules:
    """The rules of a turn.

    Args:
        tools: the tools that can be called, at least one.
        referable: the tasks that may be referred to.
        answer_schema: the JSON Schema that the answer must fit, as text; empty for an answer in words.

    Raises:
        UsageError: no value can be written that fits the schema.
    """
    rules = Rules()
    rules.define("root", EMPTY)  # which stands first
    rules.define("thought", series(Literal("Thought: "), Repeat(LINE, 1, MAX_LINE), Literal("\n")), terminal=True)
    call = Calls(rules, tools, MAX_STRING).of(_ONLY, referable)
    action = choice([call, finish(rules, answer_schema, MAX_STRING)])
    rules.define("root", series(Name("thought"), Literal("Action: "), action))
    define_terminals(rules, MAX_STRING)
    return rules
