"""The life of a run: its beginning, its deadline, its cancellation and its end.

How its answer is found is its strategy's business (`dovetail.strategies`); how a plan is run while it is written, that
of `dovetail.runs.execution`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from dovetail.runs.books import Books, StoppedError
from dovetail.runs.execution import Execution
from dovetail.runs.run_options import strategy_to_wire
from dovetail.runs.tool_model import ToolModels
from dovetail.strategies import STRATEGIES
from dovetail.strategies.strategy import Means
from dovetail.v1 import Failure, FailureReason, RunState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dovetail.calls.gates import Gates
    from dovetail.models.protocol import Model
    from dovetail.prices import Prices
    from dovetail.prompts.joiner_prompt import JoinerPrompt
    from dovetail.runs.dialects import Dialects
    from dovetail.runs.journal import MemoryJournal
    from dovetail.runs.limits import Limits
    from dovetail.runs.planner import Planner
    from dovetail.runs.run_options import RunOptions
    from dovetail.tools.tool_set import ToolSet

__all__ = ["Life"]

logger = logging.getLogger(__name__)


class Life:
    """The life of one run.

    Args:
        run_id: the run's name.
        question: what it is to answer.
        tools: the tools that its plans may call.
        planner: what writes its plans.
        joiner: the model that joins outputs into an answer.
        joiner_prompt: how that is asked.
        limits: its bounds.
        options: what is asked of it besides.
        journal: where its events go.
        gates: what the policies of its tools share over all runs.
        dialects: which grammars its models take.
        prices: what its model calls cost.
        metadata: what whoever asked attached to it.
        traceparent: the W3C trace context of whoever asked.

    Attributes:
        execution: its plans and their tasks.

    Raises:
        UsageError: its strategy cannot be used with its model.
    """

    def __init__(
        self,
        run_id: str,
        question: str,
        *,
        tools: ToolSet,
        planner: Planner,
        joiner: Model,
        joiner_prompt: JoinerPrompt,
        limits: Limits,
        options: RunOptions,
        journal: MemoryJournal,
        gates: Gates,
        dialects: Dialects,
        prices: Prices,
        metadata: Mapping[str, str] | None = None,
        traceparent: str = "",
    ) -> None:
        self._run_id = run_id
        self._question = question
        self._tools = tools
        self._planner = planner
        self._joiner = joiner
        self._limits = limits
        self._options = options
        self._journal = journal
        self._metadata = metadata
        self._books = Books(journal, limits, prices)
        models = ToolModels(planner.model, dialects, self._books)
        self.execution = Execution(run_id, tools, models, self._books, gates, traceparent)
        means = Means(question, options, tools, planner, joiner, joiner_prompt, dialects, self._books, self.execution)
        self._strategy = STRATEGIES[options.strategy](means)
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> asyncio.Task[None]:
        """Begin to live: an asyncio task that never fails."""
        self._books.record(
            "run_started",
            run_id=self._run_id,
            question=self._question,
            strategy=strategy_to_wire(self._options.strategy),
            model=self._planner.model.name,
            joiner=self._joiner.name if self._options.strategy == "compile" else None,
            tools=self._tools.names,
            answer_schema_json=None if self._options.answer_schema is None else self._options.answer_schema.json,
            limits=self._limits.to_proto(),
            metadata=self._metadata or None,
        )
        self._task = asyncio.create_task(self._live(), name=self._run_id)
        return self._task

    def cancel(self, reason: str) -> None:
        """Cancel the model stream and the calls; the run ends with state CANCELLED, unless it has ended."""
        if self._task is not None and not self._task.done() and not self._journal.ended:
            self._books.record("cancel_requested", reason=reason)
            # Soon and not now: a task that has not begun would end without a word.
            asyncio.get_running_loop().call_soon(self._task.cancel, reason)

    async def over(self) -> None:
        """Wait for the end."""
        if self._task is not None:
            await asyncio.wait({self._task})

    async def _live(self) -> None:
        """From the question to the last event. Never raises but for its own cancellation."""
        try:
            async with asyncio.timeout(self._limits.deadline):
                await self._strategy.find_answer()
            state, failure = RunState.RUN_STATE_ANSWERED, None
        except StoppedError as stopped:
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

    async def _end(self, state: RunState, failure: Failure | None) -> None:
        """Close what is open, and record the end: of what was on its way, and of the run."""
        with contextlib.suppress(asyncio.CancelledError):  # a second cancellation must not lose the last event
            await self.execution.stop(reading=state != RunState.RUN_STATE_ANSWERED)
        self._journal.append(
            *self.execution.progress.abandoned("the run ended before the task did"),
            ("run_ended", self._books.ended(state, failure)),
        )
