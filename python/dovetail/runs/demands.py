"""What later tasks demand of outputs: the schema of the places in their arguments that an output is given to as it is.

A task is often ready before the line that takes its output is written. Who wants to know what it is for waits for that
line: until it is there, the plan is closed, or some seconds have passed.
"""

from __future__ import annotations

import asyncio
import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from dovetail.answer_schema import AnswerSchema
from dovetail.errors import UsageError
from dovetail.runs.schema_place import all_of, schema_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dovetail import _core
    from dovetail.runs.plan_reader import PlanReader
    from dovetail.runs.progress import Progress
    from dovetail.tools.tool_set import ToolSet

__all__ = ["Demands"]

_WAIT_SECONDS: Final = 3.0
"""The longest wait: where nothing takes an output, its task is not to wait for the end of a long plan."""


class Demands:
    """The demands of one run's tasks.

    Args:
        tools: the tools of the run.
        progress: its tasks.
        machine: its plan machine.
        reader: what reads its plans.

    Attributes:
        were_told: whether a tool has been told of one: most never ask.
    """

    __slots__ = ("_held", "_machine", "_progress", "_reader", "_released", "_tools", "_waiting", "were_told")

    def __init__(self, tools: ToolSet, progress: Progress, machine: _core.Machine, reader: PlanReader) -> None:
        self._tools = tools
        self._progress = progress
        self._machine = machine
        self._reader = reader
        self._waiting: dict[int, list[asyncio.Future[None]]] = {}
        self._held: dict[int, tuple[asyncio.TimerHandle, Callable[[], None]]] = {}
        self._released: set[int] = set()
        self.were_told = False

    def now(self, task_id: int) -> AnswerSchema | None:
        """What is demanded of the output of a task, as far as the plans are read; None if nothing is."""
        wanted: list[str] = []
        as_text: list[str] = []
        for feed in self._machine.feeds(task_id):
            tool = self._tools.get(feed.tool)
            schema = None if tool is None else schema_at(tool.input_schema, feed.path)
            if schema is not None:
                (as_text if feed.as_text else wanted).append(json.dumps(schema))
        # Where only a string may stand any value is given as its text: that place takes what another demands.
        schemas = tuple(dict.fromkeys(wanted or as_text))
        return _combined(schemas) if schemas else None

    async def told(self, task_id: int) -> dict[str, Any] | None:
        """The same for the tool of a task, which then gives an output for that place.

        It is told once a later task takes the output, or none can be expected to any more.
        """
        self.were_told = True
        task = self._progress.task(task_id)
        if task is not None:
            task.is_for_a_place = True
        if not self._is_known(task_id):
            future = asyncio.get_running_loop().create_future()
            waiting = self._waiting.setdefault(task_id, [])
            waiting.append(future)
            try:
                await asyncio.wait_for(future, _WAIT_SECONDS)
            except TimeoutError:
                pass
            finally:
                waiting.remove(future)
                if not waiting:
                    self._waiting.pop(task_id, None)
        demand = self.now(task_id)
        if demand is None or not isinstance(demand.schema, dict):
            return None
        if task is not None:
            task.demand = demand.json
        return demand.schema

    def hold(self, task_id: int, go_on: Callable[[], None]) -> bool:
        """Whether a task has to wait because it is not known yet what is demanded of it; it then may go on later."""
        if task_id in self._released or self._is_known(task_id):
            return False
        timer = asyncio.get_running_loop().call_later(_WAIT_SECONDS, self._release, task_id)
        self._held[task_id] = (timer, go_on)
        return True

    def planned(self, depends_on: Iterable[int]) -> None:
        """A task was planned that needs the outputs of these."""
        if self._waiting or self._held:
            for task_id in depends_on:
                if self._is_known(task_id):
                    self._wake(task_id)

    def closed(self) -> None:
        """The plan is closed."""
        for task_id in (*self._waiting, *self._held):
            self._wake(task_id)

    def cancel(self) -> None:
        """Nobody goes on any more."""
        for timer, _ in self._held.values():
            timer.cancel()
        self._held.clear()

    def _is_known(self, task_id: int) -> bool:
        # In a turn there is no later task: what follows depends on what this one gives.
        is_over = self._machine.closed or self._reader.plan.is_turn
        return is_over or bool(self._machine.feeds(task_id))

    def _wake(self, task_id: int) -> None:
        for future in self._waiting.get(task_id, ()):
            if not future.done():
                future.set_result(None)
        if task_id in self._held:
            # Soon: the steps that tell of it are still being followed.
            timer, _ = self._held[task_id]
            timer.cancel()
            soon = asyncio.get_running_loop().call_later(0, self._release, task_id)
            self._held[task_id] = (soon, self._held[task_id][1])

    def _release(self, task_id: int) -> None:
        if (held := self._held.pop(task_id, None)) is not None:
            self._released.add(task_id)
            held[1]()


@lru_cache(maxsize=256)
def _combined(schemas: tuple[str, ...]) -> AnswerSchema | None:
    """A schema of what fits all of these; of what fits any of them, if nothing fits them all."""
    from dovetail.grammar.schema import SchemaReader  # here because most runs ask no model for values
    from dovetail.grammar.shape import NEVER

    different = [json.loads(one) for one in schemas]
    together = all_of(different)
    if len(different) > 1 and SchemaReader(together).shape(together) == NEVER:
        together = all_of(different, "anyOf")
    try:
        return AnswerSchema(together)
    except UsageError:  # it is too large: then nothing is demanded but what the machine checks anyway
        return None
