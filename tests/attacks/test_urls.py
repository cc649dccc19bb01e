"""URLs that a model, or a page that it read, would like a tool to fetch."""

from __future__ import annotations

import http.server
import socket
import threading
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from dovetail.builtin import check_url
from dovetail.builtin.reachable import UrlRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """A name service of the test's own: the addresses of each name; they change when they are asked for."""
    known: dict[str, list[str]] = {}

    def look_up(host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
        if host not in known:
            raise socket.gaierror(-2, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in known[host]]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return known


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.8.9.10", "0.0.0.0", "10.0.0.7", "172.16.0.1", "192.168.1.1", "100.64.0.1", "100.100.100.200",
        "169.254.169.254", "168.63.129.16", "192.0.0.192", "192.0.2.1", "198.18.0.1", "224.0.0.1", "239.255.255.250",
        "240.0.0.1", "255.255.255.255", "[::]", "[::1]", "[fe80::1]", "[fc00::1]", "[fd00:ec2::254]", "[fec0::1]",
        "[ff02::1]", "[::ffff:127.0.0.1]", "[::ffff:a9fe:a9fe]", "[::127.0.0.1]", "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]", "[2001:db8::1]",
    ],
)  # fmt: skip
def test_an_address_that_is_not_public_is_refused(host: str) -> None:
    with pytest.raises(UrlRefusedError, match="is no public host"):
        check_url(f"http://{host}/latest/meta-data/")


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "localhost", "localhost."])
def test_another_spelling_of_this_machine_is_refused(host: str) -> None:
    with pytest.raises(UrlRefusedError, match=r"is no public host|is not known"):
        check_url(f"http://{host}/")


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd", "ftp://example.org/", "gopher://example.org/", "javascript:alert(1)", "data:text/plain,x",
        "//example.org/", "example.org", "", "http://", "http:///x", "https://user@example.org/",
        "https://user:password@example.org/", "https://example.org@127.0.0.1/", "https://example.org:22/",
        "https://example.org:65536/", "https://example.org:x/", "https://[::1/", "https://exa mple.org/",
        "https://example.org/\r\nHost: inside", "https://example.org\\@127.0.0.1/", "https://example.org/\x00",
        "https://\u2460\u2461\u2466.0.0.1/", "https://ex\u00e4mple.org/", "https://-x/", "https://a" + "b" * 9000,
        "https://%31%32%37.0.0.1/",
    ],
)  # fmt: skip
def test_a_url_that_is_no_plain_web_address_is_refused(names: dict[str, list[str]], url: str) -> None:
    names["example.org"] = ["93.184.215.14"]
    with pytest.raises(UrlRefusedError):
        check_url(url)


def test_a_name_with_one_address_that_is_not_public_is_refused(names: dict[str, list[str]]) -> None:
    names["rebound.example"] = ["93.184.215.14", "169.254.169.254"]
    with pytest.raises(UrlRefusedError, match=r"rebound\.example is no public host"):
        check_url("https://rebound.example/")


def test_what_is_connected_to_is_the_address_that_was_checked(names: dict[str, list[str]]) -> None:
    names["example.org"] = ["93.184.215.14"]
    checked = check_url("https://example.org/a?b=c#d")
    names["example.org"] = ["127.0.0.1"]
    assert checked.url == "https://93.184.215.14:443/a?b=c"
    assert checked.headers == {"Host": "example.org"}
    assert checked.extensions == {"sni_hostname": "example.org"}


def test_a_host_is_allowed_by_name_and_port_and_nothing_beside_it(names: dict[str, list[str]]) -> None:
    names["wiki.internal"] = ["10.0.0.7"]
    assert check_url("http://wiki.internal/", allow=["wiki.internal"]).url == "http://10.0.0.7:80/"
    assert check_url("http://wiki.internal:8080/", allow=["wiki.internal:8080"]).url == "http://10.0.0.7:8080/"
    for url in ("http://wiki.internal:8081/", "http://10.0.0.7/", "http://wiki.internal.example/"):
        with pytest.raises(UrlRefusedError):
            check_url(url, allow=["wiki.internal", "wiki.internal:8080"])


def test_behind_a_proxy_an_address_is_checked_and_a_name_left_to_the_proxy(
    names: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.internal:3128")
    assert check_url("https://example.org/a").url == "https://example.org/a"
    for url in ("https://169.254.169.254/", "https://example.org:22/", "ftp://example.org/"):
        with pytest.raises(UrlRefusedError):
            check_url(url)


@pytest.fixture
def inner_server() -> Iterator[tuple[int, list[str]]]:
    """A server on this machine that writes down for which host it was asked."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.headers['Host']} {self.path}")
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: Any) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_address[1], asked
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


def test_a_checked_url_reaches_its_server_under_its_own_name(inner_server: tuple[int, list[str]]) -> None:
    port, asked = inner_server
    checked = check_url(f"http://localhost:{port}/x?y=1", allow=[f"localhost:{port}"])
    with httpx2.Client(timeout=10, trust_env=False) as client:
        reply = client.request("GET", checked.url, headers=checked.headers, extensions=checked.extensions)
    assert reply.status_code == 204
    assert asked == [f"localhost:{port} /x?y=1"]
