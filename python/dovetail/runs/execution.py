"""The three loops of a run, which never wait for one another.

Model text goes to the plan machine (`PlanReader`), ready tasks become calls (`Calls`), and outputs go back to the
machine (`call_succeeded`). Whatever the machine says goes through `follow`, the one place where steps become events and
calls.
"""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from typing import TYPE_CHECKING, NamedTuple

from pydantic_core import from_json

from dovetail import _core
from dovetail.calls.approvals import Approvals
from dovetail.calls.calls import Calls
from dovetail.durations import duration_of
from dovetail.runs.demands import Demands
from dovetail.runs.joiner import LAST_WORDS_SECONDS
from dovetail.runs.plan_reader import PlanReader
from dovetail.runs.progress import Progress
from dovetail.runs.reuse import Reuse
from dovetail.v1 import Failure, FailureReason

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from dovetail.calls.approval_rules import ApprovalRules
    from dovetail.calls.approvals import Ask
    from dovetail.calls.gates import Gates
    from dovetail.models.protocol import Model
    from dovetail.runs.books import Books
    from dovetail.runs.journal import Fact
    from dovetail.runs.plan_text import Plan, PlanText
    from dovetail.runs.tool_model import ToolModels
    from dovetail.tools.call import Call
    from dovetail.tools.tool_set import ToolSet
    from dovetail.v1 import ToolModelCall

__all__ = ["Execution"]

MAX_ARGUMENTS_BYTES = 2 * 1024 * 1024
"""How large the bound arguments of a task may be: an event has to carry them."""
_LONGEST_TEXT = 256 * 1024


class NamedAnswer(NamedTuple):
    """An answer that is the output of a task, or a part of it: as text, as JSON, and the task."""

    text: str
    json: str
    task_id: int | None


