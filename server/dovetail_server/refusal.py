"""What the server says no with: a status code, a reason of ``ErrorReason``, and what a client needs to do better."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
from google.protobuf.any_pb2 import Any as ProtoAny
from google.rpc.code_pb2 import Code
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status

from dovetail import v1

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dovetail.errors import UsageError

__all__ = ["DOMAIN", "Refusal"]

DOMAIN = "dovetail"

_PREFIX = "ERROR_REASON_"

# A status travels in the trailers, of which clients take 8 KiB without complaint: what they sent is repeated in short.
_MAX_VALUE = 128
_MAX_MESSAGE = 500
_MAX_VIOLATIONS = 5


class Refusal(Exception):  # noqa: N818 - it is no defect of ours
    """Ends an RPC with a status that names its reason. Raised anywhere below the door, which sends it.

    The class methods are the refusals of ``error.proto``, each with the code and the metadata that are promised there.

    Args:
        code: the status code.
        reason: the reason of the ``ErrorInfo``.
        message: what was found and what to do about it, for people.
        violations: the fields that cannot be used, each its path and what is wrong with it.
        metadata: what a program needs to know, as ``error.proto`` says with the reason.
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        reason: v1.ErrorReason,
        message: str,
        *,
        violations: Sequence[tuple[str, str]] = (),
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.violations = tuple(violations)
        self.metadata: Mapping[str, str] = dict(metadata or {})

    @property
    def name(self) -> str:
        """The reason as it goes over the wire: ``RUN_NOT_FOUND``."""
        return v1.ErrorReason.Name(self.reason).removeprefix(_PREFIX)

    def to_status(self) -> Status:
        """The refusal as it goes over the wire."""
        metadata = {key: _short(value) for key, value in self.metadata.items()}
        info = ErrorInfo(reason=self.name, domain=DOMAIN, metadata=metadata)
        details: list[ErrorInfo | BadRequest] = [info]
        if self.violations or self.code is grpc.StatusCode.INVALID_ARGUMENT:
            violations = [
                BadRequest.FieldViolation(field=_short(path), description=_short(what, _MAX_MESSAGE))
                for path, what in self.violations[:_MAX_VIOLATIONS]
            ]
            details.append(BadRequest(field_violations=violations))
        status = Status(code=Code.Value(self.code.name), message=_short(self.message, _MAX_MESSAGE))
        for detail in details:
            packed = ProtoAny()
            packed.Pack(detail)
            status.details.append(packed)
        return status

    @classmethod
    def invalid_field(cls, path: str, what: str) -> Refusal:
        """A field cannot be used: its path, ``limits.deadline``, and what is wrong with it."""
        return cls(
            grpc.StatusCode.INVALID_ARGUMENT,
            v1.ErrorReason.ERROR_REASON_INVALID_FIELD,
            f"{path}: {what}",
            violations=[(path, what)],
        )

    @classmethod
    def invalid_spec(cls, path: str, error: UsageError) -> Refusal:
        """The spec of a tool cannot be used: its path, and the error, which may begin with the name of a field."""
        field, _, what = str(error).partition(": ")
        if field.isidentifier():
            return cls.invalid_field(f"{path}.{field}", what)
        return cls.invalid_field(f"{path}.input_schema_json", str(error))

    @classmethod
    def malformed_message(cls, kind: str) -> Refusal:
        """Bytes that are no message of this kind, or that hold a string that is no UTF-8."""
        return cls(
            grpc.StatusCode.INVALID_ARGUMENT,
            v1.ErrorReason.ERROR_REASON_MALFORMED_MESSAGE,
            f"the message is no {kind}; check that the client was generated from the same proto package",
            violations=[("", f"the bytes cannot be parsed as {kind}")],
        )

    @classmethod
    def wrong_message(cls, message: str) -> Refusal:
        """A message that may not come at this place of the stream."""
        return cls(grpc.StatusCode.FAILED_PRECONDITION, v1.ErrorReason.ERROR_REASON_WRONG_MESSAGE, message)

    @classmethod
    def run_not_found(cls, run_id: str) -> Refusal:
        """There is no such run, or not any more."""
        return cls(
            grpc.StatusCode.NOT_FOUND,
            v1.ErrorReason.ERROR_REASON_RUN_NOT_FOUND,
            f"there is no run {_quoted(run_id)}; runs that ended are forgotten after a while",
            metadata={"run_id": run_id},
        )

    @classmethod
    def tool_not_found(cls, tool: str, path: str = "") -> Refusal:
        """There is no such tool; ``path`` is the field that names it, if one does."""
        where = f"{path}: " if path else ""
        return cls(
            grpc.StatusCode.NOT_FOUND,
            v1.ErrorReason.ERROR_REASON_TOOL_NOT_FOUND,
            f"{where}there is no tool {_quoted(tool)}; ListTools names those that there are",
            metadata={"tool": tool},
        )

    @classmethod
    def run_already_exists(cls, run_id: str) -> Refusal:
        """The name belongs to a run that another request created."""
        return cls(
            grpc.StatusCode.ALREADY_EXISTS,
            v1.ErrorReason.ERROR_REASON_RUN_ALREADY_EXISTS,
            f"the run {_quoted(run_id)} was created by another request; choose another run_id",
            metadata={"run_id": run_id},
        )

    @classmethod
    def tool_spec_conflict(cls, tool: str, message: str) -> Refusal:
        """A tool of this name is served with another spec; the message says how they differ."""
        return cls(
            grpc.StatusCode.ALREADY_EXISTS,
            v1.ErrorReason.ERROR_REASON_TOOL_SPEC_CONFLICT,
            message,
            metadata={"tool": tool},
        )

    @classmethod
    def executor_already_exists(cls, executor_id: str) -> Refusal:
        """The name is in use by a client with another token."""
        return cls(
            grpc.StatusCode.ALREADY_EXISTS,
            v1.ErrorReason.ERROR_REASON_EXECUTOR_ALREADY_EXISTS,
            f"the executor {_quoted(executor_id)} is attached with another token; choose another executor_id",
            metadata={"executor_id": executor_id},
        )

    @classmethod
    def no_tools(cls) -> Refusal:
        """The server has no tool that a plan could call."""
        return cls(
            grpc.StatusCode.FAILED_PRECONDITION,
            v1.ErrorReason.ERROR_REASON_NO_TOOLS,
            "there is no tool that a plan could call; start the server with --tools, attach an executor, "
            "or bring tools along",
        )

    @classmethod
    def not_awaiting_approval(cls, run_id: str, task_id: int) -> Refusal:
        """The task does not wait for approval, or not any more."""
        return cls(
            grpc.StatusCode.FAILED_PRECONDITION,
            v1.ErrorReason.ERROR_REASON_NOT_AWAITING_APPROVAL,
            f"task {task_id} of the run {_quoted(run_id)} does not wait for approval",
            metadata={"run_id": run_id, "task_id": str(task_id)},
        )

    @classmethod
    def limit_reached(cls, limit: str, value: int, message: str) -> Refusal:
        """A limit of the server is reached: its name as a setting, and its value."""
        return cls(
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            v1.ErrorReason.ERROR_REASON_LIMIT_REACHED,
            message,
            metadata={"limit": limit, "value": str(value)},
        )

    @classmethod
    def token_invalid(cls, message: str) -> Refusal:
        """There is no bearer token, or no valid one."""
        return cls(grpc.StatusCode.UNAUTHENTICATED, v1.ErrorReason.ERROR_REASON_TOKEN_INVALID, message)

    @classmethod
    def role_missing(cls, role: str, name: str) -> Refusal:
        """The token called ``name`` lacks a role."""
        return cls(
            grpc.StatusCode.PERMISSION_DENIED,
            v1.ErrorReason.ERROR_REASON_ROLE_MISSING,
            f"this needs the role {role}, which {_quoted(name)} lacks",
            metadata={"role": role},
        )

    @classmethod
    def tool_not_allowed(cls, tool: str) -> Refusal:
        """The token may not use a tool."""
        return cls(
            grpc.StatusCode.PERMISSION_DENIED,
            v1.ErrorReason.ERROR_REASON_TOOL_NOT_ALLOWED,
            f"this token may not use the tool {_quoted(tool)}",
            metadata={"tool": tool},
        )

    @classmethod
    def shutting_down(cls) -> Refusal:
        """The server takes nothing new any more."""
        return cls(
            grpc.StatusCode.UNAVAILABLE,
            v1.ErrorReason.ERROR_REASON_SHUTTING_DOWN,
            "the server is shutting down; try again, elsewhere or later",
        )

    @classmethod
    def session_taken_over(cls) -> Refusal:
        """The executor's session has a newer stream."""
        return cls(
            grpc.StatusCode.ABORTED,
            v1.ErrorReason.ERROR_REASON_SESSION_TAKEN_OVER,
            "a newer stream has taken this session over; only that one goes on",
        )

    @classmethod
    def lease_over(cls) -> Refusal:
        """The executor was not heard for its lease."""
        return cls(
            grpc.StatusCode.ABORTED,
            v1.ErrorReason.ERROR_REASON_LEASE_OVER,
            "nothing was heard of this executor for its lease; attach again",
        )

    @classmethod
    def internal(cls, request_id: str) -> Refusal:
        """A defect: no more is said than where in the log it is told."""
        return cls(
            grpc.StatusCode.INTERNAL,
            v1.ErrorReason.ERROR_REASON_INTERNAL,
            f"the server failed; its log has more under the request id {request_id}",
            metadata={"request_id": request_id},
        )


def _short(text: str, most: int = _MAX_VALUE) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _quoted(name: str) -> str:
    return repr(_short(name))
