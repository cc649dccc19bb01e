"""What a tool may know of the call that it carries out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dovetail.errors import UsageError
from dovetail.tools.tool_model_calls import told

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from typing import Any

    from dovetail.models.protocol import Model
    from dovetail.v1 import ToolModelCall

__all__ = ["CallContext"]


def _nobody(*_: object) -> None:
    """Nobody is told."""


@dataclass(frozen=True, slots=True)
class CallContext:
    """The call that a tool carries out: given to it in the parameter of this type, of which models see nothing.

    Attributes:
        run_id: the run that the call belongs to; empty outside a run.
        task_id: the task that the call is an attempt at; 0 outside a run.
        call_id: the call's own name: fit to be sent on as an idempotency key of this attempt.
        deadline: until when the call may take, a time of `time.monotonic`; None for no limit.
    """

    run_id: str = ""
    task_id: int = 0
    call_id: str = ""
    deadline: float | None = None
    _report: Callable[[float | None, str], None] = _nobody
    _count: Callable[[ToolModelCall], None] = _nobody
    _models: Callable[[Model | None], Model] | None = None
    _wanted: Callable[[], Awaitable[Mapping[str, Any] | None]] | None = None

    def report(self, fraction: float | None = None, message: str = "") -> None:
        """Tell whoever follows the run how far the call is. May be called from any thread, as often as is handy.

        Args:
            fraction: how much is done, from 0 to 1, if that is known.
            message: what is being done, for people.
        """
        self._report(fraction, message)

    def record_model_call(
        self,
        model: str,
        *,
        prompt_tokens: int,
        completion_tokens: int,
        cached_tokens: int = 0,
        reasoning_tokens: int = 0,
        duration: float | None = None,
        cost: float | None = None,
    ) -> None:
        """Have a model call counted that the tool made by itself: in the run's events, totals and budgets.

        May be called from any thread, wherever the tool is carried out. At most 64 are counted of a call.

        Args:
            model: the model, as ``provider:name``.
            prompt_tokens: tokens read, the cached ones included.
            completion_tokens: tokens written, the reasoning ones included.
            cached_tokens: tokens read from the provider's cache.
            reasoning_tokens: tokens spent on reasoning that is not shown.
            duration: how many seconds it took, if that is known.
            cost: what it cost, in US dollars; by the run's price table if None.

        Raises:
            UsageError: a number is negative, or none that can be counted.
        """
        made = told(
            model,
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            cached_tokens=cached_tokens,
            reasoning_tokens=reasoning_tokens,
            duration=duration,
            cost=cost,
        )
        self.count(made)

    def count(self, made: ToolModelCall) -> None:
        """Pass on a model call that was recorded elsewhere."""
        self._count(made)

    def counted(self, model: Model | None = None) -> Model:
        """A model whose calls are counted by themselves, as by `record_model_call`. For async tools.

        In the run's own process its calls keep to the run's budgets: a `CallFailedError` says that one is used up.

        Args:
            model: the model; the one that plans the run if None, which is there in the run's own process alone.

        Raises:
            UsageError: no model was given, and the tool is not carried out in the run's own process.
        """
        if self._models is not None:
            return self._models(model)
        if model is None:
            raise UsageError("there is no model to ask: outside of the run's own process the tool needs one of its own")
        from dovetail.tools.told_model import ToldModel  # here because most tools ask none

        return ToldModel(model, self)

    async def wanted(self) -> Mapping[str, Any] | None:
        """The JSON schema that the output has to fit where later tasks of the plan take it as it is. For async tools.

        While the plan is being written, it may take until the line that takes the output is there: 3 seconds at most. A
        tool that asks for this gives an output for one place: it is used again only where it fits.

        Returns:
            The schema; None if nothing is demanded, or nobody knows: outside of a run, and where the tool is not
            carried out in the run's own process.
        """
        return None if self._wanted is None else await self._wanted()

    def seconds_left(self) -> float | None:
        """How long the call may still take: 0 at the least; None for no limit."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())
