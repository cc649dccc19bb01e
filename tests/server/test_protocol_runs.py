"""Runs as `docs/protocol.md` has them: created once, listed in pages, refused by name and field. Of bare gRPC."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from doorway import bearer
from dovetail import v1
from dovetail.tools.definition import tool
from dovetail.v1 import RunState
from live import PATIENCE, Echo, Live, Silent, serving
from raw_executor import OK, End, attached, end_of, spec

pytestmark = pytest.mark.anyio

PLAN = "1. blob(3)\n2. join($1)"


@tool(read_only=True)
async def blob(n: int) -> str:
    """So many letters."""
    return "x" * n


@tool(approval=True)
async def ask(n: int) -> int:
    """Asks first."""
    return n


def request(**fields: Any) -> v1.CreateRunRequest:
    return v1.CreateRunRequest(**{"question": PLAN, **fields})


def invalid(field: str) -> End:
    return End("INVALID_ARGUMENT", "INVALID_FIELD", field)


def not_found(run_id: str) -> End:
    return End("NOT_FOUND", "RUN_NOT_FOUND", metadata={"run_id": run_id})


BAD = [
    (request(run_id="Upper"), "run_id"),
    (request(run_id="-a"), "run_id"),
    (request(run_id="a" * 65), "run_id"),
    (request(run_id="a\n"), "run_id"),
    (request(question=""), "question"),
    (request(question=" \n"), "question"),
    (request(question="ü" * 32_769), "question"),
    (request(client_tools=[spec()]), "client_tools"),
    (request(cancel_on_disconnect=True), "cancel_on_disconnect"),
    (request(model="openai:nothing"), "model"),
    (request(strategy=77), "strategy"),
    (request(answer_schema_json="{"), "answer_schema_json"),
    (request(answer_schema_json="[]"), "answer_schema_json"),
    (request(answer_schema_json='{"type":"nope"}'), "answer_schema_json"),
    (request(answer_schema_json='{"description":"' + "x" * 65_536 + '"}'), "answer_schema_json"),
    (request(notes="ü" * 8_193), "notes"),
    (request(examples=[v1.PlanExample(question="q", plan="p")] * 257), "examples"),
    (request(examples=[v1.PlanExample(question="q", plan="p" * 262_144)]), "examples"),
    (request(examples=[v1.PlanExample(question="q", plan="p"), v1.PlanExample(question="q")]), "examples[1].plan"),
    (request(examples=[v1.PlanExample(plan="p")]), "examples[0].question"),
    (
        request(
            examples=[
                v1.PlanExample(question="q", plan=PLAN),
                v1.PlanExample(question="q", plan="1. blob(3\n2. join()"),
            ]
        ),
        "examples[1].plan",
    ),
    (request(metadata={str(i): "" for i in range(65)}), "metadata"),
    (request(metadata={"a": "x" * 16_384}), "metadata"),
    (request(limits=v1.Limits(deadline=Duration(seconds=-1))), "limits.deadline"),
    (request(limits=v1.Limits(deadline=Duration())), "limits.deadline"),
    (request(limits=v1.Limits(max_replans=-1)), "limits.max_replans"),
    (request(limits=v1.Limits(max_tasks=0)), "limits.max_tasks"),
    (request(limits=v1.Limits(max_parallel_calls=-5)), "limits.max_parallel_calls"),
    (request(limits=v1.Limits(max_tokens=0)), "limits.max_tokens"),
]


@pytest.mark.parametrize(("asked", "field"), BAD, ids=[f"{field} {number}" for number, (_, field) in enumerate(BAD)])
async def test_a_field_of_a_request_that_cannot_be_used_is_named(asked: v1.CreateRunRequest, field: str) -> None:
    async with serving([blob]) as live:
        assert await end_of(live.runs.CreateRun(asked)) == invalid(field)
        if field not in ("client_tools", "cancel_on_disconnect"):
            stream = live.runs.StreamRun()
            await stream.write(v1.StreamRunRequest(start=asked))
            assert await end_of(stream) == invalid(field)
        assert not (await live.runs.ListRuns(v1.ListRunsRequest())).runs


async def test_what_a_run_is_made_of_comes_back_with_it() -> None:
    async with serving([blob], models={"echo:plan": Echo(), "echo:silent": Silent()}) as live:
        asked = request(
            run_id="0-mine",
            model="echo:silent",
            metadata={"b": "2", "a": "ü"},
            limits=v1.Limits(deadline=Duration(seconds=9_999), max_replans=0, max_tasks=7),
        )
        run = (await live.runs.CreateRun(asked)).run
        assert (run.run_id, run.question, run.state) == ("0-mine", PLAN, RunState.RUN_STATE_RUNNING)
        assert (run.model, list(run.tools), dict(run.metadata)) == ("echo:silent", ["blob"], {"a": "ü", "b": "2"})
        # What the server is configured with caps each bound, and stands for those that are not set.
        assert (run.limits.deadline.seconds, run.limits.max_replans, run.limits.max_tasks) == (300, 0, 7)
        assert run.limits.max_parallel_calls == 256
        assert run.last_sequence >= 1
        assert not run.HasField("end_time")
        cancelled = (await live.runs.CancelRun(v1.CancelRunRequest(run_id="0-mine", reason="enough"))).run
        assert cancelled.run_id == "0-mine"
        await live.events("0-mine")
        for _ in range(2):  # a run that has ended stays as it is
            run = (await live.runs.CancelRun(v1.CancelRunRequest(run_id="0-mine"))).run
            assert run.state == RunState.RUN_STATE_CANCELLED
            assert (run.failure.message, run.HasField("end_time"), run.HasField("answer")) == ("enough", True, False)


async def test_tools_are_asked_for_by_name(tmp_path: Path) -> None:
    (tmp_path / "tokens.toml").write_text(
        f'[[token]]\nname = "one"\nsha256 = "{hashlib.sha256(b"one").hexdigest()}"\nroles = ["run"]\ntools = ["blob"]\n'
    )
    async with serving([blob, ask], tokens=tmp_path / "tokens.toml") as live:
        one = bearer("one")
        missing = live.runs.CreateRun(request(tools=["blob", "ask"]), metadata=one)
        assert await end_of(missing) == End("PERMISSION_DENIED", "TOOL_NOT_ALLOWED", metadata={"tool": "ask"})
        run = (await live.runs.CreateRun(request(), metadata=one)).run
        assert list(run.tools) == ["blob"]
        listed = (await live.tools.ListTools(v1.ListToolsRequest(), metadata=one)).tools
        assert [tool.spec.name for tool in listed] == ["blob"]
        hidden = live.tools.GetTool(v1.GetToolRequest(name="ask"), metadata=one)
        assert await end_of(hidden) == End("NOT_FOUND", "TOOL_NOT_FOUND", metadata={"tool": "ask"})
    async with serving([blob, ask]) as live:
        missing = live.runs.CreateRun(request(tools=["blob", "none"]))
        assert await end_of(missing) == End("NOT_FOUND", "TOOL_NOT_FOUND", metadata={"tool": "none"})
        run = (await live.runs.CreateRun(request(tools=["ask", "blob", "ask"]))).run
        assert list(run.tools) == ["ask", "blob"]
    async with serving() as live:
        assert await end_of(live.runs.CreateRun(request())) == End("FAILED_PRECONDITION", "NO_TOOLS")


async def test_the_same_request_gets_the_same_run_however_often_and_whenever() -> None:
    async with serving([blob], drain_seconds=0) as live:
        asked = request(run_id="once", metadata={"a": "1", "b": "2"})
        created = await asyncio.gather(*(live.runs.CreateRun(asked) for _ in range(50)))
        assert {one.run.create_time.ToNanoseconds() for one in created} == {created[0].run.create_time.ToNanoseconds()}
        await live.events("once")
        turned = request(run_id="once", metadata={"b": "2", "a": "1"})
        assert (await live.runs.CreateRun(turned)).run.state == RunState.RUN_STATE_ANSWERED
        assert len((await live.runs.ListRuns(v1.ListRunsRequest())).runs) == 1
        taken = End("ALREADY_EXISTS", "RUN_ALREADY_EXISTS", metadata={"run_id": "once"})
        for other in (
            request(run_id="once"),
            request(run_id="once", question=PLAN + " ", metadata={"a": "1", "b": "2"}),
            request(run_id="once", limits=v1.Limits(max_replans=2), metadata={"a": "1", "b": "2"}),
        ):
            assert await end_of(live.runs.CreateRun(other)) == taken
        await asyncio.wait_for(live.server.drain(), PATIENCE)
        assert (await live.runs.CreateRun(asked)).run.answer == "xxx"
        assert await end_of(live.runs.CreateRun(request(run_id="new"))) == End("UNAVAILABLE", "SHUTTING_DOWN")


async def test_requests_without_a_name_are_runs_of_their_own() -> None:
    async with serving([blob]) as live:
        first, second = [(await live.runs.CreateRun(request())).run.run_id for _ in range(2)]
        assert first != second


async def test_there_are_so_many_runs_in_flight_at_the_most() -> None:
    async with serving([blob], models={"echo:silent": Silent()}, max_runs=1) as live:
        run_id = await live.create("anything")
        limit = {"limit": "max_runs", "value": "1"}
        assert await end_of(live.runs.CreateRun(request())) == End(
            "RESOURCE_EXHAUSTED", "LIMIT_REACHED", metadata=limit
        )
        await live.runs.CancelRun(v1.CancelRunRequest(run_id=run_id))
        await live.events(run_id)
        assert await end_of(live.runs.CreateRun(request())) == OK


async def test_a_run_that_is_not_there_is_not_found() -> None:
    async with serving([blob], keep_runs=1) as live:
        forgotten = await live.create(PLAN)
        await live.events(forgotten)
        await live.events(await live.create(PLAN))
        for run_id in ("never-was", "", "No name", forgotten):
            calls = (
                live.runs.GetRun(v1.GetRunRequest(run_id=run_id)),
                live.runs.CancelRun(v1.CancelRunRequest(run_id=run_id)),
                live.runs.WatchRun(v1.WatchRunRequest(run_id=run_id)),
                live.runs.ResolveApproval(v1.ResolveApprovalRequest(run_id=run_id)),
            )
            for call in calls:
                assert await end_of(call) == not_found(run_id)


async def test_an_approval_is_resolved_once_with_arguments_that_fit() -> None:
    async with serving([ask]) as live:
        run_id = await live.create("1. ask(1)\n2. join($1)")
        await live.until(run_id, "approval_requested")
        run = (await live.runs.GetRun(v1.GetRunRequest(run_id=run_id))).run
        assert list(run.awaiting_approval) == [1]

        def resolve(task_id: int = 1, **fields: Any) -> Any:
            decision = v1.ApprovalDecision(task_id=task_id, **fields)
            return live.runs.ResolveApproval(v1.ResolveApprovalRequest(run_id=run_id, decision=decision))

        for arguments in ('{"n": "x"}', "{}", "[1]", "{garbage", '{"n": 1, "m": 2}'):
            assert await end_of(resolve(approve=True, arguments_json=arguments)) == invalid("decision.arguments_json")
        not_waiting = End("FAILED_PRECONDITION", "NOT_AWAITING_APPROVAL", metadata={"run_id": run_id, "task_id": "9"})
        assert await end_of(resolve(9)) == not_waiting
        answer = await resolve(approve=True, arguments_json='{"n": 42}', reason="more")
        assert not answer.run.awaiting_approval
        again = await end_of(resolve(approve=True))
        assert again == not_waiting._replace(metadata={"run_id": run_id, "task_id": "1"})
        events = await live.events(run_id)
        resolved = [event.approval_resolved for event in events if event.HasField("approval_resolved")]
        assert [(one.approved, one.arguments_json, one.reason) for one in resolved] == [(True, '{"n": 42}', "more")]
        assert (await live.runs.GetRun(v1.GetRunRequest(run_id=run_id))).run.answer == "42"


async def every_page(live: Live, **fields: Any) -> list[list[str]]:
    pages = []
    token = ""
    while True:
        page = await live.runs.ListRuns(v1.ListRunsRequest(page_token=token, **fields))
        pages.append([run.run_id for run in page.runs])
        token = page.next_page_token
        if not token:
            return pages


async def test_runs_are_listed_in_pages_the_latest_first() -> None:
    async with serving([blob], models={"echo:plan": Echo(), "echo:silent": Silent()}) as live:
        for number in range(7):
            asked = request(run_id=f"r{number}", model="echo:silent" if number % 3 == 0 else "")
            await live.runs.CreateRun(asked)
        for number in (1, 2, 4, 5):
            await live.events(f"r{number}")
        newest_first = [f"r{number}" for number in (6, 5, 4, 3, 2, 1, 0)]
        assert await every_page(live) == [newest_first]
        assert await every_page(live, page_size=3) == [newest_first[:3], newest_first[3:6], newest_first[6:]]
        assert await every_page(live, page_size=7) == [newest_first]
        answered = [RunState.RUN_STATE_ANSWERED]
        assert await every_page(live, page_size=2, states=answered) == [["r5", "r4"], ["r2", "r1"]]
        both = [RunState.RUN_STATE_RUNNING, RunState.RUN_STATE_ANSWERED]
        assert await every_page(live, states=both) == [newest_first]
        assert await every_page(live, states=[RunState.RUN_STATE_FAILED]) == [[]]
        created = (await live.runs.GetRun(v1.GetRunRequest(run_id="r3"))).run.create_time
        assert await every_page(live, created_from=created) == [["r6", "r5", "r4", "r3"]]
        assert await every_page(live, created_before=created, page_size=2) == [["r2", "r1"], ["r0"]]
        # A run that comes between two pages disturbs neither.
        first = await live.runs.ListRuns(v1.ListRunsRequest(page_size=2))
        await live.create(PLAN)
        second = await live.runs.ListRuns(v1.ListRunsRequest(page_size=2, page_token=first.next_page_token))
        assert [run.run_id for run in (*first.runs, *second.runs)] == newest_first[:4]


async def test_a_page_of_large_runs_is_shorter_and_loses_none() -> None:
    async with serving([blob]) as live:
        for number in range(9):
            await live.runs.CreateRun(request(run_id=f"r{number}", question="1. blob(900000)\n2. join($1)"))
            await live.events(f"r{number}")
        pages = await every_page(live)
        assert len(pages) > 1
        assert [run_id for page in pages for run_id in page] == [f"r{number}" for number in range(8, -1, -1)]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"page_size": -1}, "page_size"),
        ({"page_token": "?"}, "page_token"),
        ({"page_token": "ü"}, "page_token"),
        ({"page_token": "eHg="}, "page_token"),
        ({"created_from": Timestamp(seconds=2**62)}, "created_from"),
        ({"created_before": Timestamp(nanos=-1)}, "created_before"),
    ],
)
async def test_a_list_that_cannot_be_asked_for_is_refused(fields: dict[str, Any], field: str) -> None:
    async with serving([blob]) as live:
        assert await end_of(live.runs.ListRuns(v1.ListRunsRequest(**fields))) == invalid(field)
        if field in ("page_size", "page_token") and fields[field] != "eHg=":
            assert await end_of(live.tools.ListTools(v1.ListToolsRequest(**fields))) == invalid(field)


async def test_tools_are_listed_in_pages_by_name() -> None:
    large = [spec(f"t{number}", description="d" * 16_000) for number in range(150)]
    async with serving([blob]) as live, attached(live, "e", *large, spec("a"), places=3):
        seen: list[str] = []
        pages = 0
        token = ""
        while token or not pages:
            page = await live.tools.ListTools(v1.ListToolsRequest(page_size=5_000, page_token=token))
            seen += [tool.spec.name for tool in page.tools]
            token = page.next_page_token
            pages += 1
        assert pages > 1
        assert seen == sorted(["a", "blob", *(tool.name for tool in large)])
        tool = (await live.tools.GetTool(v1.GetToolRequest(name="a"))).tool
        assert (tool.source, list(tool.executor_ids), tool.free_places) == (v1.Tool.SOURCE_EXECUTOR, ["e"], 3)
        tool = (await live.tools.GetTool(v1.GetToolRequest(name="blob"))).tool
        assert (tool.source, list(tool.executor_ids)) == (v1.Tool.SOURCE_SERVER, [])


Request, Start = v1.CompilePlanRequest, v1.CompilePlanStart
SAME = Request(start=Start(inline_tools=[spec()]))


@pytest.mark.parametrize(
    ("messages", "end"),
    [
        ([], End("FAILED_PRECONDITION", "WRONG_MESSAGE")),
        ([Request()], End("FAILED_PRECONDITION", "WRONG_MESSAGE")),
        ([Request(text="1. t(1)")], End("FAILED_PRECONDITION", "WRONG_MESSAGE")),
        ([SAME, SAME], End("FAILED_PRECONDITION", "WRONG_MESSAGE")),
        ([Request(start=Start(tools=["none"]))], End("NOT_FOUND", "TOOL_NOT_FOUND", metadata={"tool": "none"})),
        ([Request(start=Start(inline_tools=[spec()] * 129))], invalid("start.inline_tools")),
        ([Request(start=Start(inline_tools=[spec(), spec()]))], invalid("start.inline_tools[1].name")),
        ([Request(start=Start(inline_tools=[spec("blob")], tools=["blob"]))], invalid("start.inline_tools[0].name")),
        (
            [Request(start=Start(inline_tools=[spec(input_schema_json="[")]))],
            invalid("start.inline_tools[0].input_schema_json"),
        ),
        ([Request(start=Start(max_tasks=0))], invalid("start.max_tasks")),
        ([Request(start=Start(max_tasks=100_001))], invalid("start.max_tasks")),
        (
            [SAME, Request(text="\n" * 3_000_000), Request(text="\n" * 1_200_000)],
            End("RESOURCE_EXHAUSTED", "LIMIT_REACHED", metadata={"limit": "plan_text", "value": "4194304"}),
        ),
        ([SAME, Request(), Request(outcome=v1.TaskOutcome(task_id=7, output_json="garbage"))], OK),
    ],
)
async def test_a_plan_that_cannot_be_read_is_refused(messages: list[v1.CompilePlanRequest], end: End) -> None:
    async with serving([blob]) as live:
        call = live.plans.CompilePlan(iter(messages))
        assert await end_of(call) == end
