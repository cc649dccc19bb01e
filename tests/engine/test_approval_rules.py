"""Calls that need approval by a rule, by whom they are decided, and what happens if nobody does."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from dovetail import ApprovalRequest, Approve, Engine, Reject, Run, UsageError
from dovetail.calls.approval_rules import ApprovalRules
from dovetail.tools.definition import Tool, tool
from scripted import PATIENCE, ScriptedModel, facts, failures, finish, plan

if TYPE_CHECKING:
    from dovetail.v1 import Event

pytestmark = pytest.mark.anyio


@tool
async def send(to: str, text: str = "hello") -> str:
    """Sends."""
    return f"{text} to {to}"


@tool(name="db.drop", destructive=True)
async def drop(table: str) -> str:
    """Drops."""
    return table


def demanded(rule: Any, one: Tool, arguments_json: str = "{}") -> bool:
    return ApprovalRules([rule]).reason(one, arguments_json) is not None


async def asked(run: Run) -> None:
    async for event in run.events():
        if event.HasField("approval_requested"):
            return


async def all_events(model: ScriptedModel, tools: list[Any], **options: Any) -> list[Event]:
    async with asyncio.timeout(PATIENCE), Engine(tools, model, **options) as engine:
        return [event async for event in engine.start("why?").events()]


def test_a_rule_is_a_word_a_name_or_a_pattern() -> None:
    assert demanded("destructive", drop)
    assert not demanded("destructive", send)
    assert demanded("db.*", drop)
    assert demanded("send", send)
    assert not demanded("db.*", send)


@pytest.mark.parametrize(
    ("arguments", "fits", "fits_not"),
    [
        ('{"to": "ada@example.com"}', True, False),
        ('{"to": "ADA@EXAMPLE.COM"}', True, False),
        ('{"to": "ada@example.com.evil.org"}', False, True),
        ('{"to": ["x@y.org", {"cc": "ada@example.com"}]}', True, True),
        ('{"to": []}', False, True),
        ("{}", False, True),
        ('{"text": "ada@example.com"}', False, True),
        ('{"to": 5}', False, True),
    ],
)
def test_a_condition_is_about_every_text_in_the_argument(arguments: str, fits: bool, fits_not: bool) -> None:
    assert demanded("send(to=*@example.com)", send, arguments) is fits
    assert demanded("send(to!=*@example.com)", send, arguments) is fits_not


def test_an_argument_that_is_left_out_is_its_default() -> None:
    assert demanded("send(text=hel*o)", send, '{"to": "x"}')
    assert not demanded("send(text=hel*o)", send, '{"to": "x", "text": "other"}')


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("*", "", True),
        ("", "", True),
        ("a*a", "a", False),
        ("a*a", "aa", True),
        ("*b*", "abc\nd", True),
        ("a*b*c", "a-b-b-c", True),
        ("a*b*c", "acb", False),
        ("a.c", "abc", False),
    ],
)
def test_a_star_stands_for_any_text(pattern: str, text: str, fits: bool) -> None:
    assert demanded(f"send(to={pattern})", send, f'{{"to": {text!r}}}'.replace("'", '"')) is fits


def test_no_text_makes_a_pattern_slow() -> None:
    began = time.thread_time()
    assert not demanded(f"send(to={'*a' * 50}*b)", send, f'{{"to": "{"a" * 1_000_000}"}}')
    assert time.thread_time() - began < 1


@pytest.mark.parametrize("rule", ["", "send(", "send(to)", "send(=x)", "two words", "send(to=x) or more"])
def test_what_is_no_rule_is_refused_with_examples(rule: str) -> None:
    with pytest.raises(UsageError, match=r"require_approval: .* is no rule; write destructive"):
        ApprovalRules([rule])


def test_rules_can_be_checked_for_slips() -> None:
    ApprovalRules(["destructive", "db.*", "send(to=x)"]).check(["send"])
    with pytest.raises(UsageError, match="require_approval: there is no tool 'snd'; did you mean send"):
        ApprovalRules(["snd(to=x)"]).check(["send"])


def test_a_callable_is_given_the_tool_and_its_arguments_and_asks_a_person_if_it_fails() -> None:
    def long(one: Tool, arguments: Any) -> bool:
        return one.name == "send" and len(arguments["text"]) > 3

    assert demanded(long, send, '{"text": "long"}')
    assert not demanded(long, send, '{"text": "no"}')
    assert demanded(long, send, "{}")


def test_a_rule_cannot_waive_what_a_tool_demands() -> None:
    careful = Tool("careful", "", {"type": "object"}, approval=True)
    assert ApprovalRules().reason(careful, "{}") == "careful asks for approval of each call"
    assert demanded(lambda *_: False, careful)


def test_what_demands_approval_says_why() -> None:
    def dear(_tool: Tool, arguments: Any) -> str | bool:
        return f"{arguments['to']} is dear" if arguments["to"] == "Ada" else arguments["to"] == "Eve"

    rules = ApprovalRules([" db.*", "send(to=x)", "destructive", dear])
    assert rules.reason(drop, '{"table": "t"}') == "the rule db.*"
    assert rules.reason(send, '{"to": "x"}') == "the rule send(to=x)"
    assert rules.reason(send, '{"to": "Ada"}') == "Ada is dear"
    assert rules.reason(send, '{"to": "Eve"}') == "the rule dear"
    assert rules.reason(send, "{}") == "the rule dear failed"
    assert rules.reason(send, '{"to": "Grace"}') is None
    assert 450 < len(ApprovalRules([lambda *_: "x" * 9_000]).reason(send, "{}") or "") <= 500


async def test_the_event_and_whoever_decides_are_told_why_a_call_needs_approval() -> None:
    requests: list[ApprovalRequest] = []

    async def decide(_run: Run, request: ApprovalRequest) -> Approve:
        requests.append(request)
        return Approve()

    model = ScriptedModel(plan('1. db.drop("t")', "2. join($1)"))
    events = await all_events(model, [drop], require_approval=["destructive"], on_approval=decide)
    assert [fact.reason for fact in facts(events, "approval_requested")] == ["the rule destructive"]
    assert [request.reason for request in requests] == ["the rule destructive"]


async def test_a_call_that_a_rule_concerns_waits_with_its_bound_arguments_and_others_go_on() -> None:
    model = ScriptedModel(plan('1. send("Ada")', '2. db.drop("$1")', "3. join($2)"))
    async with asyncio.timeout(PATIENCE), Engine([send, drop], model, require_approval=["destructive"]) as engine:
        run = engine.start("why?")
        await asked(run)
        assert run.awaiting_approval == [2]
        run.approve(2)
        assert await run.answer() == "hello to Ada"


async def test_what_on_approval_returns_is_the_decision() -> None:
    requests: list[ApprovalRequest] = []

    async def decide(run: Run, request: ApprovalRequest) -> Approve | Reject | None:
        requests.append(request)
        assert run.awaiting_approval
        if request.arguments["to"] == "Ada":
            return Approve({"to": "Grace"}, "she is on leave")
        return Reject("unknown")

    model = ScriptedModel(plan('1. send("Ada")', '2. send("Eve")', "3. join()"), finish("done"))
    events = await all_events(model, [send], require_approval=["send"], on_approval=decide)
    assert sorted((one.task_id, one.tool.name) for one in requests) == [(1, "send"), (2, "send")]
    assert facts(events, "task_succeeded")[0].output_json == '"hello to Grace"'
    assert facts(events, "task_failed")[0].failure.message == "a person rejected the call: unknown"
    assert {fact.reason for fact in facts(events, "approval_resolved")} == {"she is on leave", "unknown"}


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (Approve({"to": 5}), "on_approval: the arguments do not fit send"),
        (ValueError("no network"), "on_approval failed: ValueError: no network"),
        (asyncio.CancelledError(), "on_approval was cancelled"),
        ("yes", "on_approval failed: TypeError"),
    ],
)
async def test_an_on_approval_that_fails_rejects_the_call(result: Any, said: str) -> None:
    async def decide(_run: Run, _request: ApprovalRequest) -> Any:
        if isinstance(result, BaseException):
            raise result
        return result

    model = ScriptedModel(plan('1. send("Ada")', "2. join()"), finish("done"))
    events = await all_events(model, [send], require_approval=["send"], on_approval=decide)
    assert failures(events) == {1: "APPROVAL_REJECTED"}
    assert said in facts(events, "task_failed")[0].failure.message


async def test_on_approval_may_leave_the_decision_to_others_who_may_also_be_faster() -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def decide(_run: Run, request: ApprovalRequest) -> Approve | None:
        if request.task_id == 1:
            return None
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return Approve()

    model = ScriptedModel(plan('1. send("Ada")', '2. send("Eve")', "3. join($2)"))
    async with asyncio.timeout(PATIENCE):
        async with Engine([send], model, require_approval=["send"], on_approval=decide) as engine:
            run = engine.start("why?")
            await begun.wait()
            assert run.awaiting_approval == [1, 2]
            run.approve(1)
            run.approve(2)
            assert await run.answer() == "hello to Eve"
        await cancelled.wait()


async def test_nobody_is_asked_any_more_once_the_run_is_over() -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def decide(_run: Run, _request: ApprovalRequest) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    model = ScriptedModel(plan('1. send("Ada")', "2. join($1)"))
    async with asyncio.timeout(PATIENCE):
        async with Engine([send], model, require_approval=["send"], on_approval=decide) as engine:
            run = engine.start("why?")
            await begun.wait()
            run.cancel()
            await run.wait()
            assert cancelled.is_set()
            assert run.awaiting_approval == []


async def test_a_task_waits_no_longer_than_its_tools_policy_says() -> None:
    @tool(approval=True, approval_timeout=0.01)
    async def hasty() -> str:
        return "called"

    model = ScriptedModel(plan("1. hasty()", '2. send("$1")', "3. join()"), finish("nobody came"))
    events = await all_events(model, [hasty, send])
    assert failures(events) == {1: "APPROVAL_TIMED_OUT"}
    assert facts(events, "task_failed")[0].failure.message == "nobody approved the call within 0.01 s"
    assert [fact.task_id for fact in facts(events, "task_skipped")] == [2]
    assert facts(events, "approval_resolved") == []


async def test_a_decision_in_time_ends_the_waiting() -> None:
    @tool(approval=True, approval_timeout=1)
    async def slow() -> str:
        await asyncio.sleep(1.2)  # longer than the approval may take
        return "called"

    model = ScriptedModel(plan("1. slow()", "2. join($1)"))
    async with asyncio.timeout(PATIENCE), Engine([slow], model) as engine:
        run = engine.start("why?")
        await asked(run)
        run.approve(1)
        assert await run.answer() == "called"
