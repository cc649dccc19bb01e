"""`dovetail prompt`: the messages on standard output, their size on standard error."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from commandline import SPECS, dovetail

from dovetail.joiner_prompt import joiner_messages
from dovetail.prompts import planner_messages

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tools.json").write_text(json.dumps(SPECS))
    (tmp_path / "bad.txt").write_text("Question: a?\n\n1. nothing(\n2. join()\n")
    (tmp_path / "own.txt").write_text("Notes: $notes\n$tools\nUse $1, not $$2.\n")
    (tmp_path / "wrong.txt").write_text("$tools\n  $tool\n")
    (tmp_path / "bare.txt").write_text("Plan.\nNow.\n")
    return tmp_path


def test_the_messages_are_those_that_the_planner_is_asked_with(folder: Path) -> None:
    done = dovetail(folder, "prompt", "--tools", "tools.json", "--question", "How?", "--json")
    assert json.loads(done.stdout) == planner_messages("How?", SPECS)
    assert done.returncode == 0
    assert b" characters, about " in done.stderr


def test_the_joiner_is_asked_without_tools(folder: Path) -> None:
    done = dovetail(folder, "prompt", "--joiner", "--question", "How?", "--notes", "Be brief.", "--json")
    assert json.loads(done.stdout) == joiner_messages("How?", (), notes="Be brief.")


def test_a_template_of_ones_own_is_filled_in_and_what_is_filled_in_is_not_read_again(folder: Path) -> None:
    done = dovetail(
        folder, "prompt", "--tools", "tools.json", "--template", "own.txt", "--notes", "$tools $1", "--json"
    )
    system = json.loads(done.stdout)[0]["content"]
    assert system.startswith("Notes: $tools $1\n")
    assert system.endswith("\nUse $1, not $2.")


def test_the_examples_that_are_near_are_shown(folder: Path) -> None:
    asked = ("prompt", "--tools", "demo", "--question", "How many people live in Peru?", "--max-examples", "1")
    turns = json.loads(dovetail(folder, *asked, "--json").stdout)
    assert [turn["role"] for turn in turns] == ["system", "user", "assistant", "user"]
    assert "How many people live in" in turns[1]["content"]
    system, question = json.loads(dovetail(folder, *asked, "--examples-as", "system", "--json").stdout)
    assert turns[2]["content"] in system["content"]
    assert question == turns[3]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], b"add --tools SPEC"),
        (["--tools", "tools.json", "--template", "wrong.txt"], b"wrong.txt:2:3: there is no $tool;"),
        (["--tools", "tools.json", "--template", "bare.txt"], b"bare.txt:2: the prompt ends without $tools"),
        (["--tools", "tools.json", "--template", "none.txt"], b"none.txt cannot be read"),
        (["--tools", "tools.json", "--examples-as", "songs"], b"'songs'"),
        (["--tools", "tools.json", "--example", "bad.txt"], b"bad.txt:3:1: example 1: "),
    ],
)
def test_a_wrong_call_is_complained_about_in_one_line(folder: Path, arguments: list[str], complaint: bytes) -> None:
    done = dovetail(folder, "prompt", *arguments)
    assert (done.returncode, done.stdout) == (2, b"")
    assert complaint in done.stderr
    assert len(done.stderr.splitlines()) == 1
