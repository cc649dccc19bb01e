from dovetail.v1 import event_pb2 as _event_pb2
from dovetail.v1 import tool_pb2 as _tool_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CompilePlanRequest(_message.Message):
    __slots__ = ("start", "text", "outcome")
    START_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    start: CompilePlanStart
    text: str
    outcome: TaskOutcome
    def __init__(self, start: _Optional[_Union[CompilePlanStart, _Mapping]] = ..., text: _Optional[str] = ..., outcome: _Optional[_Union[TaskOutcome, _Mapping]] = ...) -> None: ...

class CompilePlanStart(_message.Message):
    __slots__ = ("tools", "inline_tools", "max_tasks")
    TOOLS_FIELD_NUMBER: _ClassVar[int]
    INLINE_TOOLS_FIELD_NUMBER: _ClassVar[int]
    MAX_TASKS_FIELD_NUMBER: _ClassVar[int]
    tools: _containers.RepeatedScalarFieldContainer[str]
    inline_tools: _containers.RepeatedCompositeFieldContainer[_tool_pb2.ToolSpec]
    max_tasks: int
    def __init__(self, tools: _Optional[_Iterable[str]] = ..., inline_tools: _Optional[_Iterable[_Union[_tool_pb2.ToolSpec, _Mapping]]] = ..., max_tasks: _Optional[int] = ...) -> None: ...

class TaskOutcome(_message.Message):
    __slots__ = ("task_id", "output_json", "failed")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_JSON_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    task_id: int
    output_json: str
    failed: bool
    def __init__(self, task_id: _Optional[int] = ..., output_json: _Optional[str] = ..., failed: _Optional[bool] = ...) -> None: ...

class CompilePlanResponse(_message.Message):
    __slots__ = ("steps",)
    STEPS_FIELD_NUMBER: _ClassVar[int]
    steps: _containers.RepeatedCompositeFieldContainer[Step]
    def __init__(self, steps: _Optional[_Iterable[_Union[Step, _Mapping]]] = ...) -> None: ...

class Step(_message.Message):
    __slots__ = ("thought_written", "task_planned", "task_ready", "task_skipped", "plan_diagnosed", "plan_closed")
    THOUGHT_WRITTEN_FIELD_NUMBER: _ClassVar[int]
    TASK_PLANNED_FIELD_NUMBER: _ClassVar[int]
    TASK_READY_FIELD_NUMBER: _ClassVar[int]
    TASK_SKIPPED_FIELD_NUMBER: _ClassVar[int]
    PLAN_DIAGNOSED_FIELD_NUMBER: _ClassVar[int]
    PLAN_CLOSED_FIELD_NUMBER: _ClassVar[int]
    thought_written: _event_pb2.ThoughtWritten
    task_planned: _event_pb2.TaskPlanned
    task_ready: _event_pb2.TaskReady
    task_skipped: _event_pb2.TaskSkipped
    plan_diagnosed: _event_pb2.PlanDiagnosed
    plan_closed: _event_pb2.PlanClosed
    def __init__(self, thought_written: _Optional[_Union[_event_pb2.ThoughtWritten, _Mapping]] = ..., task_planned: _Optional[_Union[_event_pb2.TaskPlanned, _Mapping]] = ..., task_ready: _Optional[_Union[_event_pb2.TaskReady, _Mapping]] = ..., task_skipped: _Optional[_Union[_event_pb2.TaskSkipped, _Mapping]] = ..., plan_diagnosed: _Optional[_Union[_event_pb2.PlanDiagnosed, _Mapping]] = ..., plan_closed: _Optional[_Union[_event_pb2.PlanClosed, _Mapping]] = ...) -> None: ...
