"""Dovetail runs an LLM's plan of tool calls while the plan is still being written.

The names below are loaded when they are first used, so that ``import dovetail`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dovetail.calls.approvals import ApprovalRequest, Approve, Reject
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
    from dovetail.executor import Executor
    from dovetail.models.provider import open_model
    from dovetail.prices import Price
    from dovetail.prompts.examples import Example
    from dovetail.prompts.lessons import ExampleError
    from dovetail.run_handle import Run
    from dovetail.runs.limits import Limits
    from dovetail.tools.call_context import CallContext
    from dovetail.tools.definition import Tool, tool
    from dovetail.tools.secret import Secret
    from dovetail.tools.tool_set import ToolSet

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
    "ApprovalRequest": "calls.approvals",
    "Approve": "calls.approvals",
    "CallContext": "tools.call_context",
    "Client": "client",
    "Engine": "engine",
    "Example": "prompts.examples",
    "Executor": "executor",
    "Limits": "runs.limits",
    "Price": "prices",
    "Reject": "calls.approvals",
    "RemoteRun": "client",
    "Run": "run_handle",
    "Secret": "tools.secret",
    "SyncClient": "client",
    "Tool": "tools.definition",
    "ToolSet": "tools.tool_set",
    "open_model": "models.provider",
    "tool": "tools.definition",
    **dict.fromkeys((name for name in __all__ if name.endswith("Error")), "errors"),
    "ExampleError": "prompts.lessons",
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
