"""Calls that are asked for one by one, written as lines of a plan: so that they go the way of all calls."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from dovetail.errors import UsageError
from dovetail.failure_text import bounded

__all__ = ["call_line"]

_TOOL: Final = re.compile(r"[A-Za-z_][\w.-]*", re.ASCII)
_ARGUMENT: Final = re.compile(r"[^\W\d][\w-]*")


def call_line(tool: str, arguments_json: str, task_id: int) -> str:
    """A call that a model asked for by its provider's tool calling, as a line of a plan, with the line break.

    Args:
        tool: the tool's name, as the model wrote it.
        arguments_json: the arguments, a JSON object, taken as they are: a ``$1`` in them is text and no reference.
        task_id: the task that it becomes.

    Raises:
        UsageError: the arguments are no JSON object, or a name is none that a plan can have; the message says which.
    """
    try:
        arguments = json.loads(arguments_json)
        # Written here too: what nests so deep that it can just be read may be too deep to be written.
        values = {name: _literal(value) for name, value in arguments.items()} if isinstance(arguments, dict) else {}
    except ValueError as error:
        raise UsageError(f"the arguments of {tool} are no JSON: {error}") from None
    except RecursionError:
        raise UsageError(f"the arguments of {tool} are nested too deep") from None
    if not isinstance(arguments, dict):
        raise UsageError(f"the arguments of {tool} are no JSON object")
    # What a model wrote must not become more calls than it seems.
    if not _TOOL.fullmatch(tool):
        raise UsageError(f"{bounded(tool, 100)!r} is no name of a tool")
    for name in values:
        if not _ARGUMENT.fullmatch(name):
            raise UsageError(f"{bounded(name, 100)!r} is no name of an argument of {tool}")
    given = ", ".join(f"{name}={value}" for name, value in values.items())
    return f"{task_id}. {tool}({given})\n"


def _literal(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False).replace("$", "$$")
