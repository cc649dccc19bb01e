from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor

class ErrorReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ERROR_REASON_UNSPECIFIED: _ClassVar[ErrorReason]
    ERROR_REASON_INVALID_FIELD: _ClassVar[ErrorReason]
    ERROR_REASON_MALFORMED_MESSAGE: _ClassVar[ErrorReason]
    ERROR_REASON_WRONG_MESSAGE: _ClassVar[ErrorReason]
    ERROR_REASON_RUN_NOT_FOUND: _ClassVar[ErrorReason]
    ERROR_REASON_TOOL_NOT_FOUND: _ClassVar[ErrorReason]
    ERROR_REASON_RUN_ALREADY_EXISTS: _ClassVar[ErrorReason]
    ERROR_REASON_TOOL_SPEC_CONFLICT: _ClassVar[ErrorReason]
    ERROR_REASON_EXECUTOR_ALREADY_EXISTS: _ClassVar[ErrorReason]
    ERROR_REASON_NO_TOOLS: _ClassVar[ErrorReason]
    ERROR_REASON_NOT_AWAITING_APPROVAL: _ClassVar[ErrorReason]
    ERROR_REASON_LIMIT_REACHED: _ClassVar[ErrorReason]
    ERROR_REASON_TOKEN_INVALID: _ClassVar[ErrorReason]
    ERROR_REASON_ROLE_MISSING: _ClassVar[ErrorReason]
    ERROR_REASON_TOOL_NOT_ALLOWED: _ClassVar[ErrorReason]
    ERROR_REASON_SHUTTING_DOWN: _ClassVar[ErrorReason]
    ERROR_REASON_SESSION_TAKEN_OVER: _ClassVar[ErrorReason]
    ERROR_REASON_LEASE_OVER: _ClassVar[ErrorReason]
    ERROR_REASON_INTERNAL: _ClassVar[ErrorReason]
ERROR_REASON_UNSPECIFIED: ErrorReason
ERROR_REASON_INVALID_FIELD: ErrorReason
ERROR_REASON_MALFORMED_MESSAGE: ErrorReason
ERROR_REASON_WRONG_MESSAGE: ErrorReason
ERROR_REASON_RUN_NOT_FOUND: ErrorReason
ERROR_REASON_TOOL_NOT_FOUND: ErrorReason
ERROR_REASON_RUN_ALREADY_EXISTS: ErrorReason
ERROR_REASON_TOOL_SPEC_CONFLICT: ErrorReason
ERROR_REASON_EXECUTOR_ALREADY_EXISTS: ErrorReason
ERROR_REASON_NO_TOOLS: ErrorReason
ERROR_REASON_NOT_AWAITING_APPROVAL: ErrorReason
ERROR_REASON_LIMIT_REACHED: ErrorReason
ERROR_REASON_TOKEN_INVALID: ErrorReason
ERROR_REASON_ROLE_MISSING: ErrorReason
ERROR_REASON_TOOL_NOT_ALLOWED: ErrorReason
ERROR_REASON_SHUTTING_DOWN: ErrorReason
ERROR_REASON_SESSION_TAKEN_OVER: ErrorReason
ERROR_REASON_LEASE_OVER: ErrorReason
ERROR_REASON_INTERNAL: ErrorReason
