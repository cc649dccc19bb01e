"""Errors of RPCs as the exceptions that users see, and which ends of a stream another attempt may heal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status

from dovetail.errors import (
    AccessDeniedError,
    AlreadyExistsError,
    InvalidRequestError,
    LimitReachedError,
    NotFoundError,
    NotPossibleError,
    ServerError,
    ServerUnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["broken_stream", "is_hidden", "translated"]

_DETAILS: Final = "grpc-status-details-bin"
_WRONG_MESSAGE: Final = "WRONG_MESSAGE"

_ERRORS: Final[dict[grpc.StatusCode, type[ServerError]]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequestError,
    grpc.StatusCode.NOT_FOUND: NotFoundError,
    grpc.StatusCode.ALREADY_EXISTS: AlreadyExistsError,
    grpc.StatusCode.UNAUTHENTICATED: AccessDeniedError,
    grpc.StatusCode.PERMISSION_DENIED: AccessDeniedError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: LimitReachedError,
    grpc.StatusCode.FAILED_PRECONDITION: NotPossibleError,
    grpc.StatusCode.ABORTED: NotPossibleError,
    grpc.StatusCode.UNAVAILABLE: ServerUnavailableError,
}

_NO_MESSAGE: Final = {
    grpc.StatusCode.DEADLINE_EXCEEDED: "the server did not answer in time",
    grpc.StatusCode.UNIMPLEMENTED: "the server does not know this request; it may be of an older version",
}


def translated(error: grpc.aio.AioRpcError) -> ServerError:
    """The exception for an RPC that ended with an error: its class says what kind, its message is the server's."""
    code = error.code()
    info, violations = _details(error.trailing_metadata())
    # gRPC's own "Deadline Exceeded" says less than we know.
    own = _NO_MESSAGE.get(code) if not info.reason else None
    message = own or " ".join((error.details() or "").split()) or f"the server gave no reason for {code.name}"
    if code is grpc.StatusCode.UNAVAILABLE and not info.reason:
        message = f"the server cannot be reached: {message}"
    message += "".join(f"; {field}: {what}" for field, what in violations if what not in message)
    kind = _ERRORS.get(code, ServerError)
    if code is grpc.StatusCode.FAILED_PRECONDITION and info.reason == _WRONG_MESSAGE:
        kind = InvalidRequestError
    return kind(message, code=code.name, reason=info.reason, metadata=info.metadata, violations=violations)


def broken_stream(error: grpc.aio.AioRpcError) -> ServerUnavailableError:
    """The exception for a stream that the server or the way to it broke, so that another one may go on where it ended.

    Raises:
        ServerError: another stream would end in the same way.
    """
    failure = translated(error)
    if isinstance(failure, ServerUnavailableError):
        return failure
    # A cancellation of our own is never an error of the RPC: this one came from a server that stops, or from a proxy.
    # And no server of ours ends a stream as INTERNAL or UNKNOWN without a reason: it was cut on the way.
    was_cut = failure.code in ("INTERNAL", "UNKNOWN") and not failure.reason
    if failure.code != "CANCELLED" and not was_cut:
        raise failure from None
    return ServerUnavailableError(f"the stream broke: {failure}", code=failure.code, reason=failure.reason)


def is_hidden(error: grpc.aio.AioRpcError) -> bool:
    """Whether gRPC lost the status of a stream that the server ended while something was being written to it."""
    # Known to gRPC as its issue 36066: the failure of the write takes the place of the status that came before it.
    return error.code() is grpc.StatusCode.INTERNAL and "Internal error from Core" in (error.details() or "")


def _details(metadata: grpc.aio.Metadata | None) -> tuple[ErrorInfo, Sequence[tuple[str, str]]]:
    info, request = ErrorInfo(), BadRequest()
    for key, value in metadata or ():
        if key != _DETAILS or not isinstance(value, bytes):
            continue
        try:
            for detail in Status.FromString(value).details:
                if detail.Is(ErrorInfo.DESCRIPTOR):
                    detail.Unpack(info)
                elif detail.Is(BadRequest.DESCRIPTOR):
                    detail.Unpack(request)
        except DecodeError:  # the code and the message are still worth telling
            continue
    return info, [(violation.field, violation.description) for violation in request.field_violations]
