"""What a server noted, in a file."""

from __future__ import annotations

import asyncio
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
