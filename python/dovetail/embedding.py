"""The synchronous face: one question, one answer."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from dovetail.engine import Engine
from dovetail.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Sequence
    from typing import Any, TypeVar

    from dovetail.examples import Example
    from dovetail.limits import Limits
    from dovetail.models.protocol import Model
    from dovetail.tool_set import ToolSource

    T = TypeVar("T")

__all__ = ["run", "run_loop"]


def run(
    question: str,
    *,
    tools: Iterable[ToolSource],
    model: str | Model,
    joiner: str | Model | None = None,
    examples: Sequence[Example] = (),
    limits: Limits | None = None,
) -> str:
    """Answer a question, and wait for the answer.

    Args:
        question: what to answer.
        tools: the tools that plans may call: functions, tools, modules, SPECs.
        model: the model that plans, as ``provider:name`` or a `Model`.
        joiner: the model that joins outputs into an answer; the planner's if None.
        examples: plans to learn from.
        limits: the bounds of the run.

    Raises:
        UsageError: something given cannot be used, or an event loop is running already.
        RunFailedError: the run ended without an answer.
    """

    async def answer() -> str:
        async with Engine(tools, model, joiner=joiner, examples=examples, limits=limits) as engine:
            return await engine.start(question).answer()

    return run_loop(answer)


def run_loop(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine in an event loop of its own: uvloop's where it is installed.

    Raises:
        UsageError: an event loop is running already.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        raise UsageError("an event loop is running: use `async with dovetail.Engine(...)` in asynchronous code")
    factory = None
    if sys.platform != "win32":
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main())
