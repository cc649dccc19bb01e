"""Where the server listens: its addresses, and the options of its connections."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import re
import socket
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from dovetail.errors import UsageError
from dovetail_server.certificates import server_credentials
from dovetail_server.log import server_log

if TYPE_CHECKING:
    import grpc

    from dovetail_server.settings import ServerSettings

__all__ = ["channel_options", "listen"]

_PATIENCE_SECONDS = 1.0
"""How long a server on a unix socket may take to show that it lives."""

_MAX_SOCKET_PATH = 107


def channel_options(settings: ServerSettings) -> list[tuple[str, int]]:
    """The options that a `grpc.aio.server` of these settings needs."""
    return [
        # Another server on the same port would take a part of the connections: that is to be an error.
        ("grpc.so_reuseport", 0),
        # A peer that is gone without a word is noticed after 25 s. `grpc.keepalive_timeout_ms` alone would do nothing.
        ("grpc.keepalive_time_ms", 20_000),
        ("grpc.http2.ping_timeout_ms", 5_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.max_connection_age_ms", 30 * 60_000),
        ("grpc.max_connection_age_grace_ms", 5 * 60_000),
        # With it, gRPC takes megabytes for a reader that has stalled.
        ("grpc.http2.bdp_probe", 0),
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        # The door counts streams for each client, whatever the number of its connections.
        ("grpc.max_concurrent_streams", 2**31 - 1),
    ]


async def listen(server: grpc.aio.Server, settings: ServerSettings) -> list[str]:
    """Bind every address of the settings. The server accepts once it is started.

    Returns:
        The addresses, with the ports that were found for port 0.

    Raises:
        UsageError: an address is none, is in use, or can be reached from other machines while there is neither TLS nor
            a token; or a certificate, a key or an authority cannot be used.
    """
    credentials = server_credentials(settings)
    bound = []
    for address in settings.listen:
        if address.startswith("unix:"):
            bound.append(_listen_on_socket(server, address, credentials))
        else:
            bound.append(await _listen_on_port(server, address, credentials, settings))
    return bound


async def _listen_on_port(
    server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials | None, settings: ServerSettings
) -> str:
    host, port = _host_and_port(address)
    ips = await _resolved(address, host)
    if not all(ip.is_loopback for ip in ips):
        _check_guarded(address, settings)
    for ip in ips:
        _check_free(address, ip, port)
        # A host that has several addresses gets the same port on each.
        port = _add(server, f"[{ip}]:{port}" if ip.version == 6 else f"{ip}:{port}", credentials, address)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _listen_on_socket(server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials | None) -> str:
    path = Path(address.removeprefix("unix://").removeprefix("unix:"))
    if len(os.fsencode(path)) > _MAX_SOCKET_PATH:
        raise UsageError(f"{address}: the path of a socket may have {_MAX_SOCKET_PATH} bytes; choose a shorter one")
    if not path.parent.is_dir():
        raise UsageError(f"{address}: there is no folder {path.parent}; make it first")
    _clear(address, path)
    _add(server, f"unix:{path}", credentials, address)
    return f"unix:{path}"


def _add(server: grpc.aio.Server, target: str, credentials: grpc.ServerCredentials | None, address: str) -> int:
    try:
        if credentials is None:
            return server.add_insecure_port(target)
        return server.add_secure_port(target, credentials)
    except RuntimeError as error:
        raise UsageError(f"{address}: it cannot be listened on: {error}") from error


def _host_and_port(address: str) -> tuple[str, int]:
    match = re.fullmatch(r"(?:\[([0-9a-fA-F:.%a-z]+)\]|([^\[\]:/\s]+)):([0-9]{1,5})", address)
    if match is None or int(match[3]) > 65_535:
        raise UsageError(
            f"{address!r} is no address to listen on; they are HOST:PORT, [IPV6]:PORT and unix:PATH, "
            "and 0.0.0.0:PORT stands for all of this machine's"
        )
    return match[1] or match[2], int(match[3])


async def _resolved(address: str, host: str) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    try:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise UsageError(f"{address}: the host {host} is not known: {error}") from error
    return [ipaddress.ip_address(ip) for ip in dict.fromkeys(str(one[4][0]) for one in found)]


def _check_guarded(address: str, settings: ServerSettings) -> None:
    if settings.tls_certificate is None and settings.tokens is None:
        raise UsageError(
            f"{address} can be reached from other machines, and without TLS and tokens anyone there could start runs "
            "and read them; add --tls-certificate and --tls-key, or --tokens, or listen on 127.0.0.1 or unix:PATH"
        )
    if settings.tls_certificate is None:
        server_log().warning("tokens go over the network unencrypted; add TLS", address=address)
    elif settings.tokens is None and settings.client_ca is None:
        server_log().warning("anyone who reaches this address may use it; add tokens or client_ca", address=address)


def _check_free(address: str, ip: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> None:
    """Bind for a moment, because gRPC does not say why it could not."""
    family = socket.AF_INET6 if ip.version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        if os.name == "posix":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            probe.bind((str(ip), port))
        except OSError as error:
            raise UsageError(f"{address}: {error.strerror}; {_remedy(error, port)}") from error


def _remedy(error: OSError, port: int) -> str:
    if isinstance(error, PermissionError):
        return "ports below 1024 are the system's: choose a higher one with --listen"
    if error.errno == 99 or "assign" in (error.strerror or ""):
        return "this machine has no such address: 0.0.0.0 stands for all that it has"
    return (
        f"another process listens there, which `ss -ltnp 'sport = :{port}'` or `lsof -i :{port}` names: "
        "end it, or choose another port with --listen"
    )


def _clear(address: str, path: Path) -> None:
    """Remove the socket of a server that has died. gRPC would replace that of one that lives, too."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise UsageError(f"{address}: there is a file of that name that is no socket; choose another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PATIENCE_SECONDS)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
        except OSError as error:
            raise UsageError(f"{address}: it is not clear whether a server lives there: {error}") from error
    raise UsageError(f"{address}: another server listens there; end it, or choose another path with --listen")
