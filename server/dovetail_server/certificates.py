"""The server's certificate, and the authorities of its clients'."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import grpc

from dovetail.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from dovetail_server.settings import ServerSettings

__all__ = ["server_credentials"]


def server_credentials(settings: ServerSettings) -> grpc.ServerCredentials | None:
    """What the server shows and asks for; None without TLS.

    Raises:
        UsageError: a file cannot be read, is no PEM, or a key is not its certificate's; the message names the file.
    """
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    certificate, key = _read(settings.tls_certificate), _read(settings.tls_key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # A password is answered with none, as nobody may be there to be asked.
        context.load_cert_chain(settings.tls_certificate, settings.tls_key, password="")
    except (ssl.SSLError, OSError, ValueError) as error:
        raise UsageError(_mismatch(settings.tls_certificate, settings.tls_key, error)) from error
    if settings.client_ca is None:
        return grpc.ssl_server_credentials([(key, certificate)])
    authorities = _read(settings.client_ca)
    try:
        context.load_verify_locations(settings.client_ca)
    except (ssl.SSLError, OSError) as error:
        raise UsageError(f"{settings.client_ca}: there is no certificate in PEM: {error}") from error
    return grpc.ssl_server_credentials([(key, certificate)], authorities, require_client_auth=True)


def _mismatch(certificate: Path, key: Path, error: Exception) -> str:
    if getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
        return f"{key}: this is not the key of the certificate {certificate}"
    for path, kind in ((certificate, b"CERTIFICATE-----"), (key, b"PRIVATE KEY-----")):
        if kind not in _read(path):
            return f"{path}: there is no {kind.decode().rstrip('-').lower()} in PEM"
    return f"{certificate} and {key}: they cannot be used: {error}; a key must have no password"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: the file cannot be read: {error.strerror}") from error
