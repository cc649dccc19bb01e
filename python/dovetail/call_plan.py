"""Calls that were asked for one by one, written as a plan: so that they go the way of all calls."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from dovetail.errors import UsageError
from dovetail.failure_text import bounded

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from dovetail.model_call import ModelCall

__all__ = ["AskedCall", "CallPlan"]

_TOOL: Final = re.compile(r"[A-Za-z_][\w.-]*", re.ASCII)
_ARGUMENT: Final = re.compile(r"[^\W\d][\w-]*")


@dataclass(frozen=True, slots=True)
class AskedCall:
    """A call that a model asked for outside of a plan: in a turn of its own, or by its provider's tool calling.

    Raises:
        UsageError: the arguments are no JSON object, or a name is none that a plan can have; the message says which.
    """

    tool: str
    """The tool's name, as the model wrote it."""
    arguments_json: str
    """The arguments, a JSON object, taken as they are: a ``$1`` in them is text and no reference."""

    def __post_init__(self) -> None:
        try:
            arguments = json.loads(self.arguments_json)
        except ValueError as error:
            raise UsageError(f"the arguments of {self.tool} are no JSON: {error}") from None
        if not isinstance(arguments, dict):
            raise UsageError(f"the arguments of {self.tool} are no JSON object")
        # What a model wrote must not become more calls than it seems.
        if not _TOOL.fullmatch(self.tool):
            raise UsageError(f"{bounded(self.tool, 100)!r} is no name of a tool")
        for name in arguments:
            if not _ARGUMENT.fullmatch(name):
                raise UsageError(f"{bounded(name, 100)!r} is no name of an argument of {self.tool}")


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
        lines = [f"Thought: {self._thought}"] if self._thought else []
        for task_id, call in enumerate(self._calls, self._first_id):
            arguments: dict[str, Any] = json.loads(call.arguments_json)
            given = ", ".join(f"{name}={_literal(value)}" for name, value in arguments.items())
            lines.append(f"{task_id}. {call.tool}({given})")
        yield "\n".join(lines) + "\n"


def _literal(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False).replace("$", "$$")
