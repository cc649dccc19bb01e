import datetime

from dovetail.v1 import tool_pb2 as _tool_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AttachRequest(_message.Message):
    __slots__ = ("hello", "heartbeat", "progress", "results", "drain", "goodbye")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    GOODBYE_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    heartbeat: Heartbeat
    progress: _containers.RepeatedCompositeFieldContainer[CallProgress]
    results: _containers.RepeatedCompositeFieldContainer[CallResult]
    drain: Drain
    goodbye: Goodbye
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., progress: _Optional[_Iterable[_Union[CallProgress, _Mapping]]] = ..., results: _Optional[_Iterable[_Union[CallResult, _Mapping]]] = ..., drain: _Optional[_Union[Drain, _Mapping]] = ..., goodbye: _Optional[_Union[Goodbye, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("executor_id", "tools", "max_parallel_calls", "fencing_number", "known_call_ids")
    EXECUTOR_ID_FIELD_NUMBER: _ClassVar[int]
    TOOLS_FIELD_NUMBER: _ClassVar[int]
    MAX_PARALLEL_CALLS_FIELD_NUMBER: _ClassVar[int]
    FENCING_NUMBER_FIELD_NUMBER: _ClassVar[int]
    KNOWN_CALL_IDS_FIELD_NUMBER: _ClassVar[int]
    executor_id: str
    tools: _containers.RepeatedCompositeFieldContainer[_tool_pb2.ToolSpec]
    max_parallel_calls: int
    fencing_number: int
    known_call_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, executor_id: _Optional[str] = ..., tools: _Optional[_Iterable[_Union[_tool_pb2.ToolSpec, _Mapping]]] = ..., max_parallel_calls: _Optional[int] = ..., fencing_number: _Optional[int] = ..., known_call_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("number",)
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    number: int
    def __init__(self, number: _Optional[int] = ...) -> None: ...

class CallProgress(_message.Message):
    __slots__ = ("call_id", "fraction", "message")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    FRACTION_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    fraction: float
    message: str
    def __init__(self, call_id: _Optional[str] = ..., fraction: _Optional[float] = ..., message: _Optional[str] = ...) -> None: ...

class CallResult(_message.Message):
    __slots__ = ("call_id", "fencing_number", "outcome")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    FENCING_NUMBER_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    fencing_number: int
    outcome: _tool_pb2.CallOutcome
    def __init__(self, call_id: _Optional[str] = ..., fencing_number: _Optional[int] = ..., outcome: _Optional[_Union[_tool_pb2.CallOutcome, _Mapping]] = ...) -> None: ...

class Drain(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Goodbye(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class AttachResponse(_message.Message):
    __slots__ = ("welcome", "heartbeat", "calls", "cancelled_call_ids", "recorded_call_ids", "refused_results", "drain")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_CALL_IDS_FIELD_NUMBER: _ClassVar[int]
    RECORDED_CALL_IDS_FIELD_NUMBER: _ClassVar[int]
    REFUSED_RESULTS_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    heartbeat: Heartbeat
    calls: _containers.RepeatedCompositeFieldContainer[ExecutorCall]
    cancelled_call_ids: _containers.RepeatedScalarFieldContainer[str]
    recorded_call_ids: _containers.RepeatedScalarFieldContainer[str]
    refused_results: _containers.RepeatedCompositeFieldContainer[RefusedResult]
    drain: ServerDrain
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., calls: _Optional[_Iterable[_Union[ExecutorCall, _Mapping]]] = ..., cancelled_call_ids: _Optional[_Iterable[str]] = ..., recorded_call_ids: _Optional[_Iterable[str]] = ..., refused_results: _Optional[_Iterable[_Union[RefusedResult, _Mapping]]] = ..., drain: _Optional[_Union[ServerDrain, _Mapping]] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("fencing_number", "resumed", "heartbeat_interval", "lease", "grace", "max_message_bytes")
    FENCING_NUMBER_FIELD_NUMBER: _ClassVar[int]
    RESUMED_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    GRACE_FIELD_NUMBER: _ClassVar[int]
    MAX_MESSAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    fencing_number: int
    resumed: bool
    heartbeat_interval: _duration_pb2.Duration
    lease: _duration_pb2.Duration
    grace: _duration_pb2.Duration
    max_message_bytes: int
    def __init__(self, fencing_number: _Optional[int] = ..., resumed: _Optional[bool] = ..., heartbeat_interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., lease: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., grace: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_message_bytes: _Optional[int] = ...) -> None: ...

class ExecutorCall(_message.Message):
    __slots__ = ("call_id", "tool", "arguments_json", "timeout", "fencing_number", "run_id", "task_id", "traceparent")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    TOOL_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_JSON_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    FENCING_NUMBER_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    tool: str
    arguments_json: str
    timeout: _duration_pb2.Duration
    fencing_number: int
    run_id: str
    task_id: int
    traceparent: str
    def __init__(self, call_id: _Optional[str] = ..., tool: _Optional[str] = ..., arguments_json: _Optional[str] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., fencing_number: _Optional[int] = ..., run_id: _Optional[str] = ..., task_id: _Optional[int] = ..., traceparent: _Optional[str] = ...) -> None: ...

class RefusedResult(_message.Message):
    __slots__ = ("call_id", "reason")
    class Reason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        REASON_UNSPECIFIED: _ClassVar[RefusedResult.Reason]
        REASON_UNKNOWN_CALL: _ClassVar[RefusedResult.Reason]
        REASON_STALE_SESSION: _ClassVar[RefusedResult.Reason]
    REASON_UNSPECIFIED: RefusedResult.Reason
    REASON_UNKNOWN_CALL: RefusedResult.Reason
    REASON_STALE_SESSION: RefusedResult.Reason
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    reason: RefusedResult.Reason
    def __init__(self, call_id: _Optional[str] = ..., reason: _Optional[_Union[RefusedResult.Reason, str]] = ...) -> None: ...

class ServerDrain(_message.Message):
    __slots__ = ("within",)
    WITHIN_FIELD_NUMBER: _ClassVar[int]
    within: _duration_pb2.Duration
    def __init__(self, within: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...
