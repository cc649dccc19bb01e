import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Strategy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STRATEGY_UNSPECIFIED: _ClassVar[Strategy]
    STRATEGY_COMPILE: _ClassVar[Strategy]
    STRATEGY_PLAN_ONLY: _ClassVar[Strategy]
    STRATEGY_REACT: _ClassVar[Strategy]
    STRATEGY_TOOL_CALLS: _ClassVar[Strategy]

class Severity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SEVERITY_UNSPECIFIED: _ClassVar[Severity]
    SEVERITY_HINT: _ClassVar[Severity]
    SEVERITY_ERROR: _ClassVar[Severity]

class Purpose(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PURPOSE_UNSPECIFIED: _ClassVar[Purpose]
    PURPOSE_PLAN: _ClassVar[Purpose]
    PURPOSE_JOIN: _ClassVar[Purpose]
    PURPOSE_TURN: _ClassVar[Purpose]
    PURPOSE_TOOL: _ClassVar[Purpose]

class RunState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RUN_STATE_UNSPECIFIED: _ClassVar[RunState]
    RUN_STATE_RUNNING: _ClassVar[RunState]
    RUN_STATE_ANSWERED: _ClassVar[RunState]
    RUN_STATE_FAILED: _ClassVar[RunState]
    RUN_STATE_CANCELLED: _ClassVar[RunState]

class FailureReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FAILURE_REASON_UNSPECIFIED: _ClassVar[FailureReason]
    FAILURE_REASON_INVALID: _ClassVar[FailureReason]
    FAILURE_REASON_TOOL_ERROR: _ClassVar[FailureReason]
    FAILURE_REASON_TIMEOUT: _ClassVar[FailureReason]
    FAILURE_REASON_OUTPUT_INVALID: _ClassVar[FailureReason]
    FAILURE_REASON_OUTPUT_TOO_LARGE: _ClassVar[FailureReason]
    FAILURE_REASON_CANCELLED: _ClassVar[FailureReason]
    FAILURE_REASON_OUTCOME_UNKNOWN: _ClassVar[FailureReason]
    FAILURE_REASON_DEADLINE_EXCEEDED: _ClassVar[FailureReason]
    FAILURE_REASON_LIMIT_EXCEEDED: _ClassVar[FailureReason]
    FAILURE_REASON_EMPTY_PLAN: _ClassVar[FailureReason]
    FAILURE_REASON_EXECUTOR_LOST: _ClassVar[FailureReason]
    FAILURE_REASON_APPROVAL_REJECTED: _ClassVar[FailureReason]
    FAILURE_REASON_TOOL_UNAVAILABLE: _ClassVar[FailureReason]
    FAILURE_REASON_ARGUMENTS_TOO_LARGE: _ClassVar[FailureReason]
    FAILURE_REASON_OVERLOADED: _ClassVar[FailureReason]
    FAILURE_REASON_CIRCUIT_OPEN: _ClassVar[FailureReason]
    FAILURE_REASON_APPROVAL_TIMED_OUT: _ClassVar[FailureReason]
    FAILURE_REASON_TOOL_CRASHED: _ClassVar[FailureReason]
    FAILURE_REASON_TOOL_NOT_ALLOWED: _ClassVar[FailureReason]
    FAILURE_REASON_MODEL_UNREACHABLE: _ClassVar[FailureReason]
    FAILURE_REASON_MODEL_UNAUTHENTICATED: _ClassVar[FailureReason]
    FAILURE_REASON_MODEL_REJECTED: _ClassVar[FailureReason]
    FAILURE_REASON_MODEL_RATE_LIMITED: _ClassVar[FailureReason]
    FAILURE_REASON_MODEL_UNAVAILABLE: _ClassVar[FailureReason]
    FAILURE_REASON_MODEL_STREAM_CUT: _ClassVar[FailureReason]
    FAILURE_REASON_MODEL_PROTOCOL: _ClassVar[FailureReason]
    FAILURE_REASON_MODEL_TIMEOUT: _ClassVar[FailureReason]
    FAILURE_REASON_MODEL_GRAMMAR_REFUSED: _ClassVar[FailureReason]
    FAILURE_REASON_ANSWER_INVALID: _ClassVar[FailureReason]
    FAILURE_REASON_INTERNAL: _ClassVar[FailureReason]
STRATEGY_UNSPECIFIED: Strategy
STRATEGY_COMPILE: Strategy
STRATEGY_PLAN_ONLY: Strategy
STRATEGY_REACT: Strategy
STRATEGY_TOOL_CALLS: Strategy
SEVERITY_UNSPECIFIED: Severity
SEVERITY_HINT: Severity
SEVERITY_ERROR: Severity
PURPOSE_UNSPECIFIED: Purpose
PURPOSE_PLAN: Purpose
PURPOSE_JOIN: Purpose
PURPOSE_TURN: Purpose
PURPOSE_TOOL: Purpose
RUN_STATE_UNSPECIFIED: RunState
RUN_STATE_RUNNING: RunState
RUN_STATE_ANSWERED: RunState
RUN_STATE_FAILED: RunState
RUN_STATE_CANCELLED: RunState
FAILURE_REASON_UNSPECIFIED: FailureReason
FAILURE_REASON_INVALID: FailureReason
FAILURE_REASON_TOOL_ERROR: FailureReason
FAILURE_REASON_TIMEOUT: FailureReason
FAILURE_REASON_OUTPUT_INVALID: FailureReason
FAILURE_REASON_OUTPUT_TOO_LARGE: FailureReason
FAILURE_REASON_CANCELLED: FailureReason
FAILURE_REASON_OUTCOME_UNKNOWN: FailureReason
FAILURE_REASON_DEADLINE_EXCEEDED: FailureReason
FAILURE_REASON_LIMIT_EXCEEDED: FailureReason
FAILURE_REASON_EMPTY_PLAN: FailureReason
FAILURE_REASON_EXECUTOR_LOST: FailureReason
FAILURE_REASON_APPROVAL_REJECTED: FailureReason
FAILURE_REASON_TOOL_UNAVAILABLE: FailureReason
FAILURE_REASON_ARGUMENTS_TOO_LARGE: FailureReason
FAILURE_REASON_OVERLOADED: FailureReason
FAILURE_REASON_CIRCUIT_OPEN: FailureReason
FAILURE_REASON_APPROVAL_TIMED_OUT: FailureReason
FAILURE_REASON_TOOL_CRASHED: FailureReason
FAILURE_REASON_TOOL_NOT_ALLOWED: FailureReason
FAILURE_REASON_MODEL_UNREACHABLE: FailureReason
FAILURE_REASON_MODEL_UNAUTHENTICATED: FailureReason
FAILURE_REASON_MODEL_REJECTED: FailureReason
FAILURE_REASON_MODEL_RATE_LIMITED: FailureReason
FAILURE_REASON_MODEL_UNAVAILABLE: FailureReason
FAILURE_REASON_MODEL_STREAM_CUT: FailureReason
FAILURE_REASON_MODEL_PROTOCOL: FailureReason
FAILURE_REASON_MODEL_TIMEOUT: FailureReason
FAILURE_REASON_MODEL_GRAMMAR_REFUSED: FailureReason
FAILURE_REASON_ANSWER_INVALID: FailureReason
FAILURE_REASON_INTERNAL: FailureReason

class Event(_message.Message):
    __slots__ = ("sequence", "time", "run_started", "plan_started", "plan_text", "thought_written", "task_planned", "plan_diagnosed", "plan_closed", "task_ready", "call_started", "task_succeeded", "task_failed", "task_skipped", "call_waiting", "call_progressed", "call_lost", "approval_requested", "approval_resolved", "call_failed", "join_started", "answer_text", "replan_requested", "model_call_ended", "model_replaced", "run_answered", "cancel_requested", "run_ended")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    RUN_STARTED_FIELD_NUMBER: _ClassVar[int]
    PLAN_STARTED_FIELD_NUMBER: _ClassVar[int]
    PLAN_TEXT_FIELD_NUMBER: _ClassVar[int]
    THOUGHT_WRITTEN_FIELD_NUMBER: _ClassVar[int]
    TASK_PLANNED_FIELD_NUMBER: _ClassVar[int]
    PLAN_DIAGNOSED_FIELD_NUMBER: _ClassVar[int]
    PLAN_CLOSED_FIELD_NUMBER: _ClassVar[int]
    TASK_READY_FIELD_NUMBER: _ClassVar[int]
    CALL_STARTED_FIELD_NUMBER: _ClassVar[int]
    TASK_SUCCEEDED_FIELD_NUMBER: _ClassVar[int]
    TASK_FAILED_FIELD_NUMBER: _ClassVar[int]
    TASK_SKIPPED_FIELD_NUMBER: _ClassVar[int]
    CALL_WAITING_FIELD_NUMBER: _ClassVar[int]
    CALL_PROGRESSED_FIELD_NUMBER: _ClassVar[int]
    CALL_LOST_FIELD_NUMBER: _ClassVar[int]
    APPROVAL_REQUESTED_FIELD_NUMBER: _ClassVar[int]
    APPROVAL_RESOLVED_FIELD_NUMBER: _ClassVar[int]
    CALL_FAILED_FIELD_NUMBER: _ClassVar[int]
    JOIN_STARTED_FIELD_NUMBER: _ClassVar[int]
    ANSWER_TEXT_FIELD_NUMBER: _ClassVar[int]
    REPLAN_REQUESTED_FIELD_NUMBER: _ClassVar[int]
    MODEL_CALL_ENDED_FIELD_NUMBER: _ClassVar[int]
    MODEL_REPLACED_FIELD_NUMBER: _ClassVar[int]
    RUN_ANSWERED_FIELD_NUMBER: _ClassVar[int]
    CANCEL_REQUESTED_FIELD_NUMBER: _ClassVar[int]
    RUN_ENDED_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    time: _timestamp_pb2.Timestamp
    run_started: RunStarted
    plan_started: PlanStarted
    plan_text: PlanText
    thought_written: ThoughtWritten
    task_planned: TaskPlanned
    plan_diagnosed: PlanDiagnosed
    plan_closed: PlanClosed
    task_ready: TaskReady
    call_started: CallStarted
    task_succeeded: TaskSucceeded
    task_failed: TaskFailed
    task_skipped: TaskSkipped
    call_waiting: CallWaiting
    call_progressed: CallProgressed
    call_lost: CallLost
    approval_requested: ApprovalRequested
    approval_resolved: ApprovalResolved
    call_failed: CallFailed
    join_started: JoinStarted
    answer_text: AnswerText
    replan_requested: ReplanRequested
    model_call_ended: ModelCallEnded
    model_replaced: ModelReplaced
    run_answered: RunAnswered
    cancel_requested: CancelRequested
    run_ended: RunEnded
    def __init__(self, sequence: _Optional[int] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., run_started: _Optional[_Union[RunStarted, _Mapping]] = ..., plan_started: _Optional[_Union[PlanStarted, _Mapping]] = ..., plan_text: _Optional[_Union[PlanText, _Mapping]] = ..., thought_written: _Optional[_Union[ThoughtWritten, _Mapping]] = ..., task_planned: _Optional[_Union[TaskPlanned, _Mapping]] = ..., plan_diagnosed: _Optional[_Union[PlanDiagnosed, _Mapping]] = ..., plan_closed: _Optional[_Union[PlanClosed, _Mapping]] = ..., task_ready: _Optional[_Union[TaskReady, _Mapping]] = ..., call_started: _Optional[_Union[CallStarted, _Mapping]] = ..., task_succeeded: _Optional[_Union[TaskSucceeded, _Mapping]] = ..., task_failed: _Optional[_Union[TaskFailed, _Mapping]] = ..., task_skipped: _Optional[_Union[TaskSkipped, _Mapping]] = ..., call_waiting: _Optional[_Union[CallWaiting, _Mapping]] = ..., call_progressed: _Optional[_Union[CallProgressed, _Mapping]] = ..., call_lost: _Optional[_Union[CallLost, _Mapping]] = ..., approval_requested: _Optional[_Union[ApprovalRequested, _Mapping]] = ..., approval_resolved: _Optional[_Union[ApprovalResolved, _Mapping]] = ..., call_failed: _Optional[_Union[CallFailed, _Mapping]] = ..., join_started: _Optional[_Union[JoinStarted, _Mapping]] = ..., answer_text: _Optional[_Union[AnswerText, _Mapping]] = ..., replan_requested: _Optional[_Union[ReplanRequested, _Mapping]] = ..., model_call_ended: _Optional[_Union[ModelCallEnded, _Mapping]] = ..., model_replaced: _Optional[_Union[ModelReplaced, _Mapping]] = ..., run_answered: _Optional[_Union[RunAnswered, _Mapping]] = ..., cancel_requested: _Optional[_Union[CancelRequested, _Mapping]] = ..., run_ended: _Optional[_Union[RunEnded, _Mapping]] = ...) -> None: ...

class RunStarted(_message.Message):
    __slots__ = ("run_id", "question", "strategy", "model", "tools", "limits", "metadata", "joiner", "answer_schema_json")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TOOLS_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    JOINER_FIELD_NUMBER: _ClassVar[int]
    ANSWER_SCHEMA_JSON_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    question: str
    strategy: Strategy
    model: str
    tools: _containers.RepeatedScalarFieldContainer[str]
    limits: Limits
    metadata: _containers.ScalarMap[str, str]
    joiner: str
    answer_schema_json: str
    def __init__(self, run_id: _Optional[str] = ..., question: _Optional[str] = ..., strategy: _Optional[_Union[Strategy, str]] = ..., model: _Optional[str] = ..., tools: _Optional[_Iterable[str]] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., metadata: _Optional[_Mapping[str, str]] = ..., joiner: _Optional[str] = ..., answer_schema_json: _Optional[str] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("deadline", "max_replans", "max_tasks", "max_parallel_calls", "max_tokens", "max_cost")
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    MAX_REPLANS_FIELD_NUMBER: _ClassVar[int]
    MAX_TASKS_FIELD_NUMBER: _ClassVar[int]
    MAX_PARALLEL_CALLS_FIELD_NUMBER: _ClassVar[int]
    MAX_TOKENS_FIELD_NUMBER: _ClassVar[int]
    MAX_COST_FIELD_NUMBER: _ClassVar[int]
    deadline: _duration_pb2.Duration
    max_replans: int
    max_tasks: int
    max_parallel_calls: int
    max_tokens: int
    max_cost: float
    def __init__(self, deadline: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_replans: _Optional[int] = ..., max_tasks: _Optional[int] = ..., max_parallel_calls: _Optional[int] = ..., max_tokens: _Optional[int] = ..., max_cost: _Optional[float] = ...) -> None: ...

class PlanStarted(_message.Message):
    __slots__ = ("plan", "model", "first_task_id", "tools", "grammar", "repair")
    PLAN_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    FIRST_TASK_ID_FIELD_NUMBER: _ClassVar[int]
    TOOLS_FIELD_NUMBER: _ClassVar[int]
    GRAMMAR_FIELD_NUMBER: _ClassVar[int]
    REPAIR_FIELD_NUMBER: _ClassVar[int]
    plan: int
    model: str
    first_task_id: int
    tools: _containers.RepeatedScalarFieldContainer[str]
    grammar: str
    repair: bool
    def __init__(self, plan: _Optional[int] = ..., model: _Optional[str] = ..., first_task_id: _Optional[int] = ..., tools: _Optional[_Iterable[str]] = ..., grammar: _Optional[str] = ..., repair: _Optional[bool] = ...) -> None: ...

class PlanText(_message.Message):
    __slots__ = ("plan", "text")
    PLAN_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    plan: int
    text: str
    def __init__(self, plan: _Optional[int] = ..., text: _Optional[str] = ...) -> None: ...

class ThoughtWritten(_message.Message):
    __slots__ = ("plan", "text")
    PLAN_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    plan: int
    text: str
    def __init__(self, plan: _Optional[int] = ..., text: _Optional[str] = ...) -> None: ...

class TaskPlanned(_message.Message):
    __slots__ = ("task_id", "plan", "tool", "depends_on", "line", "column")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    TOOL_FIELD_NUMBER: _ClassVar[int]
    DEPENDS_ON_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    task_id: int
    plan: int
    tool: str
    depends_on: _containers.RepeatedScalarFieldContainer[int]
    line: int
    column: int
    def __init__(self, task_id: _Optional[int] = ..., plan: _Optional[int] = ..., tool: _Optional[str] = ..., depends_on: _Optional[_Iterable[int]] = ..., line: _Optional[int] = ..., column: _Optional[int] = ...) -> None: ...

class PlanDiagnosed(_message.Message):
    __slots__ = ("plan", "severity", "code", "message", "line", "column", "task_id")
    PLAN_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    plan: int
    severity: Severity
    code: str
    message: str
    line: int
    column: int
    task_id: int
    def __init__(self, plan: _Optional[int] = ..., severity: _Optional[_Union[Severity, str]] = ..., code: _Optional[str] = ..., message: _Optional[str] = ..., line: _Optional[int] = ..., column: _Optional[int] = ..., task_id: _Optional[int] = ...) -> None: ...

class PlanClosed(_message.Message):
    __slots__ = ("plan", "answer_task")
    PLAN_FIELD_NUMBER: _ClassVar[int]
    ANSWER_TASK_FIELD_NUMBER: _ClassVar[int]
    plan: int
    answer_task: int
    def __init__(self, plan: _Optional[int] = ..., answer_task: _Optional[int] = ...) -> None: ...

class TaskReady(_message.Message):
    __slots__ = ("task_id", "arguments_json")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_JSON_FIELD_NUMBER: _ClassVar[int]
    task_id: int
    arguments_json: str
    def __init__(self, task_id: _Optional[int] = ..., arguments_json: _Optional[str] = ...) -> None: ...

class CallStarted(_message.Message):
    __slots__ = ("call_id", "task_id", "executor_id")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    EXECUTOR_ID_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    task_id: int
    executor_id: str
    def __init__(self, call_id: _Optional[str] = ..., task_id: _Optional[int] = ..., executor_id: _Optional[str] = ...) -> None: ...

class CallWaiting(_message.Message):
    __slots__ = ("call_id", "task_id", "ahead")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    AHEAD_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    task_id: int
    ahead: int
    def __init__(self, call_id: _Optional[str] = ..., task_id: _Optional[int] = ..., ahead: _Optional[int] = ...) -> None: ...

class CallProgressed(_message.Message):
    __slots__ = ("call_id", "task_id", "fraction", "message")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    FRACTION_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    task_id: int
    fraction: float
    message: str
    def __init__(self, call_id: _Optional[str] = ..., task_id: _Optional[int] = ..., fraction: _Optional[float] = ..., message: _Optional[str] = ...) -> None: ...

class CallLost(_message.Message):
    __slots__ = ("call_id", "task_id", "executor_id", "message")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    EXECUTOR_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    task_id: int
    executor_id: str
    message: str
    def __init__(self, call_id: _Optional[str] = ..., task_id: _Optional[int] = ..., executor_id: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class CallFailed(_message.Message):
    __slots__ = ("call_id", "task_id", "failure", "pause")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    PAUSE_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    task_id: int
    failure: Failure
    pause: _duration_pb2.Duration
    def __init__(self, call_id: _Optional[str] = ..., task_id: _Optional[int] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ..., pause: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class ApprovalRequested(_message.Message):
    __slots__ = ("task_id", "reason")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    task_id: int
    reason: str
    def __init__(self, task_id: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class ApprovalResolved(_message.Message):
    __slots__ = ("task_id", "approved", "arguments_json", "reason")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    APPROVED_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_JSON_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    task_id: int
    approved: bool
    arguments_json: str
    reason: str
    def __init__(self, task_id: _Optional[int] = ..., approved: _Optional[bool] = ..., arguments_json: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class TaskSucceeded(_message.Message):
    __slots__ = ("task_id", "output_json", "reused_task_id", "cached")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_JSON_FIELD_NUMBER: _ClassVar[int]
    REUSED_TASK_ID_FIELD_NUMBER: _ClassVar[int]
    CACHED_FIELD_NUMBER: _ClassVar[int]
    task_id: int
    output_json: str
    reused_task_id: int
    cached: bool
    def __init__(self, task_id: _Optional[int] = ..., output_json: _Optional[str] = ..., reused_task_id: _Optional[int] = ..., cached: _Optional[bool] = ...) -> None: ...

class TaskFailed(_message.Message):
    __slots__ = ("task_id", "failure")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    task_id: int
    failure: Failure
    def __init__(self, task_id: _Optional[int] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ...) -> None: ...

class TaskSkipped(_message.Message):
    __slots__ = ("task_id", "because")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    BECAUSE_FIELD_NUMBER: _ClassVar[int]
    task_id: int
    because: int
    def __init__(self, task_id: _Optional[int] = ..., because: _Optional[int] = ...) -> None: ...

class JoinStarted(_message.Message):
    __slots__ = ("plan", "model")
    PLAN_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    plan: int
    model: str
    def __init__(self, plan: _Optional[int] = ..., model: _Optional[str] = ...) -> None: ...

class AnswerText(_message.Message):
    __slots__ = ("text",)
    TEXT_FIELD_NUMBER: _ClassVar[int]
    text: str
    def __init__(self, text: _Optional[str] = ...) -> None: ...

class ReplanRequested(_message.Message):
    __slots__ = ("plan", "reason", "cause")
    class Cause(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        CAUSE_UNSPECIFIED: _ClassVar[ReplanRequested.Cause]
        CAUSE_JOINER: _ClassVar[ReplanRequested.Cause]
        CAUSE_FAILED_TASKS: _ClassVar[ReplanRequested.Cause]
        CAUSE_INVALID_TASKS: _ClassVar[ReplanRequested.Cause]
        CAUSE_CUT_OFF: _ClassVar[ReplanRequested.Cause]
        CAUSE_INVALID_ANSWER: _ClassVar[ReplanRequested.Cause]
    CAUSE_UNSPECIFIED: ReplanRequested.Cause
    CAUSE_JOINER: ReplanRequested.Cause
    CAUSE_FAILED_TASKS: ReplanRequested.Cause
    CAUSE_INVALID_TASKS: ReplanRequested.Cause
    CAUSE_CUT_OFF: ReplanRequested.Cause
    CAUSE_INVALID_ANSWER: ReplanRequested.Cause
    PLAN_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    plan: int
    reason: str
    cause: ReplanRequested.Cause
    def __init__(self, plan: _Optional[int] = ..., reason: _Optional[str] = ..., cause: _Optional[_Union[ReplanRequested.Cause, str]] = ...) -> None: ...

class ModelReplaced(_message.Message):
    __slots__ = ("purpose", "plan", "from_model", "to_model", "failure")
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    FROM_MODEL_FIELD_NUMBER: _ClassVar[int]
    TO_MODEL_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    purpose: Purpose
    plan: int
    from_model: str
    to_model: str
    failure: Failure
    def __init__(self, purpose: _Optional[_Union[Purpose, str]] = ..., plan: _Optional[int] = ..., from_model: _Optional[str] = ..., to_model: _Optional[str] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ...) -> None: ...

class ModelCallEnded(_message.Message):
    __slots__ = ("purpose", "plan", "usage", "finish_reason", "time_to_first_token", "duration", "failure", "model", "task_id", "cost")
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    FINISH_REASON_FIELD_NUMBER: _ClassVar[int]
    TIME_TO_FIRST_TOKEN_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    purpose: Purpose
    plan: int
    usage: Usage
    finish_reason: str
    time_to_first_token: _duration_pb2.Duration
    duration: _duration_pb2.Duration
    failure: Failure
    model: str
    task_id: int
    cost: float
    def __init__(self, purpose: _Optional[_Union[Purpose, str]] = ..., plan: _Optional[int] = ..., usage: _Optional[_Union[Usage, _Mapping]] = ..., finish_reason: _Optional[str] = ..., time_to_first_token: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ..., model: _Optional[str] = ..., task_id: _Optional[int] = ..., cost: _Optional[float] = ...) -> None: ...

class Usage(_message.Message):
    __slots__ = ("prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens")
    PROMPT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    COMPLETION_TOKENS_FIELD_NUMBER: _ClassVar[int]
    CACHED_TOKENS_FIELD_NUMBER: _ClassVar[int]
    REASONING_TOKENS_FIELD_NUMBER: _ClassVar[int]
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    def __init__(self, prompt_tokens: _Optional[int] = ..., completion_tokens: _Optional[int] = ..., cached_tokens: _Optional[int] = ..., reasoning_tokens: _Optional[int] = ...) -> None: ...

class RunAnswered(_message.Message):
    __slots__ = ("answer", "answer_task", "incomplete", "cited_tasks")
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    ANSWER_TASK_FIELD_NUMBER: _ClassVar[int]
    INCOMPLETE_FIELD_NUMBER: _ClassVar[int]
    CITED_TASKS_FIELD_NUMBER: _ClassVar[int]
    answer: str
    answer_task: int
    incomplete: bool
    cited_tasks: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, answer: _Optional[str] = ..., answer_task: _Optional[int] = ..., incomplete: _Optional[bool] = ..., cited_tasks: _Optional[_Iterable[int]] = ...) -> None: ...

class CancelRequested(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class RunEnded(_message.Message):
    __slots__ = ("state", "failure", "usage", "model_calls", "duration", "cost")
    STATE_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    MODEL_CALLS_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    state: RunState
    failure: Failure
    usage: Usage
    model_calls: int
    duration: _duration_pb2.Duration
    cost: float
    def __init__(self, state: _Optional[_Union[RunState, str]] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ..., usage: _Optional[_Union[Usage, _Mapping]] = ..., model_calls: _Optional[int] = ..., duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., cost: _Optional[float] = ...) -> None: ...

class Failure(_message.Message):
    __slots__ = ("reason", "message")
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    reason: FailureReason
    message: str
    def __init__(self, reason: _Optional[_Union[FailureReason, str]] = ..., message: _Optional[str] = ...) -> None: ...
