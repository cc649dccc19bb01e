"""Executors: processes that attach to a server and serve tools."""

from dovetail.executor.executor import Executor
from dovetail.executor.refusal import ExecutorRefusedError
from dovetail.executor.state import ExecutorState

__all__ = ["Executor", "ExecutorRefusedError", "ExecutorState"]
