"""TOML files that users write."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from dovetail.errors import UsageError

__all__ = ["read_toml"]


def read_toml(path: str | Path) -> dict[str, Any]:
    """What a TOML file holds.

    Raises:
        UsageError: the file cannot be read, or is no TOML; the message begins with its path, and names the line if
            there is one.
    """
    try:
        content = Path(path).read_bytes()
        return tomllib.loads(content.decode())
    except OSError as error:
        raise UsageError(f"{path}: the file cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path}: the file is no TOML: line {line} is not in UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: the file is no TOML: {error}") from error
