"""Requests for runs, as a client sends them."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from dovetail import v1
from dovetail.errors import UsageError
from dovetail.limits import Limits
from dovetail.run_options import strategy_to_wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from dovetail.examples import Example
    from dovetail.run_options import RunOptions

__all__ = ["run_request"]


def run_request(
    question: str,
    run_id: str | None,
    tools: Sequence[str],
    model: str | None,
    examples: Iterable[Example],
    limits: Limits | v1.Limits | None,
    options: RunOptions,
    metadata: Mapping[str, str] | None,
) -> v1.CreateRunRequest:
    """The request for a run; see `Client.create` for what its fields mean.

    Raises:
        UsageError: the tools are one text and no list, or an example goes on from earlier tasks.
    """
    if isinstance(tools, str):
        raise UsageError(f"tools is the text {tools!r}; give a list of the names of the server's tools")
    examples = list(examples)
    for number, example in enumerate(examples, start=1):
        if example.earlier:
            raise UsageError(f"example {number} goes on from earlier tasks: only an engine and its settings take those")
    return v1.CreateRunRequest(
        # Chosen here and not by the server, so that the request can be repeated.
        run_id=str(uuid.uuid4()) if run_id is None else run_id,
        question=question,
        tools=tools,
        model=model or "",
        examples=[v1.PlanExample(question=example.question, plan=example.plan) for example in examples],
        limits=limits.to_proto() if isinstance(limits, Limits) else limits,
        strategy=strategy_to_wire(options.strategy),
        answer_schema_json="" if options.answer_schema is None else options.answer_schema.json,
        cite_tasks=options.cite,
        notes=options.notes,
        replan_on_failure=options.replan_on_failure,
        metadata=metadata,
    )
