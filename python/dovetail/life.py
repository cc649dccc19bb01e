"""The life of a run, from the question to the answer.

Three loops that never wait for one another: model text goes to the plan machine (`_read_plan`), ready tasks become
calls (`Calls`), and outputs go back to the machine (`call_succeeded`). Whatever the machine says goes through
`_follow`, the one place where steps become events and calls. Above the loops stands `_find_answer`: plan, wait until
all tasks are settled, join, and if the joiner asks for it plan again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from contextlib import aclosing
from typing import TYPE_CHECKING

from pydantic_core import from_json

from dovetail import _core
from dovetail.approvals import Approvals
from dovetail.calls import Calls
from dovetail.joiner import LAST_WORDS_SECONDS, ask_joiner
from dovetail.model_call import ModelCall
from dovetail.progress import Progress, RunUsage
from dovetail.v1 import Failure, FailureReason, Purpose, RunState, Strategy

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Mapping

    from dovetail.call import Call
    from dovetail.journal import Fact, MemoryJournal
    from dovetail.limits import Limits
    from dovetail.models.protocol import Model
    from dovetail.planner import Planner
    from dovetail.progress import TaskRecord
    from dovetail.tool_set import ToolSet

__all__ = ["Life"]

logger = logging.getLogger(__name__)

MAX_ARGUMENTS_BYTES = 2 * 1024 * 1024
"""How large the bound arguments of a task may be: an event has to carry them."""
_LONGEST_TEXT = 256 * 1024


class Life:
    """The life of one run. Told of its calls as `CallOutcomes`.

    Args:
        run_id: the run's name.
        question: what it is to answer.
        tools: the tools that its plans may call.
        planner: what writes its plans.
        joiner: the model that joins outputs into an answer.
        limits: its bounds.
        journal: where its events go.
        metadata: what whoever asked attached to it.
        traceparent: the W3C trace context of whoever asked.
    """

    def __init__(
        self,
        run_id: str,
        question: str,
        *,
        tools: ToolSet,
        planner: Planner,
        joiner: Model,
        limits: Limits,
        journal: MemoryJournal,
        metadata: Mapping[str, str] | None = None,
        traceparent: str = "",
    ) -> None:
        self._run_id = run_id
        self._question = question
        self._tools = tools
        self._planner = planner
        self._joiner = joiner
        self._limits = limits
        self._journal = journal
        self._metadata = metadata
        self._machine = _core.Machine(tools.core, max_tasks=limits.max_tasks)
        self._calls = Calls(self, run_id, limits.max_parallel_calls, traceparent)
        self._approvals = Approvals(tools)
        self._progress = Progress()
        self._usage = RunUsage()
        self._began = time.monotonic()
        self._plan = 0
        # Of the current plan: when all its tasks are settled, what it lacks, and the task that is the answer.
        self._settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._shortfall: str | None = None
        self._answer_task: int | None = None
        self._reader: asyncio.Task[None] | None = None
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> asyncio.Task[None]:
        """Begin to live: an asyncio task that never fails."""
        self._record(
            "run_started",
            run_id=self._run_id,
            question=self._question,
            strategy=Strategy.STRATEGY_COMPILE,
            model=self._planner.model.name,
            tools=self._tools.names,
            limits=self._limits.to_proto(),
            metadata=self._metadata or None,
        )
        self._task = asyncio.create_task(self._live(), name=self._run_id)
        return self._task

    def cancel(self, reason: str) -> None:
        """Cancel the model stream and the calls; the run ends with state CANCELLED, unless it has ended."""
        if self._task is not None and not self._task.done() and not self._journal.ended:
            self._record("cancel_requested", reason=reason)
            self._task.cancel(reason)

    async def over(self) -> None:
        """Wait for the end."""
        if self._task is not None:
            await asyncio.wait({self._task})

    async def _live(self) -> None:
        """From the question to the last event. Never raises but for its own cancellation."""
        try:
            async with asyncio.timeout(self._limits.deadline):
                await self._find_answer()
            state, failure = RunState.RUN_STATE_ANSWERED, None
        except _Stopped as stopped:
            state, failure = RunState.RUN_STATE_FAILED, stopped.failure
        except TimeoutError:
            message = f"the run did not end within its deadline of {self._limits.deadline:g} s"
            state = RunState.RUN_STATE_FAILED
            failure = Failure(reason=FailureReason.FAILURE_REASON_DEADLINE_EXCEEDED, message=message)
        except asyncio.CancelledError as error:
            state = RunState.RUN_STATE_CANCELLED
            failure = Failure(reason=FailureReason.FAILURE_REASON_CANCELLED, message=str(error) or "cancelled")
        except Exception as error:
            logger.exception("run %s met a defect", self._run_id)
            state = RunState.RUN_STATE_FAILED
            failure = Failure(reason=FailureReason.FAILURE_REASON_INTERNAL, message=f"{type(error).__name__}: {error}")
        await self._end(state, failure)

    async def _find_answer(self) -> None:
        reason: str | None = None
        while True:
            shortfall = await self._make_plan(reason)
            if shortfall is None and self._answer_by_task():
                return
            reason = shortfall or await self._join()
            if reason is None:
                return
            if self._limits.max_replans is not None and self._plan > self._limits.max_replans:
                break
            self._record("replan_requested", plan=self._plan, reason=reason)
        if not self._progress.tasks:
            raise _Stopped(FailureReason.FAILURE_REASON_EMPTY_PLAN, reason)
        if await self._join(must_answer=True) is not None:
            message = f"the joiner found no answer after {self._plan} plans: {reason}"
            raise _Stopped(FailureReason.FAILURE_REASON_LIMIT_EXCEEDED, message)

    # Plan and execute -----------------------------------------------------------------------------------------

    async def _make_plan(self, reason: str | None) -> str | None:
        """Have a plan written and run it while it is written, until all its tasks are settled.

        Returns:
            What the plan lacks, if it is none or was cut off.
        """
        await self._stop_reading()
        self._plan += 1
        self._shortfall = None
        self._answer_task = None
        self._settled = asyncio.get_running_loop().create_future()
        planner, first_id = self._planner, self._machine.next_id
        max_tokens = self._tokens_left()
        self._record("plan_started", plan=self._plan, model=planner.model.name, first_task_id=first_id)
        call = ModelCall(planner.model, Purpose.PURPOSE_PLAN, self._plan)
        text = planner.ask(
            call, self._question, self._progress, first_id=first_id, replan_because=reason, max_tokens=max_tokens
        )
        self._reader = asyncio.create_task(self._read_plan(call, text))
        self._reader.add_done_callback(self._reader_done)
        await self._settled
        if call.failure is not None and not any(task.plan == self._plan for task in self._progress.tasks):
            raise _Stopped(call.failure.reason, call.failure.message)
        return self._shortfall

    async def _read_plan(self, call: ModelCall, text: AsyncGenerator[str, None]) -> None:
        """The first loop: model text to the machine."""
        machine = self._machine
        unrecorded: list[str] = []
        try:
            async with asyncio.timeout(None) as last_words, aclosing(text) as pieces:
                async for piece in pieces:
                    unrecorded.append(piece)
                    if steps := machine.feed(piece):
                        self._follow(steps, unrecorded)
                        if machine.closed and last_words.when() is None:
                            last_words.reschedule(asyncio.get_running_loop().time() + LAST_WORDS_SECONDS)
                        # A stream that has its text at hand would not let the calls begin.
                        await asyncio.sleep(0)
        except TimeoutError:
            pass  # the plan is closed, and its model goes on and on
        finally:
            cut_off = call.cut_off and not machine.closed
            if cut_off:
                why = call.failure.message if call.failure else "the model reached its limit of tokens"
                self._shortfall = f"the plan was cut off: {why}"
            steps = machine.finish(cut_off=cut_off)
            if call.failure is not None:  # the failure says it: that there is no plan is no second one
                steps = [step for step in steps if not _is_empty_plan(step)]
            self._follow(steps, unrecorded)
            self._model_call_ended(call)

    def _reader_done(self, reader: asyncio.Task[None]) -> None:
        if not reader.cancelled() and (error := reader.exception()) and not self._settled.done():
            self._settled.set_exception(error)

    async def _stop_reading(self) -> None:
        """Wait for the end of a planner that has closed its plan; one that has not is stopped."""
        if self._reader is not None and not self._reader.done():
            if not self._machine.closed:
                self._reader.cancel()
            await asyncio.wait({self._reader}, timeout=2 * LAST_WORDS_SECONDS)

    def _follow(self, steps: Iterable[_core.Step], text: list[str] | None = None, *facts: Fact) -> None:
        """Turn what the machine says into events, then into calls. The second loop begins here."""
        recorded = list(facts)
        if text:
            whole = "".join(text)
            text.clear()
            cuts = range(0, len(whole), _LONGEST_TEXT)
            recorded += [("plan_text", {"plan": self._plan, "text": whole[at : at + _LONGEST_TEXT]}) for at in cuts]
        ready: list[_core.Ready] = []
        todo = list(steps)
        for step in todo:  # which grows while it is read: an output that is used again makes more tasks ready
            if isinstance(step, _core.Ready) and (failure := _too_large(step.arguments)):
                recorded.append(self._progress.failed(step.task_id, failure))
                todo += self._machine.fail(step.task_id)
                continue
            recorded += self._progress.facts(step, self._plan)
            if isinstance(step, _core.Ready):
                if self._plan == 1 or (earlier := self._reusable(step)) is None:
                    ready.append(step)
                    if self._tools[step.tool].approval:
                        recorded.append(("approval_requested", {"task_id": step.task_id}))
                else:
                    output = earlier.output_json or "null"
                    recorded.append(self._progress.succeeded(step.task_id, output, reused=earlier.task_id))
                    todo += self._machine.succeed(step.task_id, output)
            elif isinstance(step, _core.Closed):
                self._answer_task = step.answer_task
            elif _is_empty_plan(step) and self._shortfall is None:
                self._shortfall = "the model wrote no plan"
        if recorded:
            self._journal.append(*recorded)
        for step in ready:
            tool = self._tools[step.tool]
            if tool.approval:
                self._approvals.request(step)
            else:
                self._calls.start(step.task_id, tool, step.arguments)
        if self._machine.closed and self._machine.unsettled == 0 and not self._settled.done():
            self._settled.set_result(None)

    def _reusable(self, step: _core.Ready) -> TaskRecord | None:
        """The task of an earlier plan that made the same call, if it need not be made again."""
        if not self._tools[step.tool].read_only:
            return None
        return self._progress.same_call(step, before_plan=self._plan)

    # The third loop: outputs to the machine -------------------------------------------------------------------

    def call_waiting(self, call: Call, ahead: int) -> None:
        """There is no place for a call yet."""
        self._record("call_waiting", call_id=call.call_id, task_id=call.task_id, ahead=ahead)

    def call_started(self, call: Call, executor_id: str) -> None:
        """A tool is about to be entered."""
        started: dict[str, object] = {"call_id": call.call_id, "task_id": call.task_id}
        if executor_id:
            started["executor_id"] = executor_id
        self._journal.append(("call_started", started))

    def call_progressed(self, call: Call, fraction: float | None, message: str) -> None:
        """A call is so far."""
        self._record("call_progressed", call_id=call.call_id, task_id=call.task_id, fraction=fraction, message=message)

    def call_lost(self, call: Call, executor_id: str) -> None:
        """The executor of a call is lost."""
        self._record("call_lost", call_id=call.call_id, task_id=call.task_id, executor_id=executor_id)

    def call_succeeded(self, task_id: int, output_json: str) -> None:
        """A call gave an output: what waits for it may go on."""
        steps = self._machine.succeed(task_id, output_json)
        if steps and isinstance(steps[0], _core.Diagnostic) and steps[0].task_id == task_id:
            self._follow(steps)  # the machine cannot read the output: that is the task's failure
        else:
            self._follow(steps, None, self._progress.succeeded(task_id, output_json))

    def call_failed(self, task_id: int, failure: Failure) -> None:
        """A call gave no output: what waits for it will never go on."""
        self._follow(self._machine.fail(task_id), None, self._progress.failed(task_id, failure))

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
        self._record("approval_resolved", task_id=task_id, approved=approve, arguments_json=changed, reason=reason)
        if approve:
            if changed is not None:
                self._progress.arguments_changed(task_id, changed)
            self._calls.start(task_id, self._tools[step.tool], changed or step.arguments)
        else:
            message = f"a person rejected the call: {reason}" if reason else "a person rejected the call"
            self.call_failed(task_id, Failure(reason=FailureReason.FAILURE_REASON_APPROVAL_REJECTED, message=message))

    # Join -----------------------------------------------------------------------------------------------------

    def _answer_by_task(self) -> bool:
        """Answer with the output that the plan named, if there is one: no model is asked."""
        answer = self._machine.answer()
        if answer is None:
            return False
        value = from_json(answer)
        text = value if isinstance(value, str) else answer
        self._record("run_answered", answer=text, answer_task=self._answer_task)
        return True

    async def _join(self, *, must_answer: bool = False) -> str | None:
        """Have the outputs joined into an answer.

        Returns:
            Why another plan is needed, if the joiner says so.
        """

        def hear(step: _core.ReplyStep) -> None:
            if isinstance(step, _core.AnswerPiece):
                self._record("answer_text", text=step.text)
            elif isinstance(step, _core.Verdict) and step.kind == "finish" and step.text:
                self._record("run_answered", answer=step.text, incomplete=must_answer)

        joiner = self._joiner
        if self._limits.max_tokens is not None:
            await self._stop_reading()  # the planner's tokens are counted when it ends
        max_tokens = self._tokens_left()
        self._record("join_started", plan=self._plan, model=joiner.name)
        call = ModelCall(joiner, Purpose.PURPOSE_JOIN, self._plan)
        observations = self._progress.observations()
        try:
            verdict = await ask_joiner(
                call, self._question, observations, must_answer=must_answer, max_tokens=max_tokens, on_step=hear
            )
        finally:
            self._model_call_ended(call)
        if verdict is None and call.failure is not None:
            raise _Stopped(call.failure.reason, call.failure.message)
        if verdict is None or (verdict.kind == "finish" and not verdict.text):
            raise _Stopped(FailureReason.FAILURE_REASON_EMPTY_PLAN, f"the joiner {joiner.name} wrote no answer")
        return None if verdict.kind == "finish" else verdict.text or "the joiner gave no reason"

    # Bookkeeping ----------------------------------------------------------------------------------------------

    def _record(self, fact: str, **fields: object) -> None:
        self._journal.append((fact, {name: value for name, value in fields.items() if value is not None}))

    def _model_call_ended(self, call: ModelCall) -> None:
        self._usage.add(call.usage)
        self._record("model_call_ended", **call.ended())

    def _tokens_left(self) -> int | None:
        """How many tokens a model call may still write.

        Raises:
            _Stopped: none.
        """
        if self._limits.max_tokens is None:
            return None
        left = self._limits.max_tokens - self._usage.tokens
        if left <= 0:
            message = f"the run has used {self._usage.tokens} tokens of {self._limits.max_tokens}"
            raise _Stopped(FailureReason.FAILURE_REASON_LIMIT_EXCEEDED, message)
        return left

    async def _end(self, state: RunState, failure: Failure | None) -> None:
        """Close what is open, and record the end: of what was on its way, and of the run."""
        with contextlib.suppress(asyncio.CancelledError):  # a second cancellation must not lose the last event
            if state != RunState.RUN_STATE_ANSWERED and self._reader is not None:
                self._reader.cancel()
            await self._stop_reading()
            await self._calls.cancel()
        self._journal.append(
            *self._progress.abandoned("the run ended before the task did"),
            ("run_ended", self._usage.ended(state, failure, self._began)),
        )


def _too_large(arguments_json: str) -> Failure | None:
    most = MAX_ARGUMENTS_BYTES
    # A character is a byte at the least and four at the most.
    if len(arguments_json) * 4 <= most or (size := len(arguments_json.encode())) <= most:
        return None
    message = f"its arguments have {size:,} bytes; a call takes {most:,} at most: refer to parts of outputs"
    return Failure(reason=FailureReason.FAILURE_REASON_ARGUMENTS_TOO_LARGE, message=message)


def _is_empty_plan(step: _core.Step) -> bool:
    return isinstance(step, _core.Diagnostic) and step.code == "empty_plan"


class _Stopped(Exception):  # noqa: N818 - ends a run, for a reason that is no defect
    """The run cannot go on."""

    def __init__(self, reason: FailureReason, message: str) -> None:
        super().__init__(message)
        self.failure = Failure(reason=reason, message=message)
