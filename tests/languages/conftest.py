"""The examples of all languages, built once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from toolchain import LANGUAGES, Example, built, built_grpcurl

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session", params=list(LANGUAGES))
def example(request: pytest.FixtureRequest) -> Example:
    return built(LANGUAGES[request.param])


@pytest.fixture(scope="session")
def grpcurl() -> Path:
    return built_grpcurl()
