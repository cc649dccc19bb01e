"""Models that do not keep the form of a turn: what they meant is done where it is plain, and else they are told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from dovetail import Engine, UsageError
from dovetail.errors import ModelError
from dovetail.models.protocol import Completion, Usage
from dovetail.strategies.react_reply import ReactReply
from dovetail.tools.definition import Tool, tool
from dovetail.v1 import Event, FailureReason, RunState, Severity
from scripted import PATIENCE, ScriptedModel, facts, finish, kinds, outputs

pytestmark = pytest.mark.anyio


@tool(read_only=True)
async def length(text: str) -> int:
    """Measures a text."""
    return len(text)


@tool
async def echo(text: str) -> str:
    """Says a text again."""
    return text


@tool(read_only=True)
async def now() -> str:
    """Tells the time."""
    return "noon"


@tool(name="_hidden", read_only=True)
async def hidden(text: str) -> str:
    """Has a name that begins with an underscore."""
    return text


async def react(model: ScriptedModel, **options: Any) -> list[Event]:
    engine = Engine([length, echo, now, hidden], model, strategy="react", **options)
    async with asyncio.timeout(PATIENCE), engine:
        return [event async for event in engine.start("why?").events()]


def told(model: ScriptedModel, call: int) -> str:
    """What the model was told last, before its call of this number, from 1."""
    return model.asked[call - 1][-1]["content"]


def hints(events: list[Event]) -> list[str]:
    found = [fact for fact in facts(events, "plan_diagnosed") if fact.severity == Severity.SEVERITY_HINT]
    return [fact.code for fact in found]


@pytest.mark.parametrize(
    ("written", "arguments", "hint"),
    [
        ('Gedanke: hm\nAktion: length("abc")', "abc", "mended_action"),
        ('Pensée : hm\nAction : length("abc")', "abc", None),
        ('思考：嗯\n行动：length("abc")', "abc", "mended_action"),
        ('I measure it.\nlength("abc")', "abc", "mended_action"),
        ('Action: ```length("abc")```', "abc", None),
        ('Action:\n```python\nlength("abc")\n```', "abc", None),
        ('Thought: hm\nAction: `length`("abc")', "abc", None),
        ("Action: length\nAction Input: abc", "abc", "mended_action"),
        ('Action: length\nAction Input: "abc"\n', "abc", "mended_action"),
        ('Action: length\nAction Input: {"text": "a) c"}\nObservation: 9', "a) c", "mended_action"),
        ('Action: length\nAction Input:\n```json\n{"text": "abc"}\n```', "abc", "mended_action"),
        ("Aktion: x\nAction: length\nEingabe: abc", "abc", "mended_action"),
        ("Action: length[abc]", "abc", "mended_action"),
        ('{"thought": "hm", "action": "length", "action_input": {"text": "abc"}}', "abc", "mended_action"),
        ('Action:\n```json\n{\n  "action": "length",\n  "action_input": "abc"\n}\n```', "abc", "mended_action"),
        ('```json\n{"action": "length", "text": "abc"}\n```\nmore', "abc", "mended_action"),
        ('<tool_call>\n{"name": "length", "arguments": {"text": "abc"}}\n</tool_call>', "abc", "mended_action"),
        ('{"function": {"name": "length", "arguments": "{\\"text\\": \\"abc\\"}"}}', "abc", "mended_action"),
        ('{"action": "length(\\"abc\\")"}', "abc", "mended_action"),
    ],
)
async def test_a_call_in_another_form_is_made_and_shown_as_it_should_be(
    written: str, arguments: str, hint: str | None
) -> None:
    model = ScriptedModel(written, finish("x"))
    events = await react(model)
    assert outputs(events) == {1: str(len(arguments))}
    assert facts(events, "task_ready")[0].arguments_json == f'{{"text":"{arguments}"}}'
    assert [code for code in hints(events) if code != "emphasis"] == ([hint] if hint else [])
    assert model.asked[1][-2]["content"].rpartition("\n")[2].startswith("Action: length")
    assert facts(events, "run_answered")[0].answer == "x"
    assert not facts(events, "run_answered")[0].incomplete


async def test_a_reference_in_json_is_one() -> None:
    model = ScriptedModel('Action: length("abc")', '{"action": "echo", "action_input": {"text": "$1"}}', finish("x"))
    assert outputs(await react(model)) == {1: "3", 2: '"3"'}


@pytest.mark.parametrize("written", ["Action: now", "Action: now()", "Action: now\nAction Input: None\n", "now()"])
async def test_a_tool_without_arguments_needs_no_brackets(written: str) -> None:
    assert outputs(await react(ScriptedModel(written, finish("x")))) == {1: '"noon"'}


@pytest.mark.parametrize(
    "written", ['Action: _hidden("x")', 'Action: __hidden__("x")', '_hidden("x")', "Action: _hidden[x]"]
)
async def test_a_name_that_begins_with_an_underscore_stays_whole(written: str) -> None:
    model = ScriptedModel(written, finish("x"))
    events = await react(model)
    assert outputs(events) == ({1: '"x"'} if "__" not in written else {})


@pytest.mark.parametrize(
    ("written", "answer"),
    [
        ("Thought: hm\nFinal Answer: it is 3", "it is 3"),
        ("Action: Final Answer: it is 3", "it is 3"),
        ("Gedanke: hm\nAktion: Finish(it is 3)", "it is 3"),
        ('{"action": "Finish", "action_input": "it is 3 :)"}', "it is 3 :)"),
        ('```json\n{"action": "Final Answer", "action_input": {"answer": "it is 3"}}\n```', "it is 3"),
        ('{"thought": "hm", "final_answer": "it is 3"}', "it is 3"),
        ("Action: Finish[it is 3]", "it is 3"),
        ("Thought: hm\nAction: Finish(it is 3", "it is 3"),
        ("Thought: hm\nAction: Finish(it is (perhaps) 3 (or 4", "it is (perhaps) 3 (or 4"),
        ('Thought: hm\nAction: Finish("it is 3', "it is 3"),
    ],
)
async def test_an_answer_in_another_form_is_taken_whole_and_streamed(written: str, answer: str) -> None:
    events = await react(ScriptedModel(written))
    answered = facts(events, "run_answered")[0]
    assert answered.answer.lstrip('"') == answer
    assert not answered.incomplete
    assert "".join(piece.text for piece in facts(events, "answer_text")) == answered.answer
    assert len(facts(events, "join_started")) == 1


async def test_an_answer_by_schema_may_be_in_the_json_of_the_action() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    events = await react(ScriptedModel('{"action": "Finish", "action_input": {"n": 3}}'), answer_schema=schema)
    # One value is what was meant; it does not fit, which is told.
    assert facts(events, "run_ended")[0].failure.reason == FailureReason.FAILURE_REASON_MODEL_UNAVAILABLE
    events = await react(ScriptedModel('{"action": "Finish", "answer": {"n": 3}}'), answer_schema=schema)
    assert facts(events, "run_answered")[0].answer == '{"n":3}'


@pytest.mark.parametrize(
    ("written", "is_told"),
    [
        ("Action: find\nAction Input: x", 'there is no tool "find"'),
        ("Action: find[x]", 'there is no tool "find"'),
        ('{"action": "find", "action_input": "x"}', 'there is no tool "find"'),
        ('{"action": "length", "action_input": {"size": 3}}', 'there is no argument "size"'),
        ('{"action": "length", "action_input": {"a b": 3}}', "nothing was called"),
        ('{"action": "length", "action_input": {"text": "ab', "there is no action"),
        ('Action: {"metres": 3}', "the action is no call"),
        ('{"metres": 3}', "there is no action"),
        ('{"name": "K2", "metres": 8611}', "there is no action"),
        ('{"action": 3}', "there is no action"),
        ("[" * 5_000, "there is no action"),
        ('Action: {"action": ' + '{"a":' * 5_000 + "1" + "}" * 5_001, "the action is no call"),
        ('{"function": ' * 900 + "1" + "}" * 900, "there is no action"),
        ("Action:", "the action is no call"),
        ("Action: join()", "the action is no call"),
        ("Action: length(", 'the argument "text" is missing'),
        ("Es sind ungefähr 33 Millionen.", "there is no action"),
        ("Observation: 3\nThought: done", "there is no action"),
    ],
)
async def test_what_cannot_be_read_as_a_call_is_told_with_what_is_wrong(written: str, is_told: str) -> None:
    model = ScriptedModel(written, 'Action: length("abc")', finish("x"))
    events = await react(model)
    assert is_told in told(model, 2)
    assert "3" in outputs(events).values()
    assert facts(events, "run_ended")[0].state == RunState.RUN_STATE_ANSWERED


async def test_a_turn_with_several_actions_makes_the_first_call_and_believes_nothing_else() -> None:
    several = 'Thought: a\nAction: length("abc")\nThought: b\nAction: echo("x")\nAction: Finish(made up)'
    model = ScriptedModel(several, finish("x"))
    events = await react(model)
    assert outputs(events) == {1: "3"}
    assert "echo" not in model.asked[1][-2]["content"]
    assert facts(events, "run_answered")[0].answer == "x"


@pytest.mark.parametrize(
    "written",
    ['Thought: hm\nAction: length("abc")', 'Thought: hm\nAction: find("abc")', "I cannot say.", "", "Thought: hm"],
)
async def test_a_model_that_brings_nothing_new_three_times_must_answer(written: str) -> None:
    has_news = written.endswith('length("abc")')
    turns = 4 if has_news else 3
    model = ScriptedModel(*[written] * turns, finish("perhaps 3"))
    events = await react(model)
    answered = facts(events, "run_answered")[0]
    assert (answered.answer, answered.incomplete) == ("perhaps 3", True)
    assert "Nothing more can be looked up" in told(model, turns + 1)
    assert len(facts(events, "call_started")) == has_news
    if has_news:
        assert "You made this call before, as 1." in told(model, 3)


async def test_a_call_that_is_no_read_only_one_may_be_made_again_and_again() -> None:
    model = ScriptedModel(*['Action: echo("are we there yet")'] * 6, finish("yes"))
    events = await react(model)
    assert len(facts(events, "call_started")) == 6
    assert not facts(events, "run_answered")[0].incomplete


async def test_a_model_that_still_calls_where_it_must_answer_fails_the_run_and_calls_nothing() -> None:
    model = ScriptedModel(*["I cannot say."] * 3, 'Action: echo("x")')
    events = await react(model)
    ended = facts(events, "run_ended")[0]
    assert ended.failure.reason == FailureReason.FAILURE_REASON_LIMIT_EXCEEDED
    assert "wrote no answer after 4 turns" in ended.failure.message
    assert not facts(events, "call_started")
    assert not facts(events, "answer_text")


@pytest.mark.parametrize("said", ["Thought: hm", "Thought: hm\nAction: ", "Thought: hm\nAction: Finish(it is"])
async def test_a_stream_that_breaks_before_there_is_anything_fails_the_run(said: str) -> None:
    async def broken() -> AsyncGenerator[str | Completion, None]:
        yield said
        raise ModelError(FailureReason.FAILURE_REASON_MODEL_STREAM_CUT, "it broke")

    events = await react(ScriptedModel('Action: length("abc")', broken))
    ended = facts(events, "run_ended")[0]
    assert ended.failure.reason == FailureReason.FAILURE_REASON_MODEL_STREAM_CUT
    assert not facts(events, "run_answered")
    assert outputs(events) == {1: "3"}


async def test_a_stream_that_breaks_inside_of_a_call_is_a_turn_without_one() -> None:
    async def broken() -> AsyncGenerator[str | Completion, None]:
        yield 'Action: echo("delete eve'
        raise ModelError(FailureReason.FAILURE_REASON_MODEL_STREAM_CUT, "it broke")

    events = await react(ScriptedModel(broken, finish("x")))
    assert not facts(events, "call_started")
    assert facts(events, "run_answered")[0].answer == "x"


@pytest.mark.parametrize("written", ['{"action": "echo", "text": "x"}', 'Action: echo("x")'])
async def test_a_stream_that_breaks_behind_a_call_leaves_that_call(written: str) -> None:
    async def broken() -> AsyncGenerator[str | Completion, None]:
        yield written
        raise ModelError(FailureReason.FAILURE_REASON_MODEL_STREAM_CUT, "it broke")

    events = await react(ScriptedModel(broken, finish("x")))
    assert outputs(events) == {1: '"x"'}
    assert facts(events, "run_ended")[0].state == RunState.RUN_STATE_ANSWERED


@pytest.mark.parametrize(
    "written", ["Action: echo\nAction Input: delete eve", '{"action": "echo", "text": "delete', "Action: echo[delete"]
)
async def test_half_a_call_in_another_form_is_not_made(written: str) -> None:
    async def half() -> AsyncGenerator[str | Completion, None]:
        yield written
        yield Completion("length", Usage())

    events = await react(ScriptedModel(half, finish("x")))
    assert not facts(events, "call_started")
    assert facts(events, "run_answered")[0].answer == "x"


async def test_an_answer_behind_a_label_that_is_cut_off_is_incomplete() -> None:
    async def half() -> AsyncGenerator[str | Completion, None]:
        yield "Final Answer: it is a matter of"
        yield Completion("length", None)

    answered = facts(await react(ScriptedModel(half)), "run_answered")[0]
    assert (answered.answer, answered.incomplete) == ("it is a matter of", True)


@pytest.mark.parametrize("size", [3, 1_000])
async def test_what_follows_an_observation_that_was_made_up_is_not_believed(size: int) -> None:
    async def made_up() -> AsyncGenerator[str | Completion, None]:
        text = "Thought: I look.\nObservation: it is 3\nThought: so\nAction: Finish(3)"
        for at in range(0, len(text), size):
            yield text[at : at + size]
        yield Completion("stop", None)

    model = ScriptedModel(made_up, finish("4"))
    events = await react(model)
    assert facts(events, "run_answered")[0].answer == "4"
    assert "there is no action" in told(model, 2)
    assert model.asked[1][-2]["content"] == "Thought: I look."


async def test_half_an_answer_before_an_observation_that_was_made_up_is_the_answer() -> None:
    events = await react(ScriptedModel("Action: Finish(it is 3\nObservation: well)"))
    assert facts(events, "run_answered")[0].answer == "it is 3"


async def test_a_model_that_goes_on_for_ever_is_stopped_in_each_turn() -> None:
    async def endless() -> AsyncGenerator[str | Completion, None]:
        while True:
            yield "on and on and on, " * 1_000
            await asyncio.sleep(0)

    model = ScriptedModel(endless, finish("x"))
    events = await react(model)
    assert facts(events, "run_answered")[0].answer == "x"
    assert sum(len(text.text) for text in facts(events, "plan_text")) < 400_000
    assert len(model.asked[1][-2]["content"]) < 5_000


async def test_a_tool_with_the_name_of_the_answer_is_refused_with_what_to_do() -> None:
    taken = Tool("Finish", "", {"type": "object"}, function=now.function)
    async with asyncio.timeout(PATIENCE), Engine([taken], ScriptedModel(), strategy="react") as engine:
        with pytest.raises(UsageError, match=r"'react' cannot be used with a tool named 'Finish'.* name the tool oth"):
            engine.start("why?")


async def test_a_tool_whose_name_is_like_that_of_the_answer_can_be_called() -> None:
    like = [Tool(name, "", {"type": "object"}, function=now.function) for name in ("finish", "Finish_it", "finish-all")]
    calls = ["Action: finish()", "finish()", "Action: Finish_it()", "Action: finish-all()"]
    model = ScriptedModel(*calls, finish("done"))
    async with asyncio.timeout(PATIENCE), Engine(like, model, strategy="react") as engine:
        events = [event async for event in engine.start("why?").events()]
    assert [task.tool for task in facts(events, "task_planned")] == ["finish", "finish", "Finish_it", "finish-all"]
    assert facts(events, "run_answered")[0].answer == "done"
    assert kinds(events)[-1] == "run_ended"


_REPLIES = [
    'Action: search\nAction Input:\n```json\n{"q": "x"}\n```\n',
    "Action: Final Answer: 42\nmore",
    '```json\n{"thought": "a", "action": "search", "arguments": ["x"]}\n```',
    '{"metres": 3}\nThought: b\nAction: search["a", 3]\nmore',
    "Thought: a\n\n**Action**: `search`\n**Action Input**: `x`\n\n",
    "Aktion: Finish(42) and more",
    "Action: find\nnothing",
    "x" * 900 + "\nAction: search(1)",
    "#" * 900 + " Action: search(1)",
    'Action: "search"\nAction Input: "x"',
    'Action: search("x"\nObservation: 3\nAction: search("y")',
    "Action: search\nAction Input: x\nObservation: 3",
    "Action: search\nObservation: 3",
    "Action: search[x\nObservation: 3]",
    "Final Answer: 42\nObservation: 3",
    "Action: Finish(42\nObservation: 3)",
    "Thought: a\nObservation: 3\nAction: search(1)",
    "a\n" + "x" * 900 + "\nObserv",
]


@pytest.mark.parametrize("text", _REPLIES)
def test_a_reply_in_another_form_is_read_the_same_however_it_is_cut(text: str) -> None:
    read = set()
    for size in (1, 2, 3, 5, 17, 2_000):
        reply = ReactReply({"search", "_f"})
        pieces = [reply.feed(text[at : at + size]) for at in range(0, len(text), size)]
        read.add(("".join(pieces) + reply.finish(), reply.kind, reply.thought, reply.mended, reply.closed))
    assert len(read) == 1, read
