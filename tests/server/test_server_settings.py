"""The server's settings: the table of the file that is theirs, and what does not fit together."""

from __future__ import annotations

from pathlib import Path

import pytest

from dovetail import UsageError
from dovetail.runs.limits import Limits
from dovetail.settings import load_settings
from dovetail_server.settings import ServerSettings


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


def test_options_come_before_the_environment_and_that_before_the_table_of_the_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "dovetail.toml").write_text('model = "x:y"\n[serve]\nmax_runs = 1\nmax_executors = 1\nkeep_runs = 1\n')
    monkeypatch.setenv("DOVETAIL_MAX_EXECUTORS", "2")
    monkeypatch.setenv("DOVETAIL_KEEP_RUNS", "2")
    settings = ServerSettings.load({"keep_runs": "3", "max_runs": None})
    assert (settings.max_runs, settings.max_executors, settings.keep_runs) == (1, 2, 3)
    assert settings.models == ()


def test_the_settings_of_the_command_line_pass_over_the_servers_table(folder: Path) -> None:
    (folder / "dovetail.toml").write_text('model = "x:y"\n[serve]\nmax_runs = 1\n')
    assert load_settings().model == "x:y"


def test_settings_that_are_made_directly_read_neither_environment_nor_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "dovetail.toml").write_text("[serve]\nmax_runs = 1\n")
    monkeypatch.setenv("DOVETAIL_MAX_EXECUTORS", "2")
    settings = ServerSettings(listen=("127.0.0.1:0",))
    assert (settings.max_runs, settings.max_executors) == (20_000, 10_000)


def test_paths_in_the_table_are_relative_to_the_file(folder: Path) -> None:
    (folder / "there").mkdir()
    (folder / "there" / "d.toml").write_text(
        '[serve]\ntools = ["t.py:name", "demo"]\ntls_certificate = "c.pem"\ntls_key = "k.pem"\ntokens = "t.toml"\n'
    )
    settings = ServerSettings.load(config="there/d.toml")
    assert settings.tools == ("there/t.py:name", "demo")
    assert (settings.tls_certificate, settings.tls_key) == (Path("there/c.pem"), Path("there/k.pem"))
    assert settings.tokens == Path("there/t.toml")


def test_the_bounds_of_a_run_are_those_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOVETAIL_DEADLINE", "1.5")
    assert ServerSettings.load({"max_replans": 0}).limits() == Limits(deadline=1.5, max_replans=0)
    assert ServerSettings().limits() == Limits()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[serve]\nlisen = 'x'", "dovetail.toml: there is no setting 'serve.lisen'; did you mean listen?"),
        ("[serve]\nmax_runs = 0", "dovetail.toml: serve.max_runs: input should be greater than 0"),
        ("serve = 3", "dovetail.toml: serve is no table; begin it with [serve]"),
        ("[serve]\nlog_format = 'xml'", "dovetail.toml: serve.log_format: input should be 'json' or 'console'"),
        ("[serve]\ntls_key = 'k'", "TLS needs a certificate and its key; add --tls-certificate"),
        ("[serve]\nclient_ca = 'k'", "clients' certificates need TLS"),
        ("[serve]\nlease_seconds = 2", "a lease of 2 s is over before the next heartbeat"),
        ("[serve]\nlisten = []", "there is no address to listen on"),
    ],
)
def test_a_wrong_setting_is_named_with_its_remedy(folder: Path, content: str, message: str) -> None:
    (folder / "dovetail.toml").write_text(content)
    with pytest.raises(UsageError) as raised:
        ServerSettings.load()
    assert str(raised.value).startswith(message)


def test_a_wrong_option_is_named(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"^--max-parallel: input should be a valid integer"):
        ServerSettings.load({"max_parallel_calls": "many"})
