"""Executors as processes of their own, which can be stopped and killed; and a proxy that loses what goes through it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

TOOLS = '''
import asyncio, os
from dovetail import CallContext, tool

def note(key):
    with open(os.environ["CALL_LOG"], "a") as log:
        log.write(f"{key}\\n")

async def carry_out(call, key, until):
    note(key)
    call.report(message="entered")
    while until and not os.path.exists(until):
        await asyncio.sleep(0.02)
    return os.getpid()

@tool(read_only=True)
async def look(call: CallContext, key: str, until: str = "", seconds: float = 0) -> int:
    """Looks, until there is a file, and for a while; says which process did."""
    pid = await carry_out(call, key, until)
    await asyncio.sleep(seconds)
    return pid

@tool
async def press(call: CallContext, key: str, until: str = "", seconds: float = 0) -> int:
    """Presses, which must not be done twice; says which process did."""
    pid = await carry_out(call, key, until)
    await asyncio.sleep(seconds)
    return pid

@tool(read_only=True)
async def die() -> None:
    """Takes its process with it."""
    os._exit(1)
'''


class ExecutorProcess:
    """`dovetail executor` in a process of its own.

    Args:
        folder: where it writes down which calls it made.
        address: the server.
        name: the executor's name.
        places: how many calls it takes at once.
    """

    def __init__(self, folder: Path, address: str, name: str, places: int = 8) -> None:
        tools = folder / "tools.py"
        if not tools.exists():
            tools.write_text(TOOLS, encoding="utf-8")
        self.log = folder / "calls.log"
        command = [sys.executable, "-m", "dovetail.cli.main", "executor", "--server", address, "--tools", str(tools)]
        self._process = subprocess.Popen(
            [*command, "--id", name, "--max-parallel", str(places)],
            env={**os.environ, "CALL_LOG": str(self.log)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.pid = self._process.pid

    def send(self, number: int) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it without a word."""
        self._process.kill()
        self._process.wait(60)

    def end(self) -> int:
        """Ask it to end, and wait; returns its exit status."""
        self._process.terminate()
        return self._process.wait(60)

    def made(self) -> list[str]:
        """The keys of the calls that were made, by all executors of the folder."""
        return self.log.read_text(encoding="utf-8").split() if self.log.exists() else []


@contextmanager
def executors(folder: Path, address: str, *names: str, places: int = 8) -> Iterator[list[ExecutorProcess]]:
    """Some executors; whatever becomes of them, none is left behind."""
    started = [ExecutorProcess(folder, address, name, places) for name in names]
    try:
        yield started
    finally:
        for one in started:
            with contextlib.suppress(ProcessLookupError):
                one.send(signal.SIGCONT)
            one.kill()


class Proxy:
    """Passes bytes on until it is told to lose them; the connections stay open.

    Attributes:
        address: where it listens.
    """

    def __init__(self, target: str) -> None:
        self._host, _, port = target.rpartition(":")
        self._port = int(port)
        self._tasks: set[asyncio.Task[None]] = set()
        self.address = ""
        self.loses = False

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(self._host, self._port)
        for source, sink in ((reader, there_writer), (there_reader, writer)):
            task = asyncio.create_task(self._pass_on(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                if not self.loses:
                    sink.write(data)
                    await sink.drain()
        except OSError:
            pass
        finally:
            sink.close()

    @classmethod
    @asynccontextmanager
    async def to(cls, target: str) -> AsyncIterator[Proxy]:
        """A proxy in front of an address."""
        proxy = cls(target)
        server = await asyncio.start_server(proxy._accept, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        proxy.address = f"{host}:{port}"
        try:
            yield proxy
        finally:
            server.close()
            tasks = list(proxy._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
