"""The benchmarks and their page agree on what there is to measure."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0


def listed() -> dict[str, str]:
    """The benchmarks and what each says of itself."""
    told = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--list"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    lines = (line.split(maxsplit=1) for line in told.stdout.splitlines())
    return {line[0]: line[1] for line in lines}


def test_each_benchmark_says_in_one_line_what_it_measures() -> None:
    assert len(listed()) >= 20
    assert all(said.endswith(".") for said in listed().values())


def test_the_page_names_each_benchmark_and_none_that_is_not_there() -> None:
    page = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    table = page.partition("| name | what it measures |")[2].partition("\n\n")[0]

    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) <= set(listed())
    assert [name for name in listed() if not re.search(rf"\b{name}\b", page)] == []
