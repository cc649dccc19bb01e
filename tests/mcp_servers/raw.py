"""How the server that can break every rule is named in a SPEC."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

RAW_SERVER = Path(__file__).parent / "raw_server.py"


def raw_file(folder: Path, name: str = "raw", *, connect_timeout: float = 60.0, **options: Any) -> str:
    """A file that names the server, with these options of `raw_server`."""
    return server_file(folder, name, [sys.executable, str(RAW_SERVER), json.dumps(options)], connect_timeout)


def server_file(folder: Path, name: str, command: Sequence[str], connect_timeout: float = 60.0) -> str:
    """A file that names any command as a server."""
    file = folder / f"{name}.toml"
    words = ", ".join(json.dumps(word) for word in command)
    text = f"[mcp.{name}]\ncommand = [{words}]\nconnect_timeout = {connect_timeout}\n"
    file.write_text(text, encoding="utf-8")
    return str(file)
