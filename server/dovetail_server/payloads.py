"""What a run was about, for a log that was asked to tell: its question, arguments, outputs and answer."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dovetail.runs.journal import MemoryJournal

__all__ = ["payloads_of"]


def payloads_of(journal: MemoryJournal) -> dict[str, Any]:
    """The payloads of a run that has ended, tasks by their ids."""
    payloads: dict[str, Any] = {}
    tasks: dict[int, dict[str, str]] = {}
    for event in journal.read(0, len(journal), sys.maxsize):
        match event.WhichOneof("fact"):
            case "run_started":
                payloads["question"] = event.run_started.question
            case "task_ready":
                tasks[event.task_ready.task_id] = {"arguments": event.task_ready.arguments_json}
            case "task_succeeded":
                tasks.setdefault(event.task_succeeded.task_id, {})["output"] = event.task_succeeded.output_json
            case "run_answered":
                payloads["answer"] = event.run_answered.answer
    return {**payloads, "tasks": tasks}
