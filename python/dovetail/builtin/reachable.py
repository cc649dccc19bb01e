"""Which URLs a tool may fetch: those of public hosts, at the address that was checked.

A model chooses URLs, or what it read does. Without a check, a tool is a way into the network that it runs in.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from dovetail.errors import DovetailError

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["CheckedUrl", "UrlRefusedError", "check_url"]

_PORTS: Final = {"http": 80, "https": 443}
_LONGEST: Final = 8_000
_NAME: Final = re.compile(r"[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_.])?")
# Public by their numbers, or held to be: where two clouds' machines find their own settings.
_INNER: Final = (IPv4Network("168.63.129.16/32"), IPv4Network("192.0.0.0/24"))
# Addresses of IPv6 that stand for one of IPv4, in their last four bytes.
_TRANSLATED: Final = (IPv6Network("64:ff9b::/96"), IPv6Network("::/96"))


class UrlRefusedError(DovetailError):
    """A URL is not one that a tool may fetch; the message says why."""


@dataclass(frozen=True, slots=True)
class CheckedUrl:
    """A URL that may be fetched, and how: looking its host up again could give another address.

    Attributes:
        host: the host that it names.
        url: the URL with the checked address in place of the host: what to connect to.
        headers: the header that tells the server which host is meant.
        extensions: what httpx2 takes as ``extensions`` of a request: the host that the certificate must be for.
    """

    host: str
    url: str
    headers: dict[str, str]
    extensions: dict[str, str]


def check_url(url: str, *, allow: Collection[str] = ()) -> CheckedUrl:
    """Check that a URL leads to a public host over HTTP or HTTPS, and look up where that is.

    Refused are other schemes and ports, a user or password, and every host of which one address is private, of this
    machine, of its link, shared, multicast, reserved, or one that stands for such. This may block while the name is
    looked up: an async tool calls it in a thread. A redirect is another URL: follow none, or check each.

    Behind a proxy (``HTTPS_PROXY``) the proxy looks names up and connects: then only what the URL says is checked.

    Args:
        url: the URL.
        allow: hosts that may be reached all the same, and at other ports: ``localhost:8080``, ``10.0.0.7``. Without a
            port, the one of the scheme.

    Returns:
        The URL as it is to be fetched.

    Raises:
        UrlRefusedError: it may not be fetched, or its host is not known.
    """
    if len(url) > _LONGEST or not url.isascii() or not url.isprintable() or set(url) & set(' "<>\\^`{|}'):
        raise UrlRefusedError(
            f"the URL is longer than {_LONGEST:,} characters, or has some that must be written as %XX"
        )
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError as error:
        raise UrlRefusedError(f"the URL cannot be read: {error}") from error
    if parts.scheme not in _PORTS:
        raise UrlRefusedError(
            f"the URL must begin with https:// or http://, not {parts.scheme[:20] or 'without one'!r}"
        )
    if "@" in parts.netloc:
        raise UrlRefusedError("the URL has a user name or a password, which is not sent")
    host = (parts.hostname or "").rstrip(".")
    literal = _literal(host)
    if literal is None and not _NAME.fullmatch(host):
        raise UrlRefusedError(f"the URL has no host that can be looked up: {host[:100]!r}")
    allowed = f"{host}:{port}" in allow or (host in allow and port == _PORTS[parts.scheme])
    if not allowed and port not in _PORTS.values():
        raise UrlRefusedError(f"{host}: port {port} may not be reached; 80 and 443 may")
    if literal is None and _proxied(parts.scheme, host):
        return CheckedUrl(host, url, {}, {})
    addresses = [literal] if literal is not None else _addresses(host, port)
    if not allowed and not all(map(_is_public, addresses)):
        raise UrlRefusedError(f"{host} is no public host: it may not be reached from here")
    found = addresses[0]
    shown = f"[{found}]" if found.version == 6 else str(found)
    target = parts._replace(netloc=f"{shown}:{port}", fragment="").geturl()
    extensions = {"sni_hostname": host} if literal is None else {}
    return CheckedUrl(host, target, {"Host": parts.netloc}, extensions)


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _addresses(host: str, port: int) -> list[IPv4Address | IPv6Address]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return [ip_address(address[0]) for *_, address in found]
    except (OSError, ValueError) as error:
        raise UrlRefusedError(f"{host} is not known: {error}") from error


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is None and any(address in network for network in _TRANSLATED):
            inner = IPv4Address(int(address) & 0xFFFF_FFFF)
        if inner is not None:
            return _is_public(inner)
        if address.is_site_local:
            return False
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and not address.is_unspecified
        and not any(address in network for network in _INNER)
    )


def _proxied(scheme: str, host: str) -> bool:
    proxies = getproxies()
    return bool(proxies.get(scheme) or proxies.get("all")) and not proxy_bypass(host)
