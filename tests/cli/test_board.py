"""What the facts of calls and approvals mean to whoever looks at a run."""

from __future__ import annotations

import io
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from rich.console import Console

from dovetail.cli.board import Board, TaskState, task_texts
from dovetail.cli.live import LiveView
from dovetail.cli.views import LinesView
from dovetail.v1 import Event, FailureReason


def board(*facts: dict[str, Any]) -> Board:
    one = Board()
    planned = {"task_planned": {"task_id": 1, "tool": "search"}}
    ready = {"task_ready": {"task_id": 1, "arguments_json": '{"query":"K2"}'}}
    for fact in (planned, ready, *facts):
        one.add(Event(**fact))
    return one


CALL: dict[str, Any] = {"task_id": 1, "call_id": "1.1"}


@pytest.mark.parametrize(
    ("fact", "state", "outcome"),
    [
        ({"call_waiting": CALL}, TaskState.READY, "waits for an executor"),
        ({"call_waiting": {**CALL, "ahead": 3}}, TaskState.READY, "waits for an executor, 3 calls before it"),
        (
            {"call_progressed": {**CALL, "fraction": 0.4, "message": "downloading"}},
            TaskState.RUNNING,
            "40% downloading",
        ),
        ({"call_progressed": {**CALL, "fraction": 7.0}}, TaskState.RUNNING, "100%"),
        ({"call_progressed": {**CALL, "message": "a\x1b[2J\nb"}}, TaskState.RUNNING, "a␛[2J b"),
        ({"call_lost": {**CALL, "executor_id": "lap\x07top"}}, TaskState.READY, "attempt 1 lost executor lap␇top"),
        (
            {"call_lost": {**CALL, "executor_id": "laptop", "message": "its lease is\x07 over"}},
            TaskState.READY,
            "attempt 1 lost executor laptop: its lease is␇ over",
        ),
        ({"approval_requested": {"task_id": 1}}, TaskState.READY, "waits for approval"),
        (
            {"approval_requested": {"task_id": 1, "reason": "the rule\x07 db.*"}},
            TaskState.READY,
            "waits for approval: the rule␇ db.*",
        ),
        ({"approval_resolved": {"task_id": 1, "approved": True}}, TaskState.READY, "approved"),
        ({"approval_resolved": {"task_id": 1, "reason": "no"}}, TaskState.READY, "rejected: no"),
        ({"call_started": CALL}, TaskState.RUNNING, ""),
    ],
)
def test_a_task_shows_what_it_waits_for_and_how_far_it_is(fact: dict[str, Any], state: TaskState, outcome: str) -> None:
    one = board(fact)
    assert (one.rows[1].state, task_texts(one.rows[1], one)) == (state, ('search(query="K2")', outcome))


def test_a_task_that_is_called_again_says_what_became_of_its_executor() -> None:
    lost = {"call_lost": {**CALL, "executor_id": "laptop"}}
    one = board({"call_started": CALL}, lost, {"call_started": {**CALL, "call_id": "1.2"}})
    assert task_texts(one.rows[1], one)[1] == "called again; attempt 1 lost executor laptop"
    one.add(Event(task_succeeded={"task_id": 1, "output_json": "8611"}))
    assert task_texts(one.rows[1], one)[1] == "8611"


def failed(call_id: str, message: str, pause: Duration) -> dict[str, Any]:
    failure = {"reason": FailureReason.FAILURE_REASON_TOOL_ERROR, "message": message}
    return {"call_failed": {"task_id": 1, "call_id": call_id, "failure": failure, "pause": pause}}


def test_an_attempt_that_failed_says_why_and_when_the_next_follows() -> None:
    one = board({"call_started": CALL}, failed("1.1", "no\x07 line", Duration(nanos=460_000_000)))
    row = one.rows[1]
    assert (row.state, task_texts(row, one)[1]) == (
        TaskState.READY,
        "next in 0.5 s; attempt 1 failed: TOOL_ERROR: no␇ line",
    )
    one.add(Event(call_started={**CALL, "call_id": "1.2"}))
    assert (row.state, task_texts(row, one)[1]) == (
        TaskState.RUNNING,
        "called again; attempt 1 failed: TOOL_ERROR: no␇ line",
    )
    one.add(Event(**failed("1.2", "still none", Duration(seconds=2))))
    assert task_texts(row, one)[1] == "next in 2.0 s; attempt 2 failed: TOOL_ERROR: still none"
    one.add(Event(call_started={**CALL, "call_id": "1.3"}))
    one.add(Event(task_succeeded={"task_id": 1, "output_json": "8611"}))
    assert task_texts(row, one)[1] == "8611"


