"""The engine: tools, models and limits, ready to answer any number of questions at once.

What happens to a question from here on is in `dovetail.life`.
"""

from __future__ import annotations

import asyncio
import functools
import uuid
from typing import TYPE_CHECKING

from dovetail.calls.approval_rules import ApprovalRules
from dovetail.calls.gates import Gates
from dovetail.errors import UsageError
from dovetail.life import Life
from dovetail.models.provider import open_model
from dovetail.prices import Prices
from dovetail.prompts.joiner_prompt import JoinerPrompt
from dovetail.prompts.planner_prompt import PlannerPrompt
from dovetail.run_handle import Run
from dovetail.runs.dialects import Dialects
from dovetail.runs.journal import MemoryJournal
from dovetail.runs.limits import Limits
from dovetail.runs.planner import MAX_TOOLS_SHOWN, Planner, ToolShow
from dovetail.runs.run_options import RunOptions
from dovetail.tools.call import begin
from dovetail.tools.live_tools import held_by
from dovetail.tools.secret import check_secrets
from dovetail.tools.tool_set import ToolSet

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Any

    from dovetail.calls.approval_rules import ApprovalRule
    from dovetail.calls.approvals import ApprovalRequest, Approve, Reject
    from dovetail.models.protocol import Model
    from dovetail.prices import Price
    from dovetail.prompts.example_selection import ExampleSelector
    from dovetail.prompts.examples import Example
    from dovetail.prompts.lessons import Lessons
    from dovetail.runs.run_options import StrategyName
    from dovetail.tools.call import HeldBackend
    from dovetail.tools.retrieval import Retriever
    from dovetail.tools.tool_set import ToolSource

__all__ = ["Engine"]


