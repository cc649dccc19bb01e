"""Outputs that are larger than their tool may give, cut to size."""

from __future__ import annotations

from pydantic_core import from_json, to_json

__all__ = ["cut_output"]

_REMARK = " … [{:,} characters left out] … "


def cut_output(output_json: str, most: int) -> str:
    """The beginning and the end of an output, and between them a remark of how much was left out: a JSON string.

    Args:
        output_json: the output, a JSON value; a string is cut as text, anything else as the JSON that it is.
        most: how many bytes the JSON string may have; below a hundred it may have a few more, for the remark's sake.
    """
    text = output_json
    if text.startswith('"'):
        try:
            text = from_json(output_json)
        except ValueError:  # it is none, which whoever reads it is to find out
            text = output_json
    room = max(0, most - 80)
    while True:
        remark = _REMARK.format(len(text) - room)
        tail = room // 2
        cut = to_json(text[: room - tail] + remark + (text[-tail:] if tail else "")).decode()
        size = len(cut.encode())
        if size <= most or room == 0:
            return cut
        # What has to be escaped, or takes several bytes, made it longer.
        room = min(room - 1, room * most // size)
