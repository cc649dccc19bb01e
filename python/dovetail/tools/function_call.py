"""How the function behind a tool is called in this process."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from dovetail.errors import UsageError
from dovetail.tools.call_context import CallContext
from dovetail.tools.secret import SecretsInUse
from dovetail.tools.threads import shared_threads

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from dovetail.tools.definition import Tool
    from dovetail.tools.secret import Secret

__all__ = ["bound_arguments", "call_function"]


async def call_function(tool: Tool, arguments_json: str | bytes, context: CallContext | None) -> str:
    """Call the function of a tool: on the event loop if it is async, in a thread if not.

    Args:
        tool: the tool.
        arguments_json: a JSON object that satisfies its input schema.
        context: the call that this is, for a function that asks for it.

    Returns:
        The output, as JSON text, without the tool's secrets.

    Raises:
        OutputError: the output is no JSON value, or too large.
        UsageError: there is no function behind the tool, or the variable of a secret is not set.
        ValueError: the arguments are no JSON object, or a type has demands that its schema does not show.
        Exception: whatever else the function raised.
    """
    if not tool.secrets:
        return await _call(tool, arguments_json, context)
    secrets = SecretsInUse(tool.secrets, tool.name)
    if context is not None:
        context = secrets.context(context)
    with secrets.hidden():
        return secrets.output(await _call(tool, arguments_json, context, secrets.arguments))


def bound_arguments(
    tool: Tool, arguments_json: str | bytes, context: CallContext | None, secrets: Mapping[str, Secret] | None = None
) -> dict[str, Any]:
    """Turn arguments into what the function of a tool takes.

    Raises:
        ValueError: they are no JSON object, or a type has demands that its schema does not show.
    """
    arguments: dict[str, Any] = from_json(arguments_json)
    for converter in tool.converters:
        if converter.name in arguments:
            arguments[converter.name] = converter.convert(arguments[converter.name])
    if tool.context_parameter is not None:
        arguments[tool.context_parameter] = context or CallContext()
    if secrets:
        arguments.update(secrets)
    return arguments


async def _call(
    tool: Tool, arguments_json: str | bytes, context: CallContext | None, secrets: Mapping[str, Secret] | None = None
) -> str:
    function = tool.function
    if function is None:
        raise UsageError(f"tool {tool.name!r} is a spec without a function: it can be planned with, not called")
    arguments = bound_arguments(tool, arguments_json, context, secrets)
    if not tool.is_async:
        output = await shared_threads.run(
            _call_and_encode, {"tool": tool, "function": function, "arguments": arguments}
        )
        return output if isinstance(output, str) else tool.encode(await output)
    try:
        output = await function(**arguments)
    except SystemExit as error:  # would end the loop, and with it every run
        raise RuntimeError(f"raised SystemExit: {error}") from error
    return tool.encode(output)


def _call_and_encode(tool: Tool, function: Callable[..., Any], arguments: dict[str, Any]) -> str | Awaitable[Any]:
    """Call a sync function, and encode its output: here even a large one does not hold up the loop."""
    output = function(**arguments)
    # A decorator around an async function may hide that it is one: then the loop awaits what it returned.
    return output if inspect.isawaitable(output) else tool.encode(output)
