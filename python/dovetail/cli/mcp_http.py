"""`dovetail mcp --http`: where it listens, whom it lets in, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import uvicorn
from mcp.server.transport_security import TransportSecuritySettings

from dovetail.cli.exits import complain
from dovetail.cli.mcp_guard import Guard
from dovetail.errors import UsageError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from dovetail.cli.mcp_service import McpService

__all__ = ["PATH", "HttpPlace", "serve_http"]

PATH: Final = "/mcp"
TOKEN_VARIABLE: Final = "DOVETAIL_MCP_TOKEN"  # noqa: S105 - the name of a variable

_SHORTEST_TOKEN: Final = 16
_MOST_REQUESTS: Final = 1_000
_CLOSE_SECONDS: Final = 2


@dataclass(frozen=True, slots=True)
class HttpPlace:
    """Where MCP is served on HTTP, and to whom.

    Attributes:
        host: the name or address to listen on.
        port: the port; 0 for any that is free.
        token: what clients must bring; None for nothing.
        hosts: names by which it may be called, besides addresses and ``localhost``.
        certificate: a PEM file, for TLS.
        key: the PEM file of its key.
        drain_seconds: how long answers may take once it is to end.
    """

    host: str
    port: int
    token: str | None
    hosts: tuple[str, ...]
    certificate: Path | None
    key: Path | None
    drain_seconds: float

    @classmethod
    def of(cls, options: Namespace) -> HttpPlace:
        """What the options and the environment say.

        Raises:
            UsageError: the address is none, the token is missing or too short, or one of certificate and key is.
        """
        match = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([^\[\]:/\s]+)):([0-9]{1,5})", options.http)
        if match is None or int(match[3]) > 65_535:
            raise UsageError(f"--http {options.http}: is no address; write HOST:PORT or [IPV6]:PORT: 127.0.0.1:8080")
        host = match[1] or match[2]
        if (options.tls_certificate is None) != (options.tls_key is None):
            raise UsageError("TLS needs a certificate and its key; give both --tls-certificate and --tls-key")
        for file in (options.tls_certificate, options.tls_key):
            if file is not None and not Path(file).is_file():
                raise UsageError(f"{file}: there is no such file; it must be PEM")
        if not options.drain_seconds >= 0:
            raise UsageError(f"--drain-seconds is {options.drain_seconds:g}; it must be 0 or more")
        return cls(
            host=host,
            port=int(match[3]),
            token=_token(options.token_env),
            hosts=(host, *(options.allow_hosts or ())),
            certificate=None if options.tls_certificate is None else Path(options.tls_certificate),
            key=None if options.tls_key is None else Path(options.tls_key),
            drain_seconds=options.drain_seconds,
        )

    async def listen(self) -> list[socket.socket]:
        """Bind every address of the host.

        Raises:
            UsageError: it is not known, in use, or can be reached from other machines while there is no token.
        """
        where = f"--http {self.host}:{self.port}"
        try:
            loop = asyncio.get_running_loop()
            found = await loop.getaddrinfo(self.host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        except (OSError, UnicodeError) as error:
            raise UsageError(f"{where}: the host is not known: {error}") from error
        ips = [ipaddress.ip_address(ip) for ip in dict.fromkeys(str(one[4][0]) for one in found)]
        if not all(ip.is_loopback for ip in ips):
            if self.token is None:
                raise UsageError(
                    f"{where} can be reached from other machines, and without a token anyone there could ask; "
                    f"put one into {TOKEN_VARIABLE}, or name its variable by --token-env, or listen on 127.0.0.1"
                )
            if self.certificate is None:
                complain("questions and tokens go over the network unencrypted; add TLS here or in front of it")
        bound: list[socket.socket] = []
        port = self.port
        for ip in ips:
            try:
                one = socket.create_server(
                    (str(ip), port), family=socket.AF_INET6 if ip.version == 6 else socket.AF_INET, backlog=128
                )
            except OSError as error:
                for other in bound:
                    other.close()
                raise UsageError(f"{where}: it cannot be listened on: {error.strerror or error}") from error
            bound.append(one)
            # A host that has several addresses gets the same port on each.
            port = one.getsockname()[1]
        return bound

    def url(self, port: int) -> str:
        """Where clients find it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http{'' if self.certificate is None else 's'}://{host}:{port}{PATH}"


class _Server(uvicorn.Server):
    """Tells when it accepts, and leaves signals to whoever started it."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.accepts = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.accepts.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve_http(service: McpService, place: HttpPlace, ending: asyncio.Event) -> None:
    """Serve until told to end; then answers may take a while, and nothing new is taken.

    Raises:
        UsageError: the address cannot be listened on, or the certificate or its key cannot be used.
    """
    sockets = await place.listen()
    app = service.server.streamable_http_app(
        streamable_http_path=PATH,
        # The guard sees to it: that of the package knows no addresses but those that it is given.
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )
    config = uvicorn.Config(
        Guard(app, place.hosts, place.token),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=_MOST_REQUESTS,
        timeout_graceful_shutdown=_CLOSE_SECONDS,
        ssl_certfile=place.certificate,
        ssl_keyfile=None if place.key is None else str(place.key),
    )
    try:
        config.load()
    except OSError as error:  # ssl.SSLError is one
        for one in sockets:
            one.close()
        raise UsageError(
            f"{place.certificate}, {place.key}: the certificate or its key cannot be used: {error}"
        ) from error
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets))
    accepting = asyncio.create_task(server.accepts.wait())
    ended = asyncio.create_task(ending.wait())
    try:
        await asyncio.wait({serving, accepting}, return_when=asyncio.FIRST_COMPLETED)
        if server.accepts.is_set():
            print(f"listening on {place.url(sockets[0].getsockname()[1])}", flush=True)  # noqa: T201
        await asyncio.wait({serving, ended}, return_when=asyncio.FIRST_COMPLETED)
        if not serving.done():
            await service.drain(place.drain_seconds)
            server.should_exit = True
        await serving
    finally:
        accepting.cancel()
        ended.cancel()


def _token(variable: str | None) -> str | None:
    token = os.environ.get(variable or TOKEN_VARIABLE)
    if token is None and variable is None:
        return None
    if not token:
        raise UsageError(f"--token-env: the variable {variable or TOKEN_VARIABLE} holds no token; set it")
    if len(token) < _SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        what = f"a token of at least {_SHORTEST_TOKEN} letters, digits and signs"
        raise UsageError(f"{variable or TOKEN_VARIABLE}: {what} is needed; `openssl rand -hex 32` makes one")
    return token
