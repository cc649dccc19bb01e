"""The strategy ``tool-calls``: the provider's own calls, several at a time, turn by turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any

import pytest

from dovetail import Engine, RunFailedError, UsageError
from dovetail.errors import ModelError
from dovetail.models import FallbackModel
from dovetail.models.protocol import Completion, ToolRequest, TurnMessage, Usage
from dovetail.runs.limits import Limits
from dovetail.tools.definition import tool
from dovetail.v1 import Event, FailureReason, Purpose, RunState, Severity
from scripted import PATIENCE, ScriptedModel, facts, outputs

pytestmark = pytest.mark.anyio

Item = str | ToolRequest | Completion
Turn = Sequence[str | ToolRequest] | Callable[[], AsyncGenerator[Item, None]]


class CallingModel(ScriptedModel):
    """Answers its turns with texts and requests, in order, or with a generator of them."""

    def __init__(self, *turns: Turn) -> None:
        super().__init__()
        self._turns = turns
        self.told: list[Sequence[TurnMessage]] = []
        self.tools: list[list[str]] = []

    async def stream_turn(
        self,
        messages: Sequence[TurnMessage],
        tools: Sequence[Mapping[str, Any]],
        *,
        max_tokens: int | None = None,
    ) -> AsyncGenerator[Item, None]:
        self.told.append(messages)
        self.tools.append([shape["name"] for shape in tools])
        self.max_tokens.append(max_tokens)
        if len(self.told) > len(self._turns):
            raise ModelError(FailureReason.FAILURE_REASON_MODEL_UNAVAILABLE, "the script has no further turn")
        turn = self._turns[len(self.told) - 1]
        ended = False
        try:
            if callable(turn):
                async for item in turn():
                    yield item
            else:
                for item in turn:
                    yield item
                yield Completion("stop", Usage(prompt_tokens=10, completion_tokens=5))
            ended = True
        finally:
            self.closed_early += not ended


def request(number: int, name: str, arguments: str = "{}") -> ToolRequest:
    return ToolRequest(f"call_{number}", name, arguments)


@tool(read_only=True)
async def length(text: str) -> int:
    """Measures a text."""
    return len(text)


@tool
async def echo(text: str) -> str:
    """Says a text again."""
    return text


@tool
async def broken() -> str:
    """Is broken."""
    raise ValueError("no such luck")


async def calling(model: ScriptedModel, **options: Any) -> list[Event]:
    engine = Engine([length, echo, broken], model, strategy="tool-calls", **options)
    async with asyncio.timeout(PATIENCE), engine:
        return [event async for event in engine.start("why?").events()]


def tool_contents(messages: Sequence[TurnMessage]) -> dict[str, str]:
    return {message["request_id"]: message["content"] for message in messages if message["role"] == "tool"}


async def test_calls_of_a_turn_are_made_and_answered_in_the_order_of_the_model() -> None:
    model = CallingModel(
        ["I look ", "it up.", request(1, "length", '{"text":"abc"}'), request(2, "echo", '{"text":"costs $1"}')],
        ["it is ", "3"],
    )
    events = await calling(model)
    assert outputs(events) == {1: "3", 2: '"costs $1"'}
    assert facts(events, "run_answered")[0].answer == "it is 3"
    assert not facts(events, "run_answered")[0].incomplete
    assert [thought.text for thought in facts(events, "thought_written")] == ["I look it up."]
    assert [ended.purpose for ended in facts(events, "model_call_ended")] == [Purpose.PURPOSE_TURN] * 2
    assert not facts(events, "plan_diagnosed")
    assert model.tools == [["length", "echo", "broken"]] * 2
    said, *answers = model.told[1][2:]
    assert (said["role"], said["content"]) == ("assistant", "I look it up.")
    assert [answer["role"] for answer in answers] == ["tool", "tool"]
    assert list(tool_contents(model.told[1])) == ["call_1", "call_2"]
    assert "1. length(" in tool_contents(model.told[1])["call_1"]
    assert "returned <<<3>>>" in tool_contents(model.told[1])["call_1"]


async def test_a_call_begins_while_the_model_still_writes() -> None:
    entered = asyncio.Event()

    @tool
    async def enter() -> str:
        """Is entered."""
        entered.set()
        return "in"

    async def waiting() -> AsyncGenerator[Item, None]:
        yield request(1, "enter")
        await entered.wait()
        yield request(2, "enter")
        yield Completion("tool_calls", None)

    model = CallingModel(waiting, ["done"])
    async with asyncio.timeout(PATIENCE), Engine([enter], model, strategy="tool-calls") as engine:
        assert await engine.start("why?").answer() == "done"


async def test_calls_of_one_turn_run_at_the_same_time() -> None:
    both = asyncio.Barrier(2)

    @tool
    async def meet() -> str:
        """Waits for another call."""
        await both.wait()
        return "met"

    model = CallingModel([request(1, "meet"), request(2, "meet")], ["done"])
    async with asyncio.timeout(PATIENCE), Engine([meet], model, strategy="tool-calls") as engine:
        assert await engine.start("why?").answer() == "done"


async def test_the_answer_is_streamed_and_what_was_a_thought_is_none_of_it() -> None:
    model = CallingModel(["hm", request(1, "echo", '{"text":"x"}')], ["it ", "is x"])
    events = await calling(model)
    streamed: list[str] = []
    for event in events:
        if event.HasField("join_started"):
            streamed.clear()
        elif event.HasField("answer_text"):
            streamed.append(event.answer_text.text)
    assert streamed == ["it ", "is x"]


@pytest.mark.parametrize(
    ("asked", "is_told"),
    [
        (("nothing", '{"text":"x"}'), "INVALID: there is no tool"),
        (("length", '{"size":1}'), "INVALID"),
        (("length", '{"text":'), "not called: the arguments of length are no JSON"),
        (("length", "[1]"), "not called: the arguments of length are no JSON object"),
        (('length(""))\n9. echo', "{}"), "is no name of a tool"),
        (("broken", "{}"), "failed: <<<TOOL_ERROR: ValueError: no such luck>>>"),
    ],
)
async def test_a_request_that_cannot_be_met_is_told_the_model_and_others_are_met(
    asked: tuple[str, str], is_told: str
) -> None:
    model = CallingModel([request(1, *asked), request(2, "length", '{"text":"abc"}')], ["x"])
    events = await calling(model)
    told = tool_contents(model.told[1])
    assert is_told in told["call_1"]
    assert "returned <<<3>>>" in told["call_2"]
    assert list(outputs(events).values()) == ["3"]
    assert facts(events, "run_ended")[0].state == RunState.RUN_STATE_ANSWERED


async def test_a_call_that_is_repeated_is_said_to_be() -> None:
    again = request(1, "length", '{"text":"abc"}')
    model = CallingModel([again], [again], ["x"])
    events = await calling(model)
    assert [call.task_id for call in facts(events, "call_started")] == [1]
    assert "You made this call before, as 1." in tool_contents(model.told[2][-1:])["call_1"]


async def test_a_turn_without_a_word_is_told_so() -> None:
    model = CallingModel([], ["x"])
    events = await calling(model)
    assert "You wrote nothing" in model.told[1][-1]["content"]
    assert facts(events, "run_answered")[0].answer == "x"


@pytest.mark.parametrize("size", [1, 4, 1000])
@pytest.mark.parametrize(
    "written", ['<tool_call>\n{"name": "length"}', "\n<function=length>", '[TOOL_CALLS][{"name": "length"}]']
)
async def test_a_call_that_comes_as_text_is_no_answer_and_the_model_and_people_are_told(
    written: str, size: int
) -> None:
    model = CallingModel([written[at : at + size] for at in range(0, len(written), size)], ["it is 3"])
    events = await calling(model)
    assert "your call came as text" in model.told[1][-1]["content"]
    hint = facts(events, "plan_diagnosed")[0]
    assert (hint.severity, hint.code) == (Severity.SEVERITY_HINT, "unread_tool_call")
    assert "--tool-call-parser" in hint.message
    assert facts(events, "run_answered")[0].answer == "it is 3"
    assert [piece.text for piece in facts(events, "answer_text")] == ["it is 3"]


@pytest.mark.parametrize("answer", ["<", "<tool", "<tools are not needed>", "[TOOL", "<b>3</b>", " 3"])
async def test_an_answer_that_begins_as_a_call_might_is_one(answer: str) -> None:
    events = await calling(CallingModel(list(answer)))
    assert facts(events, "run_answered")[0].answer == answer.strip()
    assert "".join(piece.text for piece in facts(events, "answer_text")) == answer
    assert len(facts(events, "join_started")) == 1


async def test_a_model_that_writes_nothing_but_calls_as_text_fails_the_run_soon() -> None:
    events = await calling(CallingModel(*[['<tool_call>{"name": "length"}']] * 4))
    assert facts(events, "run_ended")[0].failure.reason == FailureReason.FAILURE_REASON_LIMIT_EXCEEDED
    assert len(facts(events, "model_call_ended")) == 4


async def test_a_model_that_asks_for_the_same_thing_again_and_again_must_answer() -> None:
    again = [request(1, "length", '{"text":"abc"}')]
    model = CallingModel(again, again, again, again, ["it is 3"])
    events = await calling(model)
    assert model.tools[-2:] == [["length", "echo", "broken"], []]
    assert len(facts(events, "call_started")) == 1
    assert (facts(events, "run_answered")[0].answer, facts(events, "run_answered")[0].incomplete) == ("it is 3", True)


async def test_a_model_that_asks_for_tools_that_there_are_not_must_answer_soon() -> None:
    unknown = [request(1, "nothing", "{}"), request(2, "bad name!", "{}")]
    model = CallingModel(unknown, unknown, unknown, ["I cannot say"])
    events = await calling(model)
    assert facts(events, "run_answered")[0].incomplete
    assert not facts(events, "call_started")


async def test_after_the_last_turn_no_tool_is_offered_and_the_answer_is_incomplete() -> None:
    model = CallingModel([request(1, "echo", '{"text":"x"}')], ["perhaps x"])
    events = await calling(model, limits=Limits(max_replans=0))
    answered = facts(events, "run_answered")[0]
    assert (answered.answer, answered.incomplete) == ("perhaps x", True)
    assert model.tools[1] == []
    assert "Nothing more can be looked up" in model.told[1][-1]["content"]


async def test_a_model_that_never_answers_fails_the_run_after_sixteen_turns_and_one() -> None:
    turns = [[request(turn, "echo", f'{{"text":"{turn}"}}')] for turn in range(16)]
    model = CallingModel(*turns, [])
    events = await calling(model)
    assert len(outputs(events)) == 16
    assert facts(events, "run_ended")[0].failure.reason == FailureReason.FAILURE_REASON_LIMIT_EXCEEDED


async def test_requests_beyond_the_limit_of_tasks_are_refused_and_the_model_must_answer() -> None:
    requests = [request(number, "echo", f'{{"text":"{number}"}}') for number in range(3)]
    model = CallingModel(requests, ["only two"])
    events = await calling(model, limits=Limits(max_tasks=2))
    assert len(outputs(events)) == 2
    assert "no further calls" in tool_contents(model.told[1])["call_2"]
    assert facts(events, "run_answered")[0].incomplete


async def test_a_model_that_fails_in_the_middle_keeps_the_calls_that_it_made() -> None:
    async def half() -> AsyncGenerator[Item, None]:
        yield request(1, "echo", '{"text":"x"}')
        raise ModelError(FailureReason.FAILURE_REASON_MODEL_STREAM_CUT, "it broke")

    model = CallingModel(half, ["it is x"])
    events = await calling(model)
    assert facts(events, "run_answered")[0].answer == "it is x"
    assert list(tool_contents(model.told[1])) == ["call_1"]


async def test_a_model_that_fails_in_its_answer_fails_the_run() -> None:
    async def half() -> AsyncGenerator[Item, None]:
        yield "it is"
        raise ModelError(FailureReason.FAILURE_REASON_MODEL_STREAM_CUT, "it broke")

    events = await calling(CallingModel(half))
    assert facts(events, "run_ended")[0].failure.reason == FailureReason.FAILURE_REASON_MODEL_STREAM_CUT


async def test_an_answer_that_is_cut_off_is_incomplete() -> None:
    async def half() -> AsyncGenerator[Item, None]:
        yield "it is a matter of"
        yield Completion("length", None)

    answered = facts(await calling(CallingModel(half)), "run_answered")[0]
    assert (answered.answer, answered.incomplete) == ("it is a matter of", True)


async def test_an_answer_must_fit_the_schema_and_is_asked_for_once_more() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    model = CallingModel(['{"n": "three"}'], ['{"n": 3}'])
    events = await calling(model, answer_schema=schema)
    assert facts(events, "run_answered")[0].answer == '{"n":3}'
    assert not facts(events, "answer_text")
    assert "does not fit the JSON Schema" in model.told[1][-1]["content"]
    wrong = await calling(CallingModel(["{}"], ["{}"]), answer_schema=schema)
    assert facts(wrong, "run_ended")[0].failure.reason == FailureReason.FAILURE_REASON_ANSWER_INVALID


async def test_an_answer_cites_its_tasks() -> None:
    model = CallingModel([request(1, "length", '{"text":"abc"}')], ["it is 3 [1][9]"])
    events = await calling(model, cite=True)
    assert list(facts(events, "run_answered")[0].cited_tasks) == [1]


async def test_tokens_are_counted_over_all_turns() -> None:
    model = CallingModel(*[[request(turn, "echo", f'{{"text":"{turn}"}}')] for turn in range(9)])
    events = await calling(model, limits=Limits(max_tokens=40))
    assert model.max_tokens == [40, 25, 10]
    assert facts(events, "run_ended")[0].failure.reason == FailureReason.FAILURE_REASON_LIMIT_EXCEEDED


async def test_a_cancelled_run_closes_its_model() -> None:
    asked = asyncio.Event()

    async def silent() -> AsyncGenerator[Item, None]:
        asked.set()
        await asyncio.Event().wait()
        yield ""

    model = CallingModel(silent)
    async with asyncio.timeout(PATIENCE), Engine([length], model, strategy="tool-calls") as engine:
        run = engine.start("why?")
        await asked.wait()
        run.cancel()
        events = [event async for event in run.events()]
    assert model.closed_early == 1
    assert facts(events, "run_ended")[0].state == RunState.RUN_STATE_CANCELLED


@pytest.mark.parametrize("model", [ScriptedModel(), FallbackModel([CallingModel(), ScriptedModel()])])
async def test_a_model_without_tool_calls_is_refused_with_what_to_use(model: Any) -> None:
    async with asyncio.timeout(PATIENCE), Engine([length], model, strategy="tool-calls") as engine:
        with pytest.raises(UsageError, match=r"scripted:model has no tool calls of its own; take .* 'react' or 'com"):
            engine.start("why?")


async def test_a_model_that_fails_at_once_fails_the_run() -> None:
    async with asyncio.timeout(PATIENCE), Engine([length], CallingModel(), strategy="tool-calls") as engine:
        with pytest.raises(RunFailedError, match="no further turn"):
            await engine.start("why?").answer()


async def test_what_a_model_reasons_in_its_text_is_neither_thought_nor_answer() -> None:
    model = CallingModel(
        ["<thi", "nk>\nI call it.</think>", "\n\n", ToolRequest("a", "length", '{"text": "real"}')],
        ["<think>4, then", ".</think>\n\nIt is", " 4."],
    )
    events = await calling(model)
    assert facts(events, "run_answered")[0].answer == "It is 4."
    assert "".join(fact.text for fact in facts(events, "answer_text")) == "It is 4."
    assert not facts(events, "thought_written")
