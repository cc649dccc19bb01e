"""How a server is reached: its address, its certificates, the token. Shared by the client and the executor SDK."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc

from dovetail.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Connection"]

MAX_MESSAGE_BYTES = 16 * 1024 * 1024

_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    # Without the probe a reader that does not keep up holds back its server, as flow control is meant to.
    ("grpc.http2.bdp_probe", 0),
    # grpcio heeds the ping timeout and not `keepalive_timeout_ms`; servers cut off who pings more often than each 10 s.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.http2.ping_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # Channels of one address share their connections otherwise: a new one would be given that which has just gone dead.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    # In spite of its name this bounds one attempt to connect, and a handshake over a slow line takes its time.
    ("grpc.min_reconnect_backoff_ms", 5_000),
    ("grpc.max_reconnect_backoff_ms", 5_000),
)


@dataclass(frozen=True)
class Connection:
    """How a server is reached.

    Attributes:
        address: ``HOST:PORT`` or ``unix:PATH``.
        token: a bearer token, if the server asks for one.
        tls: whether to speak TLS; also with ``ca``, ``certificate`` or ``server_name``.
        ca: a PEM file of the authorities to trust in place of the system's.
        certificate: a PEM file with the client's own certificate, for mutual TLS.
        key: the PEM file of its key.
        server_name: the name to look for in the server's certificate, if it is not that of the address.

    Raises:
        UsageError: the address is none, or only one of certificate and key is given.
    """

    address: str
    token: str | None = field(default=None, repr=False)
    tls: bool = False
    ca: str | Path | None = None
    certificate: str | Path | None = None
    key: str | Path | None = None
    server_name: str | None = None

    def __post_init__(self) -> None:
        host, colon, port = self.address.rpartition(":")
        if not self.address.startswith("unix:") and not (host and colon and port.isdecimal()):
            raise UsageError(f"the server {self.address!r} is no address; give HOST:PORT or unix:PATH")
        if (self.certificate is None) != (self.key is None):
            raise UsageError("a certificate and its key go together: give both or neither")

    @classmethod
    def to(cls, server: str | Connection, **options: Any) -> Connection:
        """A connection as it is, or one to an address with these options: fields of `Connection`.

        Raises:
            UsageError: there are options beside a connection, which says everything itself; or one cannot be used.
        """
        if isinstance(server, str):
            return cls(server, **options)
        if any(options.values()):
            raise UsageError("a Connection says everything itself: put the token and the TLS options into it")
        return server

    def open(self) -> grpc.aio.Channel:
        """Open a channel; it connects when it is first used. Belongs to the running event loop.

        Raises:
            UsageError: a certificate or key cannot be read.
        """
        options: list[tuple[str, str | int]] = list(_OPTIONS)
        if self.server_name is not None:
            options.append(("grpc.ssl_target_name_override", self.server_name))
        if not (self.tls or self.ca or self.certificate or self.server_name):
            return grpc.aio.insecure_channel(self.address, options=options)
        credentials = grpc.ssl_channel_credentials(_read(self.ca), _read(self.key), _read(self.certificate))
        return grpc.aio.secure_channel(self.address, credentials, options=options)

    def metadata(self) -> Sequence[tuple[str, str]]:
        """What is sent with each RPC."""
        # Not as call credentials: those are refused without TLS, which loopback and unix sockets do without.
        return () if self.token is None else (("authorization", f"Bearer {self.token}"),)


def _read(file: str | Path | None) -> bytes | None:
    if file is None:
        return None
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise UsageError(f"{file}: the file cannot be read: {error.strerror or error}") from error
