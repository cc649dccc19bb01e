"""What a run knows of its tasks: kept from the steps of the plan machine, told to events and prompts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dovetail import _core
from dovetail.prompts.observations import Observation
from dovetail.v1 import Failure, FailureReason, Severity

if TYPE_CHECKING:
    from collections.abc import Collection

    from dovetail.runs.journal import Fact

__all__ = ["Progress", "TaskRecord"]


@dataclass(slots=True)
class TaskRecord:
    """What is known of a task."""

    task_id: int
    plan: int
    tool: str
    line: int = 0
    """The line of its plan on which it begins, from 1."""
    column: int = 0
    """The character of that line, from 1."""
    ready: bool = False
    """Whether its arguments are bound."""
    arguments_json: str = "{}"
    output_json: str | None = None
    failure: str | None = None
    """Why it has no output, as ``REASON: message``."""
    reason: FailureReason | None = None
    """Why its call failed, if it did."""
    because: int | None = None
    """The failed task at the root, if it was skipped."""
    is_for_a_place: bool = False
    """Whether its tool was told what is demanded of its output."""
    demand: str = ""
    """That, as the text of a JSON schema; empty if nothing was."""

    def observation(self) -> Observation:
        """What became of it, for prompts."""
        return Observation(self.task_id, self.tool, self.arguments_json, self.output_json, self.failure)


class Progress:
    """The tasks of a run. Turns steps of the machine into facts, and keeps what later prompts need of them."""

    def __init__(self) -> None:
        self._tasks: dict[int, TaskRecord] = {}

    @property
    def tasks(self) -> Collection[TaskRecord]:
        """The tasks in the order in which they were planned."""
        return self._tasks.values()

    def task(self, task_id: int) -> TaskRecord | None:
        """A task, if it was planned."""
        return self._tasks.get(task_id)

    def facts(self, step: _core.Step, plan: int) -> list[Fact]:
        """The facts that a step stands for."""
        if isinstance(step, _core.Ready):
            task = self._tasks[step.task_id]
            task.arguments_json = step.arguments
            task.ready = True
            return [("task_ready", {"task_id": step.task_id, "arguments_json": step.arguments})]
        if isinstance(step, _core.Planned):
            self._tasks[step.task_id] = TaskRecord(step.task_id, plan, step.tool, step.line, step.column)
            planned = {
                "task_id": step.task_id,
                "plan": plan,
                "tool": step.tool,
                "depends_on": step.depends_on,
                "line": step.line,
                "column": step.column,
            }
            return [("task_planned", planned)]
        if isinstance(step, _core.Diagnostic):
            return self._diagnosed(step, plan)
        if isinstance(step, _core.Unreachable):
            task = self._tasks[step.task_id]
            task.failure = f"skipped, because task {step.because} failed"
            task.because = step.because
            return [("task_skipped", {"task_id": step.task_id, "because": step.because})]
        if isinstance(step, _core.Thought):
            return [("thought_written", {"plan": plan, "text": step.text})]
        closed: dict[str, Any] = {"plan": plan}
        if isinstance(step, _core.Closed) and step.answer_task is not None:
            closed["answer_task"] = step.answer_task
        return [("plan_closed", closed)]

    def _diagnosed(self, step: _core.Diagnostic, plan: int) -> list[Fact]:
        is_error = step.severity == "error"
        if step.task_id is not None and (task := self._tasks.get(step.task_id)):
            plan = task.plan  # which may not be the latest
        diagnosed = {
            "plan": plan,
            "severity": Severity.SEVERITY_ERROR if is_error else Severity.SEVERITY_HINT,
            "code": step.code,
            "message": step.message,
            "line": step.line,
            "column": step.column,
        }
        if step.task_id is not None:
            diagnosed["task_id"] = step.task_id
        facts: list[Fact] = [("plan_diagnosed", diagnosed)]
        if is_error and step.task_id is not None:
            reason = FailureReason.FAILURE_REASON_INVALID
            if step.code == "output_invalid":  # not the plan is to blame
                reason = FailureReason.FAILURE_REASON_OUTPUT_INVALID
            facts.append(self.failed(step.task_id, Failure(reason=reason, message=step.message)))
        return facts

    def succeeded(self, task_id: int, output_json: str, *, reused: int | None = None, cached: bool = False) -> Fact:
        """A task has its output: of a call, of the earlier task ``reused``, or ``cached`` from another run."""
        self._tasks[task_id].output_json = output_json
        fact: dict[str, Any] = {"task_id": task_id, "output_json": output_json}
        if reused is not None:
            fact["reused_task_id"] = reused
        if cached:
            fact["cached"] = True
        return ("task_succeeded", fact)

    def arguments_changed(self, task_id: int, arguments_json: str) -> None:
        """A task is called with other arguments than those that were bound."""
        self._tasks[task_id].arguments_json = arguments_json

    def failed(self, task_id: int, failure: Failure) -> Fact:
        """A task will have no output."""
        reason = FailureReason.Name(failure.reason).removeprefix("FAILURE_REASON_")
        task = self._tasks[task_id]
        task.failure = f"{reason}: {failure.message}"
        task.reason = failure.reason
        return ("task_failed", {"task_id": task_id, "failure": failure})

    def abandoned(self, message: str) -> list[Fact]:
        """The tasks that are on their way fail: the run is over."""
        cancelled = Failure(reason=FailureReason.FAILURE_REASON_CANCELLED, message=message)
        on_their_way = [task for task in self.tasks if task.output_json is None and task.failure is None]
        return [self.failed(task.task_id, cancelled) for task in on_their_way]

    def observations(self) -> list[Observation]:
        """What became of the tasks, for prompts."""
        return [task.observation() for task in self.tasks]