def test_a_retry_is_a_line_where_runs_are_printed_and_a_row_of_the_live_view(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines, live = LinesView(), LiveView(Console(file=io.StringIO(), width=100, height=20, color_system=None))
    facts: list[dict[str, Any]] = [
        {"task_planned": {"task_id": 1, "tool": "search"}},
        {"call_started": CALL},
        failed("1.1", "no line", Duration(nanos=500_000_000)),
    ]
    for fact in facts:
        lines.show(Event(**fact))
        live.board.add(Event(**fact))
    wanted = "next in 0.5 s; attempt 1 failed: TOOL_ERROR: no line"
    assert capsys.readouterr().err.splitlines()[-1] == f"1 search: {wanted}"
    console = Console(file=io.StringIO(), width=100, color_system=None)
    with console.capture() as capture:
        console.print(live.frame(100, 20))
    assert wanted in capture.get()


@pytest.mark.parametrize(
    ("fields", "outcome"), [({"cached": True}, "1  (from the cache)"), ({"reused_task_id": 4}, "1  (as task 4)")]
)
def test_an_output_that_no_call_was_made_for_says_where_it_is_from(fields: dict[str, Any], outcome: str) -> None:
    one = board({"task_succeeded": {"task_id": 1, "output_json": "1", **fields}})
    assert task_texts(one.rows[1], one)[1] == outcome


def test_a_model_that_takes_over_is_a_line_and_is_who_is_asked_from_then_on(capsys: pytest.CaptureFixture[str]) -> None:
    failure = {"reason": FailureReason.FAILURE_REASON_MODEL_TIMEOUT, "message": "no\x07 word"}
    replaced = {"plan": 1, "from_model": "openai:a", "to_model": "vllm:b", "failure": failure}
    view = LinesView()
    view.show(Event(model_replaced=replaced))
    assert view.board.model == "vllm:b"
    wanted = "model: asking vllm:b, for openai:a failed: MODEL_TIMEOUT: no␇ word"
    assert capsys.readouterr().err.splitlines() == [wanted]


def test_the_tools_that_a_planner_was_shown_are_a_line_if_there_are_more(capsys: pytest.CaptureFixture[str]) -> None:
    view = LinesView()
    view.show(Event(run_started={"question": "why?", "tools": ["a", "b", "c"]}))
    view.show(Event(plan_started={"plan": 1, "model": "m", "tools": ["a", "b"]}))
    view.show(Event(plan_started={"plan": 2, "model": "m"}))
    assert capsys.readouterr().err.splitlines() == [
        "plan 1: asking m",
        "tools: 2 of 3 shown to the planner: a, b",
        "plan 2: asking m",
    ]


def test_arguments_are_those_that_were_approved() -> None:
    one = board({"approval_resolved": {"task_id": 1, "approved": True, "arguments_json": '{"query":"K3"}'}})
    assert one.rows[1].arguments == 'query="K3"'


@pytest.mark.parametrize(
    "fact",
    [
        {"call_waiting": {"task_id": 9}},
        {"call_progressed": {"task_id": 9}},
        {"call_lost": {"task_id": 9}},
        {"call_failed": {"task_id": 9}},
        {"approval_requested": {"task_id": 9}},
        {"approval_resolved": {"task_id": 9}},
        {},
    ],
)
def test_facts_of_unknown_tasks_and_of_later_versions_are_passed_over(fact: dict[str, Any]) -> None:
    assert board().add(Event(**fact)) is None


def test_many_reports_of_progress_are_a_few_lines(capsys: pytest.CaptureFixture[str]) -> None:
    view = LinesView()
    view.show(Event(task_planned={"task_id": 1, "tool": "search"}))
    for percent in range(101):
        view.show(Event(call_progressed={**CALL, "fraction": percent / 100, "message": "downloading"}))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 11
    assert lines[3] == "1 search: 30% downloading"
