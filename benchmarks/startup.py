"""How long the command line takes to begin: whole processes, from a warm disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.report import Row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.original import Original
    from benchmarks.rounds import Settings

__all__ = ["run"]

_TOOLS = [
    {
        "name": name,
        "description": "",
        "inputSchema": {
            "type": "object",
            "properties": {"text": {"type": "string"}, "context": {"type": "array", "items": {"type": "string"}}},
            "required": ["text"],
        },
    }
    for name in ("search", "math")
]
_PLAN = """Thought: both heights are needed.
1. search("Mount Everest")
2. search("Burj Khalifa")
3. math("$1 * 2.5 / $2", ["$1", "$2"])
4. join()<END_OF_PLAN>
"""


def run(settings: Settings, original: Original | None) -> list[Row]:  # noqa: ARG001 - it has no command line
    """Measure."""
    rounds = settings.rounds(16)
    floor = _process([sys.executable, "-c", "pass"], rounds)
    rows = [Row("startup", "python -c pass (the floor)", floor[0], "ms", cpu=floor[1], best=floor[2])]
    dovetail = Path(sys.executable).with_name("dovetail")
    with tempfile.TemporaryDirectory() as folder:
        tools, plan = Path(folder, "tools.json"), Path(folder, "plan.txt")
        tools.write_text(json.dumps(_TOOLS), encoding="utf-8")
        plan.write_text(_PLAN, encoding="utf-8")
        for measure, target, arguments in (
            ("dovetail --help", 150.0, ["--help"]),
            ("dovetail plan of 3 tasks", 250.0, ["plan", str(plan), "--tools", str(tools)]),
        ):
            try:
                took = _process([str(dovetail), *arguments], rounds)
            except (OSError, RuntimeError) as problem:
                rows.append(Row("startup", measure, None, "ms", target=target, note=str(problem)))
                continue
            rows.append(
                Row(
                    "startup",
                    measure,
                    took[0],
                    "ms",
                    target=target,
                    cpu=took[1],
                    best=took[2],
                    beside="python -c pass",
                    beside_value=floor[0],
                )
            )
    return rows


def _process(command: Sequence[str], rounds: int) -> tuple[float, float, float]:
    """Milliseconds from start to exit: median by the clock, median of the processor, the best."""
    wall, cpu = [], []
    for number in range(rounds + 1):
        before, began = os.times(), time.perf_counter()
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
        took, after = time.perf_counter() - began, os.times()
        if done.returncode != 0:
            said = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines() or [""]
            raise RuntimeError(f"exit status {done.returncode}: {said[-1][:80]}")
        if number:  # the first one warms the disk
            wall.append(took * 1e3)
            cpu.append(
                (after.children_user + after.children_system - before.children_user - before.children_system) * 1e3
            )
    return median(wall), median(cpu), min(wall)
