"""What all tests share: the event loop under which asynchronous ones run."""

from __future__ import annotations

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
