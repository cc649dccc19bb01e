"""A process of a benchmark: answers each line that it reads, and ends when nobody is left to ask."""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import Self

__all__ = ["Process", "answer_questions", "usage"]

_SECONDS = 60.0
_LONGEST_LINE = 2**24


class Process:
    """A module of the benchmarks in a process of its own. An asynchronous context manager: left, the process is gone.

    Args:
        module: the module, ``benchmarks.grpc_server``.
        arguments: the arguments of its command line.

    Attributes:
        greeting: the first line that it printed.
    """

    def __init__(self, module: str, *arguments: str) -> None:
        self._module = module
        self._arguments = arguments
        self.greeting = ""

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            self._module,
            *self._arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LONGEST_LINE,
        )
        try:
            self.greeting = await self._line()
        except BaseException:
            await self._end(0.0)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end(_SECONDS if error is None else 1.0)

    async def ask(self) -> dict[str, Any]:
        """What it has to say: its processor time in seconds (``cpu``), its memory in bytes, and what else it counts.

        Raises:
            RuntimeError: it has ended.
            TimeoutError: it does not answer.
        """
        self._stdin.write(b"\n")
        answer: dict[str, Any] = json.loads(await self._line())
        return answer

    async def cpu(self) -> float:
        """Its processor time in seconds."""
        return float((await self.ask())["cpu"])

    @property
    def _stdin(self) -> asyncio.StreamWriter:
        if self._process.stdin is None:
            raise RuntimeError(f"the process of {self._module} has no pipe")
        return self._process.stdin

    async def _line(self) -> str:
        if self._process.stdout is None:
            raise RuntimeError(f"the process of {self._module} has no pipe")
        async with asyncio.timeout(_SECONDS):
            line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process of {self._module} has ended; what it printed stands above")
        return line.decode().strip()

    async def _end(self, patience: float) -> None:
        self._stdin.close()
        try:
            async with asyncio.timeout(patience):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


def usage() -> dict[str, Any]:
    """What this process has used: seconds, bytes, and how many asyncio tasks there are."""
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return {
        "cpu": time.process_time(),
        "resident": pages * resource.getpagesize(),
        "tasks": len(asyncio.all_tasks()),
    }


async def answer_questions(greeting: str, answer: Callable[[], Mapping[str, Any]] = usage) -> None:
    """Print a line, and another one for each that is read, until there is no one left to ask."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print(greeting, flush=True)
    while await reader.readline():
        print(json.dumps(answer()), flush=True)
