"""How an executor stands with its server."""

from __future__ import annotations

import logging
from collections.abc import Callable
from enum import Enum
from typing import TypeAlias

__all__ = ["ExecutorState", "StateListener", "logger"]

logger = logging.getLogger("dovetail.executor")


class ExecutorState(Enum):
    """What has become of an executor. Comes with a line for people, which says more."""

    ATTACHED = "attached"
    """The server has given it a new session."""
    RESUMED = "resumed"
    """It is attached again, in the session that it had."""
    LOST = "lost"
    """The stream ended or fell silent. Calls go on, and results are kept."""
    RECONNECTING = "reconnecting"
    """It will try to attach after a pause."""
    SERVER_DRAINING = "server draining"
    """The server is about to end the stream; what is out is finished."""
    DRAINING = "draining"
    """It takes no further calls and finishes those that are out."""
    DRAINED = "drained"
    """It has ended."""


StateListener: TypeAlias = Callable[[ExecutorState, str], None]
"""Whoever wants to know: called on the event loop with the state and a line for people."""
