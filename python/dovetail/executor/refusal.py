"""Refusals: which end of a stream can heal, and what is said of one that cannot."""

from __future__ import annotations

import re
from typing import Final

import grpc

from dovetail.client.failures import translated
from dovetail.errors import ServerError

__all__ = ["ExecutorRefusedError", "StreamLostError", "end_of_stream"]

_TAKEN_OVER: Final = "SESSION_TAKEN_OVER"
_NAME_IN_USE: Final = "EXECUTOR_ALREADY_EXISTS"

# Codes that the same hello would meet again, and what to do about each.
_REMEDIES: Final = {
    grpc.StatusCode.INVALID_ARGUMENT: "correct what is named and start the executor again",
    grpc.StatusCode.PERMISSION_DENIED: "use a token with the role `execute` that may serve these tools",
    grpc.StatusCode.UNAUTHENTICATED: "give a valid token: set DOVETAIL_TOKEN, or pass token=",
    grpc.StatusCode.ALREADY_EXISTS: "serve the tool with the same spec as the others, or rename it: @tool(name=...)",
    grpc.StatusCode.FAILED_PRECONDITION: "see that server and executor are of versions that fit",
}
_OWN_NAME: Final = "another process attached under this executor_id: give each its own"

# What gRPC says of a message that is larger than its receiver allows: the one place where the limit can be learnt.
_TOO_LARGE: Final = re.compile(r"larger than max \(\d+ vs\. (\d+)\)")


class ExecutorRefusedError(ServerError):
    """The server refused an executor, and trying again would not change that. The message ends with the remedy."""


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
    failure = translated(error)
    code, reason = error.code(), failure.reason
    remedy = _REMEDIES.get(code)
    if reason == _NAME_IN_USE or (code is grpc.StatusCode.ABORTED and reason == _TAKEN_OVER):
        remedy = _OWN_NAME
    if remedy is None:
        too_large = _TOO_LARGE.search(str(failure)) if code is grpc.StatusCode.RESOURCE_EXHAUSTED else None
        return StreamLostError(f"{code.name}: {failure}", int(too_large[1]) if too_large else None)
    named = f"{code.name} ({reason})" if reason else code.name
    return ExecutorRefusedError(
        f"the server refused the executor: {named}: {failure}; {remedy}",
        code=code.name,
        reason=reason,
        metadata=failure.metadata,
        violations=failure.violations,
    )
