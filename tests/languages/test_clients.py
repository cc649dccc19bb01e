"""The clients of the examples, against a server that runs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from commandline import dovetail
from line import line_to
from program import running, serving
from toolchain import BUILD_SECONDS

from certificates import Authority

if TYPE_CHECKING:
    from pathlib import Path

    from toolchain import Example

# Whichever test comes first waits for the build.
pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(BUILD_SECONDS)]

TOOLS = '''
from dovetail import tool

@tool(read_only=True)
def shout(text: str) -> str:
    """The text, loudly."""
    return text.upper()

@tool(read_only=True)
def wait_for(path: str) -> str:
    """What somebody writes into a pipe."""
    with open(path) as pipe:
        return pipe.readline().strip()
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tools.py").write_text(TOOLS, encoding="utf-8")
    return tmp_path


async def test_a_client_prints_every_event_of_its_run_and_then_the_answer(example: Example, folder: Path) -> None:
    plan = 'Thought: loudly.\n1. shout("good morning")\n2. join($1)'
    async with (
        serving(folder, plan, options=("--tools", "tools.py")) as address,
        running(folder, *example.ask, "--server", address, "--question", "How does it sound?") as client,
    ):
        assert await client.end() == 0, client.err.read
    assert client.out.read[-1] == "GOOD MORNING"
    facts = [fact for _, fact, _ in client.events]
    assert [number for number, _, _ in client.events] == list(range(1, len(facts) + 1))
    assert (facts[0], facts[-1]) == ("run_started", "run_ended")
    assert client.details("thought_written") == ["loudly."]
    assert client.details("task_planned") == ["1 shout"]
    assert client.details("task_ready") == ['1 {"text":"good morning"}']
    assert client.details("task_succeeded") == ['1 "GOOD MORNING"']


async def test_a_client_goes_on_behind_the_last_event_when_its_stream_breaks(example: Example, folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    pipe = os.open(folder / "pipe", os.O_RDWR)
    try:
        async with (
            serving(folder, '1. wait_for("pipe")\n2. join($1)', options=("--tools", "tools.py")) as address,
            line_to(address) as line,
            running(folder, *example.ask, "--server", line.address, "--question", "What comes?") as client,
        ):
            await client.out.until("call_started")
            line.cut()
            await client.err.until("attaching again behind event ")
            os.write(pipe, b"a word\n")
            assert await client.end() == 0, client.err.read
    finally:
        os.close(pipe)
    assert client.out.read[-1] == "a word"
    assert [number for number, _, _ in client.events] == list(range(1, len(client.events) + 1))
    assert line.connections > 1


async def test_a_client_says_why_its_request_was_refused(example: Example, folder: Path) -> None:
    async with (
        serving(folder, "1. join()", options=("--tools", "tools.py")) as address,
        running(folder, *example.ask, "--server", address, "--question", "") as client,
    ):
        assert await client.end() == 1
    assert "(INVALID_FIELD): question: " in client.err.read[-1]
    assert client.out.read == []


async def test_a_client_says_why_its_run_has_no_answer(example: Example, folder: Path) -> None:
    async with (
        serving(folder, "", options=("--tools", "tools.py")) as address,
        running(folder, *example.ask, "--server", address, "--question", "What?") as client,
    ):
        assert await client.end() == 1
    assert client.err.read[-1].startswith("ask: the run has no answer: FAILURE_REASON_MODEL_UNAVAILABLE: ")


async def test_a_client_trusts_an_authority_and_shows_its_token(example: Example, folder: Path) -> None:
    authority = Authority(folder)
    certificate, key = authority.issue("server")
    made = dovetail(folder, "token", "somebody", "--role", "run", "--file", "tokens.toml")
    token = made.stdout.decode().strip()
    options = ("--tools", "tools.py", "--tokens", "tokens.toml")
    options += ("--tls-certificate", str(certificate), "--tls-key", str(key))
    async with serving(folder, '1. shout("yes")\n2. join($1)', options=options) as address:
        ask = (*example.ask, "--server", address, "--ca", str(authority.path), "--question", "Really?")
        async with running(folder, *ask, DOVETAIL_TOKEN="dvt_wrong") as client:
            assert await client.end() == 1
        assert "(TOKEN_INVALID): " in client.err.read[-1]
        async with running(folder, *ask, DOVETAIL_TOKEN=token) as client:
            assert await client.end() == 0, client.err.read
        assert client.out.read[-1] == "YES"
