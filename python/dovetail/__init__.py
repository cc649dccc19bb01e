"""Dovetail runs an LLM's plan of tool calls while the plan is still being written.

The names below are loaded when they are first used, so that ``import dovetail`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dovetail.approvals import ApprovalRequest, Approve, Reject
    from dovetail.call_context import CallContext
    from dovetail.client import Client, RemoteRun, SyncClient
    from dovetail.embedding import run
    from dovetail.engine import Engine
    from dovetail.errors import (
        AccessDeniedError,
        AlreadyExistsError,
        DovetailError,
        InvalidRequestError,
        LimitReachedError,
        ModelError,
        NotFoundError,
        NotPossibleError,
        RetryableError,
        RunCancelledError,
        RunFailedError,
        ServerError,
        ServerUnavailableError,
        ToolDefinitionError,
        UsageError,
    )
    from dovetail.examples import Example
    from dovetail.executor import Executor
    from dovetail.lessons import ExampleError
    from dovetail.limits import Limits
    from dovetail.models.provider import open_model
    from dovetail.prices import Price
    from dovetail.runs import Run
    from dovetail.secret import Secret
    from dovetail.tool_set import ToolSet
    from dovetail.tools import Tool, tool

__all__ = [
    "AccessDeniedError",
    "AlreadyExistsError",
    "ApprovalRequest",
    "Approve",
    "CallContext",
    "Client",
    "DovetailError",
    "Engine",
    "Example",
    "ExampleError",
    "Executor",
    "InvalidRequestError",
    "LimitReachedError",
    "Limits",
    "ModelError",
    "NotFoundError",
    "NotPossibleError",
    "Price",
    "Reject",
    "RemoteRun",
    "RetryableError",
    "Run",
    "RunCancelledError",
    "RunFailedError",
    "Secret",
    "ServerError",
    "ServerUnavailableError",
    "SyncClient",
    "Tool",
    "ToolDefinitionError",
    "ToolSet",
    "UsageError",
    "open_model",
    "run",
    "tool",
]

_MODULES = {
    "ApprovalRequest": "approvals",
    "Approve": "approvals",
    "CallContext": "call_context",
    "Client": "client",
    "Engine": "engine",
    "Example": "examples",
    "Executor": "executor",
    "Limits": "limits",
    "Price": "prices",
    "Reject": "approvals",
    "RemoteRun": "client",
    "Run": "runs",
    "Secret": "secret",
    "SyncClient": "client",
    "Tool": "tools",
    "ToolSet": "tool_set",
    "open_model": "models.provider",
    "tool": "tools",
    **dict.fromkeys((name for name in __all__ if name.endswith("Error")), "errors"),
    "ExampleError": "lessons",
}


def __getattr__(name: str) -> object:
    if name == "run":
        value: object = import_module("dovetail.embedding").run
    elif name in _MODULES:
        value = getattr(import_module(f"dovetail.{_MODULES[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
