"""All tests of this package share an event loop (see `one_loop`)."""

from __future__ import annotations

from one_loop import anyio_backend, one_loop

__all__ = ["anyio_backend", "one_loop"]
