"""How the threads of llama.cpp wait for one another: for the shortest time, unless the user says otherwise."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

# Ends the process when it is imported, and tells what OpenMP would have read then.
LOADED = """
import os, sys
sys.exit(f"{os.environ.get('GOMP_SPINCOUNT')} {os.environ.get('OMP_WAIT_POLICY')}")
"""


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({}, "1000 None"),
        ({"GOMP_SPINCOUNT": "7"}, "7 None"),
        ({"OMP_WAIT_POLICY": "active"}, "None active"),
    ],
)
def test_threads_hardly_spin_unless_the_environment_says_otherwise(
    tmp_path: Path, given: dict[str, str], read: str
) -> None:
    (tmp_path / "xllamacpp.py").write_text(LOADED)
    env = {name: value for name, value in os.environ.items() if name not in {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}}
    env["PYTHONPATH"] = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    # A server ends with its standard input: that stays open.
    kept, writer = os.pipe()
    try:
        server = subprocess.run(
            [sys.executable, "-m", "dovetail.models.local_server", "weights.gguf"],
            env=env | given,
            stdin=kept,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        os.close(kept)
        os.close(writer)
    assert (server.returncode, server.stderr.strip()) == (1, read)
