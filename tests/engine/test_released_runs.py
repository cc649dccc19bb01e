"""A run that has ended is no cycle: its memory is free as soon as nobody holds it, without a collection."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from dovetail import ApprovalRequest, Approve, Engine, Run
from dovetail.tools.definition import tool
from dovetail.v1 import RunState
from scripted import PATIENCE, ScriptedModel, finish, plan

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@tool(read_only=True)
async def length(text: str) -> int:
    """Measures a text."""
    return len(text)


@tool(retries=1, backoff=0.001, task_timeout=60, idempotent=True)
async def broken(text: str) -> int:
    """Fails."""
    raise ValueError(f"no {text}")


@tool(sequential=True)
def threaded(text: str) -> str:
    """Runs in a thread."""
    return text


@tool(approval=True, approval_timeout=60)
async def careful(text: str) -> str:
    """Asks first."""
    return text


@tool
async def endless() -> None:
    """Never ends by itself."""
    await asyncio.Event().wait()


async def decide(_run: Run, request: ApprovalRequest) -> Approve | None:
    return Approve() if request.arguments["text"] == "yes" else None


async def ended(model: ScriptedModel, until: str) -> tuple[RunState, list[weakref.ref[object]]]:
    """Run to the end, cancelled at the first event of this fact; returns the state, and what is to be free now."""
    tools = [length, broken, threaded, careful, endless]
    async with Engine(tools, model, on_approval=decide) as engine:
        run = engine.start("why?")
        assert run._life is not None
        # Of both alone: what else a run has is theirs.
        held: list[weakref.ref[object]] = [weakref.ref(run._life), weakref.ref(run._life.execution)]
        async for event in run.events():
            if event.WhichOneof("fact") == until:
                run.cancel()
        return await run.wait(), held


CLEAN = plan(
    '1. length("a")', '2. threaded("b")', '3. threaded("$2")', '4. careful("yes")', '5. broken("luck")', "6. join()"
)


@pytest.mark.parametrize(
    ("scripts", "until", "state"),
    [
        ((CLEAN, finish("done")), "", RunState.RUN_STATE_ANSWERED),
        ((plan('1. length("a")', "2. join($1)"),), "", RunState.RUN_STATE_ANSWERED),
        ((plan('1. length("a")', "2. join()"), "Thought: no.\nAction: Replan(more)"), "", RunState.RUN_STATE_FAILED),
        ((), "", RunState.RUN_STATE_FAILED),
        ((plan('1. careful("no")', "2. endless()", "3. join()"),), "call_started", RunState.RUN_STATE_CANCELLED),
        ((CLEAN, finish("done")), "call_failed", RunState.RUN_STATE_CANCELLED),
    ],
    ids=[
        "all sorts of calls",
        "named answer",
        "the model fails on a replan",
        "no plan",
        "cancelled",
        "while it pauses",
    ],
)
async def test_a_run_that_has_ended_is_free_as_soon_as_nobody_holds_it(
    scripts: tuple[str, ...], until: str, state: RunState
) -> None:
    async with asyncio.timeout(PATIENCE):
        found, held = await ended(ScriptedModel(*scripts), until)
        assert found == state
        # What is told of the end in the loop, after the end, and a thread that still has to turn from its call to the
        # next, hold it for a moment more. Nobody collects it meanwhile.
        async with asyncio.timeout(10):
            while any(one() is not None for one in held):  # noqa: ASYNC110 - of memory that is free no event tells
                await asyncio.sleep(0.001)
