"""Refusals: which end of a stream can heal, and what is said of one that cannot."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status

from dovetail.errors import DovetailError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ExecutorRefusedError", "StreamLostError", "end_of_stream"]

_TAKEN_OVER: Final = "SESSION_TAKEN_OVER"

# Codes that the same hello would meet again, and what to do about each.
_REMEDIES: Final = {
    grpc.StatusCode.INVALID_ARGUMENT: "correct what is named and start the executor again",
    grpc.StatusCode.PERMISSION_DENIED: "use a token with the role `execute` that may serve these tools",
    grpc.StatusCode.UNAUTHENTICATED: "give a valid token: set DOVETAIL_TOKEN, or pass token=",
    grpc.StatusCode.ALREADY_EXISTS: "serve the tool with the same spec as the others, or rename it: @tool(name=...); "
    "or choose another executor_id",
    grpc.StatusCode.FAILED_PRECONDITION: "see that server and executor are of versions that fit",
}
_TAKEN_OVER_REMEDY: Final = "another process attached under this executor_id: give each process its own"

# What gRPC says of a message that is larger than its receiver allows: the one place where the limit can be learnt.
_TOO_LARGE = re.compile(r"larger than max \(\d+ vs\. (\d+)\)")


class ExecutorRefusedError(DovetailError):
    """The server refused the executor, and trying again would not change that. The message ends with the remedy.

    Attributes:
        code: the name of the status code, ``PERMISSION_DENIED``; ``DEADLINE_EXCEEDED`` if no server was reached
            within ``connect_timeout``.
        reason: the name of the `ErrorReason`, ``ROLE_MISSING``; empty if the server gave none.
    """

    def __init__(self, code: str, reason: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason


class StreamLostError(Exception):
    """The stream ended in a way that another one may heal. Never reaches users.

    Attributes:
        max_message_bytes: how large a message may be, if one was larger and the stream ended because of it.
    """

    def __init__(self, message: str, max_message_bytes: int | None = None) -> None:
        super().__init__(message)
        self.max_message_bytes = max_message_bytes


def end_of_stream(error: grpc.aio.AioRpcError) -> ExecutorRefusedError | StreamLostError:
    """What the end of a stream means for its executor."""
    code = error.code()
    info, violations = _details(error.trailing_metadata())
    message = " ".join((error.details() or "").split()) or "the server gave no reason"
    message += "".join(f"; {one.field}: {one.description}" for one in violations if one.description not in message)
    remedy = _REMEDIES.get(code)
    if code is grpc.StatusCode.ABORTED and info.reason == _TAKEN_OVER:
        remedy = _TAKEN_OVER_REMEDY
    if remedy is None:
        too_large = _TOO_LARGE.search(message) if code is grpc.StatusCode.RESOURCE_EXHAUSTED else None
        return StreamLostError(f"{code.name}: {message}", int(too_large[1]) if too_large else None)
    named = f"{code.name} ({info.reason})" if info.reason else code.name
    return ExecutorRefusedError(
        code.name, info.reason, f"the server refused the executor: {named}: {message}; {remedy}"
    )


def _details(metadata: grpc.aio.Metadata | None) -> tuple[ErrorInfo, Iterable[BadRequest.FieldViolation]]:
    info, request = ErrorInfo(), BadRequest()
    for key, value in metadata or ():
        if key != "grpc-status-details-bin" or not isinstance(value, bytes):
            continue
        try:
            for detail in Status.FromString(value).details:
                if detail.Is(ErrorInfo.DESCRIPTOR):
                    detail.Unpack(info)
                elif detail.Is(BadRequest.DESCRIPTOR):
                    detail.Unpack(request)
        except DecodeError:  # the code and the message are still worth telling
            continue
    return info, request.field_violations