class Engine:
    """Answers questions with one set of tools and one model. An asynchronous context manager.

    Args:
        tools: the tools that plans may call: functions, tools, modules, SPECs (see `ToolSet.of`). Those of MCP servers
            take a while: in an event loop, give ``await ToolSet.load([...])``.
        model: the model that plans, as ``provider:name`` or a `Model`.
        joiner: the model that joins outputs into an answer; the planner's if None.
        examples: plans to learn from, each of which the plan machine reads first (see `Lessons`).
        example_selector: which examples the planner is shown; the two nearest to a question by their words if None.
        prompt: how the planner is asked: a `PlannerPrompt`, or the file of its template. As Dovetail does if None.
        joiner_prompt: how the joiner is asked: a `JoinerPrompt`, or the file of its template. As Dovetail does if None.
        limits: the bounds of each run.
        prices: what models cost, by ``provider:name`` or a pattern of such: before the prices that Dovetail knows (see
            `dovetail.prices`).
        strategy: how the answer of each run is found: ``compile``, ``plan-only``, ``react`` or ``tool-calls`` (see
            ``docs/runs.md``).
        answer_schema: what the answer must fit, which is then JSON: a JSON Schema, or a type (see `AnswerSchema`).
        cite: whether the answer names the tasks that it rests on.
        notes: what the planner and the joiner are told besides: the house style, today's date.
        replan_on_failure: whether a failed task leads to another plan before anything is joined.
        options: the last five at once, in their place.
        require_approval: which calls need approval although their tools do not say so: see `ApprovalRules`.
        on_approval: awaited for each call that needs approval; what it returns is the decision, None leaves it to
            whoever calls `Run.approve` or `Run.reject`. If it fails, the call is rejected.
        retriever: what chooses the tools that the planner is shown, where there are more than ``max_tools_shown``; a
            `LexicalRetriever` if None.
        max_tools_shown: how many tools the planner is shown without a choice.

    Raises:
        UsageError: a tool, a model, a limit, an option, a rule or a prompt cannot be used, or the variable of a tool's
            secret is not set.
        ExampleError: an example has a mistake; the message names its number, line and column.
    """

    def __init__(
        self,
        tools: Iterable[ToolSource],
        model: str | Model,
        *,
        joiner: str | Model | None = None,
        examples: Sequence[Example] | Lessons = (),
        example_selector: ExampleSelector | None = None,
        prompt: PlannerPrompt | str | Path | None = None,
        joiner_prompt: JoinerPrompt | str | Path | None = None,
        limits: Limits | None = None,
        prices: Mapping[str, Price] | None = None,
        strategy: StrategyName = "compile",
        answer_schema: Any = None,
        cite: bool = False,
        notes: str = "",
        replan_on_failure: bool = False,
        options: RunOptions | None = None,
        require_approval: Iterable[ApprovalRule] = (),
        on_approval: Callable[[Run, ApprovalRequest], Awaitable[Approve | Reject | None]] | None = None,
        retriever: Retriever | None = None,
        max_tools_shown: int = MAX_TOOLS_SHOWN,
    ) -> None:
        self._rules = ApprovalRules(require_approval)
        self._on_approval = on_approval
        self._tools = tools if isinstance(tools, ToolSet) else ToolSet.of(tools)
        check_secrets(self._tools)
        self.limits = limits or Limits()
        self._options = options or RunOptions(
            strategy=strategy, cite=cite, notes=notes, replan_on_failure=replan_on_failure
        ).but(answer_schema=answer_schema)
        # Compiling the schemas now lets a bad one fail here and not in the first run.
        _ = self._tools.core
        self._opened: list[Model] = []
        planner = self._open(model)
        show = ToolShow(retriever, max_tools_shown)
        show.of(self._tools, "")  # a large set is indexed now, and not while the first run waits
        if not isinstance(prompt, PlannerPrompt):
            prompt = PlannerPrompt(prompt)
        self._planner = Planner(planner, self._tools, examples, show, prompt, example_selector)
        self._joiner = planner if joiner is None else self._open(joiner)
        if not isinstance(joiner_prompt, JoinerPrompt):
            joiner_prompt = JoinerPrompt(joiner_prompt)
        self._joiner_prompt = joiner_prompt
        self._lives: set[Life] = set()
        self._gates = Gates(begin)
        self._dialects = Dialects()
        self._prices = Prices(prices)
        self._held: set[HeldBackend] = set()
        self._hold(self._tools)

    @property
    def tools(self) -> ToolSet:
        """The tools of a run that is started now. Where an MCP server has changed its tools, this is another set."""
        current = self._tools.current()
        if current is not self._tools:
            self._hold(current)
            self._planner = self._planner.but(tools=current)
            self._tools = current
        return self._tools

    def _hold(self, tools: ToolSet) -> None:
        for held in held_by(tools):
            if held not in self._held:
                held.hold()
                self._held.add(held)

    def _open(self, model: str | Model) -> Model:
        if not isinstance(model, str):
            return model
        opened = open_model(model)
        self._opened.append(opened)
        return opened

    def start(
        self,
        question: str,
        *,
        run_id: str | None = None,
        limits: Limits | None = None,
        strategy: StrategyName | None = None,
        answer_schema: Any = None,
        cite: bool | None = None,
        notes: str | None = None,
        replan_on_failure: bool | None = None,
        options: RunOptions | None = None,
        tools: ToolSet | None = None,
        model: Model | None = None,
        joiner: Model | None = None,
        examples: Sequence[Example] | Lessons | None = None,
        metadata: Mapping[str, str] | None = None,
        traceparent: str = "",
    ) -> Run:
        """Start a run. It goes on by itself in the running event loop. What is None is the engine's.

        Args:
            question: what to answer.
            run_id: the run's name; a new one if None.
            limits: the bounds of this run.
            strategy: how its answer is found.
            answer_schema: what its answer must fit.
            cite: whether its answer names the tasks that it rests on.
            notes: what its planner and its joiner are told besides.
            replan_on_failure: whether a failed task leads to another plan before anything is joined.
            options: all of these at once, in place of the engine's.
            tools: the tools that its plans may call.
            model: the model that plans it.
            joiner: the model that joins its outputs; ``model`` if that is given and this is not.
            examples: plans to learn from.
            metadata: attached to the run, in its first event.
            traceparent: the W3C trace context of whoever asks, given on to executors.

        Raises:
            UsageError: the question is empty, or no text; an option cannot be used; or the schema of a tool does not
                compile.
            ExampleError: an example has a mistake.
        """
        if not question.strip():
            raise UsageError("the question is empty")
        try:
            question.encode()
        except UnicodeEncodeError as error:
            raise UsageError(f"the question is no text that can be sent: {error}") from error
        current = self.tools if tools is None else tools
        planner = self._planner.but(model=model, tools=tools, examples=examples)
        options = (options or self._options).but(
            strategy=strategy,
            answer_schema=answer_schema,
            cite=cite,
            notes=notes,
            replan_on_failure=replan_on_failure,
        )
        run_id = run_id or f"run-{uuid.uuid4().hex[:12]}"
        journal = MemoryJournal()
        life = Life(
            run_id,
            question,
            tools=current,
            planner=planner,
            joiner=joiner or model or self._joiner,
            joiner_prompt=self._joiner_prompt,
            limits=(limits or self.limits).of(options.strategy),
            options=options,
            journal=journal,
            gates=self._gates,
            dialects=self._dialects,
            prices=self._prices,
            metadata=metadata,
            traceparent=traceparent,
        )
        run = Run(run_id, question, journal, life, options.answer_schema)
        ask = None if self._on_approval is None else functools.partial(self._on_approval, run)
        life.execution.govern_approvals(self._rules, ask)
        self._lives.add(life)

        def ended(_: asyncio.Task[None]) -> None:
            self._lives.discard(life)
            run.ended()

        life.begin().add_done_callback(ended)
        return run

    async def aclose(self) -> None:
        """Cancel the runs that have not ended, and give back the models and sessions that this engine opened."""
        lives = list(self._lives)
        for life in lives:
            life.cancel("the engine was closed")
        await asyncio.gather(*(life.over() for life in lives))
        for model in self._opened:
            await model.aclose()
        held, self._held = self._held, set()
        # Together: each may take its time to end what it holds.
        await asyncio.gather(*(backend.release() for backend in held))

    async def __aenter__(self) -> Engine:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
