"""Tasks that wait for a person: approved, approved with other arguments, rejected, or never answered."""

from __future__ import annotations

import asyncio

import pytest

from dovetail import Engine, Limits, Run, UsageError
from dovetail.tools.definition import tool
from scripted import PATIENCE, ScriptedModel, events_of, facts, failures, finish, plan

pytestmark = pytest.mark.anyio


@tool(approval=True)
async def send(to: str, text: str = "hello") -> str:
    """Sends a letter, which cannot be called back."""
    return f"{text} to {to}"


@tool
async def draft(text: str) -> str:
    """Writes."""
    return text


async def asked(run: Run) -> None:
    """Wait until a task of the run waits for approval."""
    async for event in run.events():
        if event.HasField("approval_requested"):
            return


async def test_a_task_that_needs_approval_waits_while_its_siblings_go_on() -> None:
    model = ScriptedModel(plan('1. send("Ada")', '2. draft("x")', "3. join($1)"))
    async with asyncio.timeout(PATIENCE), Engine([send, draft], model) as engine:
        run = engine.start("why?")
        await asked(run)
        async for event in run.events():
            if event.HasField("task_succeeded"):
                assert event.task_succeeded.task_id == 2
                break
        assert run.awaiting_approval == [1]
        run.approve(1, reason="fine")
        assert await run.answer() == "hello to Ada"
        events = [event async for event in run.events()]
    resolved = facts(events, "approval_resolved")[0]
    assert (resolved.task_id, resolved.approved, resolved.reason) == (1, True, "fine")
    assert run.awaiting_approval == []


async def test_changed_arguments_are_checked_and_then_used() -> None:
    model = ScriptedModel(plan('1. send("Ada")', "2. join($1)"))
    async with asyncio.timeout(PATIENCE), Engine([send], model) as engine:
        run = engine.start("why?")
        await asked(run)
        for wrong, said in [
            ({"to": 5}, "to"),
            ({"text": "x"}, "to"),
            ({"to": "x", "cc": "y"}, "cc"),
            ("nonsense", "not JSON"),
            ("[]", "object"),
        ]:
            with pytest.raises(UsageError, match=said):
                run.approve(1, wrong)
        assert run.awaiting_approval == [1]
        run.approve(1, {"to": "Grace"})
        assert await run.answer() == "hello to Grace"


async def test_a_rejection_is_told_to_the_joiner_with_its_reason() -> None:
    model = ScriptedModel(plan('1. send("Ada")', '2. draft("$1")', "3. join()"), finish("not sent"))
    async with asyncio.timeout(PATIENCE), Engine([send, draft], model) as engine:
        run = engine.start("why?")
        await asked(run)
        run.reject(1, "too blunt")
        assert await run.answer() == "not sent"
        events = [event async for event in run.events()]
    assert failures(events) == {1: "APPROVAL_REJECTED"}
    assert [fact.task_id for fact in facts(events, "task_skipped")] == [2]
    assert "too blunt" in model.asked[1][-1]["content"]


async def test_only_a_task_that_waits_can_be_resolved_and_only_once() -> None:
    model = ScriptedModel(plan('1. send("Ada")', "2. join($1)"))
    async with asyncio.timeout(PATIENCE), Engine([send], model) as engine:
        run = engine.start("why?")
        await asked(run)
        with pytest.raises(UsageError, match="task 7 does not wait"):
            run.approve(7)
        run.approve(1)
        with pytest.raises(UsageError, match="task 1 does not wait"):
            run.reject(1)
        await run.wait()
        with pytest.raises(UsageError, match="task 1 does not wait"):
            run.approve(1)


async def test_nobody_answering_ends_with_the_deadline_of_the_run() -> None:
    model = ScriptedModel(plan('1. send("Ada")', "2. join($1)"))
    events = await events_of([send], model, limits=Limits(deadline=1))
    assert failures(events) == {1: "CANCELLED"}
    assert facts(events, "run_ended")[0].failure.reason == 8


async def test_an_approval_that_comes_while_the_run_is_being_stopped_begins_nothing() -> None:
    cancelled, let_go = asyncio.Event(), asyncio.Event()

    @tool
    async def stubborn() -> None:
        """Takes its time to be cancelled."""
        try:
            await let_go.wait()
        except asyncio.CancelledError:
            cancelled.set()
            await let_go.wait()

    model = ScriptedModel(plan("1. stubborn()", '2. send("Ada")', "3. join()"))
    async with asyncio.timeout(PATIENCE), Engine([stubborn, send], model) as engine:
        run = engine.start("why?")
        await asked(run)
        run.cancel("enough")
        await cancelled.wait()
        assert run.awaiting_approval == []
        with pytest.raises(UsageError, match="does not wait"):
            run.approve(2)
        let_go.set()
        await run.wait()
        events = [event async for event in run.events()]
    assert [fact.task_id for fact in facts(events, "call_started")] == [1]
