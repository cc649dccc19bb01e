"""The synchronous face: one question, one answer."""

from __future__ import annotations

import asyncio
import inspect
import sys
from typing import TYPE_CHECKING, Concatenate, ParamSpec

from dovetail.engine import Engine
from dovetail.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any, TypeVar

    T = TypeVar("T")

__all__ = ["run", "run_loop"]

_Options = ParamSpec("_Options")


def _asking(engine: Callable[_Options, Engine]) -> Callable[Concatenate[str, _Options], str]:
    """A function that asks an engine of its own, and takes what that takes: an option is defined once, there."""

    def run(question: str, /, *args: _Options.args, **options: _Options.kwargs) -> str:
        """Answer a question, and wait for the answer.

        Args:
            question: what to answer.
            *args: the tools and the model, as of `Engine`.
            **options: what else an `Engine` takes: ``joiner``, ``limits``, ``require_approval`` and so on.

        Raises:
            UsageError: something given cannot be used, or an event loop is running already.
            RunFailedError: the run ended without an answer.
        """

        async def answer() -> str:
            async with engine(*args, **options) as opened:
                return await opened.start(question).answer()

        return run_loop(answer)

    asked = inspect.Parameter("question", inspect.Parameter.POSITIONAL_ONLY, annotation="str")
    taken = inspect.signature(engine).parameters.values()
    run.__signature__ = inspect.Signature([asked, *taken], return_annotation="str")  # type: ignore[attr-defined]
    run.__qualname__ = run.__name__
    return run


run = _asking(Engine)


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
