"""What Dovetail raises. Every error says where, what, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dovetail.v1 import FailureReason

__all__ = ["DovetailError", "ModelError", "RunCancelledError", "RunFailedError", "ToolDefinitionError", "UsageError"]


class DovetailError(Exception):
    """The base of all errors that Dovetail raises on purpose."""


class UsageError(DovetailError):
    """A name, an option, a file or a setting cannot be used as given."""


class ToolDefinitionError(UsageError):
    """A tool's function, schema or spec cannot be used; the message names the tool and the field."""


class ModelError(DovetailError):
    """A model call failed.

    Attributes:
        reason: the kind of failure, one of ``FAILURE_REASON_MODEL_*``.
    """

    def __init__(self, reason: FailureReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class RunFailedError(DovetailError):
    """A run ended without an answer.

    Attributes:
        reason: the kind of failure, as in the run's last event.
    """

    def __init__(self, reason: FailureReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class RunCancelledError(DovetailError):
    """A run was cancelled before it had an answer."""
