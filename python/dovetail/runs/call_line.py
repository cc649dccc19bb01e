"""Calls that are asked for one by one, written as lines of a plan: so that they go the way of all calls."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from dovetail.errors import UsageError
from dovetail.failure_text import bounded

__all__ = ["call_line", "call_text"]

# What the plan machine takes for the name of a tool.
_TOOL: Final = re.compile(r"[^\W\d][\w./:-]{0,127}(?<!:)")
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
    except ValueError as error:
        raise UsageError(f"the arguments of {tool} are no JSON: {error}") from None
    except RecursionError:
        raise UsageError(f"the arguments of {tool} are nested too deep") from None
    if not isinstance(arguments, dict):
        raise UsageError(f"the arguments of {tool} are no JSON object")
    return f"{task_id}. {call_text(tool, arguments, refers=False)}\n"


def call_text(tool: str, arguments: dict[str, Any] | list[Any], *, refers: bool = True) -> str:
    """A call as a plan has it, without its id.

    Args:
        tool: the tool's name, as a model wrote it.
        arguments: the arguments, by name or by position.
        refers: whether a ``$1`` in them is a reference, as in plans, or just text.

    Raises:
        UsageError: a name is none that a plan can have, or the arguments are nested too deep; the message says which.
    """
    # What a model wrote must not become more calls than it seems.
    if not _TOOL.fullmatch(tool):
        raise UsageError(f"{bounded(tool, 100)!r} is no name of a tool")
    if isinstance(arguments, dict):
        for name in arguments:
            if not _ARGUMENT.fullmatch(name):
                raise UsageError(f"{bounded(name, 100)!r} is no name of an argument of {tool}")
    try:
        # Written here too: what nests so deep that it can just be read may be too deep to be written.
        if isinstance(arguments, dict):
            given = [f"{name}={_literal(value, refers=refers)}" for name, value in arguments.items()]
        else:
            given = [_literal(value, refers=refers) for value in arguments]
    except RecursionError:
        raise UsageError(f"the arguments of {tool} are nested too deep") from None
    return f"{tool}({', '.join(given)})"


def _literal(value: Any, *, refers: bool) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if refers else text.replace("$", "$$")
