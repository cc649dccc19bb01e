"""`PlanService`: plans are read, checked and bound, and nothing is called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dovetail import _core
from dovetail.runs.progress import Progress
from dovetail.tools.tool_set import ToolSet
from dovetail.v1 import CompilePlanResponse, Step
from dovetail.v1.plan_service_pb2_grpc import PlanServiceServicer
from dovetail_server.client_tools import inline_tools
from dovetail_server.door import caller
from dovetail_server.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    import grpc

    from dovetail import v1
    from dovetail_server.catalogue import Catalogue

    Context = grpc.aio.ServicerContext[object, object]

__all__ = ["PlanService"]

_MOST_TASKS = 100_000
_USUAL_TASKS = 1_000
_MOST_TEXT = 4 * 1024 * 1024
_STEPS_A_MESSAGE = 256
# Below what a client receives by default, also with one more step of the largest size.
_BYTES_A_MESSAGE = 256 * 1024
_FACTS = frozenset(field.name for field in Step.DESCRIPTOR.fields)


class PlanService(PlanServiceServicer):
    """Plans.

    Args:
        catalogue: the tools that they may name.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    async def CompilePlan(  # type: ignore[override]
        self, requests: AsyncIterator[v1.CompilePlanRequest], context: Context
    ) -> None:
        """Read a plan as it comes, and answer with what follows."""
        requests = aiter(requests)
        first = await anext(requests, None)
        if first is None or first.WhichOneof("message") != "start":
            raise Refusal.wrong_message("start: must be the first message of the stream")
        machine = _core.Machine(self._tools(first.start).core, max_tasks=_max_tasks(first.start))
        # Turns the machine's words into the facts of events, which steps share.
        progress = Progress()
        length = 0
        async for request in requests:
            match request.WhichOneof("message"):
                case "text":
                    length += len(request.text)
                    if length > _MOST_TEXT:
                        message = f"the plan is longer than {_MOST_TEXT:,} characters"
                        raise Refusal.limit_reached("plan_text", _MOST_TEXT, message)
                    steps = machine.feed(request.text)
                case "outcome":
                    steps = _outcome(machine, request.outcome)
                case "start":
                    raise Refusal.wrong_message("start: may only be the first message of the stream")
                case _:
                    continue
            await _write(steps, progress, context)
        await _write(machine.finish(), progress, context)

    def _tools(self, start: v1.CompilePlanStart) -> ToolSet:
        given = inline_tools(start.inline_tools, "start.inline_tools")
        if not given:
            return self._catalogue.choose(start.tools, caller())
        chosen = self._catalogue.choose(start.tools, caller()) if start.tools else ()
        for index, tool in enumerate(given):
            if tool.name in (one.name for one in chosen):
                path = f"start.inline_tools[{index}].name"
                raise Refusal.invalid_field(path, f"{tool.name!r} is a tool of the server too")
        return ToolSet([*chosen, *given])


def _max_tasks(start: v1.CompilePlanStart) -> int:
    if not start.HasField("max_tasks"):
        return _USUAL_TASKS
    if not 1 <= start.max_tasks <= _MOST_TASKS:
        what = f"is {start.max_tasks}; it must be from 1 to {_MOST_TASKS}"
        raise Refusal.invalid_field("start.max_tasks", what)
    return start.max_tasks


def _outcome(machine: _core.Machine, outcome: v1.TaskOutcome) -> list[_core.Step]:
    if outcome.WhichOneof("outcome") == "output_json":
        return machine.succeed(outcome.task_id, outcome.output_json)
    return machine.fail(outcome.task_id)


async def _write(steps: Sequence[_core.Step], progress: Progress, context: Context) -> None:
    response = CompilePlanResponse()
    left = _BYTES_A_MESSAGE
    for step in steps:
        for name, fields in progress.facts(step, plan=1):
            if name not in _FACTS:
                continue  # that a task failed follows from its diagnostic
            said = Step(**{name: fields})
            left -= said.ByteSize()
            if response.steps and (left < 0 or len(response.steps) == _STEPS_A_MESSAGE):
                await context.write(response)
                response = CompilePlanResponse()
                left = _BYTES_A_MESSAGE - said.ByteSize()
            response.steps.append(said)
    if response.steps:
        await context.write(response)
