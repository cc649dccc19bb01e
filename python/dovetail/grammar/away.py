"""Grammars made away from the event loop: one of many tools takes a quarter of a second to write and compile."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from dovetail.grammar.plan import kept_plan_grammar, plan_grammar, plan_key
from dovetail.grammar.reply import kept_reply_grammar, reply_grammar, reply_key
from dovetail.grammar.turn import kept_turn_grammar, turn_grammar, turn_key

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

    from dovetail.models.protocol import Grammar, GrammarDialect
    from dovetail.tools.tool_set import ToolSet

__all__ = ["plan_grammar_away", "reply_grammar_away", "turn_grammar_away"]

_Making = dict["Hashable", "asyncio.Task[Grammar]"]
_in_the_making: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, _Making]] = WeakKeyDictionary()


async def plan_grammar_away(
    tools: ToolSet, *, dialect: GrammarDialect, max_tasks: int, first_id: int, earlier_ids: Iterable[int]
) -> Grammar:
    """The grammar of the plans with these tools: at once if it is kept, else made in a thread.

    However many runs want the same grammar at the same time, it is made once; one that is cancelled leaves it to the
    others. The arguments are those of `plan_grammar`.

    Raises:
        UsageError: no tool can be called, or the grammar does not compile; the message names the tool.
        ToolDefinitionError: the schema of a tool is none.
    """
    earlier = tuple(sorted(set(earlier_ids)))
    key = plan_key(tools, dialect=dialect, max_tasks=max_tasks, first_id=first_id, earlier_ids=earlier)
    kept = kept_plan_grammar(key)
    if kept is not None:
        return kept
    return await _made(
        key, partial(plan_grammar, tools, dialect=dialect, max_tasks=max_tasks, first_id=first_id, earlier_ids=earlier)
    )


async def turn_grammar_away(
    tools: ToolSet, *, dialect: GrammarDialect, earlier_ids: Iterable[int], must_answer: bool, answer_schema: str
) -> Grammar:
    """The grammar of a turn with these tools, made as `plan_grammar_away` makes those of plans.

    The arguments are those of `turn_grammar`.

    Raises:
        UsageError: no tool can be called, no answer can be written, or the grammar does not compile.
        ToolDefinitionError: the schema of a tool is none.
    """
    make = partial(
        turn_grammar,
        tools,
        dialect=dialect,
        earlier_ids=tuple(sorted(set(earlier_ids))),
        must_answer=must_answer,
        answer_schema=answer_schema,
    )
    key = turn_key(*make.args, **make.keywords)
    return kept_turn_grammar(key) or await _made(key, make)


async def reply_grammar_away(dialect: GrammarDialect, *, must_answer: bool, answer_schema: str) -> Grammar:
    """The grammar of a joiner's reply, made as `plan_grammar_away` makes those of plans.

    The arguments are those of `reply_grammar`.

    Raises:
        UsageError: no answer can be written that fits the schema, or the grammar does not compile.
    """
    key = reply_key(dialect, must_answer=must_answer, answer_schema=answer_schema)
    make = partial(reply_grammar, dialect, must_answer=must_answer, answer_schema=answer_schema)
    return kept_reply_grammar(key) or await _made(("reply", key), make)


async def _made(key: Hashable, make: Callable[[], Grammar]) -> Grammar:
    """Have a grammar made in a thread, once for all who want it."""
    making = _in_the_making.setdefault(asyncio.get_running_loop(), {})
    task = making.get(key)
    if task is None:
        task = making[key] = asyncio.create_task(asyncio.to_thread(make))

        def over(ended: asyncio.Task[Grammar]) -> None:
            making.pop(key, None)
            if not ended.cancelled():
                ended.exception()  # is looked at, even if nobody waits any more

        task.add_done_callback(over)
    return await asyncio.shield(task)
