"""What reaches a server, its log or a terminal from outside: names, tokens, lines, sizes."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from dovetail import tool, v1
from dovetail.cli.board import Board, task_texts
from dovetail.cli.printable import one_line, printable
from dovetail.cli.views import JsonView
from dovetail_server.log import open_log, server_log
from live import PATIENCE, Silent, code_of, serving
from raw_executor import attached, end_of, hello, output, spec

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


@tool(read_only=True)
async def greet(name: str = "you") -> str:
    return f"hello {name}"


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


@pytest.mark.parametrize(
    "model",
    [
        "local:/etc/passwd",
        "replay:/etc/passwd",
        "replay:../x.jsonl",
        "openai:gpt",
        "vllm:x",
        "echo",
        "ECHO:PLAN",
        "../x",
    ],
)
async def test_a_request_names_an_offered_model_and_opens_no_file_and_no_address(model: str) -> None:
    async with serving([greet]) as live:
        request = v1.CreateRunRequest(question="1. greet()\njoin($1)", model=model)
        assert await code_of(live.runs.CreateRun(request)) == ("INVALID_ARGUMENT", "INVALID_FIELD")


@pytest.mark.parametrize("name", ["demo", "tools.py", "os:system", "os", "/etc/passwd", "dovetail.demo", "tools.json"])
async def test_a_request_names_a_tool_and_loads_no_module_and_no_file(name: str) -> None:
    async with serving([greet]) as live:
        request = v1.CreateRunRequest(question="join()", tools=[name])
        code, reason = await code_of(live.runs.CreateRun(request))
        assert (code, reason) == ("NOT_FOUND", "TOOL_NOT_FOUND")
        events = await live.events(await live.create(f'1. {name}("x")\n2. greet()\njoin()'))
        planned = [event.task_planned.tool for event in events if event.HasField("task_planned")]
        ready = [event.task_ready.task_id for event in events if event.HasField("task_ready")]
        assert len(ready) == planned.count("greet")


@pytest.mark.parametrize(
    "run_id", ["a\nb", "a\r\n{}", "\x1b[2J", "../a", "A", "a b", "-a", "a" * 65, "\u0430", "a\u2028", "%0a"]
)
async def test_a_run_cannot_have_a_name_that_could_forge_a_line(run_id: str) -> None:
    lines = io.StringIO()
    with open_log("debug", "json", stream=lines):
        async with serving([greet]) as live:
            request = v1.CreateRunRequest(run_id=run_id, question="join()")
            assert (await code_of(live.runs.CreateRun(request)))[0] == "INVALID_ARGUMENT"
            for call in (
                live.runs.GetRun(v1.GetRunRequest(run_id=run_id)),
                live.runs.CancelRun(v1.CancelRunRequest(run_id=run_id)),
                live.runs.WatchRun(v1.WatchRunRequest(run_id=run_id)),
            ):
                assert (await code_of(call))[0] in ("NOT_FOUND", "INVALID_ARGUMENT")
    assert all(isinstance(json.loads(line), dict) for line in lines.getvalue().split("\n")[:-1])


@pytest.mark.parametrize("executor_id", ["a\nb", "\x1b]0;x\x07", "a b", "", "a" * 129, "é"])
async def test_an_executor_cannot_have_a_name_that_could_forge_a_line(executor_id: str) -> None:
    async with serving([greet]) as live:
        call = live.executors.Attach(iter([hello(executor_id)]), timeout=PATIENCE)
        end = await end_of(call)
        assert (end.code, end.field) == ("INVALID_ARGUMENT", "hello.executor_id")


@pytest.mark.parametrize("format_", ["json", "console"])
def test_a_value_cannot_forge_a_line_of_the_log_or_move_the_cursor(format_: Any) -> None:
    lines = io.StringIO()
    with open_log("info", format_, stream=lines):
        server_log().info(
            "rpc", run_id="a\n2026-01-01 [info] forged", other="\r\x1b[2J\x9b31m\u2028\u202e", many=["\x1b[2J\nx"]
        )
    text = lines.getvalue()
    assert len(text.splitlines()) == 1
    assert not set("\x1b\x9b\r\u2028\u202e") & set(text)


@pytest.mark.parametrize("text", ["\x1b[2J", "\x1b]0;t\x07", "\x9b31m", "\u202egpj.exe", "a\rb", "\x00", "\u2066x"])
def test_nothing_that_moves_a_cursor_reaches_a_terminal(text: str) -> None:
    for shown in (printable(text), one_line(text)):
        assert all(character.isprintable() or character == "\n" for character in shown)
    board = Board()
    board.add(v1.Event(task_planned={"task_id": 1, "tool": "search"}))
    board.add(v1.Event(task_ready={"task_id": 1, "arguments_json": json.dumps({"q": text}, ensure_ascii=False)}))
    board.add(v1.Event(task_succeeded={"task_id": 1, "output_json": json.dumps(text, ensure_ascii=False)}))
    assert all(shown.isprintable() for shown in task_texts(board.rows[1], board))


def test_events_as_json_stay_a_line_each_and_are_the_same_when_read(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    text = "\x1b[2J\x9b31m\u2028\u202e\x85é😀\U000e0001"
    view = JsonView()
    view.show(v1.Event(sequence=1, thought_written={"plan": 1, "text": text}))
    written = capsysbinary.readouterr().out.decode()
    assert written[:-1].isprintable()
    assert written.endswith("\n")
    assert "é😀" in written
    assert json.loads(written)["thoughtWritten"]["text"] == text


async def test_tokens_are_in_no_log_no_error_no_event_and_reach_no_executor(tmp_path: Path) -> None:
    tokens = {"run": "canary-token-run", "execute": "canary-token-execute", "read": "canary-token-read"}
    (tmp_path / "tokens.toml").write_text(
        "\n".join(
            f'[[token]]\nname = "{role}"\nsha256 = "{hashlib.sha256(token.encode()).hexdigest()}"\nroles = ["{role}"]'
            for role, token in tokens.items()
        )
    )
    lines = io.StringIO()
    seen: list[str] = []
    with open_log("debug", "json", stream=lines):
        async with serving(tokens=tmp_path / "tokens.toml", log_payloads=True) as live:
            mine = bearer(tokens["run"])
            async with attached(live, "e", spec(), metadata=bearer(tokens["execute"])) as executor:
                request = v1.CreateRunRequest(question="1. t()\njoin($1)", metadata={"team": "a"})
                created = await live.runs.CreateRun(request, metadata=mine)
                call = await executor.one_call()
                seen.append(str(call))
                await executor.give(output(call, '"done"'))
                watch = live.runs.WatchRun(v1.WatchRunRequest(run_id=created.run.run_id), metadata=mine)
                seen += [str(batch) async for batch in watch]
            for wrong in ("canary-token-wrong", tokens["read"], tokens["execute"]):
                try:
                    await live.runs.CreateRun(request, metadata=bearer(wrong))
                except grpc.aio.AioRpcError as error:
                    seen += [str(error.details()), str(error.trailing_metadata()), repr(error)]
                else:
                    raise AssertionError("this token may not create runs")
    assert "done" in "".join(seen)
    assert "canary-token" not in "".join(seen)
    assert "canary-token" not in lines.getvalue()


_BOMBS = (
    "[" * 400_000 + "]" * 400_000, "{" * 500_000, "1e999999999", "9" * 900_000, '"' + "x" * 999_990 + '"', "", "nul",
    "NaN", '"\\ud800"', '{"a":1,"a":2}',
)  # fmt: skip


@pytest.mark.parametrize("bomb", _BOMBS, ids=[bomb[:10] or "empty" for bomb in _BOMBS])
async def test_an_executor_that_returns_a_bomb_fails_its_task_or_is_used_as_data(bomb: str) -> None:
    async with serving([greet]) as live, attached(live, "e", spec()) as executor:
        run_id = await live.create("1. t()\n2. greet($1)\n3. greet()\n4. join()")
        await executor.give(output(await executor.one_call(), bomb))
        events = await live.events(run_id)
        assert [event.run_answered.answer for event in events if event.HasField("run_answered")] == ["done"]
        ended = {
            event.task_succeeded.task_id or event.task_failed.task_id or event.task_skipped.task_id for event in events
        }
        assert ended >= {1, 2, 3}


async def test_a_compressed_message_counts_what_it_is_when_it_is_open() -> None:
    bomb = "0" * (64 * 1024 * 1024)
    assert len(gzip.compress(bomb.encode())) < 100_000
    async with serving([greet], max_message_bytes=65_536) as live:
        request = v1.CreateRunRequest(question=bomb)
        code, _ = await code_of(live.runs.CreateRun(request, compression=grpc.Compression.Gzip, timeout=PATIENCE))
        assert code == "RESOURCE_EXHAUSTED"
        assert await live.answer("1. greet()\n2. join($1)") == "hello you"


async def test_runs_of_a_model_that_is_silent_can_be_bounded_by_nobody_but_the_server() -> None:
    models: Any = {"echo:silent": Silent()}
    async with serving([greet], models=models, deadline=0.3) as live:
        run_id = await live.create("why?", limits=v1.Limits(deadline={"seconds": 86_400}))
        events = await live.events(run_id)
        assert events[-1].run_ended.failure.reason == v1.FailureReason.FAILURE_REASON_DEADLINE_EXCEEDED
