"""What docs/cli.md shows is what happens."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from commandline import BOUND, environment

ROOT = Path(__file__).parents[2]
SHOWN = re.findall(r"```console\n\$ (.+)\n((?:.+\n)+)```", (ROOT / "docs" / "cli.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("command", "output"), SHOWN)
def test_a_command_of_the_documentation_prints_what_stands_there(command: str, output: str, tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=ROOT,
        env=environment(tmp_path, PATH=path),
        capture_output=True,
        timeout=BOUND,
        check=False,
    )
    assert (done.stdout.decode(), done.returncode) == (output, 0)


def test_there_are_commands_in_the_documentation() -> None:
    assert len(SHOWN) == 3
