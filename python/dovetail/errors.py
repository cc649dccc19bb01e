"""What Dovetail raises. Every error says where, what, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dovetail.v1 import FailureReason

__all__ = [
    "AccessDeniedError",
    "AlreadyExistsError",
    "DovetailError",
    "InvalidRequestError",
    "LimitReachedError",
    "ModelError",
    "NotFoundError",
    "NotPossibleError",
    "RetryableError",
    "RunCancelledError",
    "RunFailedError",
    "ServerError",
    "ServerUnavailableError",
    "ToolDefinitionError",
    "UsageError",
]


class DovetailError(Exception):
    """The base of all errors that Dovetail raises on purpose."""


class UsageError(DovetailError):
    """A name, an option, a file or a setting cannot be used as given."""


class ToolDefinitionError(UsageError):
    """A tool's function, schema or spec cannot be used; the message names the tool and the field.

    Attributes:
        field: the field of `Tool`, where it is one alone: ``input_schema``; empty else.
    """

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class RetryableError(DovetailError):
    """Raised by a tool: the call failed without any effect, and may be made again, whatever the tool's hints say.

    It is, as often as the tool's policy allows (``retries``).
    """


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


class ServerError(DovetailError):
    """A server refused a request, failed at it, or was not reached. The message is the server's, and names the fields.

    Attributes:
        code: the name of the gRPC status, ``NOT_FOUND``.
        reason: the name of the `ErrorReason`, ``RUN_NOT_FOUND``; empty if no server of Dovetail gave one.
        metadata: what the reason is about: ``{"run_id": "…"}``.
        violations: the fields that cannot be used, each with what is wrong with it.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "UNKNOWN",
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.metadata: Mapping[str, str] = dict(metadata or {})
        self.violations: Sequence[tuple[str, str]] = list(violations)


class InvalidRequestError(ServerError):
    """A field of the request cannot be used, or a message came at the wrong place of a stream."""


class NotFoundError(ServerError):
    """There is no such run or tool, or not any more."""


class AlreadyExistsError(ServerError):
    """The name is in use: a ``run_id`` by the run of another request."""


class AccessDeniedError(ServerError):
    """The token is missing or not valid, lacks a role, or may not use a tool."""


class LimitReachedError(ServerError):
    """A limit of the server is reached; ``metadata`` has its name and value."""


class NotPossibleError(ServerError):
    """What was asked does not fit how things stand: a task that does not wait for approval, a server without tools."""


class ServerUnavailableError(ServerError):
    """No server was reached, or a stream broke and could not be resumed. The same request may succeed later."""
