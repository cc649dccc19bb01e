"""Listening: ports, sockets, certificates, and which addresses need guarding."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from certificates import Authority
from doorway import BOUND, Runs, bearer, logged
from dovetail import UsageError, v1
from dovetail.v1.run_service_pb2_grpc import RunServiceStub, add_RunServiceServicer_to_server
from dovetail_server.callers import hash_of
from dovetail_server.door import Door
from dovetail_server.listening import channel_options, listen
from dovetail_server.settings import ServerSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio


@contextlib.asynccontextmanager
async def listening(**given: Any) -> AsyncIterator[list[str]]:
    settings = ServerSettings(**given)
    server = grpc.aio.server(interceptors=[Door(settings)], options=channel_options(settings))
    add_RunServiceServicer_to_server(Runs(), server)
    try:
        addresses = await listen(server, settings)
        await server.start()
        yield addresses
    finally:
        await server.stop(None)


async def name_at(address: str, credentials: grpc.ChannelCredentials | None = None, **more: Any) -> str:
    """Whom the server takes us for."""
    channel = (
        grpc.aio.insecure_channel(address) if credentials is None else grpc.aio.secure_channel(address, credentials)
    )
    async with channel:
        stub: Any = RunServiceStub(channel)
        name: str = (await stub.GetRun(v1.GetRunRequest(), timeout=BOUND, **more)).run.run_id
        return name


async def refused_at(address: str, credentials: grpc.ChannelCredentials | None) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await name_at(address, credentials)
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_server_listens_on_several_addresses(tmp_path: Path) -> None:
    async with listening(listen=("127.0.0.1:0", "localhost:0", f"unix:{tmp_path}/s")) as addresses:
        assert addresses[0].startswith("127.0.0.1:")
        assert addresses[1].startswith("localhost:")
        assert addresses[2] == f"unix:{tmp_path}/s"
        assert len(set(addresses)) == 3
        assert [await name_at(address) for address in addresses] == ["anonymous"] * 3


async def test_a_port_in_use_is_an_error_that_says_how_to_find_who_uses_it() -> None:
    async with listening(listen=("127.0.0.1:0",)) as addresses:
        port = addresses[0].rpartition(":")[2]
        for address in (addresses[0], f"localhost:{port}"):
            with pytest.raises(UsageError, match=rf"^{address}: Address already in use; .*lsof -i :{port}"):
                async with listening(listen=(address,)):
                    pass


async def test_a_living_servers_socket_is_left_alone_and_a_dead_ones_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert path.is_socket()
    async with listening(listen=(f"unix://{path}",)) as addresses:
        with pytest.raises(UsageError, match=f"^unix:{path}: another server listens there"):
            async with listening(listen=(f"unix:{path}",)):
                pass
        assert await name_at(addresses[0]) == "anonymous"


async def test_a_file_that_is_no_socket_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("precious")
    with pytest.raises(UsageError, match="there is a file of that name that is no socket"):
        async with listening(listen=(f"unix:{tmp_path}/s",)):
            pass
    assert (tmp_path / "s").read_text() == "precious"


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("localhost", "'localhost' is no address to listen on"),
        (":50051", "':50051' is no address to listen on"),
        ("::1:50051", "'::1:50051' is no address to listen on"),
        ("127.0.0.1:65536", "'127.0.0.1:65536' is no address to listen on"),
        ("127.0.0.1:http", "'127.0.0.1:http' is no address to listen on"),
        ("no-such-host.invalid:1", "no-such-host.invalid:1: the host no-such-host.invalid is not known"),
        ("unix:/no/such/folder/s", "unix:/no/such/folder/s: there is no folder /no/such/folder"),
        ("unix:/tmp/" + "x" * 103, f"unix:/tmp/{'x' * 103}: the path of a socket may have 107 bytes"),
    ],
)
async def test_an_address_that_cannot_be_listened_on_is_named(address: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        async with listening(listen=(address,)):
            pass
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0"])
async def test_without_tls_and_tokens_no_address_is_opened_to_other_machines(address: str) -> None:
    with pytest.raises(UsageError, match=r"can be reached from other machines.*add --tls-certificate"):
        async with listening(listen=(address,)):
            pass


async def test_with_tokens_an_address_may_be_open_but_a_warning_is_logged(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.toml"
    tokens.write_text(f'[[token]]\nname = "a"\nsha256 = "{hash_of("t")}"\nroles = ["run"]\n')
    with logged() as lines:
        async with listening(listen=("0.0.0.0:0",), tokens=tokens) as addresses:
            port = addresses[0].rpartition(":")[2]
            assert await name_at(f"127.0.0.1:{port}", metadata=bearer("t")) == "a"
        assert "unencrypted" in lines.getvalue()


async def test_tls_is_spoken_with_the_servers_certificate_and_with_no_other(tmp_path: Path) -> None:
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    certificate, key = authority.issue("server")
    async with listening(listen=("127.0.0.1:0",), tls_certificate=certificate, tls_key=key) as addresses:
        trusting = grpc.ssl_channel_credentials(authority.path.read_bytes())
        assert await name_at(addresses[0], trusting) == "anonymous"
        await refused_at(addresses[0], None)
        await refused_at(addresses[0], grpc.ssl_channel_credentials(other.path.read_bytes()))


async def test_a_client_must_show_a_certificate_of_the_authority_that_has_not_expired(tmp_path: Path) -> None:
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    certificate, key = authority.issue("server")

    def showing(files: tuple[Path, Path] | None) -> grpc.ChannelCredentials:
        own = (files[1].read_bytes(), files[0].read_bytes()) if files else (None, None)
        return grpc.ssl_channel_credentials(authority.path.read_bytes(), *own)

    async with listening(
        listen=("127.0.0.1:0",), tls_certificate=certificate, tls_key=key, client_ca=authority.path
    ) as addresses:
        assert await name_at(addresses[0], showing(authority.issue("alice"))) == "alice"
        await refused_at(addresses[0], showing(None))
        await refused_at(addresses[0], showing(other.issue("mallory")))
        await refused_at(addresses[0], showing(authority.issue("late", lasts=-timedelta(days=1))))
        assert await name_at(addresses[0], showing(authority.issue("bob"))) == "bob"


async def test_a_servers_expired_certificate_is_not_trusted(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("server", lasts=-timedelta(days=1))
    async with listening(listen=("127.0.0.1:0",), tls_certificate=certificate, tls_key=key) as addresses:
        await refused_at(addresses[0], grpc.ssl_channel_credentials(authority.path.read_bytes()))


async def test_files_that_make_no_certificate_are_named(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("server")
    _, foreign = authority.issue("foreign")
    none, garbage = tmp_path / "none", tmp_path / "garbage"
    garbage.write_bytes(b"\x00garbage")
    for files, message in (
        ((none, key, None), f"{none}: the file cannot be read: No such file"),
        ((certificate, tmp_path, None), f"{tmp_path}: the file cannot be read: Is a directory"),
        ((garbage, key, None), f"{garbage}: there is no certificate in PEM"),
        ((certificate, garbage, None), f"{garbage}: there is no private key in PEM"),
        ((certificate, certificate, None), f"{certificate}: there is no private key in PEM"),
        ((certificate, foreign, None), f"{foreign}: this is not the key of the certificate {certificate}"),
        ((certificate, key, none), f"{none}: the file cannot be read"),
        ((certificate, key, garbage), f"{garbage}: there is no certificate in PEM"),
    ):
        with pytest.raises(UsageError) as raised:
            async with listening(tls_certificate=files[0], tls_key=files[1], client_ca=files[2]):
                pass
        assert str(raised.value).startswith(message)


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors")
async def test_connections_that_are_opened_and_dropped_leave_nothing_behind() -> None:
    async with asyncio.timeout(BOUND), listening(listen=("127.0.0.1:0",)) as addresses:
        host, _, port = addresses[0].rpartition(":")
        before = open_descriptors()
        for content in (b"", b"GET / HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff") * 100:
            with socket.create_connection((host, int(port)), timeout=BOUND) as connection:
                connection.sendall(content)
        # The server closes its side when it has read that the client has closed its own.
        while open_descriptors() > before + 5:
            assert await name_at(addresses[0]) == "anonymous"


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_a_message_over_the_limit_is_refused_and_one_below_is_not() -> None:
    async with (
        listening(listen=("127.0.0.1:0",), max_message_bytes=100_000) as addresses,
        grpc.aio.insecure_channel(addresses[0]) as channel,
    ):
        stub: Any = RunServiceStub(channel)
        await stub.GetRun(v1.GetRunRequest(run_id="x" * 90_000), timeout=BOUND)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stub.GetRun(v1.GetRunRequest(run_id="x" * 100_000), timeout=BOUND)
        assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
