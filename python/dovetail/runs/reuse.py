"""Calls that a plan repeats: what an earlier plan has called already with the same arguments is not called again.

An output that a tool gave for one place, because it asked what is demanded of it, is used again only where it fits.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from dovetail.answer_schema import AnswerError
from dovetail.tools.call import call_key
from dovetail.tools.policy import PASSING
from dovetail.v1 import Failure, FailureReason

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dovetail import _core
    from dovetail.answer_schema import AnswerSchema
    from dovetail.runs.demands import Demands
    from dovetail.runs.journal import Fact
    from dovetail.runs.progress import Progress, TaskRecord
    from dovetail.tools.tool_set import ToolSet

__all__ = ["Reuse"]

# No tool was entered: whether one may be now is for the gates to say.
_NEVER_MADE: Final = frozenset(
    {
        FailureReason.FAILURE_REASON_TOOL_UNAVAILABLE,
        FailureReason.FAILURE_REASON_CIRCUIT_OPEN,
        FailureReason.FAILURE_REASON_OVERLOADED,
    }
)


class CallMaker(Protocol):
    """Whoever does what the plan machine says, and makes calls."""

    def follow(self, steps: Iterable[_core.Step], text: list[str] | None = None, *facts: Fact) -> None:
        """Follow what the machine says, after these facts."""

    def call(self, step: _core.Ready) -> None:
        """Call a task."""


class Reuse:
    """Knows which tasks of one run repeat a call of a read-only tool, and gives them what that got.

    Args:
        tools: the tools of the run.
        progress: its tasks.
        machine: its plan machine.
        demands: what is demanded of outputs.
        maker: who makes calls.
    """

    __slots__ = ("_calls", "_demands", "_machine", "_maker", "_progress", "_tools", "_waiting")

    def __init__(
        self, tools: ToolSet, progress: Progress, machine: _core.Machine, demands: Demands, maker: CallMaker
    ) -> None:
        self._tools = tools
        self._progress = progress
        self._machine = machine
        self._demands = demands
        self._maker = maker
        # The task of each call; made with the second plan, since most runs have one.
        self._calls: dict[tuple[str, str], TaskRecord] | None = None
        self._waiting: dict[int, list[_core.Ready]] = {}

    def holds(self, step: _core.Ready) -> bool:
        """Whether a task waits until it is known if what an earlier one got fits where its own output goes.

        It is followed again then.
        """
        if not self._demands.were_told:
            return False
        own = self._progress.task(step.task_id)
        tool = self._tools[step.tool]
        if own is None or not tool.read_only or tool.sequential:
            return False
        task = self._made_before(own).get(call_key(step.tool, step.arguments))
        if task is None or not task.is_for_a_place:
            return False
        return self._demands.hold(step.task_id, partial(self._maker.follow, [step]))

    def repeat(self, step: _core.Ready, steps: list[_core.Step]) -> list[Fact] | None:
        """What becomes of a task that repeats a call; None if it has to be called. Asked once for each task.

        Args:
            step: the task.
            steps: where what follows from its output is added.
        """
        earlier = self._earlier(step)
        return None if earlier is None else self._give(step, earlier, steps)

    def share(self, task_id: int) -> None:
        """A task is settled: those that repeat its call get what it got, if it fits where their own output goes."""
        task = self._progress.task(task_id)
        if task is None or not (repeating := self._waiting.pop(task_id, None)):
            return
        for step in repeating:
            if self._serves(task, step):
                steps: list[_core.Step] = []
                facts = self._give(step, task, steps)
                self._maker.follow(steps, None, *facts)
            else:
                if (own := self._progress.task(step.task_id)) is not None:
                    self._made_before(own)[call_key(step.tool, step.arguments)] = own
                self._maker.call(step)

    def _earlier(self, step: _core.Ready) -> TaskRecord | None:
        """The task of another plan whose call this one repeats, if it need not be made again.

        It need not be if it has its output or is on its way; nor if it failed, unless it was never made, or the tool's
        policy lets another try follow a failure of that kind.
        """
        tool = self._tools[step.tool]
        own = self._progress.task(step.task_id)
        if own is None or not tool.read_only:
            return None
        call = call_key(step.tool, step.arguments)
        made = self._made_before(own)
        task = made.setdefault(call, own)
        if task.plan == own.plan:
            return None
        is_worth_another = task.reason in _NEVER_MADE or (tool.policy.retries and task.reason in PASSING)
        if is_worth_another or not self._serves(task, step):
            made[call] = own
            return None
        return task

    def _give(self, step: _core.Ready, earlier: TaskRecord, steps: list[_core.Step]) -> list[Fact]:
        """A task gets what an earlier one got; later, if that is on its way."""
        task_id = step.task_id
        if earlier.output_json is not None:
            steps += self._machine.succeed(task_id, earlier.output_json)
            return [self._progress.succeeded(task_id, earlier.output_json, reused=earlier.task_id)]
        if earlier.failure is None:
            self._waiting.setdefault(earlier.task_id, []).append(step)
            return []
        steps += self._machine.fail(task_id)
        message = f"task {earlier.task_id} made the same call, and it is not made again: {earlier.failure}"
        reason = earlier.reason or FailureReason.FAILURE_REASON_UNSPECIFIED
        return [self._progress.failed(task_id, Failure(reason=reason, message=message))]

    def _serves(self, earlier: TaskRecord, step: _core.Ready) -> bool:
        """Whether what an earlier task got, or will get, can be used where the output of this one goes."""
        if not earlier.is_for_a_place:
            return True
        demand = self._demands.now(step.task_id)
        return demand is None or earlier.demand == demand.json or _fits(earlier.output_json, demand)

    def _made_before(self, own: TaskRecord) -> dict[tuple[str, str], TaskRecord]:
        if self._calls is None:
            self._calls = {
                call_key(task.tool, task.arguments_json): task
                for task in self._progress.tasks
                if task.ready and task is not own and self._tools[task.tool].read_only
            }
        return self._calls


def _fits(output_json: str | None, demand: AnswerSchema) -> bool:
    if output_json is None:
        return False
    try:
        demand.check(output_json)
    except AnswerError:
        return False
    return True
