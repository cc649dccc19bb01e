import datetime

from dovetail.v1 import event_pb2 as _event_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Run(_message.Message):
    __slots__ = ("run_id", "question", "state", "model", "strategy", "tools", "limits", "metadata", "create_time", "end_time", "answer", "failure", "usage", "last_sequence", "awaiting_approval", "cost")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    TOOLS_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    LAST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    AWAITING_APPROVAL_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    question: str
    state: _event_pb2.RunState
    model: str
    strategy: _event_pb2.Strategy
    tools: _containers.RepeatedScalarFieldContainer[str]
    limits: _event_pb2.Limits
    metadata: _containers.ScalarMap[str, str]
    create_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    answer: str
    failure: _event_pb2.Failure
    usage: _event_pb2.Usage
    last_sequence: int
    awaiting_approval: _containers.RepeatedScalarFieldContainer[int]
    cost: float
    def __init__(self, run_id: _Optional[str] = ..., question: _Optional[str] = ..., state: _Optional[_Union[_event_pb2.RunState, str]] = ..., model: _Optional[str] = ..., strategy: _Optional[_Union[_event_pb2.Strategy, str]] = ..., tools: _Optional[_Iterable[str]] = ..., limits: _Optional[_Union[_event_pb2.Limits, _Mapping]] = ..., metadata: _Optional[_Mapping[str, str]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., answer: _Optional[str] = ..., failure: _Optional[_Union[_event_pb2.Failure, _Mapping]] = ..., usage: _Optional[_Union[_event_pb2.Usage, _Mapping]] = ..., last_sequence: _Optional[int] = ..., awaiting_approval: _Optional[_Iterable[int]] = ..., cost: _Optional[float] = ...) -> None: ...
