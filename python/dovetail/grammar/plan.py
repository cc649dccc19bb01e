"""A grammar from a tool set: only values, references and the order of tools are left for the model to choose."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Final

from dovetail.errors import UsageError
from dovetail.grammar.compilation import fault_in
from dovetail.grammar.digest import Kept, digests_of
from dovetail.grammar.notation import written
from dovetail.grammar.obstacle import obstacle
from dovetail.grammar.plan_rules import plan_rules
from dovetail.grammar.plan_schema import plan_schema
from dovetail.grammar.schema import MAX_STRING
from dovetail.grammar.signature import Signature, signature
from dovetail.grammar.terms import Terms
from dovetail.models.protocol import Grammar, GrammarDialect
from dovetail.tools.tool_set import ToolSet

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from dovetail.grammar.signature import ToolShape

__all__ = ["callable_tools", "kept_plan_grammar", "plan_grammar", "plan_key", "uncallable"]

_signatures: Final = Kept[Signature](1_000)
_grammars: Final = Kept[Grammar](64)


def plan_grammar(
    tools: ToolSet | Sequence[ToolShape],
    *,
    dialect: GrammarDialect = "gbnf",
    max_tasks: int = 16,
    first_id: int = 1,
    earlier_ids: Iterable[int] = (),
    thought: bool = False,
    max_string: int = MAX_STRING,
) -> Grammar:
    """The grammar of the plans that may be written with these tools.

    Required arguments are positional and in the schema's order, optional ones follow as ``name=value``. The plan ends
    with ``join()`` or ``join($k)``. The same tools give the same grammar, made and compiled once. Tools that no
    arguments fit are left out (see `uncallable`).

    Args:
        tools: the tools: a tool set, or tools in MCP's shape.
        dialect: the notation.
        max_tasks: how many tasks the plan may have.
        first_id: the id of its first task.
        earlier_ids: tasks of earlier plans that may be referred to.
        thought: whether one line ``Thought: …`` may come first.
        max_string: how many characters a string may have, unless its schema demands more: without a bound a small model
            writes on until it is cut off. A strict JSON schema has none.

    Raises:
        ToolDefinitionError: the schema of a tool is none.
        UsageError: no tool can be called, or the grammar does not compile; the message names the tool.
        ValueError: there is no tool, a number is less than 1, or an earlier id is not less than ``first_id``.
    """
    if not len(tools):
        raise ValueError("a plan grammar needs at least one tool")
    terms = Terms(max_tasks, first_id, tuple(sorted(set(earlier_ids))), thought, max_string)
    digests = digests_of(tools)

    def make() -> Grammar:
        callable_ = callable_tools(tools, dialect, max_string)
        grammar = _written(callable_, dialect, terms)
        if (fault := fault_in(grammar)) is not None:
            raise UsageError(_blamed(callable_, dialect, fault))
        return grammar

    return _grammars.get((digests, dialect, terms), make)


def callable_tools(
    tools: ToolSet | Sequence[ToolShape], dialect: GrammarDialect, max_string: int = MAX_STRING
) -> list[Signature]:
    """The tools that a grammar can have, at least one.

    Args:
        tools: the tools, at least one: a tool set, or tools in MCP's shape.
        dialect: the notation.
        max_string: how many characters a string may have, unless a schema demands more.

    Raises:
        ToolDefinitionError: the schema of a tool is none.
        UsageError: no tool can be called; the message names the first.
    """
    if isinstance(tools, ToolSet):
        # What the plan machine takes for schemas is what is read here; it compiles them once for both.
        _ = tools.core
    known = _read(tools, digests_of(tools), max_string)
    callable_ = [tool for tool in known if _can_call(tool, dialect)]
    if not callable_:
        others = f"; nor can the other {len(known) - 1} be called" if len(known) > 1 else ""
        raise UsageError(f"tool {known[0].name!r}: {obstacle(_shapes(tools)[0])}{others}")
    return callable_


def plan_key(
    tools: ToolSet, *, dialect: GrammarDialect, max_tasks: int, first_id: int, earlier_ids: Iterable[int]
) -> Hashable:
    """What the grammar that `plan_grammar` gives for these arguments depends on."""
    terms = Terms(max_tasks, first_id, tuple(sorted(set(earlier_ids))), thought=False, max_string=MAX_STRING)
    return digests_of(tools), dialect, terms


def kept_plan_grammar(key: Hashable) -> Grammar | None:
    """The grammar of a `plan_key`, if it was made lately."""
    return _grammars.peek(key)


def uncallable(tools: ToolSet | Sequence[ToolShape], dialect: GrammarDialect = "gbnf") -> dict[str, str]:
    """The tools that a grammar leaves out, by name, each with the reason."""
    known = _read(tools, digests_of(tools), MAX_STRING)
    return {
        tool.name: obstacle(shape)
        for tool, shape in zip(known, _shapes(tools), strict=True)
        if not _can_call(tool, dialect)
    }


def _shapes(tools: ToolSet | Sequence[ToolShape]) -> Sequence[ToolShape]:
    return tools.shapes if isinstance(tools, ToolSet) else tools


def _read(tools: ToolSet | Sequence[ToolShape], digests: Sequence[bytes], max_string: int) -> list[Signature]:
    return [
        _signatures.get((digest, max_string), partial(signature, shape, max_string))
        for shape, digest in zip(_shapes(tools), digests, strict=True)
    ]


def _can_call(tool: Signature, dialect: GrammarDialect) -> bool:
    return bool(tool.records if dialect == "json_schema" else tool.forms)


def _written(tools: Sequence[Signature], dialect: GrammarDialect, terms: Terms) -> Grammar:
    match dialect:
        case "json_schema":
            text = json.dumps(plan_schema(tools, terms), ensure_ascii=False)
        case _:
            text = written(plan_rules(tools, terms), dialect)
    return Grammar(dialect, text)


def _blamed(tools: Sequence[Signature], dialect: GrammarDialect, fault: str) -> str:
    """What is said of a grammar that does not compile: which tool is to blame, if one is."""
    for tool in tools:
        own = fault_in(_written([tool], dialect, Terms(max_tasks=2)))
        if own is not None:
            return (
                f"tool {tool.name!r}: its grammar does not compile: {own}; simplify its input schema, or deny the tool"
            )
    return (
        f"the grammar of these {len(tools)} tools does not compile: {fault}; show a planner fewer of them (max_tools)"
    )
