"""A real `vllm serve` in a process of its own."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx2
from vllm_place import ENGINE_OPTIONS, ENVIRONMENT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["VllmProcess", "engine_of", "kill_engine_of"]

_STARTUP_SECONDS: Final = 400.0
_SHUTDOWN_SECONDS: Final = 20.0
_LAST_LINES: Final = 30
_READY: Final = b"Application startup complete"


class VllmProcess:
    """The server. Everything it says goes to a file, whose last lines are shown if it does not get ready.

    Args:
        weights: what is served, under the name of its folder.
        log: the file.
        options: further arguments of `vllm serve`.
        backend: what constrains the text.
    """

    def __init__(self, weights: Path, log: Path, *options: str, backend: str = "guidance") -> None:
        self.model = weights.name
        self.backend = backend
        self.api_key = "test-key"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.base_url = f"http://127.0.0.1:{port}/v1"
        self._log = log
        arguments = ["--host", "127.0.0.1", "--port", str(port), "--served-model-name", self.model]
        for name, value in ENGINE_OPTIONS.items():
            option = f"--{name.replace('_', '-')}"
            arguments += [option] if value is True else [option, str(value)]
        self._command = [
            *(sys.executable, "-m", "vllm.entrypoints.cli.main", "serve", str(weights), *arguments),
            *("--structured-outputs-config.backend", backend),
            *("--structured-outputs-config.disable_any_whitespace", "true"),
            "--enable-prompt-tokens-details",
            *options,
        ]
        self._process: subprocess.Popen[bytes] | None = None

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[VllmProcess]:
        """Serve until the block ends, in a group of processes that ends with it."""
        # The key is in the environment: arguments can be read by every user of a machine.
        environment = os.environ | ENVIRONMENT | {"VLLM_API_KEY": self.api_key, "VLLM_LOGGING_LEVEL": "INFO"}
        self._process = subprocess.Popen(  # noqa: ASYNC220  # a fork, in a test that has nothing else to do
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        ready = asyncio.Event()
        reading = asyncio.create_task(asyncio.to_thread(self._read_log, ready, asyncio.get_running_loop()))
        try:
            started = asyncio.create_task(ready.wait())
            await asyncio.wait({started, reading}, timeout=_STARTUP_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            started.cancel()
            assert ready.is_set(), f"vLLM did not get ready:\n{self.last_lines()}"
            yield self
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(self._process.wait, _SHUTDOWN_SECONDS)
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await asyncio.to_thread(self._process.wait)
            await reading

    def kill_engine(self) -> None:
        """Kill the process of the engine, and leave that of the server."""
        assert self._process is not None
        kill_engine_of(self._process.pid)

    async def metric(self, name: str) -> float:
        """The value of one of vLLM's metrics."""
        async with httpx2.AsyncClient(trust_env=False, timeout=20) as client:
            text = (await client.get(f"{self.base_url.removesuffix('/v1')}/metrics")).text
        found = re.search(rf"^vllm:{name}{{[^}}]*}} (\S+)$", text, re.MULTILINE)
        assert found is not None, f"no metric {name}"
        return float(found[1])

    def last_lines(self) -> str:
        """The end of what it said."""
        return "\n".join(self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LAST_LINES:])

    def _read_log(self, ready: asyncio.Event, loop: asyncio.AbstractEventLoop) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        with self._process.stdout, self._log.open("wb") as log:
            for line in self._process.stdout:
                log.write(line)
                log.flush()
                if _READY in line:
                    loop.call_soon_threadsafe(ready.set)


def kill_engine_of(pid: int) -> None:
    """Kill the process of the engine that a process has started."""
    os.kill(engine_of(pid), signal.SIGKILL)


def engine_of(pid: int) -> int:
    """The process of the engine that a process has started."""
    for child in _descendants(pid):
        if "EngineCore" in _command_line(child):
            return child
    raise AssertionError("there is no engine")


def _descendants(pid: int) -> list[int]:
    found = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += [int(child), *_descendants(int(child))]
    return found


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""
