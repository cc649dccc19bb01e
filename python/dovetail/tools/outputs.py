"""Outputs: what a function returned, as JSON text of a bounded size."""

from __future__ import annotations

from typing import Any

from pydantic_core import PydanticSerializationError, from_json, to_json

from dovetail.tools.call_failure import CallFailedError
from dovetail.tools.large_output import cut_output
from dovetail.v1 import FailureReason

__all__ = ["OutputError", "encode_output"]


class OutputError(CallFailedError):
    """A tool returned something that cannot be an output.

    Attributes:
        reason: ``FAILURE_REASON_OUTPUT_INVALID`` or ``FAILURE_REASON_OUTPUT_TOO_LARGE``.
    """


def encode_output(output: Any, tool: str, most: int, *, cut: bool) -> str:
    """Turn what a function returned into JSON text.

    Args:
        output: what it returned.
        tool: the tool's name, for errors.
        most: how many bytes of JSON it may have.
        cut: whether a larger one is cut; it is an error if not.

    Raises:
        OutputError: it is no JSON value, or too large.
    """
    try:
        # Without the mode, NaN would silently become null.
        data = to_json(output, inf_nan_mode="constants")
    except Exception as error:  # a model's own serialiser may raise anything
        # pydantic puts the type of an inner error before its message.
        detail = str(error).removeprefix("Error serializing to JSON: ")
        if not isinstance(error, PydanticSerializationError):
            detail = f"{type(error).__name__}: {error}"
        raise OutputError(
            FailureReason.FAILURE_REASON_OUTPUT_INVALID,
            f"tool {tool!r} returned {_kind(output)} that is not JSON: {detail}",
        ) from error
    if len(data) > most:
        if cut:
            return cut_output(data.decode(), most)
        message = f"tool {tool!r} returned {len(data):,} bytes of JSON; max_output_bytes is {most:,}"
        raise OutputError(FailureReason.FAILURE_REASON_OUTPUT_TOO_LARGE, message)
    if (b"NaN" in data or b"Infinity" in data) and not _is_json(data):
        raise OutputError(
            FailureReason.FAILURE_REASON_OUTPUT_INVALID,
            f"tool {tool!r} returned {_kind(output)} with NaN or Infinity, which JSON does not have",
        )
    return data.decode()


def _is_json(data: bytes) -> bool:
    try:
        from_json(data, allow_inf_nan=False)
    except ValueError:
        return False
    return True


def _kind(output: Any) -> str:
    kind = type(output).__name__
    return f"{'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind}"
