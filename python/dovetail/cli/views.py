"""How a run is shown where no live view can be: an answer and lines of progress, or events as JSON."""

from __future__ import annotations

import contextlib
import re
import sys
from typing import TYPE_CHECKING, Protocol

from google.protobuf.json_format import MessageToJson

from dovetail.cli.board import Board, Note, TaskRow, TaskState, failure_text, task_texts
from dovetail.cli.exits import abandon_output, is_closed_pipe
from dovetail.cli.printable import json_line, one_line

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from types import TracebackType
    from typing import Self

    from dovetail.v1 import Event

__all__ = ["JsonView", "LinesView", "View", "why_no_answer"]

_LINE = 200


class View(Protocol):
    """Shows one run. A context manager, entered before the run begins and left after it has ended.

    `show` raises an OSError if whoever watches is gone (see `is_closed_pipe`).
    """

    board: Board

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def show(self, event: Event) -> None:
        """Show an event."""

    def set_aside(self) -> AbstractContextManager[None]:
        """Leave the terminal to a question, while this is entered."""


class JsonView:
    """Events as lines of JSON on standard output, each written at once."""

    def __init__(self) -> None:
        self.board = Board()
        # Kept, for what tools print is sent elsewhere while they run.
        self._output = sys.stdout.buffer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is left to be shown."""

    def show(self, event: Event) -> None:
        """Write an event."""
        self.board.add(event)
        line = json_line(MessageToJson(event, indent=None, ensure_ascii=False))
        self._output.write(line.encode() + b"\n")
        self._output.flush()

    def set_aside(self) -> AbstractContextManager[None]:
        """Events do not stand on the terminal, or are wanted in spite of the question."""
        return contextlib.nullcontext()


class LinesView:
    """Progress as lines on standard error, and the answer alone on standard output."""

    def __init__(self) -> None:
        self.board = Board()
        self._output = sys.stdout.buffer
        self._told: dict[int, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is left to be shown."""

    def show(self, event: Event) -> None:
        """Write what an event means to people, if it means anything."""
        board = self.board
        changed = board.add(event)
        match event.WhichOneof("fact"):
            case "plan_started":
                self._progress(f"plan {board.plans}: asking {board.model}")
            case "join_started":
                self._progress(f"join: asking {one_line(event.join_started.model)}")
            case "run_answered":
                # The answer as it is: whoever takes it from a pipe wants it byte by byte.
                self._output.write(event.run_answered.answer.encode() + b"\n")
                self._output.flush()
                if board.incomplete:
                    self._progress("the answer may be incomplete: a limit of the run was reached")
            case "run_ended":
                if not board.answered and board.rows:
                    self._what_is_known()
                self._progress(board.summary())
        if isinstance(changed, Note):
            self._progress(f"{changed.kind}: {changed.text}")
        elif isinstance(changed, TaskRow):
            self._task(changed, is_progress=event.HasField("call_progressed"))

    def set_aside(self) -> AbstractContextManager[None]:
        """Lines stand above and below a question."""
        return contextlib.nullcontext()

    def _task(self, row: TaskRow, *, is_progress: bool) -> None:
        call, outcome = task_texts(row, self.board)
        took = "" if row.seconds is None else f"  ({row.seconds:.1f} s)"
        match row.state:
            case TaskState.READY if not row.remark:
                return
            case TaskState.READY:
                self._progress(f"{row.task_id} {one_line(call, _LINE)}: {outcome}")
            case TaskState.RUNNING if is_progress:
                # Ten reports a second are too many lines; each tenth of the way, or each new thing done, is one.
                step = re.sub(r"\d(?=%)", "", outcome, count=1)
                if self._told.get(row.task_id) != step:
                    self._told[row.task_id] = step
                    self._progress(f"{row.task_id} {row.tool}: {outcome}")
            case TaskState.PLANNED if not self.board.waits_for(row):
                return
            case TaskState.PLANNED:
                self._progress(f"{row.task_id} {call}: {outcome}")
            case TaskState.RUNNING:
                remark = f": {outcome}" if outcome else ""
                self._progress(f"{row.task_id} {one_line(call, _LINE)}{remark}")
            case TaskState.DONE:
                self._progress(f"{row.task_id} {row.tool} -> {one_line(outcome, _LINE)}{took}")
            case TaskState.FAILED:
                self._progress(f"{row.task_id} {row.tool} failed: {outcome}{took}")
            case TaskState.SKIPPED:
                self._progress(f"{row.task_id} {row.tool} {outcome}")

    def _what_is_known(self) -> None:
        done = [row for row in self.board.rows.values() if row.state is TaskState.DONE]
        self._progress(f"no answer; {len(done)} of {len(self.board.rows)} tasks have outputs:")
        for row in done:
            call, outcome = task_texts(row, self.board)
            self._progress(f"  {row.task_id} {one_line(call, _LINE)} -> {outcome}")

    def _progress(self, line: str) -> None:
        try:
            print(line, file=sys.stderr, flush=True)  # noqa: T201 - this is the command line
        except OSError as error:
            if not is_closed_pipe(error):
                raise
            # Nobody reads the progress any more; the answer may still be wanted.
            abandon_output(sys.stderr)


def why_no_answer(board: Board) -> str:
    """The one line for a run that ended without an answer."""
    return failure_text(board.ended.failure) if board.ended is not None else "the run did not end"
