"""The live view: a run on a terminal, drawn anew a few times a second and never higher than the screen."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, Group
from rich.live import Live
from rich.text import Text

from dovetail.cli.board import Board, Note, TaskRow, TaskState, task_texts
from dovetail.cli.printable import one_line, printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from rich.console import RenderableType, RenderResult

    from dovetail.v1 import Event

__all__ = ["LiveView"]

_FRAMES_PER_SECOND = 10.0
_MOST_ROWS = 40
_ANSWER_LINES = 8
_NARROW = 40

_STYLES = {
    TaskState.PLANNED: "dim",
    TaskState.READY: "dim",
    TaskState.RUNNING: "cyan",
    TaskState.DONE: "green",
    TaskState.FAILED: "red",
    TaskState.SKIPPED: "yellow",
}
_SYMBOLS = dict(zip(TaskState, "·○▸✓✗–", strict=True))
_ASCII_SYMBOLS = dict(zip(TaskState, ".o>+x-", strict=True))
_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_ASCII_SPINNER = "|/-\\"
_NOTE_STYLES = {
    "thought": "dim italic",
    "hint": "dim",
    "tools": "dim",
    "replan": "magenta",
    "model": "yellow",
    "error": "red",
}
_DOING = {
    "plan": "planning… {model}",
    "join": "joining… {model}",
    "cancel": "cancelling… (Ctrl-C once more ends at once)",
}
# What is under way or went wrong is the last to be left out.
_URGENT = (TaskState.RUNNING, TaskState.FAILED)


class LiveView:
    """Shows one run on a terminal.

    Args:
        console: the terminal; standard output if None.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.board = Board()
        # No markup, no highlighting, no emoji codes: what is shown was written by models and tools.
        self._console = console or Console(markup=False, highlight=False, emoji=False)
        utf8 = self._console.encoding.lower().startswith("utf")
        self._symbols = _SYMBOLS if utf8 else _ASCII_SYMBOLS
        self._spinner = _SPINNER if utf8 else _ASCII_SPINNER
        self._dots = "…" if utf8 else "..."
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            vertical_overflow="crop",
            redirect_stdout=True,
            redirect_stderr=True,
            get_renderable=lambda: _Frame(self),
        )
        self._ticker: asyncio.Task[None] | None = None
        self._stale = False

    def __enter__(self) -> Self:
        self._live.start()
        self._ticker = asyncio.get_running_loop().create_task(self._tick())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ticker is not None:
            self._ticker.cancel()
        self._live.stop()

    def show(self, event: Event) -> None:
        """Take in an event; it is drawn with the next frame, and the last one at once."""
        board = self.board
        board.add(event)
        self._stale = True
        if board.ended is None:
            return
        if self._ticker is not None:
            self._ticker.cancel()
        # Stopping draws the last frame, the one that stays.
        self._live.stop()
        if board.answered and board.answer is not None:
            self._console.print()
            self._console.print(Text(printable(board.answer)), soft_wrap=True)
            if board.incomplete:
                self._console.print(Text("(may be incomplete: a limit of the run was reached)", "yellow"))
        self._console.print(Text(f"\n{board.summary()}", "dim"))

    @contextlib.contextmanager
    def set_aside(self) -> Iterator[None]:
        """Leave the terminal to a question: the view goes on below it."""
        if self._ticker is not None:
            self._ticker.cancel()
        self._live.stop()
        try:
            yield
        finally:
            if self.board.ended is None:
                self.__enter__()

    async def _tick(self) -> None:
        """Draw the frames. What runs has a time that goes on; all else is drawn when it has changed."""
        while True:
            if self._stale or self.board.asked or self.board.counts()[TaskState.RUNNING]:
                self._stale = False
                with contextlib.suppress(OSError):  # the terminal is gone: the next event that is shown says so
                    self._live.refresh()
            await asyncio.sleep(1 / _FRAMES_PER_SECOND)

    # Drawing --------------------------------------------------------------------------------------------------

    def frame(self, width: int, height: int) -> RenderableType:
        """The run as it stands, in at most so many columns and lines."""
        board = self.board
        over = board.ended is not None
        lines: list[Text] = [self._fit(Text(one_line(board.question, 4 * width), "bold"), width)]
        answer = [] if over else self._answer_tail(width, min(_ANSWER_LINES, height // 3))
        # Above the entries stands the question, below them what is under way. The last frame may scroll.
        room = _MOST_ROWS if over else max(1, min(_MOST_ROWS, height - 2 - len(answer)))
        lines += self._entries(width, room)
        if board.asked and not over:
            doing = _DOING[board.asked].format(model=board.model).replace("…", self._dots)
            lines.append(self._fit(Text(f"{self._turning()} {doing}", "dim"), width))
        lines += answer
        return Group(*(lines if over else lines[:height]))

    def _entries(self, width: int, room: int) -> list[Text]:
        entries = self.board.entries
        rows = [entry for entry in entries if isinstance(entry, TaskRow)]
        id_width = max((len(str(row.task_id)) for row in rows), default=1)
        kept, left_out = _kept(entries, room)
        texts = [(entry, task_texts(entry, self.board)) for entry in kept if isinstance(entry, TaskRow)]
        widest = max((len(call) for _, (call, _) in texts), default=0)
        call_width = min(widest, max(8, (width - id_width - 12) // 2))
        lines = []
        if left_out:
            lines.append(self._fit(Text(f"{self._dots} {left_out}", "dim"), width))
        calls = {id(entry): pair for entry, pair in texts}
        for entry in kept:
            if isinstance(entry, TaskRow):
                lines.append(self._row(entry, *calls[id(entry)], width, id_width, call_width))
            else:
                lines.append(self._note(entry, width))
        return lines

    def _row(self, row: TaskRow, call: str, outcome: str, width: int, id_width: int, call_width: int) -> Text:
        style = _STYLES[row.state]
        running = row.state is TaskState.RUNNING
        seconds = row.seconds
        if running and row.began is not None:
            seconds = max(0.0, time.time() - row.began)
        took = "" if seconds is None or width < _NARROW else f" {seconds:.1f} s".rjust(9)
        line = Text(no_wrap=True)
        line.append(f"{self._turning() if running else self._symbols[row.state]} ", style)
        line.append(f"{row.task_id:>{id_width}} ", "bold")
        name = Text(call, "dim" if row.state in (TaskState.PLANNED, TaskState.READY, TaskState.SKIPPED) else "")
        name.truncate(call_width, overflow="ellipsis", pad=True)
        line.append_text(name)
        plain = row.state in (TaskState.DONE, TaskState.RUNNING)
        line.append_text(Text(f"  {outcome}", "" if plain else style))
        line.truncate(width - len(took), overflow="ellipsis", pad=bool(took))
        line.append(took, "dim")
        return self._fit(line, width)

    def _note(self, note: Note, width: int) -> Text:
        label = "" if note.kind == "thought" else f"{note.kind}: "
        return self._fit(Text(f"  {label}{note.text}", _NOTE_STYLES.get(note.kind, "")), width)

    def _answer_tail(self, width: int, most: int) -> list[Text]:
        """The end of the answer that is being written."""
        if not self.board.streamed or most < 2:
            return []
        # A long answer need not be wrapped as a whole ten times a second.
        answer = "".join(self.board.streamed)[-most * width :]
        lines = Text(printable(answer)).wrap(self._console, width)
        return [Text(), *lines[1 - most :]]

    def _turning(self) -> str:
        return self._spinner[int(time.monotonic() * _FRAMES_PER_SECOND) % len(self._spinner)]

    def _fit(self, line: Text, width: int) -> Text:
        line.truncate(width, overflow="ellipsis")
        line.no_wrap = True
        line.end = "\n"
        return line


class _Frame:
    """What Rich is given to draw: made when it is drawn, in the size that the terminal has then."""

    def __init__(self, view: LiveView) -> None:
        self._view = view

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self._view.frame(options.max_width, console.size.height)


def _kept(entries: list[TaskRow | Note], room: int) -> tuple[list[TaskRow | Note], str]:
    """The entries there is room for, in their order, and what to say of the others."""
    if len(entries) <= room:
        return entries, ""
    if room == 1:
        return entries[-1:], ""
    room -= 1
    urgent = [place for place, entry in enumerate(entries) if isinstance(entry, TaskRow) and entry.state in _URGENT]
    places = set(urgent[-room:])
    for place in range(len(entries) - 1, -1, -1):
        if len(places) >= room:
            break
        places.add(place)
    left_out: dict[str, int] = {}
    for place, entry in enumerate(entries):
        if isinstance(entry, TaskRow) and place not in places:
            name = entry.state.name.lower()
            left_out[name] = left_out.get(name, 0) + 1
    more = ", ".join(f"{number:,} {name}" for name, number in left_out.items())
    return [entries[place] for place in sorted(places)], f"{more} not shown" if more else "earlier lines not shown"
