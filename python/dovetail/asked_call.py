"""Calls that are asked for one by one, written as lines of a plan: so that they go the way of all calls."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final

from dovetail.errors import UsageError
from dovetail.failure_text import bounded

__all__ = ["AskedCall"]

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

    def line(self, task_id: int) -> str:
        """The call as a line of a plan, with the line break."""
        arguments: dict[str, Any] = json.loads(self.arguments_json)
        given = ", ".join(f"{name}={_literal(value)}" for name, value in arguments.items())
        return f"{task_id}. {self.tool}({given})\n"


def _literal(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False).replace("$", "$$")
