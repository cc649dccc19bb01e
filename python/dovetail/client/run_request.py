"""Requests for runs, as a client sends them."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final, TypedDict

from dovetail import v1
from dovetail.errors import UsageError
from dovetail.runs.limits import Limits
from dovetail.runs.run_options import RunOptions, strategy_to_wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from dovetail.prompts.examples import Example
    from dovetail.runs.run_options import StrategyName

__all__ = ["RunFields", "run_request"]


class RunFields(TypedDict, total=False):
    """What may be said of a run besides its question. What is left out or None is the server's to choose.

    Attributes:
        run_id: the run's name; one is made up if None. The same request with the same name gives the same run.
        tools: the names of the server's tools that plans may call. If there are none: all that the token may use,
            unless the client brings tools of its own.
        model: the model that plans and joins, one of the server's; its first if None.
        examples: plans to learn from, also for plans that follow others; the server's if there are none.
        limits: the bounds of the run; those that are None are the server's.
        strategy: how the answer is found: ``compile`` if None, ``plan-only``, ``react`` or ``tool-calls``.
        answer_schema: what the answer must fit, which is then JSON: a JSON Schema, or a type that has one.
        cite: whether the answer names the tasks that it rests on.
        notes: what the planner and the joiner are told besides: the house style, today's date.
        replan_on_failure: whether a failed task leads to another plan before anything is joined.
        metadata: attached to the run and given back with it.
    """

    run_id: str | None
    tools: Sequence[str]
    model: str | None
    examples: Iterable[Example]
    limits: Limits | v1.Limits | None
    strategy: StrategyName | None
    answer_schema: Any
    cite: bool | None
    notes: str | None
    replan_on_failure: bool | None
    metadata: Mapping[str, str] | None


_OPTIONS: Final = ("strategy", "answer_schema", "cite", "notes", "replan_on_failure")


def run_request(question: str, fields: RunFields) -> v1.CreateRunRequest:
    """The request for a run.

    Args:
        question: what to answer.
        fields: what else is said of the run.

    Raises:
        UsageError: the tools are one text and no list, or an option cannot be used.
        TypeError: there is no such field.
    """
    if unknown := fields.keys() - RunFields.__optional_keys__:
        known = ", ".join(sorted(RunFields.__optional_keys__))
        raise TypeError(f"there is no field {min(unknown)!r} of a run; there are {known}")
    tools = fields.get("tools") or ()
    if isinstance(tools, str):
        raise UsageError(f"tools is the text {tools!r}; give a list of the names of the server's tools")
    options = RunOptions().but(**{name: fields.get(name) for name in _OPTIONS})
    run_id, limits = fields.get("run_id"), fields.get("limits")
    return v1.CreateRunRequest(
        # Chosen here and not by the server, so that the request can be repeated.
        run_id=str(uuid.uuid4()) if run_id is None else run_id,
        question=question,
        tools=tools,
        model=fields.get("model") or "",
        examples=[_example(one) for one in fields.get("examples") or ()],
        limits=limits.to_proto() if isinstance(limits, Limits) else limits,
        strategy=strategy_to_wire(options.strategy),
        answer_schema_json="" if options.answer_schema is None else options.answer_schema.json,
        cite_tasks=options.cite,
        notes=options.notes,
        replan_on_failure=options.replan_on_failure,
        metadata=fields.get("metadata"),
    )


def _example(one: Example) -> v1.PlanExample:
    return v1.PlanExample(question=one.question, plan=one.plan, earlier=one.earlier, missing=one.missing)
