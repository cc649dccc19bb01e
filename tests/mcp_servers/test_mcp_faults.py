"""MCP servers that break the rules: a real process, which speaks the protocol by hand."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
from raw import RAW_SERVER, raw_file, server_file

from dovetail.errors import UsageError
from dovetail.tools.tool_set import ToolSet
from scripted import PATIENCE, ScriptedModel, events_of, facts, failures, finish, outputs, plan

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dovetail.v1 import Event

pytestmark = pytest.mark.anyio

READ_ONLY = {"readOnlyHint": True}


def tool(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}}, **fields}


async def called(tools: ToolSet, *lines: str) -> list[Event]:
    return await events_of(tools, ScriptedModel(plan(*lines, f"{len(lines) + 1}. join()"), finish("done")))


def messages(events: list[Event]) -> dict[int, str]:
    return {fact.task_id: fact.failure.message for fact in facts(events, "task_failed")}


@pytest.mark.parametrize("hints", [{"readOnlyHint": True}, {"idempotentHint": True}])
async def test_a_call_that_took_its_server_along_is_made_again_if_it_may_be(
    tmp_path: Path, hints: dict[str, bool]
) -> None:
    tools = await ToolSet.load([raw_file(tmp_path, tools=[tool("die_once", annotations=hints)])])
    events = await called(tools, f'1. raw.die_once("{tmp_path / "mark"}")')
    assert [fact.executor_id for fact in facts(events, "call_lost")] == ["mcp:raw"]
    assert outputs(events) == {1: '"alive"'}


async def test_a_call_that_took_its_server_along_is_not_made_again_if_it_must_not_be(tmp_path: Path) -> None:
    tools = await ToolSet.load([raw_file(tmp_path, tools=["die_once"])])
    events = await called(tools, f'1. raw.die_once("{tmp_path / "mark"}")')
    assert failures(events) == {1: "OUTCOME_UNKNOWN"}
    assert "MCP server raw ended with status 7; its last words: out of luck" in messages(events)[1]


async def test_one_call_that_ends_the_server_does_not_fail_what_can_be_repeated_beside_it(tmp_path: Path) -> None:
    named = [tool("die"), tool("never", annotations=READ_ONLY), tool("echo")]
    tools = (await ToolSet.load([raw_file(tmp_path, tools=named)])).mapped(
        lambda one: replace(one, timeout=5.0 if one.name == "raw.never" else 60.0)
    )
    events = await called(tools, "1. raw.never()", "2. raw.die()", '3. raw.echo("$2")')
    assert failures(events) == {1: "TIMEOUT", 2: "OUTCOME_UNKNOWN"}
    assert [fact.task_id for fact in facts(events, "call_lost")] == [1]


async def test_floods_of_notifications_hold_up_nothing(tmp_path: Path) -> None:
    tools = await ToolSet.load([raw_file(tmp_path, tools=["flood", "echo"])])
    events = await called(tools, "1. raw.flood()", '2. raw.echo("x")')
    assert outputs(events)[1] == '"dry"'
    assert not failures(events)


async def test_a_server_that_never_answers_costs_its_call_the_timeout_and_no_other(tmp_path: Path) -> None:
    tools = (await ToolSet.load([raw_file(tmp_path, tools=["never", "echo"])])).mapped(
        lambda one: replace(one, timeout=0.5 if one.name == "raw.never" else 60.0)
    )
    events = await called(tools, "1. raw.never()", '2. raw.echo("x")')
    assert failures(events) == {1: "TIMEOUT"}
    assert list(outputs(events)) == [2]


async def test_of_two_answers_the_first_counts(tmp_path: Path) -> None:
    tools = await ToolSet.load([raw_file(tmp_path, tools=["twice", "echo"])])
    events = await called(tools, "1. raw.twice()", '2. raw.echo("$1")')
    assert outputs(events) == {1: '"first"', 2: '"echo: {\\"text\\": \\"first\\"}"'}


async def test_lines_that_are_no_messages_are_passed_over(tmp_path: Path) -> None:
    tools = await ToolSet.load([raw_file(tmp_path, tools=["noise"], before=["Welcome!", '{"level": "info"}'])])
    assert outputs(await called(tools, "1. raw.noise()")) == {1: '"heard"'}


@pytest.mark.parametrize(
    ("name", "reason", "said"),
    [
        ("wrong", "TOOL_ERROR", "no luck"),
        ("wrong_without_a_word", "TOOL_ERROR", "the tool failed, and did not say why"),
        ("refused", "TOOL_ERROR", "it broke"),
        ("no_result", "TOOL_ERROR", "the server's answer is no JSON-RPC response"),
        ("no_content", "TOOL_ERROR", "content"),
    ],
)
async def test_an_answer_that_is_an_error_or_no_answer_fails_its_task_with_what_it_says(
    tmp_path: Path, name: str, reason: str, said: str
) -> None:
    tools = await ToolSet.load([raw_file(tmp_path, tools=[name])])
    events = await called(tools, f"1. raw.{name}()")
    assert failures(events) == {1: reason}
    assert said in messages(events)[1]


@pytest.mark.parametrize("name", ["mismatched", "unstructured"])
async def test_structured_content_that_does_not_fit_its_schema_is_invalid(tmp_path: Path, name: str) -> None:
    schema = {"type": "object", "properties": {"height": {"type": "integer"}}, "required": ["height"]}
    tools = await ToolSet.load([raw_file(tmp_path, tools=[tool(name, outputSchema=schema)])])
    events = await called(tools, f"1. raw.{name}()")
    assert failures(events) == {1: "OUTPUT_INVALID"}
    assert "MCP server raw: " in messages(events)[1]


async def test_what_is_no_text_is_described_and_not_carried_along(tmp_path: Path) -> None:
    tools = await ToolSet.load([raw_file(tmp_path, tools=["content"])])
    events = await called(tools, "1. raw.content()")
    assert outputs(events)[1] == (
        '[{"type":"image","mime_type":"image/png","bytes":3},{"type":"audio","mime_type":"audio/wav","bytes":3},'
        '{"type":"resource","uri":"file:///a.txt","mime_type":"text/plain"},'
        '{"type":"resource","uri":"file:///b.txt","text":"inside"},'
        '{"type":"resource","uri":"file:///c.bin","bytes":3},"end"]'
    )


async def test_a_thousand_tools_are_listed_over_many_pages(tmp_path: Path) -> None:
    names = [f"tool_{number}" for number in range(1_000)]
    tools = await ToolSet.load([raw_file(tmp_path, tools=names, pages=7)])
    assert tools.names == [f"raw.{name}" for name in names]
    assert outputs(await called(tools, "1. raw.tool_999()")) == {1: '"tool_999: {}"'}


@pytest.mark.parametrize(
    ("endless", "said"),
    [
        ("repeating", "does not come to an end of its tools: it gives the page '7' twice"),
        ("growing", "does not come to an end of its tools: 2,000 pages with 2,000 tools so far"),
    ],
)
async def test_a_list_without_an_end_is_given_up(tmp_path: Path, endless: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        await ToolSet.load([raw_file(tmp_path, endless=endless)])
    assert said in str(refused.value)


async def test_references_in_schemas_are_followed(tmp_path: Path) -> None:
    schema = {
        "type": "object",
        "$defs": {"place": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}},
        "properties": {"place": {"$ref": "#/$defs/place"}},
        "required": ["place"],
    }
    tools = await ToolSet.load([raw_file(tmp_path, tools=[{"name": "find", "inputSchema": schema}])])
    events = await called(tools, '1. raw.find(place={"city": "Oslo"})', "2. raw.find(place={})")
    assert outputs(events) == {1: '"find: {\\"place\\": {\\"city\\": \\"Oslo\\"}}"'}
    assert failures(events) == {2: "INVALID"}


async def test_names_that_plans_cannot_write_and_names_that_fall_together_are_made_fit(tmp_path: Path) -> None:
    names = ["a/b.c", "größe", "gr__e", "x y", "x-y", "x_y", "1st", "join", "x" * 200, "x" * 201, "a/b.c"]
    tools = await ToolSet.load([raw_file(tmp_path, tools=names)])
    assert tools.names == [
        "raw.a/b.c",
        "raw.gr__e",
        "raw.gr__e_2",
        "raw.x_y",
        "raw.x-y",
        "raw.x_y_2",
        "raw.1st",
        "raw.join",
        f"raw.{'x' * 124}",
        f"raw.{'x' * 122}_2",
    ]
    events = await called(tools, "1. raw.gr__e_2()", "2. raw.a/b.c()", "3. raw.x_y()")
    assert outputs(events) == {1: '"gr__e: {}"', 2: '"a/b.c: {}"', 3: '"x y: {}"'}


async def test_names_of_several_servers_are_told_apart_and_ours_come_first(tmp_path: Path) -> None:
    def echo(text: str) -> str:
        """Says it."""
        return f"ours: {text}"

    unnamed = [f"mcp:{sys.executable} {RAW_SERVER} '{{}}' server-{number}" for number in (1, 2)]
    tools = await ToolSet.load([*unnamed, echo])
    assert tools.names == ["echo_2", "echo_3", "echo"]
    events = await called(tools, '1. echo("a")', '2. echo_2("b")', '3. echo_3("c")')
    assert outputs(events) == {1: '"ours: a"', 2: '"echo: {\\"text\\": \\"b\\"}"', 3: '"echo: {\\"text\\": \\"c\\"}"'}


async def test_a_tool_that_cannot_be_planned_with_does_not_take_the_others_along(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bad = [
        {"name": "bad_type", "inputSchema": {"type": "string"}},
        {"name": "bad_name", "inputSchema": {"type": "object"}, "description": 7},
        {"inputSchema": {"type": "object"}},
        {"name": None},
        {"name": "bad_schema", "inputSchema": {"type": "object", "properties": {"a": {"type": "nonsense"}}}},
        {"name": "bad_ref", "inputSchema": {"type": "object", "properties": {"a": {"$ref": "#/$defs/none"}}}},
    ]
    tools = await ToolSet.load([raw_file(tmp_path, tools=[*bad, "echo"])])
    assert tools.names == ["raw.echo"]
    assert [name for name in ("bad_type", "bad_name", "bad_schema", "bad_ref") if name not in caplog.text] == []


@pytest.mark.parametrize(
    ("program", "patience", "said"),
    [
        (
            "echo no key is set >&2; exit 1",
            60.0,
            "ended with status 1; its last words: no key is set; run its command",
        ),
        ("echo Usage: x", 60.0, "ended with status 0; what it wrote is no MCP: 'Usage: x'; run its command by hand"),
        # A shell says its words at once, also on a busy machine.
        (
            "echo Listening on port 80; exec sleep 60",
            3.0,
            "did not answer the handshake within 3 s; what it wrote is no MCP: 'Listening on port 80'",
        ),
        (
            "echo waiting >&2; exec sleep 60",
            3.0,
            "did not answer the handshake within 3 s, and wrote nothing; its last words: waiting; see that",
        ),
    ],
)
async def test_what_is_no_server_is_said_with_what_to_do(
    tmp_path: Path, program: str, patience: float, said: str
) -> None:
    with pytest.raises(UsageError) as refused:
        await ToolSet.load([server_file(tmp_path, "none", ["sh", "-c", program], patience)])
    assert f"MCP server none {said}" in str(refused.value).replace("cannot be reached: ", "")


class _NoMcp(BaseHTTPRequestHandler):
    """Answers with the status and the content type that stand in the path."""

    def do_POST(self) -> None:
        _, status, *kind = self.path.split("/", 2)
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(int(status))
        self.send_header("content-type", kind[0] if kind else "text/plain")
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def no_mcp() -> Iterator[str]:
    """Where something speaks HTTP that is no MCP."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _NoMcp) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("404", "answers with status 404: there is no MCP at this path; many servers have it at /mcp"),
        ("401", "answers with status 401: give its key, headers = {Authorization = …} in a file of servers"),
        ("500", "answers with status 500; see its log"),
        ("200/text/html", "answers with text/html, which is no MCP; see that the URL is that of an MCP server"),
        ("200/application/json", "cannot be reached: Failed to parse JSON response"),
    ],
)
async def test_what_is_no_server_on_http_is_said_with_what_to_do(no_mcp: str, path: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        await ToolSet.load([f"mcp:far={no_mcp}/{path}"])
    assert f"MCP server far {said}" in str(refused.value)
    assert "\n" not in str(refused.value)


async def test_servers_are_reached_at_the_same_time_while_the_event_loop_goes_on(tmp_path: Path) -> None:
    program = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).touch(); time.sleep(60)"
    marks = [tmp_path / f"mark{number}" for number in (1, 2)]
    specs = [server_file(tmp_path, mark.name, [sys.executable, "-c", program, str(mark)]) for mark in marks]
    async with asyncio.timeout(PATIENCE):
        loading = asyncio.create_task(ToolSet.load(specs))
        # Both wait for their handshake, which only a loop that is not blocked can see.
        while not all(mark.exists() for mark in marks):  # noqa: ASYNC110 - files of other processes
            await asyncio.sleep(0.02)
        assert not loading.done()
        loading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await loading
