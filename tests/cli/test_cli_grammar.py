"""`dovetail grammar`: the grammar on standard output, what there is to say of it on standard error."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, get_args

import pytest
from commandline import SPECS, dovetail

from dovetail.models import GrammarDialect

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tools.json").write_text(json.dumps(SPECS))
    return tmp_path


@pytest.mark.parametrize(
    ("dialect", "beginning"), [("gbnf", b"root ::= plan"), ("ebnf", b"root ::= plan"), ("lark", b"start: plan")]
)
def test_the_grammar_is_printed_in_the_notation_asked_for(folder: Path, dialect: str, beginning: bytes) -> None:
    done = dovetail(folder, "grammar", "--tools", "tools.json", "--dialect", dialect)
    assert done.stdout.startswith(beginning)
    assert (done.returncode, done.stderr) == (0, b"")


def test_every_notation_that_there_is_can_be_asked_for(folder: Path) -> None:
    shown = dovetail(folder, "grammar", "--help").stdout.decode()
    assert f"--dialect {{{','.join(get_args(GrammarDialect))}}}" in shown


def test_a_json_schema_is_json(folder: Path) -> None:
    done = dovetail(folder, "grammar", "--tools", "tools.json", "--dialect", "json_schema", "--tasks", "3")
    assert json.loads(done.stdout)["properties"]["tasks"]["maxItems"] == 3


def test_a_later_plan_may_refer_to_all_earlier_tasks(folder: Path) -> None:
    done = dovetail(folder, "grammar", "--tools", "tools.json", "--first-id", "3", "--tasks", "1", "--thought")
    lines = done.stdout.decode().splitlines()
    assert "plan ::= task3 | join3" in lines
    assert 'join4 ::= "4. " "join(" ("$1" | "$2" | "$3")? ")"' in lines
    assert lines[0] == "root ::= thought? plan"


@pytest.mark.parametrize("dialect", ["gbnf", "ebnf", "lark", "json_schema"])
def test_a_check_says_how_long_it_took_to_compile(folder: Path, dialect: str) -> None:
    pytest.importorskip("llguidance")
    done = dovetail(folder, "grammar", "--tools", "tools.json", "--dialect", dialect, "--check")
    assert done.returncode == 0
    assert b"dovetail: compiled in " in done.stderr


def test_a_tool_that_cannot_be_called_is_named_on_standard_error(folder: Path) -> None:
    stuck = {"name": "stuck", "inputSchema": {"type": "object", "properties": {"x": False}, "required": ["x"]}}
    (folder / "more.json").write_text(json.dumps([*SPECS, stuck]))
    done = dovetail(folder, "grammar", "--tools", "more.json")
    assert done.returncode == 0
    assert b"stuck" not in done.stdout
    assert (
        b"tool 'stuck' is left out: inputSchema.properties.x: it is required, and no value can be written"
        in done.stderr
    )
    (folder / "only.json").write_text(json.dumps([stuck]))
    done = dovetail(folder, "grammar", "--tools", "only.json")
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"tool 'stuck': inputSchema" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], b"--tools"),
        (["--tools", "nowhere.json"], b"nowhere.json"),
        (["--tools", "tools.json", "--dialect", "antlr"], b"antlr"),
        (["--tools", "tools.json", "--tasks", "0"], b"no number from 1"),
        (["--tools", "empty.json"], b"is empty"),
        (["--tools", "wrong.json"], b'tool "f"'),
    ],
)
def test_a_wrong_call_is_complained_about_in_one_line(folder: Path, arguments: list[str], complaint: bytes) -> None:
    (folder / "empty.json").write_text("[]")
    wrong = {"type": "object", "properties": {"x": {"type": "object", "properties": [1]}}}
    (folder / "wrong.json").write_text(json.dumps([{"name": "f", "inputSchema": wrong}]))
    done = dovetail(folder, "grammar", *arguments)
    assert (done.returncode, done.stdout) == (2, b"")
    assert complaint in done.stderr
    assert len(done.stderr.splitlines()) == 1
