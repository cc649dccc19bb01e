import datetime

from dovetail.v1 import event_pb2 as _event_pb2
from dovetail.v1 import run_pb2 as _run_pb2
from dovetail.v1 import tool_pb2 as _tool_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CreateRunRequest(_message.Message):
    __slots__ = ("run_id", "question", "tools", "client_tools", "model", "examples", "limits", "strategy", "metadata", "cancel_on_disconnect", "answer_schema_json", "cite_tasks", "notes", "replan_on_failure")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    TOOLS_FIELD_NUMBER: _ClassVar[int]
    CLIENT_TOOLS_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    EXAMPLES_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    CANCEL_ON_DISCONNECT_FIELD_NUMBER: _ClassVar[int]
    ANSWER_SCHEMA_JSON_FIELD_NUMBER: _ClassVar[int]
    CITE_TASKS_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    REPLAN_ON_FAILURE_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    question: str
    tools: _containers.RepeatedScalarFieldContainer[str]
    client_tools: _containers.RepeatedCompositeFieldContainer[_tool_pb2.ToolSpec]
    model: str
    examples: _containers.RepeatedCompositeFieldContainer[PlanExample]
    limits: _event_pb2.Limits
    strategy: _event_pb2.Strategy
    metadata: _containers.ScalarMap[str, str]
    cancel_on_disconnect: bool
    answer_schema_json: str
    cite_tasks: bool
    notes: str
    replan_on_failure: bool
    def __init__(self, run_id: _Optional[str] = ..., question: _Optional[str] = ..., tools: _Optional[_Iterable[str]] = ..., client_tools: _Optional[_Iterable[_Union[_tool_pb2.ToolSpec, _Mapping]]] = ..., model: _Optional[str] = ..., examples: _Optional[_Iterable[_Union[PlanExample, _Mapping]]] = ..., limits: _Optional[_Union[_event_pb2.Limits, _Mapping]] = ..., strategy: _Optional[_Union[_event_pb2.Strategy, str]] = ..., metadata: _Optional[_Mapping[str, str]] = ..., cancel_on_disconnect: _Optional[bool] = ..., answer_schema_json: _Optional[str] = ..., cite_tasks: _Optional[bool] = ..., notes: _Optional[str] = ..., replan_on_failure: _Optional[bool] = ...) -> None: ...

class PlanExample(_message.Message):
    __slots__ = ("question", "plan", "earlier", "missing")
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    EARLIER_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    question: str
    plan: str
    earlier: str
    missing: str
    def __init__(self, question: _Optional[str] = ..., plan: _Optional[str] = ..., earlier: _Optional[str] = ..., missing: _Optional[str] = ...) -> None: ...

class CreateRunResponse(_message.Message):
    __slots__ = ("run",)
    RUN_FIELD_NUMBER: _ClassVar[int]
    run: _run_pb2.Run
    def __init__(self, run: _Optional[_Union[_run_pb2.Run, _Mapping]] = ...) -> None: ...

class StreamRunRequest(_message.Message):
    __slots__ = ("start", "tool_result", "approval", "cancel", "tool_progress")
    START_FIELD_NUMBER: _ClassVar[int]
    TOOL_RESULT_FIELD_NUMBER: _ClassVar[int]
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    TOOL_PROGRESS_FIELD_NUMBER: _ClassVar[int]
    start: CreateRunRequest
    tool_result: ClientToolResult
    approval: ApprovalDecision
    cancel: StreamCancel
    tool_progress: ClientToolProgress
    def __init__(self, start: _Optional[_Union[CreateRunRequest, _Mapping]] = ..., tool_result: _Optional[_Union[ClientToolResult, _Mapping]] = ..., approval: _Optional[_Union[ApprovalDecision, _Mapping]] = ..., cancel: _Optional[_Union[StreamCancel, _Mapping]] = ..., tool_progress: _Optional[_Union[ClientToolProgress, _Mapping]] = ...) -> None: ...

class ClientToolResult(_message.Message):
    __slots__ = ("call_id", "outcome")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    outcome: _tool_pb2.CallOutcome
    def __init__(self, call_id: _Optional[str] = ..., outcome: _Optional[_Union[_tool_pb2.CallOutcome, _Mapping]] = ...) -> None: ...

class ClientToolProgress(_message.Message):
    __slots__ = ("call_id", "fraction", "message")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    FRACTION_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    fraction: float
    message: str
    def __init__(self, call_id: _Optional[str] = ..., fraction: _Optional[float] = ..., message: _Optional[str] = ...) -> None: ...

