"""A port for servers that come, go and come again; and one event loop for all tests (see `one_loop`)."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from one_loop import anyio_backend, one_loop

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["anyio_backend", "one_loop", "port"]


@pytest.fixture
def port() -> Iterator[int]:
    """A port at which nobody listens, and that only servers of the test are given until it is over."""
    with socket.socket() as kept:
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        kept.bind(("127.0.0.1", 0))
        yield kept.getsockname()[1]
