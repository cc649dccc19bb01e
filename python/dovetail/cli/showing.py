"""Runs shown on the command line, those of this process and those of a server, and the statuses that they call for."""

from __future__ import annotations

import contextlib
import inspect
import os
import sys
from typing import TYPE_CHECKING, Any, Protocol

from dovetail.cli.exits import ANSWERED, BROKEN_PIPE, FAILED, abandon_output, complain, is_closed_pipe
from dovetail.cli.views import JsonView, LinesView, why_no_answer
from dovetail.errors import ServerError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator

    from dovetail.cli.interruption import Interruption
    from dovetail.cli.questions import Questions
    from dovetail.cli.views import View
    from dovetail.v1 import Event, RunState

__all__ = ["ShownRun", "choose_view", "clean_output", "done", "show"]


class ShownRun(Protocol):
    """What can be shown: a `Run`, or a `RemoteRun`, whose methods have to be awaited (see `done`)."""

    run_id: str

    def events(self, after_sequence: int = 0) -> AsyncIterator[Event]:
        """The events, to the run's end."""

    def cancel(self, reason: str = ...) -> Coroutine[Any, Any, object] | None:
        """Cancel the run."""

    def approve(
        self, task_id: int, arguments: str | None = None, reason: str = ""
    ) -> Coroutine[Any, Any, object] | None:
        """Let a task be called that waits for approval."""

    def reject(self, task_id: int, reason: str = "") -> Coroutine[Any, Any, object] | None:
        """Let a task fail that waits for approval."""

    async def wait(self) -> RunState:
        """Wait for the end of the run."""


async def done(saying: Coroutine[Any, Any, object] | None) -> None:
    """Wait until something that was said to a run has reached it."""
    if inspect.isawaitable(saying):
        await saying


async def show(
    run: ShownRun,
    view: View,
    *,
    interruption: Interruption | None = None,
    questions: Questions | None = None,
    after_sequence: int = 0,
) -> int:
    """Show a run to its end, and return the exit status that it calls for.

    Args:
        run: the run.
        view: what shows it.
        interruption: what cancels the run at Ctrl-C; None for a run that is only looked at.
        questions: asks whether tasks may be called; None for a run that is only looked at.
        after_sequence: the last event that is not to be shown.

    Raises:
        ServerError: the events of the run cannot be had any more.
    """
    try:
        with view if interruption is None else _both(interruption.of(run), view):
            async with contextlib.AsyncExitStack() as stack:
                if questions is not None:
                    stack.push_async_callback(questions.aclose)
                async for event in run.events(after_sequence):
                    view.show(event)
                    if questions is not None:
                        questions.heed(event)
    except OSError as error:
        if not is_closed_pipe(error):
            raise
        abandon_output(sys.__stdout__ or sys.stdout)
        if interruption is not None:
            await done(run.cancel("nobody reads the output any more"))
            await run.wait()
        return BROKEN_PIPE
    except ServerError as error:
        if interruption is None or interruption.status is None:
            raise
        complain(str(error))
        return interruption.status
    if view.board.answered:
        return ANSWERED
    complain(why_no_answer(view.board))
    return (interruption and interruption.status) or FAILED


@contextlib.contextmanager
def _both(first: contextlib.AbstractContextManager[None], second: View) -> Iterator[None]:
    with first, second:
        yield


@contextlib.contextmanager
def clean_output(view: View) -> Iterator[None]:
    """Keep standard output for the view: what tools print goes to standard error, but above a live view."""
    if isinstance(view, JsonView | LinesView):
        with contextlib.redirect_stdout(sys.stderr):
            yield
    else:
        yield


def choose_view(*, as_json: bool = False) -> Callable[[], View]:
    """What shows runs on this standard output: events as JSON, the live view, or lines of progress."""
    if as_json:
        return JsonView
    if sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        from dovetail.cli.live import LiveView

        return LiveView
    return LinesView
