"""The plan of calls that were asked for one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dovetail.asked_call import AskedCall

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from dovetail.model_call import ModelCall

__all__ = ["AskedCall", "CallPlan"]


class CallPlan:
    """The plan that makes some calls and no others, as a `PlanText`.

    Args:
        model: the model that asked for them, as ``provider:name``.
        calls: the calls; none waits for another.
        first_id: the id of the first; the others count up from it.
        thought: what the model thought before it asked for them.
    """

    call: ModelCall | None = None
    tools: Sequence[str] | None = None
    grammar = ""
    repair = False
    is_turn = True

    def __init__(self, model: str, calls: Sequence[AskedCall], first_id: int, thought: str = "") -> None:
        self.model = model
        self._calls = calls
        self._first_id = first_id
        self._thought = " ".join(thought.split())

    async def pieces(self) -> AsyncGenerator[str, None]:
        """The plan in one piece."""
        thought = f"Thought: {self._thought}\n" if self._thought else ""
        yield thought + "".join(call.line(task_id) for task_id, call in enumerate(self._calls, self._first_id))
