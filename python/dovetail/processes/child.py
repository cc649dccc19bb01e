"""The program of a child process. Run as a file, by its path: what can be imported is told to it first."""

from __future__ import annotations

import json
import os
import sys

__all__: list[str] = []


def main() -> None:
    """Set the child up as its parent is, and serve its calls."""
    with os.fdopen(0, "rb", buffering=0, closefd=False) as down:
        about = json.loads(down.readline())
    # The pipes are for calls; what tools print goes where errors go. Copies do not go on to what a tool starts.
    receive, send = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # it is the interpreter's own
    sys.path[:] = about["path"]
    sys.argv[:] = about["argv"]

    from dovetail.processes.child_calls import serve

    serve(receive, send)


if __name__ == "__main__":
    main()
