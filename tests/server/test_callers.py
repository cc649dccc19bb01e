"""Callers and the file that names them: what a token may do, and how the file is read while the server runs."""

from __future__ import annotations

import hashlib
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from doorway import logged
from dovetail import UsageError
from dovetail_server.callers import Caller, TokenFile, hash_of

if TYPE_CHECKING:
    from pathlib import Path

EMPTY = hashlib.sha256(b"").hexdigest()


def entry(token: str, name: str = "someone", roles: str = '["run"]', more: str = "") -> str:
    return f'[[token]]\nname = "{name}"\nsha256 = "{hash_of(token)}"\nroles = {roles}\n{more}\n'


def test_the_role_run_includes_read_and_no_other_includes_any() -> None:
    roles = ("run", "execute", "read")
    held = {role: [wanted for wanted in roles if Caller("a", frozenset({role})).has(wanted)] for role in roles}
    assert held == {"run": ["run", "read"], "execute": ["execute"], "read": ["read"]}


@pytest.mark.parametrize(
    ("tools", "allowed", "refused"),
    [
        (None, ["search", "db.drop"], []),
        ([], [], ["search"]),
        (["search"], ["search"], ["searches", "sea"]),
        (["db.*", "math"], ["db.", "db.read", "math"], ["db", "dbx", "mathx"]),
        (["*"], ["anything"], []),
    ],
)
def test_tools_are_allowed_by_name_or_by_the_beginning_of_it(
    tools: list[str] | None, allowed: list[str], refused: list[str]
) -> None:
    caller = Caller("a", frozenset(), None if tools is None else frozenset(tools))
    assert all(caller.allows(tool) for tool in allowed)
    assert not any(caller.allows(tool) for tool in refused)


def test_a_token_gives_its_name_roles_and_tools(tmp_path: Path) -> None:
    path = tmp_path / "tokens.toml"
    path.write_text(entry("t", "ci", '["execute", "read"]', 'tools = ["db.*"]'))
    assert TokenFile(path).caller_of("t") == Caller("ci", frozenset({"execute", "read"}), frozenset({"db.*"}))


@pytest.mark.parametrize("token", ["", "T", "t ", "tt", "ü", "\udcff", "t\0", "x" * 10_000])
def test_any_other_token_is_nobodys(tmp_path: Path, token: str) -> None:
    path = tmp_path / "tokens.toml"
    path.write_text(entry("t"))
    assert TokenFile(path).caller_of(token) is None


def test_a_token_is_valid_on_its_last_day_and_not_on_the_next(tmp_path: Path) -> None:
    path = tmp_path / "tokens.toml"
    today, valid = None, {}
    # Asked anew if a day ended between what was written and the answers: then it was not the last one.
    while today != datetime.now(UTC).date():
        now = datetime.now(UTC)
        today = now.date()
        ends = {
            "yesterday": today - timedelta(days=1),
            "today": today,
            "past": (now - timedelta(seconds=1)).isoformat(),
            "future": (now + timedelta(hours=1)).isoformat(),
        }
        path.write_text("".join(entry(token, more=f"expires = {end}") for token, end in ends.items()))
        tokens = TokenFile(path)
        valid = {token: tokens.caller_of(token) is not None for token in ends}
    assert valid == {"yesterday": False, "today": True, "past": False, "future": True}


def test_a_file_that_was_changed_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "tokens.toml"
    path.write_text(entry("old"))
    tokens = TokenFile(path)
    assert tokens.caller_of("old")
    path.write_text(entry("new", "another"))
    assert tokens.caller_of("old") is None
    assert tokens.caller_of("new")


def test_a_file_that_was_put_in_the_place_of_another_of_the_same_size_and_time_is_read(tmp_path: Path) -> None:
    path, other = tmp_path / "tokens.toml", tmp_path / "other.toml"
    path.write_text(entry("old"))
    tokens = TokenFile(path)
    other.write_text(entry("new"))
    stat = path.stat()
    os.utime(other, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    other.replace(path)
    assert tokens.caller_of("new")
    assert tokens.caller_of("old") is None


@pytest.mark.parametrize(
    "content", ["[[token]", "[[token]]\nname = 'x'\n", None], ids=["no TOML", "no hash", "no file"]
)
def test_a_file_that_breaks_while_the_server_runs_leaves_the_tokens_as_they_were(
    tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "tokens.toml"
    path.write_text(entry("t"))
    tokens = TokenFile(path)
    with logged() as lines:
        if content is None:
            path.unlink()
        else:
            path.write_text(content)
        assert tokens.caller_of("t")
        assert tokens.caller_of("t")
        said = lines.getvalue()
        assert said.count("\n") == 1
        assert str(path) in said
        path.write_text(entry("next"))
        assert tokens.caller_of("next")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[[token]", "the file is no TOML: "),
        ("tokens = 3", "a file of tokens holds [[token]] entries and nothing else"),
        ("token = 3", "a file of tokens holds [[token]] entries and nothing else"),
        ("token = [3]", "token 1: it is no table"),
        ("[[token]]\nsha256 = 'x'", "token 1: it has no name"),
        ("[[token]]\nname = 'a'\nsha256 = 'x'", "token 'a': sha256 is not 64 digits"),
        (f"[[token]]\nname = 'a'\nsha256 = '{EMPTY}'", "token 'a': roles is None; a list is needed of run, execute"),
        (f"[[token]]\nname = 'a'\nsha256 = '{EMPTY}'\nroles = ['admin']", "token 'a': roles is ['admin']"),
        (f"[[token]]\nname = 'a'\nsha256 = '{EMPTY}'\nroles = ['run']\ntools = 'x'", "token 'a': tools is no list"),
        (
            f"[[token]]\nname = 'a'\nsha256 = '{EMPTY}'\nroles = ['run']\nexpires = '2027-01-01'",
            "token 'a': expires is",
        ),
        ("[[token]]\nname = 'a'\ntoken = 'dvt_canary'", "token 'a': there is no key 'token'"),
        (entry("t") + entry("t"), "token 'someone': another entry has the same sha256"),
    ],
)
def test_at_the_start_a_file_that_cannot_be_used_is_an_error_that_names_the_entry(
    tmp_path: Path, content: str, message: str
) -> None:
    path = tmp_path / "tokens.toml"
    path.write_text(content)
    with pytest.raises(UsageError) as raised:
        TokenFile(path)
    assert str(raised.value).startswith(f"{path}: {message}")
    assert "canary" not in str(raised.value)


def test_at_the_start_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.toml: the file cannot be read: No such file"):
        TokenFile(tmp_path / "none.toml")
