"""The executors of the examples, against a server that runs: what they serve, and how they and their streams end."""

from __future__ import annotations

import signal
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest
from line import line_to
from program import executing, running, serving
from toolchain import BUILD_SECONDS, LANGUAGES, ROOT, built

if TYPE_CHECKING:
    from pathlib import Path

    from toolchain import Example

# Whichever test comes first waits for the build.
pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(BUILD_SECONDS)]

COUNT = '1. word_count("one two  three")\n2. word_count(" ")\n3. word_count(text="$1 and $2", delay_ms=1)\n4. join($3)'
SLOW = '1. word_count("one two", delay_ms=2000)\n2. join($1)'
# Long enough for its client to hear of the call, and for the executor to be killed, on a busy machine.
SLOWER = '1. word_count("one two", delay_ms=4000)\n2. join($1)'


async def test_an_executor_carries_out_calls_until_it_is_told_to_leave(example: Example, tmp_path: Path) -> None:
    async with (
        serving(tmp_path, COUNT) as address,
        executing(tmp_path, *example.serve, "--server", address) as (executor, executor_id),
    ):
        async with running(tmp_path, *example.ask, "--server", address, "--question", "How many?") as client:
            assert await client.end() == 0, client.err.read
        assert sorted(client.details("task_succeeded")) == ["1 3", "2 0", "3 3"]
        assert set(client.details("call_started")) == {f"{task} {executor_id}" for task in (1, 2, 3)}
        assert client.out.read[-1] == "3"
        executor.send(signal.SIGTERM)
        assert await executor.end() == 0, executor.err.read
    assert executor.out.read[-1] == "draining"


async def test_an_executor_finishes_what_it_does_before_it_leaves(example: Example, tmp_path: Path) -> None:
    async with (
        serving(tmp_path, SLOW) as address,
        executing(tmp_path, *example.serve, "--server", address) as (executor, _),
        running(tmp_path, *example.ask, "--server", address, "--question", "How many?") as client,
    ):
        await client.out.until("call_started")
        executor.send(signal.SIGTERM)
        await executor.out.until("draining")
        assert await executor.end() == 0, executor.err.read
        assert await client.end() == 0, client.err.read
    assert client.out.read[-1] == "2"
    assert len(client.details("call_started")) == 1


async def test_an_executor_resumes_its_session_when_the_stream_breaks(example: Example, tmp_path: Path) -> None:
    async with (
        serving(tmp_path, SLOW) as address,
        line_to(address) as line,
        executing(tmp_path, *example.serve, "--server", line.address) as (executor, _),
        running(tmp_path, *example.ask, "--server", address, "--question", "How many?") as client,
    ):
        await client.out.until("call_started")
        line.cut()
        await executor.out.until(", resumed: true")
        assert await client.end() == 0, client.err.read
    assert client.out.read[-1] == "2"
    assert len(client.details("call_started")) == 1
    assert client.details("call_lost") == []


async def test_a_call_of_an_executor_that_was_killed_is_finished_by_another(example: Example, tmp_path: Path) -> None:
    hasty = ("--heartbeat-seconds", "0.5", "--lease-seconds", "4")
    serve = example.serve
    async with (
        serving(tmp_path, SLOWER, options=hasty) as address,
        executing(tmp_path, *serve, "--server", address) as (first, first_id),
        running(tmp_path, *example.ask, "--server", address, "--question", "How many?") as client,
    ):
        await client.out.until("call_started")
        first.send(signal.SIGKILL)
        async with executing(tmp_path, *serve, "--server", address) as (_, second_id):
            assert await client.end() == 0, client.err.read
    assert client.details("call_started") == [f"1 {first_id}", f"1 {second_id}"]
    assert len(client.details("call_lost")) == 1
    assert client.out.read[-1] == "2"


async def test_an_executor_says_why_it_was_refused(example: Example, tmp_path: Path) -> None:
    (tmp_path / "tools.py").write_text(
        '''
from dovetail import tool

@tool
def word_count(text: str) -> int:
    """Something else."""
    return 0
''',
        encoding="utf-8",
    )
    async with (
        serving(tmp_path, COUNT, options=("--tools", "tools.py")) as address,
        running(tmp_path, *example.serve, "--server", address) as executor,
    ):
        assert await executor.end() == 1
    assert "(TOOL_SPEC_CONFLICT): " in executor.err.read[-1]


async def test_executors_in_all_languages_serve_the_same_tool_side_by_side(tmp_path: Path) -> None:
    examples = [built(language) for language in LANGUAGES.values()]
    plan = "\n".join(f'{task}. word_count("one", delay_ms=2500)' for task in (1, 2, 3)) + "\n4. join($1)"
    async with serving(tmp_path, plan) as address, AsyncExitStack() as stack:
        ids = set()
        for example in examples:
            command = (*example.serve, "--server", address, "--max-parallel", "1")
            _, executor_id = await stack.enter_async_context(executing(tmp_path, *command))
            ids.add(executor_id)
        ask = (*examples[0].ask, "--server", address, "--question", "How many?")
        client = await stack.enter_async_context(running(tmp_path, *ask))
        assert await client.end() == 0, client.err.read
    assert {detail.partition(" ")[2] for detail in client.details("call_started")} == ids


async def test_the_recording_that_the_examples_speak_of_has_an_answer(tmp_path: Path) -> None:
    example = built(LANGUAGES["go"])
    recorded = ("--model", f"replay:{ROOT / 'examples' / 'words.jsonl'}")
    async with (
        serving(tmp_path, options=recorded) as address,
        executing(tmp_path, *example.serve, "--server", address),
        running(tmp_path, *example.ask, "--server", address, "--question", "How many words?") as client,
    ):
        assert await client.end() == 0, client.err.read
    assert client.out.read[-1] == "6"
