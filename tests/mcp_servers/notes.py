"""What a server noted, in a file, and what it leaves open here."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

from scripted import PATIENCE


async def noted(notes: Path, line: str) -> None:
    """Wait until a server has noted a line."""
    async with asyncio.timeout(PATIENCE):
        # A file of another process tells nobody that it grew.
        while not _holds(notes, line):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def _holds(notes: Path, line: str) -> bool:
    return notes.exists() and line in notes.read_text(encoding="utf-8")


def opened() -> Counter[str]:
    """What the descriptors of this process lead to, and how many to each."""
    found: Counter[str] = Counter()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found[str(entry.readlink())] += 1
        except OSError:  # the one that reads this list
            continue
    return found


async def closed_again(before: Counter[str]) -> None:
    """Wait until no descriptor is open that was not open before.

    By what they lead to: of those that other tests have left, some may be closed meanwhile.
    """
    async with asyncio.timeout(PATIENCE):
        while opened() - before:  # noqa: ASYNC110 - descriptors tell nobody that they are closed
            await asyncio.sleep(0.02)
