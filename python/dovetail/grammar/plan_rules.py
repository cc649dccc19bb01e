"""The grammar of plans with a tool set, whatever notation it will be written in.

Ids are unrolled, one rule a task, so that they run 1, 2, 3 … and a bare reference can only name an earlier task.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final

from dovetail.grammar.expression import (
    EMPTY,
    Expression,
    Literal,
    Name,
    Repeat,
    Rules,
    choice,
    optional,
    renamed,
    series,
)
from dovetail.grammar.signature import is_nameable
from dovetail.grammar.terminals import LINE, PLACE, define_terminals
from dovetail.grammar.values import Values, written_in_order

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dovetail.grammar.shape import Record
    from dovetail.grammar.signature import Signature
    from dovetail.grammar.terms import Terms

__all__ = ["Calls", "plan_rules"]


def plan_rules(tools: Sequence[Signature], terms: Terms) -> Rules:
    """The rules of the plans that may be written.

    Args:
        tools: the tools that can be called, at least one.
        terms: what else a plan is bound to.
    """
    rules = Rules()
    plan = Name("plan")
    rules.define("root", series(optional(Name("thought")), plan) if terms.thought else plan)
    rules.define(
        "thought", series(Literal("Thought: "), Repeat(LINE, 1, terms.max_string), Literal("\n")), terminal=True
    )
    calls = Calls(rules, tools, terms.max_string)
    referable = list(terms.earlier_ids)
    first, last = terms.first_id, terms.first_id + terms.max_tasks - 1
    # A first plan without a task would answer nothing; a later one may find that the outputs suffice.
    rules.define("plan", choice([Name(f"task{first}"), *([Name(f"join{first}")] if referable else [])]))
    rules.define(f"join{first}", _join(first, referable))
    for task_id in range(first, last + 1):
        call = calls.of(task_id, referable)
        referable.append(task_id)
        next_id = task_id + 1
        behind = choice([*([Name(f"task{next_id}")] if task_id < last else []), Name(f"join{next_id}")])
        rules.define(f"task{task_id}", series(Literal(f"{task_id}. "), call, Literal("\n"), behind))
        rules.define(f"join{next_id}", _join(next_id, referable))
    define_terminals(rules, terms.max_string)
    return rules


def _join(task_id: int, referable: Sequence[int]) -> Expression:
    # The id stands apart, as before a call: a reader that cuts text into pieces before it parses would take the `j` of
    # `2. jump(` for that of `2. join(`.
    opening = series(Literal(f"{task_id}. "), Literal("join("))
    return series(opening, optional(_references(referable)) if referable else EMPTY, Literal(")"))


def _references(ids: Sequence[int]) -> Expression:
    return choice(Literal(f"${task_id}") for task_id in ids)


class Calls:
    """Writes the calls of the tools: once without references, once with them, and then again for each task's own.

    Args:
        rules: where the expressions are named.
        tools: the tools that can be called.
        max_string: the bound of the rule ``string``.
    """

    def __init__(self, rules: Rules, tools: Sequence[Signature], max_string: int) -> None:
        self._rules = rules
        self._tools = tools
        produced = frozenset[str]().union(*(tool.produces for tool in tools))
        self._path: Expression = EMPTY
        if produced & {"array", "object"}:
            self._path = Repeat(rules.define("place", PLACE, terminal=True), 0, _DEEPEST)
        self._values = Values(rules, produced, max_string)

    def of(self, task_id: int, referable: Sequence[int]) -> Name:
        """A call of one of the tools, as a task that may refer to those of these ids."""
        if not referable:
            return self._unreferring
        self._rules.define(f"reference{task_id}", series(_references(referable), self._path), terminal=True)
        names = {rule: f"{rule}n{task_id}" for rule in self._referring} | {_REFERENCE: f"reference{task_id}"}
        for rule in self._referring:
            self._rules.define(names[rule], renamed(self._rules.expressions[rule], names))
        return Name(names.get(_CALLS, _CALLS))

    @cached_property
    def _unreferring(self) -> Name:
        return self._rules.define("firstcalls", self._calls(None))

    @cached_property
    def _referring(self) -> list[str]:
        """The rules that are different for each task, as they are for a task that is none."""
        self._rules.define(_CALLS, self._calls(self._rules.define(_REFERENCE, EMPTY)))
        return self._rules.using(_REFERENCE)

    def _calls(self, reference: Name | None) -> Expression:
        return choice(self._rules.share("call", self._call(tool, reference)) for tool in self._tools)

    def _call(self, tool: Signature, reference: Name | None) -> Expression:
        written = [self._arguments(record, leading, reference) for record, leading in tool.forms]
        return series(Literal(f"{tool.name}("), choice(written), Literal(")"))

    def _arguments(self, record: Record, leading: int, reference: Name | None) -> Expression:
        items = []
        for index, member in enumerate(record.members):
            value = self._values.write(member.shape, reference)
            if index < leading:
                items.append((value, True))
            elif is_nameable(member.name):
                items.append((series(Literal(f"{member.name}="), value), member.required))
        return written_in_order(self._rules, items)


_DEEPEST: Final = 3
"""How many places one within the other a reference may name."""
_CALLS: Final = "calls"
_REFERENCE: Final = "reference"
