"""What whoever carried out a call says of it, told to the call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dovetail.failure_text import bounded
from dovetail.v1 import CallFailure, FailureReason

if TYPE_CHECKING:
    from dovetail.call import Call
    from dovetail.v1 import CallOutcome

__all__ = ["deliver"]

_REASONS = {
    CallFailure.KIND_OUTPUT_INVALID: FailureReason.FAILURE_REASON_OUTPUT_INVALID,
    CallFailure.KIND_OUTPUT_TOO_LARGE: FailureReason.FAILURE_REASON_OUTPUT_TOO_LARGE,
    CallFailure.KIND_TIMEOUT: FailureReason.FAILURE_REASON_TIMEOUT,
    CallFailure.KIND_CANCELLED: FailureReason.FAILURE_REASON_CANCELLED,
}


def deliver(call: Call, outcome: CallOutcome) -> None:
    """Tell a call its outcome. The text of an output is checked by the plan machine, its size by the call's owner."""
    kind = outcome.WhichOneof("outcome")
    if kind == "output_json":
        call.succeed(outcome.output_json)
    elif kind == "failure":
        reason = _REASONS.get(outcome.failure.kind, FailureReason.FAILURE_REASON_TOOL_ERROR)
        message = outcome.failure.message or f"{call.tool.name} failed, and its executor did not say why"
        call.fail(reason, bounded(message), may_be_repeated=outcome.failure.may_be_repeated)
    else:
        message = f"the executor of {call.tool.name} sent a result without an outcome"
        call.fail(FailureReason.FAILURE_REASON_OUTPUT_INVALID, message)
