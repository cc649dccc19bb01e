"""What a benchmark reports: rows of one table, with the machine and the versions beside them."""

from __future__ import annotations

import json
import os
import platform
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["Row", "environment", "to_json", "to_markdown", "to_text"]

_PACKAGES = ("dovetail", "openai", "httpx2", "uvloop", "protobuf", "pydantic")
_HEADINGS = ("", "measure", "target", "measured", "CPU", "best", "beside", "ratio", "verdict")


@dataclass(frozen=True, slots=True)
class Row:
    """One number, the number it must reach, and the one it is to be seen beside."""

    benchmark: str
    measure: str
    value: float | None
    """The median over the rounds, by the wall clock unless the measure says otherwise; None if it could not be had."""
    unit: str
    target: float | None = None
    """What the value must not exceed."""
    cpu: float | None = None
    """The median processor time of the rounds, in the same unit."""
    best: float | None = None
    """The best round."""
    beside: str = ""
    """The floor or the peer, by name."""
    beside_value: float | None = None
    """Its value, in the same unit."""
    note: str = ""

    @property
    def verdict(self) -> str:
        """Whether the target is met."""
        if self.value is None:
            return "not measured"
        if self.target is None:
            return ""
        if self.value <= self.target:
            return "met"
        missed = f"missed by {self.value / self.target - 1:.1%}"
        # Of work that waits for nothing, this is the time that it takes on a machine of its own.
        return f"{missed} (CPU within it)" if self.cpu is not None and self.cpu <= self.target else missed

    @property
    def ratio(self) -> float | None:
        """The value as a multiple of what is beside it."""
        if self.value is None or not self.beside_value:
            return None
        return self.value / self.beside_value

    def cells(self) -> list[str]:
        """The row as text."""
        unit = f" {self.unit}" if self.unit else ""

        def shown(value: float | None) -> str:
            return "" if value is None else f"{_number(value)}{unit}"

        beside = self.beside + (f" {shown(self.beside_value)}" if self.beside_value is not None else "")
        return [
            self.benchmark,
            self.measure,
            f"≤ {shown(self.target)}" if self.target is not None else "",
            shown(self.value),
            shown(self.cpu),
            shown(self.best),
            beside,
            f"× {_number(self.ratio)}" if self.ratio is not None else "",
            "; ".join(part for part in (self.verdict, self.note) if part),
        ]


def _number(value: float) -> str:
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 10 and value != 1 else f"{value:.1f}"


def environment() -> dict[str, str]:
    """The machine, the versions, the date, and how busy the machine is."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    load = "unknown" if sys.platform == "win32" else "{:.1f} {:.1f} {:.1f}".format(*os.getloadavg())
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{_processor()}, {os.cpu_count()} processors, {platform.system()} {platform.release()}",
        "load": load,
        "python": platform.python_version(),
        **versions,
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _facts(about: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in about.items())


def to_text(rows: list[Row], about: dict[str, str]) -> str:
    """The table for a terminal."""
    table = [list(_HEADINGS), *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in table) for column in range(len(_HEADINGS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in table]
    return "\n".join([_facts(about), "", *lines])


def to_markdown(rows: list[Row], about: dict[str, str]) -> str:
    """The table for a page."""
    lines = [_HEADINGS, ["---"] * len(_HEADINGS), *(row.cells() for row in rows)]
    return "\n".join([_facts(about), "", *(f"| {' | '.join(cells)} |" for cells in lines)])


def to_json(rows: list[Row], about: dict[str, str]) -> str:
    """Everything, for a program to read."""
    shapes = [{**asdict(row), "ratio": row.ratio, "verdict": row.verdict} for row in rows]
    return json.dumps({"environment": about, "rows": shapes}, ensure_ascii=False, indent=2) + "\n"
