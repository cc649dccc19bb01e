"""The seam between the calls of a run and whoever does what follows from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from dovetail.models.protocol import Model
    from dovetail.tools.call import Call
    from dovetail.v1 import Failure, ToolModelCall

__all__ = ["CallOutcomes"]


class CallOutcomes(Protocol):
    """Whoever is told of the calls of a run."""

    def call_waiting(self, call: Call, ahead: int) -> None:
        """There is no place for the call yet."""

    def call_started(self, call: Call, executor_id: str) -> None:
        """The tool is about to be entered."""

    def call_progressed(self, call: Call, fraction: float | None, message: str) -> None:
        """The call is so far."""

    def model_called(self, call: Call, made: ToolModelCall) -> None:
        """A tool made a model call by itself."""

    def model_for(self, call: Call, model: Model | None) -> Model:
        """A model that a tool may ask, counted: the run's own if None is given."""

    async def wanted(self, call: Call) -> Mapping[str, Any] | None:
        """The JSON schema that later tasks demand of the output; None if they demand nothing."""

    def call_lost(self, call: Call, executor_id: str, message: str) -> None:
        """The executor of the call is lost, in this way; what becomes of the task is told next."""

    def call_retried(self, call: Call, failure: Failure, pause: float) -> None:
        """The call failed, and another will follow after a pause of seconds."""

    def call_succeeded(self, task_id: int, output_json: str, *, cached: bool) -> None:
        """A task has its output; with ``cached`` no call was made for it."""

    def call_failed(self, task_id: int, failure: Failure) -> None:
        """A task will have no output."""
