"""One event loop for all tests of a package in which gRPC speaks.

What a loop leaves to gRPC is settled on the next one, as an error.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["anyio_backend", "one_loop"]


@pytest.fixture(scope="package")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="package", autouse=True)
async def one_loop(anyio_backend: str) -> AsyncIterator[None]:
    """Keeps the loop open from the first test to the last, and a little longer: gRPC tells nobody when it is done."""
    yield
    await asyncio.sleep(1)
