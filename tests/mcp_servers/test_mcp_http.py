"""`dovetail mcp --http`: a real process, asked by the MCP client of the official package and by bare HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from commandline import COMMAND, dovetail, environment, recording
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import TextContent
from notes import noted

from certificates import Authority
from scripted import PATIENCE, plan

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.anyio

TOKEN = "a-token-of-enough-letters"
TOOLS = '''
import asyncio
from pathlib import Path
from dovetail import tool

@tool
async def waits(notes: str) -> str:
    """Ends once it is let."""
    Path(notes).write_text("began\\n")
    try:
        while not Path(notes + ".go").exists():
            await asyncio.sleep(0.02)
    except asyncio.CancelledError:
        Path(notes).write_text("cancelled\\n")
        raise
    return "done"

@tool
def double(number: float) -> float:
    """Twice the number."""
    return number * 2
'''
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
}


@dataclass
class Served:
    process: Process
    url: str

    async def post(self, **headers: str) -> httpx2.Response:
        """Shake hands as any program could."""
        accepts = {"accept": "application/json, text/event-stream", **headers}
        async with httpx2.AsyncClient() as http:
            return await http.post(self.url, json=INITIALIZE, headers=accepts, timeout=PATIENCE)


@contextlib.asynccontextmanager
async def serving(
    folder: Path, *replies: str, options: tuple[str, ...] = (), **variables: str
) -> AsyncIterator[Served]:
    (folder / "tools.py").write_text(TOOLS, encoding="utf-8")
    model = recording(folder, *replies)
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *("mcp", "--model", model, "--tools", "tools.py", "--http", "127.0.0.1:0", *options),
        cwd=folder,
        env=environment(folder, **variables),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE):
            line = (await process.stdout.readline()).decode()
        assert line.startswith("listening on ")
        yield Served(process, line.removeprefix("listening on ").strip())
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@contextlib.asynccontextmanager
async def client(url: str, token: str | None = None, **http_options: Any) -> AsyncIterator[Client]:
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=PATIENCE, **http_options) as http,
        Client(streamable_http_client(url, http_client=http)) as asked,
    ):
        yield asked


async def answer(asked: Client, question: str = "why?") -> tuple[str, bool]:
    result = await asked.call_tool("ask", {"question": question})
    (block,) = result.content
    assert isinstance(block, TextContent)
    return block.text, bool(result.is_error)


async def test_questions_are_answered_over_http(tmp_path: Path) -> None:
    async with (
        asyncio.timeout(PATIENCE),
        serving(tmp_path, plan("1. double(21)", "2. join($1)")) as served,
        client(served.url) as asked,
    ):
        assert [tool.name for tool in (await asked.list_tools()).tools] == ["ask", "compile_plan"]
        assert await answer(asked) == ("42", False)


async def test_a_token_is_demanded_of_everyone_if_there_is_one(tmp_path: Path) -> None:
    async with (
        asyncio.timeout(PATIENCE),
        serving(tmp_path, plan("1. double(21)", "2. join($1)"), DOVETAIL_MCP_TOKEN=TOKEN) as served,
    ):
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {TOKEN}"}):
            refused = await served.post(**headers)
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"] == "Bearer"
        async with client(served.url, TOKEN) as asked:
            assert await answer(asked) == ("42", False)


HOSTS = {
    "localhost": 200,
    "192.0.2.1:80": 200,
    "[::1]:80": 200,
    "mcp.example.org": 200,
    "MCP.example.org:8080": 200,
    "evil.example.org": 421,
    "mcp.example.org.evil.test": 421,
    "localhost.evil.test": 421,
    "localhost@evil.test": 421,
    "": 421,
}
ORIGINS = {
    "http://localhost:3000": 200,
    "http://127.0.0.1:3000": 200,
    "https://mcp.example.org": 200,
    "null": 403,
    "http://192.0.2.1": 403,
    "http://evil.example.org": 403,
    "http://localhost.evil.test": 403,
}


async def test_names_that_a_page_could_rebind_and_foreign_origins_are_refused(tmp_path: Path) -> None:
    async with asyncio.timeout(PATIENCE), serving(tmp_path, options=("--allow-host", "mcp.example.org")) as served:
        assert {host: (await served.post(host=host)).status_code for host in HOSTS} == HOSTS
        assert {origin: (await served.post(origin=origin)).status_code for origin in ORIGINS} == ORIGINS
        for headers in ({"host": "evil.example.org"}, {"origin": "http://evil.example.org"}):
            assert "--allow-host" in (await served.post(**headers)).json()["error"]


async def test_tls_is_spoken_if_there_is_a_certificate(tmp_path: Path) -> None:
    trusted = Authority(tmp_path)
    certificate, key = trusted.issue("server")
    options = ("--tls-certificate", str(certificate), "--tls-key", str(key))
    async with (
        asyncio.timeout(PATIENCE),
        serving(tmp_path, plan("1. double(21)", "2. join($1)"), options=options) as served,
        client(served.url, verify=ssl.create_default_context(cafile=trusted.path)) as asked,
    ):
        assert served.url.startswith("https://127.0.0.1:")
        assert await answer(asked) == ("42", False)


async def test_sigterm_lets_an_answer_come_to_its_end_and_takes_no_new_question(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    async with (
        asyncio.timeout(PATIENCE),
        serving(tmp_path, plan(f'1. waits("{notes}")', "2. join($1)")) as served,
        client(served.url) as asked,
        client(served.url) as late,
    ):
        await late.list_tools()
        request = asyncio.create_task(answer(asked))
        await noted(notes, "began")
        served.process.send_signal(signal.SIGTERM)
        # The signal reaches the process a moment later; a question taken before fails, as the model says nothing more.
        while "shutting down" not in (refused := await answer(late))[0]:
            assert "MODEL_UNAVAILABLE" in refused[0]
        (tmp_path / "notes.go").touch()
        assert await request == ("done", False)
        assert await served.process.wait() == 0


async def test_answers_that_take_longer_than_the_drain_are_cancelled(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    async with (
        asyncio.timeout(PATIENCE),
        serving(tmp_path, plan(f'1. waits("{notes}")', "2. join($1)"), options=("--drain-seconds", "0.2")) as served,
        client(served.url) as asked,
    ):
        request = asyncio.create_task(answer(asked))
        await noted(notes, "began")
        served.process.send_signal(signal.SIGTERM)
        said, is_error = await request
        assert is_error
        assert "the server is shutting down" in said
        assert await served.process.wait() == 0
    assert notes.read_text(encoding="utf-8") == "cancelled\n"


async def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    async with (
        asyncio.timeout(PATIENCE),
        serving(tmp_path, plan(f'1. waits("{notes}")', "2. join($1)")) as served,
        httpx2.AsyncClient(timeout=PATIENCE) as http,
    ):
        asking = asyncio.create_task(_ask_and_lose(http, served))
        await noted(notes, "began")
        served.process.send_signal(signal.SIGTERM)
        served.process.send_signal(signal.SIGINT)
        assert await served.process.wait() in (130, 143)
        await asking


async def _ask_and_lose(http: httpx2.AsyncClient, served: Served) -> None:
    accepts = {"accept": "application/json, text/event-stream"}
    hello = await http.post(served.url, json=INITIALIZE, headers=accepts)
    headers = {**accepts, "mcp-session-id": hello.headers["mcp-session-id"], "mcp-protocol-version": "2025-06-18"}
    call = {"name": "ask", "arguments": {"question": "why?"}}
    await http.post(served.url, json={"jsonrpc": "2.0", "method": "notifications/initialized"}, headers=headers)
    with contextlib.suppress(httpx2.HTTPError):
        await http.post(
            served.url, json={"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call}, headers=headers
        )


@pytest.mark.parametrize(
    ("options", "variables", "said"),
    [
        (("--http", "0.0.0.0:0"), {}, "can be reached from other machines, and without a token"),
        (("--http", "8080"), {}, "is no address; write HOST:PORT"),
        (("--http", "no-such-host.invalid:80"), {}, "the host is not known"),
        (("--http", "127.0.0.1:0", "--token-env", "MINE"), {}, "the variable MINE holds no token"),
        (("--http", "127.0.0.1:0", "--token-env", "MINE"), {"MINE": "short"}, "a token of at least 16"),
        (("--http", "127.0.0.1:0", "--tls-key", "x"), {}, "give both --tls-certificate and --tls-key"),
        (("--http", "127.0.0.1:0", "--tls-key", "x", "--tls-certificate", "y"), {}, "y: there is no such file"),
        (("--allow-host", "x"), {}, "--allow-host is for HTTP; add --http HOST:PORT"),
    ],
)
def test_what_cannot_be_served_is_said_with_what_to_do(
    tmp_path: Path, options: tuple[str, ...], variables: dict[str, str], said: str
) -> None:
    done = dovetail(tmp_path, "mcp", "--model", recording(tmp_path, "1. join()"), *options, **variables)
    assert done.returncode == 2
    assert said in done.stderr.decode()


async def test_policies_and_limits_are_those_of_run(tmp_path: Path) -> None:
    (tmp_path / "policies.toml").write_text("[double]\napproval = true\n", encoding="utf-8")
    lines = plan("1. double(21)", "2. join($1)")
    joined = "Thought: x.\nAction: Finish(rejected)"
    options = ("--policies", "policies.toml", "--max-parallel", "2")
    async with (
        asyncio.timeout(PATIENCE),
        serving(tmp_path, lines, joined, options=options) as served,
        client(served.url) as asked,
    ):
        assert await answer(asked) == ("rejected", False)
