"""The examples of all languages, built once; and one event loop for all tests (see `one_loop`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from toolchain import LANGUAGES, Example, built, built_grpcurl

from one_loop import anyio_backend, one_loop

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["anyio_backend", "example", "grpcurl", "one_loop"]


@pytest.fixture(scope="session", params=list(LANGUAGES))
def example(request: pytest.FixtureRequest) -> Example:
    return built(LANGUAGES[request.param])


@pytest.fixture(scope="session")
def grpcurl() -> Path:
    return built_grpcurl()
