"""How the command line ends: its statuses, its one line on standard error, and an end that nothing can hold up."""

from __future__ import annotations

import errno
import os
import sys
from typing import TYPE_CHECKING

from dovetail.cli.printable import one_line

if TYPE_CHECKING:
    import threading
    from typing import TextIO

__all__ = [
    "ANSWERED",
    "BROKEN_PIPE",
    "FAILED",
    "INTERRUPTED",
    "TERMINATED",
    "USAGE",
    "abandon_output",
    "complain",
    "end_process",
    "end_process_after",
    "is_closed_pipe",
]

ANSWERED = 0
FAILED = 1
USAGE = 2
INTERRUPTED = 130
BROKEN_PIPE = 141
TERMINATED = 143

_SHOW_CURSOR = b"\x1b[?25h"


def complain(message: str) -> None:
    """Write one line to standard error, whatever the message holds and whoever wrote it."""
    try:
        print(f"dovetail: {one_line(message)}", file=sys.stderr, flush=True)  # noqa: T201 - this is the command line
    except OSError:
        abandon_output(sys.stderr)


def is_closed_pipe(error: OSError) -> bool:
    """Whether an output failed because whoever read it is gone: a closed pipe, or a terminal that was hung up."""
    return error.errno in (errno.EPIPE, errno.EIO)


def abandon_output(stream: TextIO) -> None:
    """Send what is still to be written nowhere, so that the interpreter does not complain of it at its exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, stream.fileno())
    finally:
        os.close(nowhere)


def end_process(status: int) -> None:
    """End the process now: no thread, no tool and no event loop is waited for."""
    try:
        if sys.stdout.isatty():
            os.write(sys.stdout.fileno(), _SHOW_CURSOR)
    except (OSError, ValueError):
        pass
    os._exit(status)


def end_process_after(seconds: float, status: int) -> threading.Timer:
    """End the process once this time has passed, unless it has ended by itself.

    A tool that hangs in a thread of its own must not keep it.

    Returns:
        A timer that is running; cancel it to go on.
    """
    # Imported here because a run has imported it anyway, and a plan does without.
    import threading

    timer = threading.Timer(seconds, end_process, (status,))
    timer.daemon = True
    timer.start()
    return timer
