"""Grammars made away from the event loop: one of many tools takes a quarter of a second to write and compile."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from dovetail.grammar.plan import kept_plan_grammar, plan_grammar, plan_key

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from dovetail.models.protocol import Grammar, GrammarDialect
    from dovetail.tool_set import ToolSet

__all__ = ["plan_grammar_away"]

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
    making = _in_the_making.setdefault(asyncio.get_running_loop(), {})
    task = making.get(key)
    if task is None:
        made = asyncio.to_thread(
            plan_grammar, tools, dialect=dialect, max_tasks=max_tasks, first_id=first_id, earlier_ids=earlier
        )
        task = making[key] = asyncio.create_task(made)

        def over(ended: asyncio.Task[Grammar]) -> None:
            making.pop(key, None)
            if not ended.cancelled():
                ended.exception()  # is looked at, even if nobody waits any more

        task.add_done_callback(over)
    return await asyncio.shield(task)
