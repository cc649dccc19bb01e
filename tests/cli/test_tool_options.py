"""`dovetail run` with tools chosen by name, under namespaces, and with calls that need approval."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from commandline import TOOLS, dovetail, recording

if TYPE_CHECKING:
    from pathlib import Path

PLAN = "1. t.double(21)\n2. join($1)"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tools.py").write_text(TOOLS)
    return tmp_path


def run(folder: Path, *options: str) -> tuple[int, list[dict[str, Any]], str]:
    model = recording(folder, PLAN, "Action: Finish(no)")
    done = dovetail(folder, "run", "--model", model, "--tools", "t=tools.py", "how many?", "--json", *options)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr.decode()


def tools_of(events: list[dict[str, Any]]) -> list[str]:
    return list(events[0]["runStarted"]["tools"])


def failure_of(events: list[dict[str, Any]]) -> str:
    return next(event["taskFailed"]["failure"]["reason"] for event in events if "taskFailed" in event)


def test_tools_have_the_namespace_of_their_spec_and_are_those_that_are_allowed(folder: Path) -> None:
    status, events, _ = run(folder, "--allow", "t.*", "--deny", "t.hung", "--deny", "t.[be]*")
    assert status == 0
    assert "t.double" in tools_of(events)
    assert not {"t.hung", "t.broken", "t.endless", "t.blocking"} & set(tools_of(events))


def test_a_tool_that_is_denied_cannot_be_planned(folder: Path) -> None:
    _, events, _ = run(folder, "--deny", "t.double")
    assert failure_of(events) == "FAILURE_REASON_INVALID"


def test_a_rule_makes_a_call_need_approval_and_without_a_terminal_it_is_rejected(folder: Path) -> None:
    _, events, _ = run(folder, "--require-approval", "t.double(number=2*)")
    assert failure_of(events) == "FAILURE_REASON_APPROVAL_REJECTED"
    assert run(folder, "--require-approval", "t.double(number=3*)")[0] == 0


def test_the_planner_may_be_shown_few_tools_and_the_run_still_has_them_all(folder: Path) -> None:
    status, events, _ = run(folder, "--max-tools", "2")
    assert status == 0
    assert len(tools_of(events)) > 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--deny", "t.dubble"), "deny: there is no tool 't.dubble'; did you mean t.double"),
        (("--allow", "x"), "allow: there is no tool 'x'; there are t.double"),
        (("--require-approval", "t.dubble"), "require_approval: there is no tool 't.dubble'; did you mean t.double"),
        (("--require-approval", "a b"), "require_approval: 'a b' is no rule"),
        (("--max-tools", "0"), "--max-tools: "),
    ],
)
def test_a_slip_is_an_error_that_names_the_remedy(folder: Path, options: tuple[str, ...], message: str) -> None:
    status, _, said = run(folder, *options)
    assert status == 2
    assert message in said


@pytest.mark.parametrize(
    "options", [("--allow", "x"), ("--deny", "x"), ("--require-approval", "x"), ("--max-tools", "3")]
)
def test_what_a_server_decides_is_no_option_of_a_run_there(folder: Path, options: tuple[str, ...]) -> None:
    done = dovetail(folder, "run", "--server", "localhost:1", "q", *options)
    assert done.returncode == 2
    assert f"{options[0]} is for runs of this process" in done.stderr.decode()
