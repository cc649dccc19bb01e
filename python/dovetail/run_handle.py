"""The handle of a run: what whoever started it holds."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pydantic_core import to_json

from dovetail.errors import RunCancelledError, RunFailedError, UsageError
from dovetail.v1 import RunState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from typing import Any

    from dovetail.answer_schema import AnswerSchema
    from dovetail.life import Life
    from dovetail.runs.journal import MemoryJournal
    from dovetail.v1 import Event

__all__ = ["Run"]


class Run:
    """A question on its way to an answer. Made by `Engine.start`.

    Attributes:
        run_id: the run's name.
        question: what was asked.
        journal: where its events are kept.
    """

    def __init__(
        self, run_id: str, question: str, journal: MemoryJournal, life: Life, schema: AnswerSchema | None = None
    ) -> None:
        self.run_id = run_id
        self.question = question
        self.journal = journal
        self._schema = schema
        # Given up with the end of the run: the journal alone is kept.
        self._life: Life | None = life
        self._callbacks: list[Callable[[Run], None]] = []

    @property
    def state(self) -> RunState:
        """How the run stands."""
        return self.journal.last.run_ended.state if self.journal.ended else RunState.RUN_STATE_RUNNING

    def events(self, after_sequence: int = 0) -> AsyncIterator[Event]:
        """The events of the run, from the first or behind a number, until its end; also after its end.

        Any number of readers may follow; each sees every event once and in order.
        """
        return self.journal.follow(after_sequence)

    async def answer(self) -> str:
        """Wait for the answer.

        Raises:
            RunFailedError: the run ended without an answer; its ``reason`` and message say why.
            RunCancelledError: the run was cancelled.
        """
        event = await self.journal.first("run_answered", "run_ended")
        if event.HasField("run_answered"):
            return event.run_answered.answer
        failure = event.run_ended.failure
        if event.run_ended.state == RunState.RUN_STATE_CANCELLED:
            raise RunCancelledError(failure.message)
        raise RunFailedError(failure.reason, failure.message)

    async def value(self) -> Any:
        """Wait for the answer, and read it as a value: of the type that was given as its ``answer_schema``.

        Of a JSON Schema it is what JSON holds: a ``dict``, a ``list``, a number …

        Raises:
            UsageError: no schema was asked for: the answer is a text.
            RunFailedError: the run ended without an answer, or with one that does not fit.
            RunCancelledError: the run was cancelled.
        """
        if self._schema is None:
            raise UsageError("the answer of this run is a text: give an answer_schema, or await answer()")
        return self._schema.read(await self.answer())

    @property
    def awaiting_approval(self) -> list[int]:
        """The tasks that wait for a person's approval, ascending."""
        return [] if self._life is None else self._life.execution.awaiting_approval

    def approve(self, task_id: int, arguments: Mapping[str, Any] | str | None = None, reason: str = "") -> None:
        """Let a task be called that waits for approval.

        Args:
            task_id: the task.
            arguments: the arguments to call it with, if they are to be others than those that were bound; as JSON if
                they are text.
            reason: why, for the journal.

        Raises:
            UsageError: the task does not wait, or the arguments do not fit its tool, and then it goes on waiting.
        """
        text = arguments if isinstance(arguments, str) or arguments is None else to_json(arguments).decode()
        self._living(task_id).execution.resolve_approval(task_id, approve=True, arguments_json=text, reason=reason)

    def reject(self, task_id: int, reason: str = "") -> None:
        """Let a task fail that waits for approval; the joiner is told the reason.

        Raises:
            UsageError: the task does not wait.
        """
        self._living(task_id).execution.resolve_approval(task_id, approve=False, arguments_json=None, reason=reason)

    def _living(self, task_id: int) -> Life:
        if self._life is None:
            raise UsageError(f"task {task_id} does not wait for approval: the run has ended")
        return self._life

    def cancel(self, reason: str = "cancelled by its owner") -> None:
        """Cancel the run: its model stream and its calls. Nothing happens if it has ended."""
        if self._life is not None:
            self._life.cancel(reason)

    def add_done_callback(self, callback: Callable[[Run], None]) -> None:
        """Have something called once the run has ended, in the event loop; soon, if it has ended already."""
        if self._life is None:
            asyncio.get_running_loop().call_soon(callback, self)
        else:
            self._callbacks.append(callback)

    def ended(self) -> None:
        """The life of the run is over. Said by the engine."""
        self._life = None
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback(self)

    async def wait(self) -> RunState:
        """Wait for the end of the run, and with it for the close of its streams and calls."""
        await self.journal.first("run_ended")
        return self.state
