"""What the facts of calls and approvals mean to whoever looks at a run."""

from __future__ import annotations

from typing import Any

import pytest

from dovetail.cli.board import Board, TaskState, task_texts
from dovetail.cli.views import LinesView
from dovetail.v1 import Event


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
        ({"call_lost": {**CALL, "executor_id": "lap\x07top"}}, TaskState.READY, "lost executor lap␇top"),
        ({"approval_requested": {"task_id": 1}}, TaskState.READY, "waits for approval"),
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
    assert task_texts(one.rows[1], one)[1] == "lost executor laptop; called again"
    one.add(Event(task_succeeded={"task_id": 1, "output_json": "8611"}))
    assert task_texts(one.rows[1], one)[1] == "8611"


def test_arguments_are_those_that_were_approved() -> None:
    one = board({"approval_resolved": {"task_id": 1, "approved": True, "arguments_json": '{"query":"K3"}'}})
    assert one.rows[1].arguments == 'query="K3"'


@pytest.mark.parametrize(
    "fact",
    [
        {"call_waiting": {"task_id": 9}},
        {"call_progressed": {"task_id": 9}},
        {"call_lost": {"task_id": 9}},
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
