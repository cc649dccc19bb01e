"""`dovetail token`: the token, and the entry that the server understands."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dovetail.cli.main import main
from dovetail_server.callers import Caller, TokenFile


def token(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["token", *arguments])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_a_token_is_printed_once_and_its_hash_appended_to_a_file_for_its_owner_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tokens.toml"
    assert token("ci", "--role", "run", "--file", str(file)) == 0
    first = capsys.readouterr().out.strip()
    assert token("shop", "--role", "execute", "--role", "read", "--tool", "db.*", "--file", str(file)) == 0
    second = capsys.readouterr().out.strip()
    assert first.startswith("dvt_")
    assert len(first) > 40
    assert first != second
    if sys.platform != "win32":
        assert file.stat().st_mode & 0o777 == 0o600
    assert first not in file.read_text()
    tokens = TokenFile(file)
    assert tokens.caller_of(first) == Caller("ci", frozenset({"run"}))
    assert tokens.caller_of(second) == Caller("shop", frozenset({"execute", "read"}), frozenset({"db.*"}))


def test_without_a_file_the_entry_follows_the_token(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert token('Zoë "q" \\', "--role", "read", "--expires", "2999-12-31") == 0
    made, _, entry = capsys.readouterr().out.partition("\n")
    file = tmp_path / "tokens.toml"
    file.write_text(entry, encoding="utf-8")
    caller = TokenFile(file).caller_of(made)
    assert caller is not None
    assert caller.name == 'Zoë "q" \\'
    assert "expires = 2999-12-31" in entry


def test_an_entry_goes_behind_a_last_line_that_was_not_ended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tokens.toml"
    file.write_text("# ours")
    assert token("ci", "--role", "run", "--file", str(file)) == 0
    assert TokenFile(file).caller_of(capsys.readouterr().out.strip())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "the following arguments are required: NAME, --role"),
        (("ci",), "the following arguments are required: --role"),
        (("ci", "--role", "admin"), "argument --role: invalid choice: 'admin'"),
        (("", "--role", "run"), "argument NAME: '' is no name"),
        (("a\nb", "--role", "run"), "argument NAME: 'a\\nb' is no name"),
        (("ci", "--role", "run", "--expires", "soon"), "argument --expires: 'soon' is no day such as 2027-12-31"),
        (("ci", "--role", "run", "--expires", "2020-01-01"), "argument --expires: 2020-01-01 is over"),
        (("ci", "--role", "run", "--file", "/no/such/file"), "/no/such/file: the entry cannot be written: No such"),
    ],
)
def test_what_cannot_be_used_is_named(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert token(*arguments) == 2
    said = capsys.readouterr()
    assert said.err.startswith(f"dovetail: {message}")
    assert said.out == ""


def test_a_file_that_is_none_of_tokens_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "dovetail.toml"
    file.write_text('model = "a:b"\n')
    assert token("ci", "--role", "run", "--file", str(file)) == 2
    assert "holds [[token]] entries and nothing else" in capsys.readouterr().err
    assert file.read_text() == 'model = "a:b"\n'
