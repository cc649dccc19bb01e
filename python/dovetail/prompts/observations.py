"""What became of tasks, as models are told: fenced, because it is data, and bounded, because it may be of any size."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Observation", "bounded_line", "cut_middle", "fenced", "observed"]

_MOST_OUTPUT: Final = 4000
_MOST_FAILURE: Final = 500
_MOST_ARGUMENTS: Final = 500
_LEAST: Final = 40
# How many characters a line has at the least, its arguments and its output cut as short as they may be.
_LEAST_LINE: Final = 160

_NO_ARGUMENTS: Final = "{}"
_FENCE: Final = "<<<"
_FENCE_END: Final = ">>>"
# Also in the wide and small forms, and with marks of no width between: a model may take those for the same.
_FORGED: Final = re.compile(
    r"(?:[<\uFF1C\uFE64][\u200B-\u200F\u2060\uFEFF]*){3,}|(?:[>\uFF1E\uFE65][\u200B-\u200F\u2060\uFEFF]*){3,}"
)


@dataclass(frozen=True, slots=True)
class Observation:
    """What became of one task. With neither an output nor a failure, it is on its way."""

    task_id: int
    tool: str
    arguments_json: str
    output_json: str | None = None
    """The output, or None if there is none."""
    failure: str | None = None
    """Why the task failed or was skipped, or None if it was not."""


def observed(observations: Sequence[Observation], *, most: int) -> str:
    """What became of tasks, a line for each.

    Long outputs lose their middle; what there is room for is shared out so that short ones stay whole. Of too many
    tasks, those in the middle are left out, and that is said.

    Args:
        observations: the tasks.
        most: how many characters the lines may have together, roughly.
    """
    room = max(2, most // _LEAST_LINE)
    if len(observations) <= room:
        return "\n".join(_lines(observations, most))
    # The first tasks are what the others build on; the last are what was wanted.
    first = room // 4
    gone = observations[first : len(observations) - (room - first)]
    lines = _lines([*observations[:first], *observations[len(observations) - (room - first) :]], most)
    lines.insert(first, f"… [{len(gone)} tasks from {gone[0].task_id} to {gone[-1].task_id} left out] …")
    return "\n".join(lines)


def _lines(observations: Sequence[Observation], most: int) -> list[str]:
    if not observations:
        return []
    arguments = min(_MOST_ARGUMENTS, max(_LEAST, most // (4 * len(observations))))
    heads = [_head(observation, arguments) for observation in observations]
    texts = [_text(observation) for observation in observations]
    share = _share(sorted(map(len, texts)), most - sum(map(len, heads)))
    return [
        f"{head}{fenced(cut_middle(text, max(_LEAST, share)))}" if text else head
        for head, text in zip(heads, texts, strict=True)
    ]


def _head(observation: Observation, arguments: int) -> str:
    # Arguments are fenced too: they have outputs of other tools in them.
    given = observation.arguments_json
    if given != _NO_ARGUMENTS:
        given = fenced(cut_middle(given, arguments))
    if observation.output_json is not None:
        became = "returned "
    else:
        became = "is running" if observation.failure is None else "failed: "
    return f"{observation.task_id}. {observation.tool}({given}) {became}"


def _text(observation: Observation) -> str:
    if observation.output_json is not None:
        return cut_middle(observation.output_json, _MOST_OUTPUT)
    return "" if observation.failure is None else cut_middle(observation.failure or "no reason given", _MOST_FAILURE)


def _share(lengths: Sequence[int], room: int) -> int:
    """How long each text may be, so that all of them, the shortest first, have room together."""
    for index, length in enumerate(lengths):
        share = room // (len(lengths) - index)
        if length > share:
            return share
        room -= length
    return _MOST_OUTPUT * 2


def bounded_line(text: str, most: int) -> str:
    """A text that a model wrote, on one line, without fences, its middle left out if it is too long."""
    return " ".join(_without_fences(cut_middle(text, most)).split())


def cut_middle(text: str, most: int) -> str:
    """The text, its middle left out if it is longer than that: what matters mostly stands at the ends."""
    if len(text) <= most:
        return text
    head = (most + 1) // 2
    return f"{text[:head]} … [{len(text) - most} characters left out] … {text[len(text) - (most - head) :]}"


def fenced(text: str) -> str:
    """The text as data in a prompt: between fences that it cannot close."""
    return f"{_FENCE}{_without_fences(text)}{_FENCE_END}"


def _without_fences(text: str) -> str:
    """The text without what looks like a fence: one that the data itself could close would be none."""
    return _FORGED.sub(lambda found: " ".join(found[0]), text)
