import datetime

from dovetail.v1 import event_pb2 as _event_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ToolSpec(_message.Message):
    __slots__ = ("name", "description", "input_schema_json", "output_schema_json", "read_only", "idempotent", "destructive", "sequential", "approval", "timeout", "max_output_bytes", "policy")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    INPUT_SCHEMA_JSON_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_SCHEMA_JSON_FIELD_NUMBER: _ClassVar[int]
    READ_ONLY_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENT_FIELD_NUMBER: _ClassVar[int]
    DESTRUCTIVE_FIELD_NUMBER: _ClassVar[int]
    SEQUENTIAL_FIELD_NUMBER: _ClassVar[int]
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    MAX_OUTPUT_BYTES_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    input_schema_json: str
    output_schema_json: str
    read_only: bool
    idempotent: bool
    destructive: bool
    sequential: bool
    approval: bool
    timeout: _duration_pb2.Duration
    max_output_bytes: int
    policy: ToolPolicy
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., input_schema_json: _Optional[str] = ..., output_schema_json: _Optional[str] = ..., read_only: _Optional[bool] = ..., idempotent: _Optional[bool] = ..., destructive: _Optional[bool] = ..., sequential: _Optional[bool] = ..., approval: _Optional[bool] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_output_bytes: _Optional[int] = ..., policy: _Optional[_Union[ToolPolicy, _Mapping]] = ...) -> None: ...

class ToolPolicy(_message.Message):
    __slots__ = ("task_timeout", "idle_timeout", "retries", "backoff", "max_parallel", "rate_calls", "rate_period", "breaker_failures", "breaker_pause", "cache", "exclusive", "large_output", "approval_timeout")
    class LargeOutput(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        LARGE_OUTPUT_UNSPECIFIED: _ClassVar[ToolPolicy.LargeOutput]
        LARGE_OUTPUT_FAIL: _ClassVar[ToolPolicy.LargeOutput]
        LARGE_OUTPUT_CUT: _ClassVar[ToolPolicy.LargeOutput]
    LARGE_OUTPUT_UNSPECIFIED: ToolPolicy.LargeOutput
    LARGE_OUTPUT_FAIL: ToolPolicy.LargeOutput
    LARGE_OUTPUT_CUT: ToolPolicy.LargeOutput
    TASK_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    IDLE_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    RETRIES_FIELD_NUMBER: _ClassVar[int]
    BACKOFF_FIELD_NUMBER: _ClassVar[int]
    MAX_PARALLEL_FIELD_NUMBER: _ClassVar[int]
    RATE_CALLS_FIELD_NUMBER: _ClassVar[int]
    RATE_PERIOD_FIELD_NUMBER: _ClassVar[int]
    BREAKER_FAILURES_FIELD_NUMBER: _ClassVar[int]
    BREAKER_PAUSE_FIELD_NUMBER: _ClassVar[int]
    CACHE_FIELD_NUMBER: _ClassVar[int]
    EXCLUSIVE_FIELD_NUMBER: _ClassVar[int]
    LARGE_OUTPUT_FIELD_NUMBER: _ClassVar[int]
    APPROVAL_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    task_timeout: _duration_pb2.Duration
    idle_timeout: _duration_pb2.Duration
    retries: int
    backoff: _duration_pb2.Duration
    max_parallel: int
    rate_calls: int
    rate_period: _duration_pb2.Duration
    breaker_failures: int
    breaker_pause: _duration_pb2.Duration
    cache: _duration_pb2.Duration
    exclusive: _containers.RepeatedScalarFieldContainer[str]
    large_output: ToolPolicy.LargeOutput
    approval_timeout: _duration_pb2.Duration
    def __init__(self, task_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., idle_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., retries: _Optional[int] = ..., backoff: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_parallel: _Optional[int] = ..., rate_calls: _Optional[int] = ..., rate_period: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., breaker_failures: _Optional[int] = ..., breaker_pause: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., cache: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., exclusive: _Optional[_Iterable[str]] = ..., large_output: _Optional[_Union[ToolPolicy.LargeOutput, str]] = ..., approval_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class CallOutcome(_message.Message):
    __slots__ = ("output_json", "failure", "model_calls")
    OUTPUT_JSON_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    MODEL_CALLS_FIELD_NUMBER: _ClassVar[int]
    output_json: str
    failure: CallFailure
    model_calls: _containers.RepeatedCompositeFieldContainer[ToolModelCall]
    def __init__(self, output_json: _Optional[str] = ..., failure: _Optional[_Union[CallFailure, _Mapping]] = ..., model_calls: _Optional[_Iterable[_Union[ToolModelCall, _Mapping]]] = ...) -> None: ...

class ToolModelCall(_message.Message):
    __slots__ = ("model", "usage", "duration", "cost")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    model: str
    usage: _event_pb2.Usage
    duration: _duration_pb2.Duration
    cost: float
    def __init__(self, model: _Optional[str] = ..., usage: _Optional[_Union[_event_pb2.Usage, _Mapping]] = ..., duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., cost: _Optional[float] = ...) -> None: ...

class CallFailure(_message.Message):
    __slots__ = ("message", "kind", "may_be_repeated")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[CallFailure.Kind]
        KIND_ERROR: _ClassVar[CallFailure.Kind]
        KIND_OUTPUT_INVALID: _ClassVar[CallFailure.Kind]
        KIND_OUTPUT_TOO_LARGE: _ClassVar[CallFailure.Kind]
        KIND_TIMEOUT: _ClassVar[CallFailure.Kind]
        KIND_CANCELLED: _ClassVar[CallFailure.Kind]
        KIND_CRASHED: _ClassVar[CallFailure.Kind]
    KIND_UNSPECIFIED: CallFailure.Kind
    KIND_ERROR: CallFailure.Kind
    KIND_OUTPUT_INVALID: CallFailure.Kind
    KIND_OUTPUT_TOO_LARGE: CallFailure.Kind
    KIND_TIMEOUT: CallFailure.Kind
    KIND_CANCELLED: CallFailure.Kind
    KIND_CRASHED: CallFailure.Kind
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    MAY_BE_REPEATED_FIELD_NUMBER: _ClassVar[int]
    message: str
    kind: CallFailure.Kind
    may_be_repeated: bool
    def __init__(self, message: _Optional[str] = ..., kind: _Optional[_Union[CallFailure.Kind, str]] = ..., may_be_repeated: _Optional[bool] = ...) -> None: ...
