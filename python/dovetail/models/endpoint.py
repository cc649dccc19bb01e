"""The server of a model: its address, the connections to it, and how many requests it is sent at once."""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx2
import openai

from dovetail.errors import UsageError
from dovetail.models.in_flight import InFlight
from dovetail.models.retry_pause import retry_pause

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from dovetail.models.openai_failure import Server

__all__ = ["Address", "Endpoint"]

_RATE_LIMITED = 429
_FINAL = re.compile(rb'"(insufficient_quota|billing_hard_limit_reached)\\?"')
"""What OpenAI calls a limit that no waiting lifts; proxies repeat it in the text of an error of their own."""


class Address:
    """Where a server's API is.

    Args:
        base_url: the URL of the API.

    Attributes:
        url: the URL, as given.
        shown: the URL without credentials and query, for messages.
        is_openai: whether it is OpenAI's own.
        is_loopback: whether the server is on this machine.

    Raises:
        UsageError: the URL is none.
    """

    def __init__(self, base_url: str) -> None:
        try:
            parts = urlsplit(base_url)
            host, port = parts.hostname, parts.port
        except ValueError as problem:
            raise UsageError(f"base URL {base_url!r} cannot be read: {problem}") from problem
        if parts.scheme not in {"http", "https"} or not host:
            raise UsageError(f"base URL {base_url!r} must begin with http:// or https:// and name a host")
        place = f"[{host}]" if ":" in host else host
        self.url = base_url
        self.shown = f"{parts.scheme}://{place}{f':{port}' if port else ''}{parts.path.rstrip('/')}"
        self.is_openai = host == "api.openai.com"
        self.is_loopback = host == "localhost" or _is_loopback(host)


class Endpoint:
    """One server as one model asks it.

    Args:
        address: where it is.
        provider: whose it is; models of one provider at one URL share their places.
        server: the server as far as error messages are concerned.
        timeout: how long it may be silent, and a connection may take.
        max_in_flight: how many requests may be in flight there with one of this model; any number if None.
        connect: makes the SDK's client of an HTTP client.
    """

    def __init__(
        self,
        address: Address,
        *,
        provider: str,
        server: Server,
        timeout: httpx2.Timeout,
        max_in_flight: int | None,
        connect: Callable[[httpx2.AsyncClient], openai.AsyncOpenAI],
    ) -> None:
        self.address = address
        self.server = server
        self._timeout = timeout
        self._max_in_flight = max_in_flight
        self._connect = connect
        self._in_flight = InFlight.at(provider, address.shown)
        self._client: openai.AsyncOpenAI | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @asynccontextmanager
    async def client(self) -> AsyncIterator[openai.AsyncOpenAI]:
        """The SDK's client, and a place among the requests in flight for as long as the context is open."""
        async with self._in_flight.place(self._max_in_flight):
            loop = asyncio.get_running_loop()
            # Connections belong to the loop that opened them; one model may serve several `asyncio.run` in turn.
            if self._client is None or self._loop is not loop:
                self._loop = loop
                http = _PatientlyRetried(self.server, self._timeout, is_loopback=self.address.is_loopback)
                self._client = self._connect(http)
            yield self._client

    async def aclose(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        # A loop that is gone took its connections with it; only within their own can any be closed.
        if client is not None and self._loop is asyncio.get_running_loop():
            await client.close()


class _PatientlyRetried(openai.DefaultAsyncHttpxClient):
    """The SDK's HTTP client, which tells the SDK when to send again what the server refused for now.

    Silence is final: the SDK would wait for it again with every retry. So is a circle of redirections. A proxy from the
    environment is not asked for a server on this machine.
    """

    def __init__(self, server: Server, timeout: httpx2.Timeout, *, is_loopback: bool) -> None:
        super().__init__(timeout=timeout, trust_env=not is_loopback)
        self._server = server

    async def send(self, *args: Any, **kwargs: Any) -> httpx2.Response:
        """Send a request.

        Raises:
            ModelError: the server was silent for too long, or redirects without an end.
        """
        try:
            response = await super().send(*args, **kwargs)
            if response.status_code == _RATE_LIMITED and _FINAL.search(await response.aread()):
                response.headers["x-should-retry"] = "false"
        except httpx2.ReadTimeout as problem:
            raise self._server.silent() from problem
        except httpx2.TooManyRedirects as problem:
            raise self._server.failure(problem) from problem
        if response.is_error and (pause := retry_pause(response.headers)) is not None:
            response.headers["retry-after-ms"] = f"{pause * 1000:.3f}"
        return response


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
