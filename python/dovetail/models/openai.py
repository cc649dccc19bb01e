"""Models behind OpenAI's chat API: the SDK sends, the stream is read as bytes and decoded in Rust."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx2
import openai

from dovetail._core import SseDecoder
from dovetail.errors import UsageError
from dovetail.models.openai_failure import Server
from dovetail.models.protocol import Completion, Grammar, GrammarDialect, Message, ModelStream, Usage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

__all__ = ["OpenAIModel"]

_OPENAI_URL = "https://api.openai.com/v1"
_NO_KEY = "none"
"""Sent where no key is needed: the SDK insists on one."""
_USAGE_GRACE = 2.0
"""Seconds to wait for the usage once the text is complete."""
_DRAIN_GRACE = 0.05
"""Seconds to wait for the end of the body after `[DONE]`, so that the connection can be used again."""


class OpenAIModel:
    """A model behind an OpenAI-compatible server.

    Args:
        name: the model, as the server knows it.
        provider: the first half of `name` in events and messages.
        api_key: the key; the environment's ``OPENAI_API_KEY`` if None. A server of your own needs none.
        base_url: where the API is; the environment's ``OPENAI_BASE_URL``, else OpenAI, if None.
        timeout: how many seconds the server may be silent, before its first byte and between two bytes. A
            silent server is not asked again.
        connect_timeout: how many seconds a connection may take.
        max_retries: how often a request is sent again after a refused connection, 408, 409, 429 or 5xx; the
            SDK waits between them as the server asks.
        temperature: the model's own if None.
        max_tokens: how many tokens a call may write where it does not say; the server's own limit if None.
        extra_body: further fields of the request.
        grammar_dialect: the notation in which the server takes grammars: ``gbnf`` for llama.cpp's server.

    Raises:
        UsageError: the base URL is none, a number is out of range, or OpenAI is asked without a key.
    """

    def __init__(
        self,
        name: str,
        *,
        provider: str = "openai",
        api_key: str | None = None,
        base_url: str | None = None,
        timeout: float = 60.0,
        connect_timeout: float = 10.0,
        max_retries: int = 2,
        temperature: float | None = None,
        max_tokens: int | None = None,
        extra_body: Mapping[str, object] | None = None,
        grammar_dialect: GrammarDialect | None = None,
    ) -> None:
        if timeout <= 0 or connect_timeout <= 0 or max_retries < 0:
            raise UsageError(f"model {name}: timeouts must be above 0 and max_retries must not be below 0")
        self._base_url = base_url or os.environ.get("OPENAI_BASE_URL") or _OPENAI_URL
        shown, self._is_openai = _checked(self._base_url)
        key = api_key or os.environ.get("OPENAI_API_KEY") or ("" if self._is_openai else _NO_KEY)
        if not key:
            raise UsageError(f"model {provider}:{name} needs a key: set OPENAI_API_KEY, or give a server's base URL")
        self._model = name
        self._name = f"{provider}:{name}"
        self._api_key = key
        self._timeout = httpx2.Timeout(timeout, connect=connect_timeout)
        self._max_retries = max_retries
        self._temperature = temperature
        self._max_tokens = max_tokens
        self._extra_body = dict(extra_body or {})
        self._grammar_dialects = () if grammar_dialect is None else (grammar_dialect,)
        self._server = Server(shown, self._name, "" if key == _NO_KEY else key, timeout)
        self._client: openai.AsyncOpenAI | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def name(self) -> str:
        """The model, as ``provider:name``."""
        return self._name

    @property
    def grammar_dialects(self) -> tuple[GrammarDialect, ...]:
        """The notations in which the server takes grammars, the best first."""
        return self._grammar_dialects

    async def stream(
        self,
        messages: Sequence[Message],
        *,
        grammar: Grammar | None = None,
        stop: Sequence[str] = (),
        max_tokens: int | None = None,
    ) -> ModelStream:
        """Answer a chat (see `dovetail.models.Model.stream`).

        Raises:
            ModelError: the call failed; what each reason means is in ``docs/models.md``.
            UsageError: the grammar's dialect is none of `grammar_dialects`.
        """
        request = self._request(messages, grammar, stop, max_tokens)
        decoder = SseDecoder()
        try:
            async with self._sdk().chat.completions.with_streaming_response.create(**request) as response:
                reads = aiter(response.http_response.aiter_bytes())
                try:
                    async for data in reads:
                        if text := decoder.feed(data):
                            yield text
                        if decoder.done or decoder.error is not None or decoder.finish_reason is not None:
                            break
                    else:
                        if text := decoder.finish():
                            yield text
                except httpx2.HTTPError as problem:
                    raise self._server.broken(problem) from problem
                if text := await _read_usage(decoder, reads):
                    yield text
                yield self._completion(decoder, has_grammar=grammar is not None)
                with suppress(TimeoutError, httpx2.HTTPError):
                    async with asyncio.timeout(_DRAIN_GRACE):
                        async for _ in reads:
                            pass
        except (openai.OpenAIError, httpx2.HTTPError, httpx2.InvalidURL) as problem:
            raise self._server.failure(problem, has_grammar=grammar is not None) from problem

    async def aclose(self) -> None:
        """Close the connections. The model cannot be used afterwards."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def _request(
        self,
        messages: Sequence[Message],
        grammar: Grammar | None,
        stop: Sequence[str],
        max_tokens: int | None,
    ) -> dict[str, Any]:
        request: dict[str, Any] = {
            "model": self._model,
            "messages": list(messages),
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        body = dict(self._extra_body)
        if grammar is not None:
            if grammar.dialect not in self._grammar_dialects:
                raise UsageError(f"model {self._name} takes no grammar in {grammar.dialect}")
            body |= self._constraint(grammar)
        if body:
            request["extra_body"] = body
        if stop:
            request["stop"] = list(stop)
        if self._temperature is not None:
            request["temperature"] = self._temperature
        limit = max_tokens if max_tokens is not None else self._max_tokens
        if limit is not None:
            # OpenAI's reasoning models refuse the old name, other servers know only that one.
            request["max_completion_tokens" if self._is_openai else "max_tokens"] = limit
        return request

    def _constraint(self, grammar: Grammar) -> dict[str, object]:
        """The fields of the request that hold a text to its grammar: llama.cpp's."""
        return {"grammar": grammar.text}

    def _completion(self, decoder: SseDecoder, *, has_grammar: bool) -> Completion:
        if decoder.error is not None:
            if decoder.error_status is None:
                raise self._server.no_protocol(f"sent something that is no model response: {decoder.error}")
            raise self._server.answered(decoder.error_status, decoder.error, has_grammar=has_grammar)
        if not decoder.done and decoder.finish_reason is None:
            raise self._server.cut("the connection was closed without a finish reason")
        return Completion(decoder.finish_reason, Usage(*decoder.usage) if decoder.usage else None)

    def _sdk(self) -> openai.AsyncOpenAI:
        loop = asyncio.get_running_loop()
        # Connections belong to the loop that opened them; one model may serve several `asyncio.run` in turn.
        if self._client is None or self._loop is not loop:
            self._loop = loop
            self._client = openai.AsyncOpenAI(
                api_key=self._api_key,
                base_url=self._base_url,
                timeout=self._timeout,
                max_retries=self._max_retries,
                http_client=_ImpatientClient(self._server, self._timeout, is_loopback=_is_loopback(self._base_url)),
            )
        return self._client


class _ImpatientClient(openai.DefaultAsyncHttpxClient):
    """The SDK's client, except that silence is final: the SDK would wait for it again with every retry.

    A proxy from the environment is not asked for a server on this machine.
    """

    def __init__(self, server: Server, timeout: httpx2.Timeout, *, is_loopback: bool) -> None:
        super().__init__(timeout=timeout, trust_env=not is_loopback)
        self._server = server

    async def send(self, *args: Any, **kwargs: Any) -> httpx2.Response:
        """Send a request.

        Raises:
            ModelError: the server was silent for too long.
        """
        try:
            return await super().send(*args, **kwargs)
        except httpx2.ReadTimeout as problem:
            raise self._server.silent() from problem


async def _read_usage(decoder: SseDecoder, reads: AsyncIterator[bytes]) -> str:
    """Read on from the finish reason to the usage. The text is complete: a lost connection hurts nothing."""
    text = ""
    with suppress(TimeoutError, httpx2.HTTPError):
        async with asyncio.timeout(_USAGE_GRACE):
            while decoder.finish_reason is not None and not (decoder.done or decoder.error or decoder.usage):
                data = await anext(reads, None)
                text += decoder.finish() if data is None else decoder.feed(data)
                if data is None:
                    break
    return text


def _is_loopback(base_url: str) -> bool:
    host = urlsplit(base_url).hostname or ""
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"


def _checked(base_url: str) -> tuple[str, bool]:
    """The URL without credentials and query, for messages, and whether it is OpenAI's."""
    try:
        parts = urlsplit(base_url)
        host, port = parts.hostname, parts.port
    except ValueError as problem:
        raise UsageError(f"base URL {base_url!r} cannot be read: {problem}") from problem
    if parts.scheme not in {"http", "https"} or not host:
        raise UsageError(f"base URL {base_url!r} must begin with http:// or https:// and name a host")
    place = f"[{host}]" if ":" in host else host
    address = f"{place}:{port}" if port else place
    return f"{parts.scheme}://{address}{parts.path.rstrip('/')}", host == "api.openai.com"
