"""The text of a plan on its way to the plan machine, and what is known of the plan that it becomes."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from dovetail import _core
    from dovetail.runs.model_call import ModelCall

__all__ = ["Plan", "PlanText"]

_LONGEST_EXCERPT: Final = 300
_JSON: Final = re.compile(r"\s*(?:```\w*\s*)?[{\[]")
_MOST_BRACES: Final = 50


class PlanText(Protocol):
    """The text of a plan, as it is written."""

    @property
    def model(self) -> str:
        """The model that writes it, as ``provider:name``."""
        ...

    @property
    def call(self) -> ModelCall:
        """The call of the model; with a grammar that is refused, the latest."""
        ...

    @property
    def tools(self) -> Sequence[str] | None:
        """The names of the tools that the model is shown, if they are fewer than those of the run."""
        ...

    @property
    def grammar(self) -> str:
        """The notation of the grammar that constrains it; empty if none does."""
        ...

    @property
    def repair(self) -> bool:
        """Whether only the broken part of the plan before it is planned again."""
        ...

    @property
    def is_turn(self) -> bool:
        """Whether it is one turn of many: it then ends without a ``join()``, and need not make calls."""
        ...

    def pieces(self) -> AsyncGenerator[str, None]:
        """Its pieces, once; closing them ends the writing."""
        ...


@dataclass(slots=True)
class Plan:
    """One plan of a run.

    Attributes:
        number: 1, 2, 3 …
        closed: is done once no further task of it will come.
        answer_task: the task whose output it named as the answer.
        shortfall: what it lacks, if it is none or was cut off.
        errors: what cannot be used, in the order in which it was found.
        tasks: how many tasks were planned.
        is_turn: whether it is one turn of many, in which no task takes what another gives.
    """

    number: int
    closed: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    answer_task: int | None = None
    shortfall: str | None = None
    errors: list[_core.Diagnostic] = field(default_factory=list)
    tasks: int = 0
    is_turn: bool = False
    _text: list[str] = field(default_factory=list)

    def add(self, text: str) -> None:
        """The model wrote on."""
        self._text.append(text)

    def diagnosed(self, found: _core.Diagnostic) -> None:
        """The plan machine found something in it."""
        if found.code == "unopened_reasoning":
            self.errors.clear()  # they are those of a draft, which nobody has to mend
        elif found.severity == "error":
            self.errors.append(found)
            if found.code == "unclosed_reasoning":  # that there is a limit of tokens is no more than its cause
                self.shortfall = found.message
            elif found.code == "empty_plan" and self.shortfall is None:
                self.shortfall = "the model wrote no plan"

    def excerpt(self, line: int, column: int = 1) -> str:
        """What was written at a place of its text: the task, in a plan in JSON; else the line.

        Args:
            line: the line, from 1.
            column: the character of that line, from 1. Of a very long line, what stands around it is returned.
        """
        text = "".join(self._text)
        lines = text.split("\n")
        if not 0 < line <= len(lines):
            return ""
        if _JSON.match(text):
            task = _task_around(text, sum(len(before) + 1 for before in lines[: line - 1]) + column - 1)
            if task is not None:
                return task
        found = lines[line - 1].strip()
        if len(found) <= _LONGEST_EXCERPT:
            return found
        begin = max(0, min(column - 1 - _LONGEST_EXCERPT // 2, len(found) - _LONGEST_EXCERPT))
        return found[begin : begin + _LONGEST_EXCERPT]


def _task_around(text: str, place: int) -> str | None:
    """The object around a place that is a whole task, if there is one."""
    begin = place + 1
    for _ in range(_MOST_BRACES):
        begin = text.rfind("{", 0, begin)
        if begin < 0:
            return None
        try:
            found, end = _decoder.raw_decode(text, begin)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict) and "tool" in found and end > place:
            return " ".join(text[begin:end].split())
    return None


_decoder: Final = json.JSONDecoder()
