"""Tools on the wire: a `Tool` as a `dovetail.v1.ToolSpec` and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic_core import from_json, to_json

from dovetail.durations import duration_of
from dovetail.errors import ToolDefinitionError, UsageError
from dovetail.tools.definition import DEFAULT_MAX_OUTPUT_BYTES, DEFAULT_TIMEOUT, Tool
from dovetail.tools.policy import PLAIN
from dovetail.tools.policy_wire import policy_from_wire, policy_to_wire
from dovetail.tools.tool_check import check_output_schema
from dovetail.v1 import ToolSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dovetail.tools.policy import Policy

__all__ = ["MAX_OUTPUT_BYTES", "tool_from_wire", "tool_to_wire"]

MAX_OUTPUT_BYTES: Final = 2 * 1024 * 1024
"""The largest output that an event can carry past gRPC's default limit of 4 MiB a message."""

_MAX_SCHEMA = 256 * 1024
_MAX_TIMEOUT = 24 * 3600.0
_FIELDS = {"input_schema": "input_schema_json", "output_schema": "output_schema_json"}
_HINTS = ("read_only", "idempotent", "destructive", "sequential", "approval")


def tool_to_wire(tool: Tool) -> ToolSpec:
    """A tool as the wire carries it.

    Raises:
        ToolDefinitionError: its outputs may be larger than an event can carry.
    """
    if tool.max_output_bytes > MAX_OUTPUT_BYTES:
        raise ToolDefinitionError(
            f"tool {tool.name!r}: max_output_bytes is {tool.max_output_bytes:,}; a tool that is used over gRPC may "
            f"return {MAX_OUTPUT_BYTES:,} bytes at most"
        )
    spec = ToolSpec(
        name=tool.name,
        description=tool.description,
        input_schema_json=to_json(tool.input_schema).decode(),
        max_output_bytes=tool.max_output_bytes,
        **{hint: getattr(tool, hint) for hint in _HINTS},
    )
    if tool.output_schema is not None:
        spec.output_schema_json = to_json(tool.output_schema).decode()
    if tool.policy != PLAIN:
        spec.policy.CopyFrom(policy_to_wire(tool.policy))
    timeout = _MAX_TIMEOUT if tool.timeout is None else min(tool.timeout, _MAX_TIMEOUT)
    spec.timeout.CopyFrom(duration_of(timeout))
    return spec


def tool_from_wire(spec: ToolSpec, **fields: Any) -> Tool:
    """A tool of its spec on the wire.

    Args:
        spec: the spec.
        **fields: further fields of `Tool`: what stands behind it.

    Raises:
        ToolDefinitionError: a field cannot be used; the message begins with the field's name and a colon.
    """
    timeout = DEFAULT_TIMEOUT
    if spec.HasField("timeout"):
        timeout = spec.timeout.seconds + spec.timeout.nanos / 1e9
        if not 0 < timeout <= _MAX_TIMEOUT:
            raise ToolDefinitionError(f"timeout: is {timeout:g} s; it must be above 0 and at most {_MAX_TIMEOUT:g} s")
    if not 0 <= spec.max_output_bytes <= MAX_OUTPUT_BYTES:
        raise ToolDefinitionError(
            f"max_output_bytes: is {spec.max_output_bytes:,}; it must be from 1 to {MAX_OUTPUT_BYTES:,}"
        )
    policy = _policy(spec)
    input_schema = _schema("input_schema_json", spec.input_schema_json)
    if input_schema is None:
        raise ToolDefinitionError('input_schema_json: is missing; a tool without arguments has {"type": "object"}')
    output_schema = _schema("output_schema_json", spec.output_schema_json)
    try:
        check_output_schema(spec.name, output_schema)
        return Tool(
            name=spec.name,
            description=spec.description,
            input_schema=input_schema,
            output_schema=output_schema,
            timeout=timeout,
            max_output_bytes=spec.max_output_bytes or DEFAULT_MAX_OUTPUT_BYTES,
            policy=policy,
            **{hint: getattr(spec, hint) for hint in _HINTS},
            **fields,
        )
    except ToolDefinitionError as error:
        raise ToolDefinitionError(f"{_FIELDS.get(error.field, error.field)}: {error}") from error


def _schema(field: str, text: str) -> Mapping[str, Any] | None:
    if not text:
        return None
    if len(text.encode()) > _MAX_SCHEMA:
        raise ToolDefinitionError(f"{field}: is longer than {_MAX_SCHEMA:,} bytes")
    try:
        schema = from_json(text)
    except ValueError as error:
        raise ToolDefinitionError(f"{field}: is no JSON: {error}") from error
    if not isinstance(schema, dict):
        raise ToolDefinitionError(f"{field}: is no JSON object")
    return schema


def _policy(spec: ToolSpec) -> Policy:
    if not spec.HasField("policy"):
        return PLAIN
    try:
        return policy_from_wire(spec.policy)
    except UsageError as error:
        raise ToolDefinitionError(f"policy: {error}") from error
