"""Programs as processes: what they print, how they end, and the server that they speak to."""

from __future__ import annotations

import asyncio
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from commandline import BOUND, COMMAND, environment, recording

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


class Lines:
    """What a process prints, line by line."""

    def __init__(self, stream: asyncio.StreamReader) -> None:
        self.read: list[str] = []
        self._stream = stream

    async def until(self, text: str) -> str:
        """Wait for the next line that has this text in it."""
        try:
            async with asyncio.timeout(BOUND):
                while line := await self._next():
                    if text in line:
                        return line.rstrip("\n")
        except TimeoutError:
            pass
        raise AssertionError(f"did not print {text!r}:\n" + "\n".join(self.read))

    async def rest(self) -> None:
        """Read on until the process closes its end."""
        while await self._next():
            pass

    async def _next(self) -> str:
        line = (await self._stream.readline()).decode()
        if line:
            self.read.append(line.rstrip("\n"))
        return line


class Program:
    """A process that runs."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        self.out = Lines(process.stdout)
        self.err = Lines(process.stderr)
        self._process = process

    async def end(self) -> int:
        """Wait until it ends; returns its status. All that it printed has been read then."""
        try:
            async with asyncio.timeout(BOUND):
                await asyncio.gather(self.out.rest(), self.err.rest())
                return await self._process.wait()
        except TimeoutError:
            raise AssertionError("does not end:\n" + "\n".join(self.out.read + self.err.read)) from None

    def send(self, number: signal.Signals) -> None:
        """Send it a signal. It must still run."""
        try:
            self._process.send_signal(number)
        except ProcessLookupError:
            ended = f"has ended with status {self._process.returncode} before {number.name}:\n"
            raise AssertionError(ended + "\n".join(self.out.read + self.err.read)) from None

    async def kill(self) -> None:
        """End it, should it still run."""
        if self._process.returncode is None:
            self._process.kill()
        await self.end()

    @property
    def events(self) -> list[tuple[int, str, str]]:
        """The events that a client has printed: number, fact and detail. Its last line is the answer."""
        events = []
        for line in self.out.read:
            number, _, rest = line.strip().partition(" ")
            fact, _, detail = rest.partition(" ")
            if number.isdigit() and fact:
                events.append((int(number), fact, detail))
        return events

    def details(self, fact: str) -> list[str]:
        """The details of the events with this fact."""
        return [detail for _, name, detail in self.events if name == fact]


@asynccontextmanager
async def running(folder: Path, *command: str, **variables: str) -> AsyncIterator[Program]:
    """A program that is started in a folder, and killed should it still run at the end."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env=environment(folder, **variables),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    program = Program(process)
    try:
        yield program
    except AssertionError as error:
        await program.kill()
        error.add_note("\n".join([f"{' '.join(command)} complained:", *program.err.read]))
        raise
    finally:
        await program.kill()


@asynccontextmanager
async def serving(folder: Path, *plans: str, options: tuple[str, ...] = ()) -> AsyncIterator[str]:
    """A server whose model writes these plans, one a run; its address."""
    models = ("--model", recording(folder, *plans)) if plans else ()
    command = (*COMMAND, "serve", "--listen", "127.0.0.1:0", "--log-level", "warning", *models, *options)
    async with running(folder, *command) as server:
        yield (await server.out.until("listening on ")).removeprefix("listening on ")
        server.send(signal.SIGTERM)
        assert await server.end() == 0, server.err.read


@asynccontextmanager
async def executing(folder: Path, *command: str, **variables: str) -> AsyncIterator[tuple[Program, str]]:
    """An executor that the server has welcomed, and its id."""
    async with running(folder, *command, **variables) as executor:
        welcomed = await executor.out.until("serving word_count as ")
        yield executor, welcomed.removeprefix("serving word_count as ").removesuffix(", resumed: false")
