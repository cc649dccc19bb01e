"""Settings: where they come from, which comes first, and what is said of a wrong one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dovetail import UsageError
from dovetail.runs.limits import Limits
from dovetail.settings import load_settings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


def test_options_come_before_the_environment_and_that_before_the_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "dovetail.toml").write_text('model = "file:m"\njoiner = "file:j"\nbase_url = "http://file"\n')
    monkeypatch.setenv("DOVETAIL_JOINER", "environment:j")
    monkeypatch.setenv("DOVETAIL_BASE_URL", "http://environment")
    settings = load_settings({"base_url": "http://option", "model": None, "tools": []})
    assert (settings.model, settings.joiner, settings.base_url) == ("file:m", "environment:j", "http://option")


def test_the_file_is_the_one_named_or_the_folders_or_the_users(folder: Path) -> None:
    assert load_settings().model is None
    (folder / "config" / "dovetail").mkdir(parents=True)
    (folder / "config" / "dovetail" / "config.toml").write_text('model = "of:user"')
    assert load_settings().model == "of:user"
    (folder / "dovetail.toml").write_text('model = "of:folder"')
    assert load_settings().model == "of:folder"
    (folder / "other.toml").write_text('model = "of:option"')
    assert load_settings(config="other.toml").model == "of:option"


def test_paths_in_a_file_are_relative_to_it(folder: Path) -> None:
    (folder / "there").mkdir()
    (folder / "there" / "d.toml").write_text(
        'tools = ["t.py", "t.py:name", "t.json", "demo", "a.b:c"]\nexamples = "e.txt"'
    )
    settings = load_settings(config="there/d.toml")
    assert settings.tools == ("there/t.py", "there/t.py:name", "there/t.json", "demo", "a.b:c")
    assert settings.examples == ("there/e.txt",)


def test_the_environment_separates_specs_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOVETAIL_TOOLS", "demo, tools.py:name")
    assert load_settings().tools == ("demo", "tools.py:name")


def test_limits_that_are_not_given_are_the_default_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOVETAIL_DEADLINE", "1.5")
    monkeypatch.setenv("DOVETAIL_MAX_REPLANS", "0")
    assert load_settings().limits() == Limits(deadline=1.5, max_replans=0)


def test_the_key_is_shown_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOVETAIL_API_KEY", "sk-canary")
    settings = load_settings()
    assert settings.api_key is not None
    assert settings.api_key.get_secret_value() == "sk-canary"
    assert "canary" not in repr(settings)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('modle = "x"', "dovetail.toml: there is no setting 'modle'; did you mean model?"),
        ("zzz = 1", "dovetail.toml: there is no setting 'zzz'; settings are model, "),
        ('max_tasks = "many"', "dovetail.toml: max_tasks: input should be a valid integer"),
        ("max_tasks = 0", "dovetail.toml: max_tasks: input should be greater than 0"),
        ("tools = 3", "dovetail.toml: tools: "),
        ("tools = [3]", "dovetail.toml: tools: input should be a valid string"),
        ("deadline = inf", "dovetail.toml: deadline: "),
        ("model = ", "dovetail.toml: the file is no TOML: "),
        ("api_key = 12345", "dovetail.toml: api_key: input should be a valid string"),
    ],
)
def test_a_wrong_key_in_a_file_is_named_with_the_file(folder: Path, content: str, message: str) -> None:
    (folder / "dovetail.toml").write_text(content)
    with pytest.raises(UsageError) as raised:
        load_settings()
    assert str(raised.value).startswith(message)
    assert "12345" not in str(raised.value)


def test_a_wrong_variable_and_a_wrong_option_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOVETAIL_TIMEOUT", "soon")
    with pytest.raises(UsageError, match=r"^the environment variable DOVETAIL_TIMEOUT: input should be a valid number"):
        load_settings()
    with pytest.raises(UsageError, match=r"^--max-parallel: input should be greater than 0"):
        load_settings({"timeout": 1.0, "max_parallel_calls": 0})


@pytest.mark.parametrize("name", ["none.toml", "."])
def test_a_file_that_cannot_be_read_is_named(name: str) -> None:
    with pytest.raises(UsageError, match=rf"^{name}: the file cannot be read"):
        load_settings(config=name)
