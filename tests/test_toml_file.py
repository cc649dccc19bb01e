"""TOML files that users write: read in one way, whatever they hold, and refused with file and line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dovetail import UsageError
from dovetail.mcp.address import read_addresses
from dovetail.prices import read_prices
from dovetail.settings import load_settings
from dovetail.toml_file import read_toml
from dovetail.tools.policy_file import read_policies
from dovetail_server.callers import read_tokens


def settings_of(file: Path) -> object:
    return load_settings(config=file)


def test_a_file_is_read_as_it_stands(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('name = "Zürich"\r\n[b]\nc = 1\n', encoding="utf-8")
    assert read_toml(tmp_path / "a.toml") == {"name": "Zürich", "b": {"c": 1}}


@pytest.mark.parametrize("read", [read_toml, read_tokens, read_addresses, read_policies, read_prices, settings_of])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a = 1\nb = \n", "the file is no TOML: Invalid value (at line 2, column 5)"),
        (b"a = 1\n# Z\xfcrich\n", "the file is no TOML: line 2 is not in UTF-8"),
        (None, "the file cannot be read: "),
    ],
)
def test_whoever_reads_a_file_that_is_none_says_where(
    tmp_path: Path, read: Callable[[Path], object], content: bytes | None, message: str
) -> None:
    file = tmp_path / "a.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UsageError) as raised:
        read(file)
    assert str(raised.value).startswith(f"{file}: {message}")
    assert str(raised.value).count("a.toml") == 1
