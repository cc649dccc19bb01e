"""One event loop for all tests of executors: what a loop leaves to gRPC is settled on the next one, as an error.

And a port for servers that come, go and come again.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


@pytest.fixture(scope="package")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="package", autouse=True)
async def one_loop(anyio_backend: str) -> AsyncIterator[None]:
    """Keeps the loop open from the first test to the last, and a little longer: gRPC tells nobody when it is done."""
    yield
    await asyncio.sleep(1)


@pytest.fixture
def port() -> Iterator[int]:
    """A port at which nobody listens, and that only servers of the test are given until it is over."""
    with socket.socket() as kept:
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        kept.bind(("127.0.0.1", 0))
        yield kept.getsockname()[1]