class ApprovalDecision(_message.Message):
    __slots__ = ("task_id", "approve", "arguments_json", "reason")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    APPROVE_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_JSON_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    task_id: int
    approve: bool
    arguments_json: str
    reason: str
    def __init__(self, task_id: _Optional[int] = ..., approve: _Optional[bool] = ..., arguments_json: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class StreamCancel(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class StreamRunResponse(_message.Message):
    __slots__ = ("run", "events", "calls", "cancelled_call_ids", "refused_approvals")
    RUN_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_CALL_IDS_FIELD_NUMBER: _ClassVar[int]
    REFUSED_APPROVALS_FIELD_NUMBER: _ClassVar[int]
    run: _run_pb2.Run
    events: _containers.RepeatedCompositeFieldContainer[_event_pb2.Event]
    calls: _containers.RepeatedCompositeFieldContainer[ClientToolCall]
    cancelled_call_ids: _containers.RepeatedScalarFieldContainer[str]
    refused_approvals: _containers.RepeatedCompositeFieldContainer[RefusedApproval]
    def __init__(self, run: _Optional[_Union[_run_pb2.Run, _Mapping]] = ..., events: _Optional[_Iterable[_Union[_event_pb2.Event, _Mapping]]] = ..., calls: _Optional[_Iterable[_Union[ClientToolCall, _Mapping]]] = ..., cancelled_call_ids: _Optional[_Iterable[str]] = ..., refused_approvals: _Optional[_Iterable[_Union[RefusedApproval, _Mapping]]] = ...) -> None: ...

class ClientToolCall(_message.Message):
    __slots__ = ("call_id", "task_id", "tool", "arguments_json", "timeout")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    TOOL_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_JSON_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    task_id: int
    tool: str
    arguments_json: str
    timeout: _duration_pb2.Duration
    def __init__(self, call_id: _Optional[str] = ..., task_id: _Optional[int] = ..., tool: _Optional[str] = ..., arguments_json: _Optional[str] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class RefusedApproval(_message.Message):
    __slots__ = ("task_id", "message")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    task_id: int
    message: str
    def __init__(self, task_id: _Optional[int] = ..., message: _Optional[str] = ...) -> None: ...

class WatchRunRequest(_message.Message):
    __slots__ = ("run_id", "after_sequence")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    after_sequence: int
    def __init__(self, run_id: _Optional[str] = ..., after_sequence: _Optional[int] = ...) -> None: ...

class WatchRunResponse(_message.Message):
    __slots__ = ("events",)
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[_event_pb2.Event]
    def __init__(self, events: _Optional[_Iterable[_Union[_event_pb2.Event, _Mapping]]] = ...) -> None: ...

class GetRunRequest(_message.Message):
    __slots__ = ("run_id",)
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    def __init__(self, run_id: _Optional[str] = ...) -> None: ...

class GetRunResponse(_message.Message):
    __slots__ = ("run",)
    RUN_FIELD_NUMBER: _ClassVar[int]
    run: _run_pb2.Run
    def __init__(self, run: _Optional[_Union[_run_pb2.Run, _Mapping]] = ...) -> None: ...

class ListRunsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "states", "created_from", "created_before")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    CREATED_FROM_FIELD_NUMBER: _ClassVar[int]
    CREATED_BEFORE_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    states: _containers.RepeatedScalarFieldContainer[_event_pb2.RunState]
    created_from: _timestamp_pb2.Timestamp
    created_before: _timestamp_pb2.Timestamp
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., states: _Optional[_Iterable[_Union[_event_pb2.RunState, str]]] = ..., created_from: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., created_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListRunsResponse(_message.Message):
    __slots__ = ("runs", "next_page_token")
    RUNS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    runs: _containers.RepeatedCompositeFieldContainer[_run_pb2.Run]
    next_page_token: str
    def __init__(self, runs: _Optional[_Iterable[_Union[_run_pb2.Run, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class CancelRunRequest(_message.Message):
    __slots__ = ("run_id", "reason")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    reason: str
    def __init__(self, run_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class CancelRunResponse(_message.Message):
    __slots__ = ("run",)
    RUN_FIELD_NUMBER: _ClassVar[int]
    run: _run_pb2.Run
    def __init__(self, run: _Optional[_Union[_run_pb2.Run, _Mapping]] = ...) -> None: ...

class ResolveApprovalRequest(_message.Message):
    __slots__ = ("run_id", "decision")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    decision: ApprovalDecision
    def __init__(self, run_id: _Optional[str] = ..., decision: _Optional[_Union[ApprovalDecision, _Mapping]] = ...) -> None: ...

class ResolveApprovalResponse(_message.Message):
    __slots__ = ("run",)
    RUN_FIELD_NUMBER: _ClassVar[int]
    run: _run_pb2.Run
    def __init__(self, run: _Optional[_Union[_run_pb2.Run, _Mapping]] = ...) -> None: ...
