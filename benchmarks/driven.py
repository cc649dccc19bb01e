"""A peer that is driven: its driver in another interpreter, asked in lines of JSON."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Driven"]

_SECONDS = 10.0


class Driven:
    """A driver in a process of its own, that answers each line with one.

    Args:
        name: what it drives, for messages.
        driver: the file of the driver.
        python: the interpreter that runs it.
        folder: where it runs, and what it may import besides; this process's folder if None.

    Raises:
        RuntimeError: it does not answer; the message is the interpreter's last line.
    """

    def __init__(self, name: str, driver: Path, python: Path, folder: Path | None = None) -> None:
        self._name = name
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        found = {} if folder is None else {"PYTHONPATH": str(folder.resolve())}
        # What this process imports is not for an interpreter of another environment.
        kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        self._process = subprocess.Popen(
            [str(python.absolute()), str(driver)],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            env={**kept, **found, "PYTHONWARNINGS": "ignore"},
        )
        try:
            self.greeting = self.ask({"do": "hello"})
        except RuntimeError:
            self.close()
            raise

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Its answer.

        Raises:
            RuntimeError: it has ended.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError(f"the process of {self._name} has no pipes")
        try:
            stdin.write(json.dumps(request) + "\n")
            stdin.flush()
            line = stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self._process.wait(_SECONDS)
            self._said.seek(0)
            lines = self._said.read().strip().splitlines() or ["no message"]
            raise RuntimeError(f"{self._name} could not be run: {lines[-1]}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End its process."""
        self._process.communicate()
        self._said.close()
