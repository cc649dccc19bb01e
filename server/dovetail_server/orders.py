"""Requests for runs: checked field by field, and turned into what the engine takes."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from dovetail.errors import UsageError
from dovetail.prompts.examples import Example
from dovetail.prompts.lessons import ExampleError, Lessons
from dovetail.runs.limits import Limits
from dovetail.runs.run_options import RunOptions, StrategyName, strategy_to_wire
from dovetail.strategies import STRATEGIES
from dovetail.strategies.react import check_react
from dovetail.strategies.tool_calls import check_tool_calls
from dovetail.tools.threads import Threads
from dovetail.tools.tool_set import ToolSet
from dovetail.v1 import Strategy
from dovetail_server.client_tools import ClientTools, inline_tools
from dovetail_server.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dovetail import v1
    from dovetail.models.protocol import Model
    from dovetail_server.callers import Caller
    from dovetail_server.catalogue import Catalogue
    from dovetail_server.settings import ServerSettings

__all__ = ["Order", "OrderDesk"]

_RUN_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_MOST_EXAMPLES = 256
_MOST_EXAMPLE_BYTES = 256 * 1024
_MOST_METADATA = 64
_MOST_METADATA_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class Order:
    """A run as it was asked for, ready to be started."""

    run_id: str
    question: str
    tools: ToolSet
    client_tools: ClientTools | None
    model: Model
    examples: Lessons | None
    limits: Limits
    options: RunOptions
    metadata: Mapping[str, str] | None


class OrderDesk:
    """Checks requests.

    Args:
        settings: what a run may ask for at the most.
        models: the models that are offered, by name, the default first.
        catalogue: the tools.
    """

    def __init__(self, settings: ServerSettings, models: Mapping[str, Model], catalogue: Catalogue) -> None:
        self._settings = settings
        self._models = models
        self._catalogue = catalogue
        self._limits = settings.limits()
        # Of its own: a tool that hangs in a shared one must not hold up who asks.
        self._reader = Threads(1)

    async def check(self, request: v1.CreateRunRequest, caller: Caller, *, on_stream: bool) -> Order:
        """Turn a request into an order. Examples take their time to read, in which the world may have changed.

        Raises:
            Refusal: a field cannot be used.
        """
        if request.run_id and not _RUN_ID.fullmatch(request.run_id):
            what = "must be 1 to 64 lower-case letters, digits and hyphens, beginning with a letter or digit"
            raise Refusal.invalid_field("run_id", what)
        self._check_question(request.question)
        if not on_stream and request.client_tools:
            raise Refusal.invalid_field("client_tools", "can be carried out on a stream only: use StreamRun")
        if not on_stream and request.cancel_on_disconnect:
            raise Refusal.invalid_field("cancel_on_disconnect", "needs a stream: use StreamRun")
        metadata = dict(request.metadata) if request.metadata else None
        if metadata is not None:
            _check_metadata(metadata)
        tools, client_tools = self._tools(request, caller)
        model, options = self._model(request.model), _options(request)
        _check_strategy(options.strategy, model, tools)
        return Order(
            run_id=request.run_id or f"run-{uuid.uuid4().hex[:16]}",
            question=request.question,
            tools=tools,
            client_tools=client_tools,
            model=model,
            examples=await self._examples(request.examples, tools) if request.examples else None,
            limits=self._bounded(request.limits, options.strategy) if request.HasField("limits") else self._limits,
            options=options,
            metadata=metadata,
        )

    def _check_question(self, question: str) -> None:
        if not question.strip():
            raise Refusal.invalid_field("question", "is empty")
        size = len(question.encode())
        if size > self._settings.max_question_bytes:
            what = f"has {size:,} bytes; this server takes {self._settings.max_question_bytes:,}"
            raise Refusal.invalid_field("question", what)

    def _model(self, name: str) -> Model:
        if not name:
            return next(iter(self._models.values()))
        found = self._models.get(name)
        if found is None:
            offered = ", ".join(self._models)
            raise Refusal.invalid_field("model", f"{name[:100]!r} is not offered by this server; it offers {offered}")
        return found

    def _tools(self, request: v1.CreateRunRequest, caller: Caller) -> tuple[ToolSet, ClientTools | None]:
        # Who brings tools and names none of the server's wants no others.
        chosen = self._catalogue.choose(request.tools, caller) if request.tools or not request.client_tools else ()
        if not request.client_tools:
            if not chosen:
                raise Refusal.no_tools()
            return chosen if isinstance(chosen, ToolSet) else ToolSet(chosen), None
        client_tools = ClientTools()
        brought = inline_tools(request.client_tools, "client_tools", client_tools)
        for index, tool in enumerate(brought):
            if tool.name in (one.name for one in chosen):
                raise Refusal.invalid_field(f"client_tools[{index}].name", f"{tool.name!r} is a tool of the server too")
        return ToolSet([*chosen, *brought]), client_tools

    async def _examples(self, given: Sequence[v1.PlanExample], tools: ToolSet) -> Lessons:
        examples = _bounded_examples(given)
        try:
            # The largest that are taken keep a processor for a third of a second, and the loop has others to serve.
            return await self._reader.run(Lessons, {"examples": examples, "tools": tools})
        except ExampleError as error:
            what = f"line {error.line}, column {error.column}: {error.what}"
            raise Refusal.invalid_field(f"examples[{error.number - 1}].{error.part}", what) from None

    def _bounded(self, asked: v1.Limits, strategy: StrategyName) -> Limits:
        bounds: dict[str, float | int | None] = {}
        for bound in fields(Limits):
            ours = getattr(self._limits.of(strategy), bound.name)
            if not asked.HasField(bound.name):
                bounds[bound.name] = ours
                continue
            value = getattr(asked, bound.name)
            if bound.name == "deadline":
                value = value.seconds + value.nanos / 1e9
            if not value >= 0 or (value == 0 and bound.name != "max_replans"):
                raise Refusal.invalid_field(f"limits.{bound.name}", f"is {value:g}; it must be above 0")
            bounds[bound.name] = value if ours is None else min(value, ours)
        return Limits(**bounds)  # type: ignore[arg-type]  # each has the type of its bound


def _options(request: v1.CreateRunRequest) -> RunOptions:
    options = RunOptions(
        strategy=_strategy(request.strategy), cite=request.cite_tasks, replan_on_failure=request.replan_on_failure
    )
    for name, field in (("notes", "notes"), ("answer_schema", "answer_schema_json")):
        if value := getattr(request, field):
            try:
                options = options.but(**{name: value})
            except UsageError as error:
                raise Refusal.invalid_field(field, str(error)) from None
    return options


def _strategy(asked: Strategy) -> StrategyName:
    if asked == Strategy.STRATEGY_UNSPECIFIED:
        return "compile"
    offered = {strategy_to_wire(name): name for name in STRATEGIES}
    if asked not in offered:
        shown = Strategy.Name(asked) if asked in Strategy.values() else str(asked)
        known = ", ".join(map(Strategy.Name, offered))
        raise Refusal.invalid_field("strategy", f"{shown} is not offered by this server; it offers {known}")
    return offered[asked]


def _check_strategy(strategy: StrategyName, model: Model, tools: ToolSet) -> None:
    try:
        if strategy == "tool-calls":
            check_tool_calls(model)
        elif strategy == "react":
            check_react(tools)
    except UsageError as error:
        raise Refusal.invalid_field("strategy", str(error)) from None


def _check_metadata(metadata: Mapping[str, str]) -> None:
    if len(metadata) > _MOST_METADATA:
        what = f"has {len(metadata)} entries; there may be {_MOST_METADATA}"
        raise Refusal.invalid_field("metadata", what)
    size = sum(len(key.encode()) + len(value.encode()) for key, value in metadata.items())
    if size > _MOST_METADATA_BYTES:
        raise Refusal.invalid_field("metadata", f"has {size:,} bytes; there may be {_MOST_METADATA_BYTES:,}")


def _bounded_examples(given: Sequence[v1.PlanExample]) -> list[Example]:
    if len(given) > _MOST_EXAMPLES:
        raise Refusal.invalid_field("examples", f"there are {len(given)}; there may be {_MOST_EXAMPLES}")
    examples = [Example(one.question, one.plan, one.earlier, one.missing) for one in given]
    size = 0
    for index, one in enumerate(examples):
        for name, text in (("question", one.question), ("plan", one.plan)):
            if not text.strip():
                raise Refusal.invalid_field(f"examples[{index}].{name}", "is empty")
        size += sum(len(text.encode()) for text in (one.question, one.plan, one.earlier, one.missing))
    if size > _MOST_EXAMPLE_BYTES:
        raise Refusal.invalid_field("examples", f"have {size:,} bytes; there may be {_MOST_EXAMPLE_BYTES:,}")
    return examples
