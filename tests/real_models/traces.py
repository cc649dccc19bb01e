"""Whether the events of a run that has ended make sense together, whatever its model wrote."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dovetail.v1 import Event

__all__ = ["fault_in_trace"]

_SETTLED: Final = ("task_succeeded", "task_failed", "task_skipped")


def fault_in_trace(events: Sequence[Event]) -> str | None:
    """What does not make sense; None if all does."""
    facts = [(event.WhichOneof("fact") or "", event) for event in events]
    names = [name for name, _ in facts]
    if [event.sequence for event in events] != list(range(1, len(events) + 1)):
        return "the events are not numbered 1, 2, 3 …"
    if names[0] != "run_started" or names[-1] != "run_ended":
        return f"the run begins with {names[0]} and ends with {names[-1]}"
    planned = Counter(event.task_planned.task_id for name, event in facts if name == "task_planned")
    settled = Counter(getattr(event, name).task_id for name, event in facts if name in _SETTLED)
    if planned != settled or any(count != 1 for count in planned.values()):
        return f"tasks were planned ({dict(planned)}) and settled ({dict(settled)}), and not each once"
    asked = [event.plan_started.plan for name, event in facts if name == "plan_started"]
    if asked != list(range(1, len(asked) + 1)):
        return f"plans were asked for out of order: {asked}"
    if names.count("model_call_ended") < len(asked):
        return "a model call has no end"
    return None
