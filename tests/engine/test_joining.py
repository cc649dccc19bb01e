"""How outputs become an answer: by schema, with citations, under a grammar, and from replies that keep no form."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest
from pydantic import BaseModel, field_validator

from dovetail import Engine, Limits, RunFailedError, UsageError
from dovetail.models.protocol import Completion, Usage
from dovetail.runs.joiner import MAX_REPLY
from dovetail.tools.definition import tool
from dovetail.v1 import Event, FailureReason, ReplanRequested
from scripted import PATIENCE, ScriptedModel, facts, finish, plan

pytestmark = pytest.mark.anyio

HEIGHT = {
    "type": "object",
    "properties": {"metres": {"type": "integer"}, "name": {"type": "string"}},
    "required": ["metres"],
    "additionalProperties": False,
}


class Height(BaseModel):
    """A height."""

    metres: int
    name: str = "?"

    @field_validator("metres")
    @classmethod
    def _is_no_depth(cls, metres: int) -> int:
        if metres < 0:
            raise ValueError("a height is not below 0")
        return metres


@tool(read_only=True)
async def look(what: str) -> dict[str, Any]:
    """Looks something up."""
    return {"metres": 8849} if what == "height" else {"metres": "high"}


TO_JOIN = plan('1. look("height")', '2. look("name")', "3. join()")


async def run(model: ScriptedModel, **options: Any) -> list[Event]:
    async with asyncio.timeout(PATIENCE), Engine([look], model, **options) as engine:
        return [event async for event in engine.start("how high?").events()]


def failure(events: Sequence[Event]) -> tuple[int, str]:
    ended = facts(events, "run_ended")[0]
    return ended.failure.reason, ended.failure.message


# By schema ----------------------------------------------------------------------------------------------------


async def test_an_answer_fits_the_schema_that_was_asked_for_and_is_compact_json() -> None:
    model = ScriptedModel(TO_JOIN, finish('{"metres": 8849, "name": "Mount  Everest (north)"}'))
    events = await run(model, answer_schema=HEIGHT)
    assert facts(events, "run_answered")[0].answer == '{"metres":8849,"name":"Mount  Everest (north)"}'
    assert json.loads(facts(events, "run_started")[0].answer_schema_json) == HEIGHT
    assert facts(events, "answer_text") == []
    assert '"required":["metres"]' in model.asked[1][-1]["content"]


async def test_an_answer_that_does_not_fit_is_asked_for_again_with_what_is_wrong() -> None:
    model = ScriptedModel(TO_JOIN, finish('{"metres": "high"}'), finish('```json\n{"metres": 8849}\n```'))
    events = await run(model, answer_schema=HEIGHT)
    assert facts(events, "run_answered")[0].answer == '{"metres":8849}'
    assert len(facts(events, "run_answered")) == 1
    told = [message["content"] for message in model.asked[2][-2:]]
    assert told[0] == 'Action: Finish({"metres": "high"})'
    assert 'answer.metres: "high" is not of type "integer"' in told[1]
    assert model.asked[2][:-2] == model.asked[1]


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [("8849 metres", "the answer is no JSON"), ('{"metres": 1, "x": 2}', "answer"), ("[1]", "answer: [1] is not")],
)
async def test_an_answer_that_does_not_fit_twice_fails_the_run_with_the_place(answer: str, wrong: str) -> None:
    model = ScriptedModel(TO_JOIN, finish(answer), finish(answer))
    reason, message = failure(await run(model, answer_schema=HEIGHT, limits=Limits(max_replans=0)))
    assert reason == FailureReason.FAILURE_REASON_ANSWER_INVALID
    assert message.startswith(f"the answer does not fit its schema: {wrong}")


async def test_an_output_that_the_plan_names_must_fit_too_and_else_the_joiner_makes_it_fit() -> None:
    named = ScriptedModel(plan('1. look("height")', "2. join($1)"))
    assert facts(await run(named, answer_schema=HEIGHT), "run_answered")[0].answer_task == 1
    unfit = ScriptedModel(plan('1. look("name")', "2. join($1)"), finish('{"metres":1}'))
    answered = facts(await run(unfit, answer_schema=HEIGHT), "run_answered")[0]
    assert (answered.answer, answered.answer_task) == ('{"metres":1}', 0)


AGAIN = plan('4. look("height")', "5. join()")


async def test_an_answer_that_does_not_fit_twice_leads_to_another_plan_that_is_told_what_is_wrong() -> None:
    wrong = finish('{"metres": "high"}')
    model = ScriptedModel(TO_JOIN, wrong, wrong, AGAIN, finish('{"metres": 8849}'))
    events = await run(model, answer_schema=HEIGHT)
    assert facts(events, "run_answered")[0].answer == '{"metres":8849}'
    [replan] = facts(events, "replan_requested")
    assert replan.cause == ReplanRequested.CAUSE_INVALID_ANSWER
    assert replan.reason == 'the answer does not fit its schema: answer.metres: "high" is not of type "integer"'
    assert replan.reason in model.asked[3][-1]["content"]


async def test_an_answer_with_the_same_mistake_after_another_plan_fails_the_run() -> None:
    wrong = finish('{"metres": "high"}')
    model = ScriptedModel(TO_JOIN, wrong, wrong, AGAIN, wrong, wrong, AGAIN)
    events = await run(model, answer_schema=HEIGHT, limits=Limits(max_replans=5))
    assert failure(events)[0] == FailureReason.FAILURE_REASON_ANSWER_INVALID
    assert len(facts(events, "replan_requested")) == 1


async def test_an_answer_that_never_fits_uses_up_the_replans_and_fails_with_the_place() -> None:
    replies = [[finish(f'{{"metres": "{try_}"}}')] * 2 for try_ in range(3)]
    again = [AGAIN, plan('6. look("height")', "7. join()")]
    model = ScriptedModel(TO_JOIN, *replies[0], again[0], *replies[1], again[1], *replies[2])
    events = await run(model, answer_schema=HEIGHT, limits=Limits(max_replans=2))
    reason, message = failure(events)
    assert reason == FailureReason.FAILURE_REASON_ANSWER_INVALID
    assert message == 'the answer does not fit its schema: answer.metres: "2" is not of type "integer"'
    causes = [replan.cause for replan in facts(events, "replan_requested")]
    assert causes == [ReplanRequested.CAUSE_INVALID_ANSWER] * 2


async def test_a_replan_because_a_named_output_does_not_fit_says_what_is_wrong_with_it() -> None:
    model = ScriptedModel(
        plan('1. look("name")', "2. join($1)"),
        "Thought: no.\nAction: Replan(look up the height)",
        plan('3. look("height")', "4. join($3)"),
    )
    events = await run(model, answer_schema=HEIGHT)
    assert facts(events, "run_answered")[0].answer == '{"metres":8849}'
    [replan] = facts(events, "replan_requested")
    assert replan.cause == ReplanRequested.CAUSE_INVALID_ANSWER
    assert replan.reason == (
        "the output that the plan named does not fit the schema of the answer: "
        'answer.metres: "high" is not of type "integer"; look up the height'
    )


async def test_a_replan_that_the_joiner_asks_for_by_itself_is_the_joiners() -> None:
    model = ScriptedModel(TO_JOIN, "Thought: no.\nAction: Replan(the height)", AGAIN, finish('{"metres": 1}'))
    [replan] = facts(await run(model, answer_schema=HEIGHT), "replan_requested")
    assert (replan.cause, replan.reason) == (ReplanRequested.CAUSE_JOINER, "the height")


@pytest.mark.parametrize("reply", ['"Everest"', "Everest", "'Everest'"])
async def test_an_answer_that_is_a_string_may_stand_in_quotes_or_without(reply: str) -> None:
    events = await run(ScriptedModel(TO_JOIN, finish(reply)), answer_schema={"type": "string"})
    assert facts(events, "run_answered")[0].answer == '"Everest"'


async def test_escapes_of_an_answer_that_is_a_string_are_those_of_json() -> None:
    events = await run(ScriptedModel(TO_JOIN, finish('"a \\"b\\" \\u00e9"')), answer_schema={"type": "string"})
    assert json.loads(facts(events, "run_answered")[0].answer) == 'a "b" é'


async def test_an_output_that_is_a_text_stays_json_where_a_schema_asks_for_a_string() -> None:
    @tool
    async def name() -> str:
        """Names."""
        return "Everest"

    async with asyncio.timeout(PATIENCE):
        model = ScriptedModel(plan("1. name()", "2. join($1)"))
        async with Engine([name], model, answer_schema={"type": "string"}) as engine:
            answer = await engine.start("which?").answer()
    assert answer == '"Everest"'


async def test_a_type_is_a_schema_and_its_answers_are_values_of_it() -> None:
    async with asyncio.timeout(PATIENCE):
        model = ScriptedModel(TO_JOIN, finish('{"metres": -1}'), finish('{"metres": 8849}'))
        async with Engine([look], model, answer_schema=Height) as engine:
            value = await engine.start("how high?").value()
    assert value == Height(metres=8849)
    assert "answer.metres: Value error, a height is not below 0" in model.asked[2][-1]["content"]


async def test_an_answer_without_a_schema_is_no_value() -> None:
    async with asyncio.timeout(PATIENCE), Engine([look], ScriptedModel(TO_JOIN, finish("x"))) as engine:
        with pytest.raises(UsageError, match="give an answer_schema"):
            await engine.start("how high?").value()


async def test_a_joiner_that_must_fit_a_schema_may_still_ask_for_another_plan() -> None:
    again = plan('4. look("height")', "5. join($4)")
    model = ScriptedModel(TO_JOIN, "Thought: no.\nAction: Replan(the height)", again)
    events = await run(model, answer_schema=HEIGHT)
    assert facts(events, "run_answered")[0].answer == '{"metres":8849}'


async def test_outputs_that_nothing_joins_must_fit_too() -> None:
    events = await run(ScriptedModel(TO_JOIN), answer_schema=HEIGHT, strategy="plan-only")
    reason, message = failure(events)
    assert reason == FailureReason.FAILURE_REASON_ANSWER_INVALID
    assert message.startswith("the outputs do not fit the schema of the answer: answer")


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ("{", "is no JSON: "),
        ("[]", "must be an object or a boolean"),
        ({"type": "nope"}, "does not compile: .*nope"),
        ({"$ref": "#/nope"}, "does not compile: Pointer '#/nope' does not exist"),
        ({"description": "x" * 65_536}, "bytes; at most 65,536"),
        (5, "is no type with a JSON Schema"),
    ],
)
async def test_a_schema_that_cannot_be_used_is_refused_at_once(schema: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Engine([look], ScriptedModel(), answer_schema=schema)


async def test_references_of_a_schema_lead_to_its_own_root() -> None:
    tree = {"type": "array", "items": {"$ref": "#"}, "examples": [{"$ref": "#/nowhere"}]}
    async with asyncio.timeout(PATIENCE):
        model = ScriptedModel(TO_JOIN, finish("[[], [3]]"), finish("[[], [[]]]"))
        async with Engine([look], model, answer_schema=tree) as engine:
            assert await engine.start("how high?").value() == [[], [[]]]
    assert "answer.1.0: 3 is not of type" in model.asked[2][-1]["content"]


# Citations ----------------------------------------------------------------------------------------------------


async def test_an_answer_names_the_tasks_that_it_rests_on() -> None:
    model = ScriptedModel(TO_JOIN, finish("8,849 m [1], called Everest [2, 1][9] [x]."))
    answered = facts(await run(model, cite=True), "run_answered")[0]
    assert list(answered.cited_tasks) == [1, 2]
    assert answered.answer == "8,849 m [1], called Everest [2, 1][9] [x]."
    assert "[1] or [1][3]" in model.asked[1][-1]["content"]


async def test_tasks_are_cited_on_request_only() -> None:
    model = ScriptedModel(TO_JOIN, finish("8,849 m [1]"))
    assert list(facts(await run(model), "run_answered")[0].cited_tasks) == []


async def test_a_named_answer_cites_its_task() -> None:
    events = await run(ScriptedModel(plan('1. look("height")', "2. join($1)")), cite=True)
    assert list(facts(events, "run_answered")[0].cited_tasks) == [1]


async def test_an_answer_by_schema_carries_its_citations_beside_it() -> None:
    wrong = finish('{"answer": {"metres": "x"}, "cited_tasks": [1]}')
    right = finish('{"answer": {"metres": 123456789012345678901234567890}, "cited_tasks": [7, 2, 1]}')
    model = ScriptedModel(TO_JOIN, wrong, right)
    answered = facts(await run(model, answer_schema=HEIGHT, cite=True), "run_answered")[0]
    assert answered.answer == '{"metres":123456789012345678901234567890}'
    assert list(answered.cited_tasks) == [1, 2]
    assert 'answer.metres: "x" is not of type "integer"' in model.asked[2][-1]["content"]


# Replies that keep no form ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("Mount Everest is 8,849 m high.", "Mount Everest is 8,849 m high."),
        ("```\nThought: known.\nAction: Finish(8,849 m)\n```", "8,849 m"),
        ("Pensée : c'est connu.\nLa hauteur est de 8 849 m.", "Pensée : c'est connu.\nLa hauteur est de 8 849 m."),
        ("Action: finish(8,849 m", "8,849 m"),
    ],
)
async def test_a_reply_that_gives_no_verdict_is_an_answer(reply: str, answer: str) -> None:
    assert facts(await run(ScriptedModel(TO_JOIN, reply)), "run_answered")[0].answer == answer


EMPTY = ["", "   \n", "Action: Finish()", '{"action": "finish", "answer": null}']


@pytest.mark.parametrize("reply", EMPTY)
async def test_a_reply_without_any_answer_is_asked_for_again(reply: str) -> None:
    model = ScriptedModel(TO_JOIN, reply, finish("8,849 m"))
    events = await run(model)
    assert facts(events, "run_answered")[0].answer == "8,849 m"
    assert model.asked[2][-1]["content"] == "There is no answer in that. Reply again, with Finish."
    assert model.asked[2][:-2] == model.asked[1]
    assert len(facts(events, "join_started")) == 2


@pytest.mark.parametrize("reply", EMPTY)
async def test_two_replies_without_any_answer_fail_the_run(reply: str) -> None:
    reason, message = failure(await run(ScriptedModel(TO_JOIN, reply, reply)))
    assert (reason, message) == (
        FailureReason.FAILURE_REASON_EMPTY_PLAN,
        "the joiner scripted:model wrote no answer",
    )


async def test_a_reply_that_was_cut_off_by_its_limit_of_tokens_is_an_incomplete_answer() -> None:
    async def cut() -> AsyncGenerator[str | Completion, None]:
        yield "Thought: known.\nAction: Finish(8,849 m, and furtherm"
        yield Completion("length", Usage(10, 10))

    answered = facts(await run(ScriptedModel(TO_JOIN, cut)), "run_answered")[0]
    assert (answered.answer, answered.incomplete) == ("8,849 m, and furtherm", True)


async def test_a_joiner_that_repeats_itself_for_ever_is_stopped() -> None:
    closed = asyncio.Event()

    async def endless() -> AsyncGenerator[str | Completion, None]:
        try:
            while True:
                yield "very " * 1000
                await asyncio.sleep(0)
        finally:
            closed.set()

    model = ScriptedModel(TO_JOIN, endless)
    events = await run(model)
    assert len(facts(events, "run_answered")[0].answer) <= MAX_REPLY + 5000
    assert facts(events, "run_answered")[0].incomplete
    assert closed.is_set()


async def test_a_failed_answer_is_raised_with_its_reason() -> None:
    async with asyncio.timeout(PATIENCE):
        model, limits = ScriptedModel(TO_JOIN, finish("x"), finish("x")), Limits(max_replans=0)
        async with Engine([look], model, answer_schema=HEIGHT, limits=limits) as engine:
            with pytest.raises(RunFailedError, match="does not fit its schema"):
                await engine.start("how high?").answer()
