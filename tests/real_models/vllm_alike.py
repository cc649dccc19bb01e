"""A server that answers as `vllm serve` 0.32 was seen to answer, byte for byte but for ids and times.

Its model is a dice: under a grammar it writes a random sentence of it, else it says hello. What is told here was read
off a real server: `make test-vllm` puts the same tests to one.
"""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from gbnf import Gbnf

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

__all__ = ["VllmAlike"]

_HELLO: Final = "Hello there, welcome to my world! I'm so glad that you came, and that you ask."
_CONTEXT: Final = 4096
_BLOCK: Final = 32
_DEAD: Final = "EngineCore encountered an issue. See stack trace (above) for the root cause."
_BUSY: Final = (
    "The engine is currently busy and cannot accept new requests. Please try again later or on a different instance."
)
_STATUS_TEXTS: Final = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found"} | {
    500: "Internal Server Error",
    503: "Service Unavailable",
}


class RefusedError(Exception):
    """A request cannot be answered; `body` says why."""

    def __init__(self, status: int, kind: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body: dict[str, Any] = {"message": message, "type": kind, "param": param, "code": status}


@dataclass
class VllmAlike:
    """The server.

    Attributes:
        model: ``--served-model-name``.
        api_key: ``--api-key``.
        max_queued: ``--max-num-queued-reqs``.
        tokens_per_chunk: ``--stream-interval``.
        token_seconds: how long a token takes.
        running: how many requests are being answered.
        generated: how many tokens were written in all.
        bodies: what was asked, in order.
    """

    model: str = "smollm2"
    api_key: str = "test-key"
    max_queued: int | None = None
    tokens_per_chunk: int = 1
    token_seconds: float = 0.001
    seed: int = 0
    base_url: str = ""
    running: int = 0
    generated: int = 0
    bodies: list[dict[str, Any]] = field(default_factory=list)
    _blocks: set[str] = field(default_factory=set)
    _dead: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[VllmAlike]:
        """Serve on a loopback port of the system's choice."""
        answering: set[asyncio.Task[None]] = set()

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            answering.add(task)
            with suppress(asyncio.CancelledError, ConnectionError, asyncio.IncompleteReadError):
                while await self._answer(reader, writer):
                    pass
            writer.close()

        listener = await asyncio.start_server(answer, "127.0.0.1", 0)
        self.base_url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/v1"
        try:
            yield self
        finally:
            listener.close()
            for task in answering:
                task.cancel()
            await asyncio.gather(*answering, return_exceptions=True)

    async def metric(self, name: str) -> float:
        """The value of one of vLLM's metrics that it has."""
        return {"num_requests_running": float(self.running), "generation_tokens_total": float(self.generated)}[name]

    def kill_engine(self) -> None:
        """What SIGKILL does to the process of the engine."""
        self._dead.set()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
        except asyncio.IncompleteReadError:
            return False
        method, path, _ = head.split("\r\n")[0].split(" ")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head.split("\r\n")[1:] if line)
        }
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        if (method, path) == ("GET", "/health"):
            _respond(writer, 503 if self._dead.is_set() else 200, b"")
        elif headers.get("authorization") != f"Bearer {self.api_key}":
            _respond(writer, 401, b'{"error":"Unauthorized"}')
        elif (method, path) == ("POST", "/v1/chat/completions"):
            return await self._complete(json.loads(body), reader, writer)
        else:
            _respond(writer, 404, b'{"detail":"Not Found"}')
        await writer.drain()
        return True

    async def _complete(
        self, request: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        self.bodies.append(request)
        try:
            self._admit(request)
        except RefusedError as refused:
            _respond(writer, refused.status, json.dumps({"error": refused.body}, separators=(",", ":")).encode())
            await writer.drain()
            return True
        # From here on the status is 200, whatever comes: the first byte is on its way before the engine is asked.
        writer.write(
            b"HTTP/1.1 200 OK\r\nserver: uvicorn\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
            b"vary: Origin\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        self.running += 1
        gone = asyncio.ensure_future(reader.read(1))
        dead = asyncio.ensure_future(self._dead.wait())
        try:
            for event in self._events(request):
                _chunk(writer, event)
                await writer.drain()
                done, _ = await asyncio.wait(
                    {gone, dead}, timeout=self.token_seconds, return_when=asyncio.FIRST_COMPLETED
                )
                if gone in done:
                    return False
                if dead in done:
                    raise RefusedError(500, "InternalServerError", _DEAD)
        except RefusedError as refused:
            _chunk(writer, {"error": refused.body})
        finally:
            self.running -= 1
            for waiter in (gone, dead):
                waiter.cancel()
            await asyncio.wait({gone, dead})
        _chunk(writer, "[DONE]")
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return gone.cancelled()  # else it has taken the first byte of the next request

    def _admit(self, request: dict[str, Any]) -> None:
        if self._dead.is_set():
            raise RefusedError(500, "InternalServerError", _DEAD)
        if request["model"] != self.model:
            message = f"The model `{request['model']}` does not exist. Valid aliases: {self.model}."
            raise RefusedError(404, "NotFoundError", message, "model")
        if (limit := request.get("max_tokens") or 0) > _CONTEXT:
            message = (
                f"max_tokens={limit} cannot be greater than max_model_len={_CONTEXT}. "
                f"Please request fewer output tokens. (parameter=max_tokens, value={limit})"
            )
            raise RefusedError(400, "BadRequestError", message, "max_tokens")
        if self.max_queued is not None and self.running >= self.max_queued:
            raise RefusedError(503, "Service Unavailable", _BUSY)

    def _events(self, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        # Fields that vLLM does not know, such as `grammar` and `guided_grammar`, are ignored without a word.
        text = self._text(request.get("structured_outputs"))
        about = {
            "id": f"chatcmpl-{random.Random(len(self.bodies)).getrandbits(64):016x}",
            "object": "chat.completion.chunk",
            "created": 1795647671,
            "model": self.model,
        }
        first = {"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None}
        yield {**about, "choices": [first], "prompt_token_ids": None, "prompt_text": None}
        prompt, cached = self._prompt_tokens(request["messages"])
        written, shown, stop = _cut(text, request.get("stop") or [], request.get("max_tokens") or _CONTEXT - prompt)
        pieces = ["".join(shown[at : at + self.tokens_per_chunk]) for at in range(0, len(shown), self.tokens_per_chunk)]
        finish_reason = "length" if stop is None and written < len(_tokens(text)) else "stop"
        if finish_reason == "stop":
            pieces.append("")
        for piece in pieces[:-1]:
            self.generated += len(_tokens(piece))
            choice = {"index": 0, "delta": {"content": piece}, "logprobs": None, "finish_reason": None}
            yield {**about, "choices": [{**choice, "token_ids": None}]}
        self.generated += len(_tokens(pieces[-1]))
        last = {"index": 0, "delta": {"content": pieces[-1]}, "logprobs": None, "finish_reason": finish_reason}
        yield {**about, "choices": [{**last, "stop_reason": stop, "token_ids": None}]}
        if (request.get("stream_options") or {}).get("include_usage"):
            written += finish_reason == "stop" and stop is None  # the end is a token too
            details = {"cached_tokens": cached, "created_cache_tokens": (prompt - cached) // _BLOCK * _BLOCK}
            usage = {"prompt_tokens": prompt, "total_tokens": prompt + written, "completion_tokens": written}
            usage_chunk = {**about, "choices": [], "usage": {**usage, "prompt_tokens_details": details}}
            yield {**usage_chunk, "system_fingerprint": "vllm-0.32.0-df542f2b"}

    def _text(self, structured_outputs: dict[str, Any] | None) -> str:
        if not structured_outputs or "grammar" not in structured_outputs:
            return _HELLO
        self.seed += 1
        try:
            return Gbnf(structured_outputs["grammar"]).sentence(random.Random(self.seed))
        except AssertionError as problem:
            message = f"Invalid grammar specification: Failed to convert the grammar from GBNF to Lark: {problem}"
            raise RefusedError(400, "BadRequestError", message) from problem

    def _prompt_tokens(self, messages: list[dict[str, Any]]) -> tuple[int, int]:
        """How many tokens a prompt has, a word each, and how many of them were cached: whole blocks only."""
        words = " ".join(f"<|{message['role']}|> {message['content']} <|end|>" for message in messages).split()
        prefixes = [" ".join(words[:end]) for end in range(_BLOCK, len(words) + 1, _BLOCK)]
        cached = sum(1 for prefix in prefixes if prefix in self._blocks)
        self._blocks.update(prefixes)
        return len(words), cached * _BLOCK


def _tokens(text: str) -> list[str]:
    return [text[start : start + 3] for start in range(0, len(text), 3)]


def _cut(text: str, stops: list[str], limit: int) -> tuple[int, list[str], str | None]:
    """How many tokens are written, those that are shown, and the stop text that ended them."""
    found = [(text.index(stop), stop) for stop in stops if stop in text]
    if not found:
        tokens = _tokens(text)[:limit]
        return len(tokens), tokens, None
    at, stop = min(found)
    written = len(_tokens(text[: at + len(stop)]))
    if written > limit:
        tokens = _tokens(text)[:limit]
        return limit, tokens, None
    return written, _tokens(text[:at]), stop


def _chunk(writer: asyncio.StreamWriter, event: dict[str, Any] | str) -> None:
    # What the server itself says inside a stream has blanks behind its commas, what its model says has none.
    separators = (", ", ": ") if isinstance(event, dict) and "error" in event else (",", ":")
    data = event if isinstance(event, str) else json.dumps(event, ensure_ascii=False, separators=separators)
    line = f"data: {data}\n\n".encode()
    writer.write(b"%x\r\n%s\r\n" % (len(line), line))


def _respond(writer: asyncio.StreamWriter, status: int, body: bytes) -> None:
    head = (
        f"HTTP/1.1 {status} {_STATUS_TEXTS[status]}\r\nserver: uvicorn\r\ncontent-length: {len(body)}\r\n"
        f"content-type: application/json\r\nvary: Origin\r\n\r\n"
    )
    writer.write(head.encode() + body)