class Execution:
    """The plans of one run and their tasks. Told of its calls as `CallOutcomes`.

    Args:
        run_id: the run's name.
        tools: the tools that its plans may call.
        models: the models that those may ask.
        books: where its facts go, and its limits.
        gates: what the policies of its tools share over all runs.
        traceparent: the W3C trace context of whoever asked.

    Attributes:
        progress: what is known of its tasks.
    """

    def __init__(
        self, run_id: str, tools: ToolSet, models: ToolModels, books: Books, gates: Gates, traceparent: str
    ) -> None:
        self.progress = Progress()
        self._tools = tools
        self._models = models
        self._books = books
        self._machine = _core.Machine(tools.core, max_tasks=books.limits.max_tasks)
        # They do not hold what holds them: a run that has ended is free at once, and not when the collector finds it.
        told: Execution = weakref.proxy(self)
        self._calls = Calls(told, run_id, books.limits.max_parallel_calls, gates, traceparent)
        self._approvals = Approvals(tools, told)
        self._reader = PlanReader(self._machine, books, told)
        self._demands = Demands(tools, self.progress, self._machine, self._reader)
        self._reuse = Reuse(tools, self.progress, self._machine, self._demands, told)
        self._defect: BaseException | None = None
        # Done once nothing is on its way: made when somebody waits for it.
        self._settled: asyncio.Future[None] | None = None

    @property
    def plan(self) -> Plan:
        """The latest plan."""
        return self._reader.plan

    @property
    def next_id(self) -> int:
        """The lowest id that a task of the next plan may have."""
        return self._machine.next_id

    # The first loop: model text to the machine ----------------------------------------------------------------

    async def read(self, text: PlanText) -> Plan:
        """Run another plan while it is written; what is left of earlier ones goes on.

        Returns:
            The plan, once it is closed. Its tasks may still be on their way: see `settle`.

        Raises:
            StoppedError: its model failed before its first task.
        """
        return await self._reader.read(text)

    async def settle(self) -> None:
        """Wait until every task that was planned has succeeded, failed or been skipped."""
        if self._defect is not None:
            raise self._defect
        if self._machine.unsettled:
            self._settled = asyncio.get_running_loop().create_future()
            await self._settled

    async def stop_reading(self) -> None:
        """Wait for the end of a planner that has closed its plan; one that has not is stopped."""
        await self._reader.stop()

    def meet(self, defect: BaseException) -> None:
        """A defect must end the run: nothing would settle the tasks that it left behind."""
        self._defect = defect
        if self._settled is not None and not self._settled.done():
            self._settled.set_exception(defect)

    # The second loop: what the machine says to events and calls -----------------------------------------------

    def follow(self, steps: Iterable[_core.Step], text: list[str] | None = None, *facts: Fact) -> None:
        """Turn what the machine says into events, then into calls."""
        recorded = list(facts)
        plan = self.plan
        if text:
            whole = "".join(text)
            text.clear()
            plan.add(whole)
            cuts = range(0, len(whole), _LONGEST_TEXT)
            recorded += [("plan_text", {"plan": plan.number, "text": whole[at : at + _LONGEST_TEXT]}) for at in cuts]
        ready: list[_core.Ready] = []
        closed = False
        todo = list(steps)
        for step in todo:  # which grows while it is read: an output that is used again makes more tasks ready
            if isinstance(step, _core.Ready) and (failure := _too_large(step.arguments)):
                recorded.append(self.progress.failed(step.task_id, failure))
                todo += self._machine.fail(step.task_id)
                continue
            if isinstance(step, _core.Ready) and plan.number > 1 and self._reuse.holds(step):
                continue
            recorded += self.progress.facts(step, plan.number)
            if isinstance(step, _core.Ready):
                repeated = None if plan.number == 1 else self._reuse.repeat(step, todo)
                if repeated is not None:
                    recorded += repeated
                    continue
                ready.append(step)
            elif isinstance(step, _core.Planned):
                plan.tasks += 1
                self._demands.planned(step.depends_on)
            elif isinstance(step, _core.Closed):
                plan.answer_task = step.answer_task
                closed = True
            elif isinstance(step, _core.Diagnostic):
                plan.diagnosed(step)
        if recorded:
            self._books.journal.append(*recorded)
        if self._tools.has_sequential:
            self._expect(todo)
        for step in ready:
            self.call(step)
        if self._tools.has_sequential:
            self._skip(todo, ready)
        if closed:
            self._demands.closed()
            if not plan.closed.done():
                plan.closed.set_result(None)
        if self._settled is not None and not self._settled.done() and not self._machine.unsettled:
            self._settled.set_result(None)

    def _expect(self, steps: Iterable[_core.Step]) -> None:
        """Calls of sequential tools keep the order in which their tasks were planned, whichever is ready first."""
        for step in steps:
            if isinstance(step, _core.Planned) and (tool := self._tools.get(step.tool)) and tool.sequential:
                self._calls.expect(step.task_id)

    def _skip(self, steps: Iterable[_core.Step], ready: Iterable[_core.Ready]) -> None:
        """Those of them that will not be called are not waited for."""
        called = {step.task_id for step in ready}
        for step in steps:
            if isinstance(step, _core.Diagnostic):
                if step.severity == "error" and step.task_id is not None:
                    self._calls.skip(step.task_id)
            elif isinstance(step, _core.Unreachable | _core.Ready) and step.task_id not in called:
                self._calls.skip(step.task_id)

    def call(self, step: _core.Ready) -> None:
        """Call a task, or ask a person for approval first."""
        if (why := self._approvals.reason(step)) is None:
            self._calls.start(step.task_id, self._tools[step.tool], step.arguments)
        else:
            self._books.record("approval_requested", task_id=step.task_id, reason=why)
            self._approvals.request(step, why)

    # The third loop: outputs to the machine -------------------------------------------------------------------

    def call_waiting(self, call: Call, ahead: int) -> None:
        """There is no place for a call yet."""
        self._books.record("call_waiting", call_id=call.call_id, task_id=call.task_id, ahead=ahead)

    def call_started(self, call: Call, executor_id: str) -> None:
        """A tool is about to be entered."""
        started: dict[str, object] = {"call_id": call.call_id, "task_id": call.task_id}
        if executor_id:
            started["executor_id"] = executor_id
        self._books.journal.append(("call_started", started))

    def call_progressed(self, call: Call, fraction: float | None, message: str) -> None:
        """A call is so far."""
        self._books.record(
            "call_progressed", call_id=call.call_id, task_id=call.task_id, fraction=fraction, message=message
        )

    def model_called(self, call: Call, made: ToolModelCall) -> None:
        """A tool made a model call by itself."""
        self._books.tool_model_call(made, call.task_id, self._plan_of(call))

    def model_for(self, call: Call, model: Model | None) -> Model:
        """A model that a tool may ask, counted: the run's own if None is given."""
        return self._models.of(model, call.task_id, self._plan_of(call))

    async def wanted(self, call: Call) -> Mapping[str, Any] | None:
        """The JSON schema that later tasks demand of an output; None if they demand nothing."""
        return await self._demands.told(call.task_id)

    def _plan_of(self, call: Call) -> int:
        task = self.progress.task(call.task_id)
        return self.plan.number if task is None else task.plan

    def call_lost(self, call: Call, executor_id: str, message: str) -> None:
        """The executor of a call is lost."""
        self._books.record(
            "call_lost", call_id=call.call_id, task_id=call.task_id, executor_id=executor_id, message=message
        )

    def call_retried(self, call: Call, failure: Failure, pause: float) -> None:
        """A call failed, and another will follow."""
        self._books.record(
            "call_failed", call_id=call.call_id, task_id=call.task_id, failure=failure, pause=duration_of(pause)
        )

    def call_succeeded(self, task_id: int, output_json: str, *, cached: bool) -> None:
        """A task has its output: what waits for it may go on."""
        steps = self._machine.succeed(task_id, output_json)
        if steps and isinstance(steps[0], _core.Diagnostic) and steps[0].task_id == task_id:
            self.follow(steps)  # the machine cannot read the output: that is the task's failure
        else:
            self.follow(steps, None, self.progress.succeeded(task_id, output_json, cached=cached))
        self._reuse.share(task_id)

    def call_failed(self, task_id: int, failure: Failure) -> None:
        """A call gave no output: what waits for it will never go on."""
        self.follow(self._machine.fail(task_id), None, self.progress.failed(task_id, failure))
        self._calls.skip(task_id)
        self._reuse.share(task_id)

    # Approvals ------------------------------------------------------------------------------------------------

    @property
    def awaiting_approval(self) -> list[int]:
        """The tasks that wait for a person, ascending."""
        return self._approvals.task_ids

    def resolve_approval(self, task_id: int, *, approve: bool, arguments_json: str | None, reason: str) -> None:
        """A person approved or rejected a task.

        Raises:
            UsageError: the task does not wait, or the changed arguments do not fit its tool.
        """
        step = self._approvals.take(task_id, arguments_json if approve else None)
        changed = arguments_json if approve else None
        self._books.record(
            "approval_resolved", task_id=task_id, approved=approve, arguments_json=changed, reason=reason
        )
        if approve:
            if changed is not None:
                self.progress.arguments_changed(task_id, changed)
            self._calls.start(task_id, self._tools[step.tool], changed or step.arguments)
        else:
            message = f"a person rejected the call: {reason}" if reason else "a person rejected the call"
            self.call_failed(task_id, Failure(reason=FailureReason.FAILURE_REASON_APPROVAL_REJECTED, message=message))

    def govern_approvals(self, rules: ApprovalRules, ask: Ask | None) -> None:
        """Say which calls need approval, besides those of tools that demand it, and whom to ask besides people."""
        self._approvals.rules = rules
        self._approvals.ask = ask

    def approval_timed_out(self, task_id: int, seconds: float) -> None:
        """Nobody decided about a task in time."""
        reason = FailureReason.FAILURE_REASON_APPROVAL_TIMED_OUT
        self.call_failed(task_id, Failure(reason=reason, message=f"nobody approved the call within {seconds:g} s"))

    # The end --------------------------------------------------------------------------------------------------

    def answer(self) -> NamedAnswer | None:
        """The output that the plan named as the answer, if there is one."""
        answer = self._machine.answer()
        if answer is None:
            return None
        text = answer
        if answer.lstrip().startswith('"'):  # anything else is its own text, and may be more than a parser takes
            with contextlib.suppress(ValueError):  # JSON has halves of surrogate pairs, text has not
                text = from_json(answer)
        return NamedAnswer(text, answer, self.plan.answer_task)

    async def stop(self, *, reading: bool) -> None:
        """Stop the calls that are out; with ``reading`` also the planner, even in the middle of its last words."""
        # Tools may take their time to be stopped: an approval that comes meanwhile must begin nothing.
        asking = self._approvals.close()
        self._demands.cancel()
        await self._reader.stop(at_once=reading)
        await self._calls.cancel()
        if asking:
            await asyncio.wait(asking, timeout=LAST_WORDS_SECONDS)


def _too_large(arguments_json: str) -> Failure | None:
    most = MAX_ARGUMENTS_BYTES
    # A character is a byte at the least and four at the most.
    if len(arguments_json) * 4 <= most or (size := len(arguments_json.encode())) <= most:
        return None
    message = f"its arguments have {size:,} bytes; a call takes {most:,} at most: refer to parts of outputs"
    return Failure(reason=FailureReason.FAILURE_REASON_ARGUMENTS_TOO_LARGE, message=message)
