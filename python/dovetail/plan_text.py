"""The text of a plan on its way to the plan machine, and what is known of the plan that it becomes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from dovetail import _core
    from dovetail.model_call import ModelCall

__all__ = ["Plan", "PlanText"]


@dataclass(slots=True)
class PlanText:
    """The text of a plan, as it is written.

    Attributes:
        model: the model that writes it, as ``provider:name``.
        pieces: its pieces; closing them ends the writing.
        call: the call of the model; None if the text is made of calls that were asked for one by one.
        tools: the names of the tools that the model is shown, if they are fewer than those of the run.
        grammar: the notation of the grammar that constrains it; empty if none does.
        repair: whether only the broken part of the plan before it is planned again.
    """

    model: str
    pieces: AsyncGenerator[str, None]
    call: ModelCall | None = None
    tools: Sequence[str] | None = None
    grammar: str = ""
    repair: bool = False


@dataclass(slots=True)
class Plan:
    """One plan of a run.

    Attributes:
        number: 1, 2, 3 …
        closed: is done once no further task of it will come.
        answer_task: the task whose output it named as the answer.
        shortfall: what it lacks, if it is none or was cut off.
        errors: what of it cannot be used, in the order in which it was found.
        tasks: how many tasks were planned.
    """

    number: int
    closed: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    answer_task: int | None = None
    shortfall: str | None = None
    errors: list[_core.Diagnostic] = field(default_factory=list)
    tasks: int = 0
