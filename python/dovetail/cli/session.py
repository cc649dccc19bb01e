"""Runs of this process: an engine made from settings, and its runs shown."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from dovetail.calls.approval_rules import ApprovalRules
from dovetail.cli.exits import end_process_after
from dovetail.cli.interruption import PATIENCE_SECONDS, interruptible
from dovetail.cli.questions import Questions
from dovetail.cli.showing import show
from dovetail.engine import Engine
from dovetail.errors import UsageError
from dovetail.models.provider import open_beside
from dovetail.prices import read_prices
from dovetail.prompts.example_selection import SHOWN_EXAMPLES, NearestExamples
from dovetail.prompts.examples import gather_examples
from dovetail.prompts.planner_prompt import PlannerPrompt
from dovetail.runs.planner import MAX_TOOLS_SHOWN
from dovetail.tools.policy_file import read_policies
from dovetail.tools.tool_set import ToolSet

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from dovetail.cli.views import View
    from dovetail.models.protocol import Model
    from dovetail.settings import Settings

__all__ = ["Session"]

_DEFAULT_TOOLS = ("dovetail.builtin",)


class Session:
    """An engine and its models, open for some questions. An asynchronous context manager.

    Args:
        settings: what to open.

    Raises:
        UsageError: on entering: no model is given, or a model, a tool or an example cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        settings = self._settings
        if settings.model is None:
            raise UsageError(
                "no model is given; add --model PROVIDER:NAME (local:, openai:gpt-5-mini, vllm:NAME), "
                'set DOVETAIL_MODEL, or write model = "…" into dovetail.toml'
            )
        specs = settings.tools or _DEFAULT_TOOLS
        async with AsyncExitStack() as stack:
            planner = self._open(settings.model, stack)
            joiner = None if settings.joiner is None else self._open(settings.joiner, stack)
            tools = await ToolSet.load(specs)
            if settings.policies is not None:
                tools = read_policies(settings.policies).applied_to_all(tools)
            ApprovalRules(settings.require_approval).check(tools.names)
            if settings.allow:
                tools = tools.allow(*settings.allow)
            tools = tools.deny(*settings.deny)
            engine = Engine(
                tools,
                planner,
                joiner=joiner,
                examples=gather_examples(specs, settings.examples),
                example_selector=NearestExamples(settings.max_examples or SHOWN_EXAMPLES),
                prompt=PlannerPrompt(settings.prompt, settings.examples_as),
                joiner_prompt=settings.joiner_prompt,
                limits=settings.limits(),
                prices=None if settings.prices is None else read_prices(settings.prices),
                options=settings.run_options(),
                require_approval=settings.require_approval,
                max_tools_shown=settings.max_tools or MAX_TOOLS_SHOWN,
            )
            self._engine = await stack.enter_async_context(engine)
            self._interruption = stack.enter_context(interruptible())
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def engine(self) -> Engine:
        """What answers."""
        return self._engine

    @property
    def interrupted(self) -> bool:
        """Whether the user has asked for the end."""
        return self._interruption.status is not None

    async def ask(self, question: str, view: View) -> int:
        """Start a run, show it to its end, and return the exit status that it calls for.

        Raises:
            UsageError: the question is empty.
        """
        run = self._engine.start(question)
        return await show(run, view, interruption=self._interruption, questions=Questions(run, view))

    def leave(self, status: int) -> int:
        """Say with which status the process is to end, now that there is nothing more to ask."""
        # A tool that hangs in a thread must not keep the process.
        end_process_after(PATIENCE_SECONDS, status)
        return status

    def _open(self, name: str, stack: AsyncExitStack) -> Model:
        model = open_beside(name, self._settings.model or "", self._settings)
        stack.push_async_callback(model.aclose)
        return model
