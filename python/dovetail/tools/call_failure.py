"""Why a call gave no output: as an error in this process, and as what goes over the wire."""

from __future__ import annotations

from typing import Final

from dovetail.errors import DovetailError, RetryableError
from dovetail.failure_text import bounded, failure_text, message_of
from dovetail.v1 import CallFailure, FailureReason

__all__ = ["CallFailedError", "failure_from_wire", "failure_of", "failure_to_wire"]

_REASONS: Final = {
    CallFailure.KIND_ERROR: FailureReason.FAILURE_REASON_TOOL_ERROR,
    CallFailure.KIND_OUTPUT_INVALID: FailureReason.FAILURE_REASON_OUTPUT_INVALID,
    CallFailure.KIND_OUTPUT_TOO_LARGE: FailureReason.FAILURE_REASON_OUTPUT_TOO_LARGE,
    CallFailure.KIND_TIMEOUT: FailureReason.FAILURE_REASON_TIMEOUT,
    CallFailure.KIND_CANCELLED: FailureReason.FAILURE_REASON_CANCELLED,
    CallFailure.KIND_CRASHED: FailureReason.FAILURE_REASON_TOOL_CRASHED,
}
_KINDS: Final = {reason: kind for kind, reason in _REASONS.items()}


class CallFailedError(DovetailError):
    """A call gave no output, for a reason that whoever carried it out knows.

    Attributes:
        reason: ``FAILURE_REASON_TOOL_ERROR``, ``…_TOOL_CRASHED``, ``…_OUTPUT_INVALID``, ``…_OUTPUT_TOO_LARGE``.
        may_be_repeated: whether the call is known to have had no effect.
    """

    def __init__(self, reason: FailureReason, message: str, *, may_be_repeated: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.may_be_repeated = may_be_repeated


def failure_of(error: BaseException) -> CallFailedError:
    """Whatever a tool raised, as the failure of its call; its message is bounded."""
    if isinstance(error, CallFailedError):
        return error
    may_be_repeated = isinstance(error, RetryableError)
    return CallFailedError(
        FailureReason.FAILURE_REASON_TOOL_ERROR, failure_text(error), may_be_repeated=may_be_repeated
    )


def failure_to_wire(error: BaseException) -> CallFailure:
    """Whatever a tool raised, as the wire carries it."""
    failure = failure_of(error)
    return CallFailure(
        kind=_KINDS.get(failure.reason, CallFailure.KIND_ERROR),
        message=message_of(failure),
        may_be_repeated=failure.may_be_repeated,
    )


def failure_from_wire(failure: CallFailure, tool: str) -> CallFailedError:
    """What the wire carried; a kind that is not known is an error of the tool, and a message is never empty."""
    reason = _REASONS.get(failure.kind, FailureReason.FAILURE_REASON_TOOL_ERROR)
    message = bounded(failure.message or f"{tool} failed, and its executor did not say why")
    return CallFailedError(reason, message, may_be_repeated=failure.may_be_repeated)
