"""What whoever carried out a call says of it, told to the call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dovetail.tools.call_failure import failure_from_wire
from dovetail.v1 import FailureReason

if TYPE_CHECKING:
    from dovetail.tools.call import Call
    from dovetail.v1 import CallOutcome

__all__ = ["deliver"]


def deliver(call: Call, outcome: CallOutcome) -> None:
    """Tell a call its outcome. The text of an output is checked by the plan machine, its size by the call's owner."""
    for made in outcome.model_calls:
        call.model_called(made)
    kind = outcome.WhichOneof("outcome")
    if kind == "output_json":
        call.succeed(outcome.output_json)
    elif kind == "failure":
        failure = failure_from_wire(outcome.failure, call.tool.name)
        call.fail(failure.reason, str(failure), may_be_repeated=failure.may_be_repeated)
    else:
        message = f"the executor of {call.tool.name} sent a result without an outcome"
        call.fail(FailureReason.FAILURE_REASON_OUTPUT_INVALID, message)
