"""What this process has open."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

from scripted import PATIENCE


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
