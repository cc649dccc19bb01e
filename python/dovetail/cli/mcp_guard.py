"""Who may speak to Dovetail's MCP server on HTTP: the token, and the names in a request's Host and Origin.

A page in somebody's browser can reach servers of their machine, also those on its loopback, by a name that it lets
stand for another address from one moment to the next (DNS rebinding). Such a request gives that name as its host, and
the page's origin; the MCP specification (2025-06-18, transports) has servers check the origin.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["Guard"]

_LOCAL: Final = "localhost"


class Guard:
    """An ASGI application before another: refuses what must not reach it.

    Args:
        app: the other.
        hosts: names by which the server may be called, besides ``localhost`` and addresses, which cannot be rebound;
            and names that the origins of pages may have, besides this machine.
        token: the bearer token that every request must bring; None for none.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str], token: str | None) -> None:
        self._app = app
        self._hosts = frozenset(host.lower() for host in hosts)
        self._token = None if token is None else _digest(token.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it: 421 for its host, 403 for its origin, 401 for its token."""
        if scope["type"] != "http" or (refusal := self._refusal(scope["headers"])) is None:
            await self._app(scope, receive, send)
            return
        status, what = refusal
        headers = [(b"content-type", b"application/json")]
        if status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps({"error": what}).encode()})

    def _refusal(self, headers: Iterable[tuple[bytes, bytes]]) -> tuple[int, str] | None:
        given: dict[bytes, list[bytes]] = {}
        for key, value in headers:
            given.setdefault(key.lower(), []).append(value)
        hosts = given.get(b"host", [])
        host = _name(f"//{hosts[0].decode('latin-1')}") if len(hosts) == 1 else ""
        if not self._is_ours(host):
            return 421, f"the host {host[:100]!r} is not served here; start `dovetail mcp` with --allow-host for it"
        for value in given.get(b"origin", []):
            origin = _name(value.decode("latin-1"))
            if not (origin in self._hosts or origin == _LOCAL or _is_loopback(origin)):
                return 403, f"pages of {origin[:100]!r} may not call; start `dovetail mcp` with --allow-host for them"
        if self._token is not None and not self._is_known(given.get(b"authorization", [])):
            return 401, "a bearer token is needed: Authorization: Bearer …, the token that `dovetail mcp` was given"
        return None

    def _is_ours(self, host: str) -> bool:
        return host in self._hosts or host == _LOCAL or _is_address(host)

    def _is_known(self, values: list[bytes]) -> bool:
        if len(values) != 1 or self._token is None:
            return False
        scheme, _, token = values[0].partition(b" ")
        # Of digests, the time of a comparison tells nothing.
        return scheme.lower() == b"bearer" and hmac.compare_digest(_digest(token.strip()), self._token)


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()


def _name(url: str) -> str:
    """The host of a URL, in lower case; empty if there is none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return _is_address(host) and ipaddress.ip_address(host).is_loopback
