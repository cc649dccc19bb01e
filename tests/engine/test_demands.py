"""What later tasks demand of outputs: `ask` gives what fits where its answer goes, without being told a type."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from dovetail.builtin import ask_tool
from dovetail.engine import Engine
from dovetail.models.protocol import Completion, Usage
from dovetail.runs import demands
from dovetail.tools.call_context import CallContext
from dovetail.tools.definition import Tool, tool
from dovetail.tools.policy import Policy
from dovetail.v1 import Event
from scripted import PATIENCE, ScriptedModel, facts, failures, finish, outputs, plan

pytestmark = pytest.mark.anyio


class Place(BaseModel):
    """Where something is."""

    name: str
    height: float
    kind: Literal["mountain", "tower"] = "mountain"


@tool(read_only=True)
async def halve(number: float) -> float:
    """Half of a number."""
    return number / 2


@tool(read_only=True)
async def repeat(text: str, times: int = 2) -> str:
    """Says a text several times."""
    return text * times


@tool(read_only=True)
async def convert(unit: Literal["km", "mi"], distances: list[float] | None = None) -> str:
    """Names a unit of distances."""
    return f"in {unit}"


@tool(read_only=True)
async def store(places: list[Place]) -> list[str]:
    """Stores places."""
    return [place.name for place in places]


@tool(read_only=True)
async def flag(on: bool) -> bool:
    """Turns something on or off."""
    return on


TOOLS = [halve, repeat, convert, store, flag]
ASK = '1. ask("the height", "8,849 m")'


async def run(planner: ScriptedModel, asked: ScriptedModel, *more: Tool, **options: Any) -> list[Event]:
    engine = Engine([*TOOLS, *more, ask_tool(asked)], planner, **options)
    async with asyncio.timeout(PATIENCE), engine:
        return [event async for event in engine.start("why?").events()]


def told(asked: ScriptedModel, call: int = 1) -> str:
    """What the model was asked for, in its call of this number."""
    return asked.asked[call - 1][1]["content"].rpartition("\n")[2]


def piece(text: str) -> Callable[[], AsyncGenerator[str | Completion, None]]:
    """A script that writes all of a text at once: all places are known before a question is asked."""

    async def write() -> AsyncGenerator[str | Completion, None]:
        yield text
        yield Completion("stop", Usage(prompt_tokens=1, completion_tokens=1))

    return write


async def test_the_task_that_takes_an_answer_says_what_it_is() -> None:
    asked = ScriptedModel('{"value": "8,849 m"}')

    events = await run(ScriptedModel(plan(ASK, "2. halve($1)", "3. join($2)")), asked)

    assert outputs(events) == {1: "8849", 2: "4424.5"}
    assert told(asked) == "The value is a number."


@pytest.mark.parametrize(
    ("line", "words", "reply", "output"),
    [
        ('2. repeat("a", times=$1)', "a whole number", "3", "3"),
        ("2. repeat($1)", "a string", "8849", '"8849"'),
        ('2. repeat("$1")', "a string", "8849", '"8849"'),
        ("2. convert($1)", 'one of these: "km", "mi"', '"mi"', '"mi"'),
        ('2. convert("km", distances=[1, $1])', "a number", "8849", "8849"),
        ('2. store([{"name": "K2", "height": $1}])', "a number", "8611", "8611"),
        ('2. store([{"name": "K2", "height": 1, "kind": $1}])', '"tower"', '"tower"', '"tower"'),
        ("2. store([$1])", "fits this schema", '{"name": "K2", "height": 1}', '{"name":"K2","height":1}'),
        ("2. flag($1)", "true or false", '"yes"', "true"),
        ('2. repeat("$1 m")', "a number if it can be one", "8849", "8849"),
    ],
)
async def test_it_is_what_its_place_in_the_arguments_takes(line: str, words: str, reply: str, output: str) -> None:
    asked = ScriptedModel(f'{{"value": {reply}}}')

    events = await run(ScriptedModel(plan(ASK, line, "3. join($2)")), asked)

    assert words in told(asked)
    assert outputs(events)[1] == output
    assert 2 in outputs(events)


async def test_an_answer_that_does_not_fit_is_asked_for_once_more() -> None:
    asked = ScriptedModel('{"value": "feet"}', '{"value": "mi"}')

    events = await run(ScriptedModel(plan(ASK, "2. convert($1)", "3. join($2)")), asked)

    assert outputs(events)[2] == '"in mi"'
    assert '"feet" is not one of' in asked.asked[1][-1]["content"]


async def test_an_answer_that_does_not_fit_again_fails_with_its_place() -> None:
    asked = ScriptedModel(*['{"value": {"name": "K2", "height": "high"}}'] * 2)

    events = await run(ScriptedModel(plan(ASK, "2. store([$1])", "3. join()"), finish("none")), asked)

    assert failures(events) == {1: "TOOL_ERROR"}
    message = facts(events, "task_failed")[0].failure.message
    assert "the value does not fit where it goes" in message
    assert "height" in message


async def test_a_type_that_the_plan_names_is_kept() -> None:
    asked = ScriptedModel('{"value": 8849}')

    events = await run(ScriptedModel(plan('1. ask("x", "8849", type="string")', "2. repeat($1)", "3. join($2)")), asked)

    assert outputs(events)[1] == '"8849"'


async def test_of_several_places_all_are_served_if_that_can_be() -> None:
    asked = ScriptedModel('{"value": 2.5}', '{"value": 3}')

    events = await run(
        ScriptedModel(
            piece(plan(ASK, "2. halve($1)", '3. repeat("a", times=$1)', '4. repeat("$1")', "5. join()")), finish("")
        ),
        asked,
    )

    assert outputs(events) == {1: "3", 2: "1.5", 3: '"aaa"', 4: '"33"'}


async def test_of_places_that_nothing_fits_one_is_served() -> None:
    asked = ScriptedModel('{"value": true}')

    events = await run(ScriptedModel(piece(plan(ASK, "2. halve($1)", "3. flag($1)", "4. join()")), finish("")), asked)

    assert outputs(events) == {1: "true", 3: "true"}


class Paused(ScriptedModel):
    """Writes a plan in two halves, the second once something has been seen in the run's events."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(self._write)
        self.seen = asyncio.Event()
        self._halves = first, second

    async def _write(self) -> AsyncGenerator[str | Completion, None]:
        yield self._halves[0]
        await self.seen.wait()
        yield self._halves[1]
        yield Completion("stop", Usage(prompt_tokens=1, completion_tokens=1))


async def followed(planner: Paused, asked: ScriptedModel, until: str, check: Callable[[], None]) -> list[Event]:
    """The events of a run whose plan goes on once a fact of this kind is seen; what holds then is checked."""
    events = []
    async with asyncio.timeout(PATIENCE), Engine([*TOOLS, ask_tool(asked)], planner) as engine:
        async for event in engine.start("why?").events():
            events.append(event)
            if event.WhichOneof("fact") == until and not planner.seen.is_set():
                check()
                planner.seen.set()
    return events


async def test_a_question_waits_for_the_line_that_takes_its_answer() -> None:
    planner, asked = Paused(f"{ASK}\n", "2. convert($1)\n3. join($2)"), ScriptedModel('{"value": "km"}')

    events = await followed(planner, asked, "call_started", lambda: None)

    assert outputs(events)[2] == '"in km"'
    assert '"km"' in told(asked)


async def test_a_question_does_not_wait_for_the_rest_of_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demands, "_WAIT_SECONDS", 1_000)
    planner, asked = Paused(f"{ASK}\n2. halve($1)\n", "3. join($2)"), ScriptedModel('{"value": 4}')

    events = await followed(planner, asked, "task_succeeded", lambda: None)

    assert outputs(events) == {1: "4", 2: "2.0"}


async def test_a_question_that_nothing_takes_the_answer_of_waits_only_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demands, "_WAIT_SECONDS", 0.05)
    planner, asked = Paused(f"{ASK}\n", "2. join($1)"), ScriptedModel('{"value": 8849}')

    events = await followed(planner, asked, "task_succeeded", lambda: None)

    assert outputs(events) == {1: "8849"}
    assert "if it can be one" in told(asked)


async def test_a_question_in_a_closed_plan_waits_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demands, "_WAIT_SECONDS", 1_000)
    asked = ScriptedModel('{"value": 8849}')

    events = await run(ScriptedModel(plan(ASK, "2. join($1)")), asked)

    assert outputs(events) == {1: "8849"}


async def test_in_turns_nothing_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demands, "_WAIT_SECONDS", 1_000)
    planner = ScriptedModel(
        'Thought: so\nAction: ask("the height", "8849 m")', "Thought: so\nAction: halve($1)", finish("it is")
    )
    asked = ScriptedModel('{"value": 8849}')

    events = await run(planner, asked, strategy="react")

    assert outputs(events) == {1: "8849", 2: "4424.5"}
    assert "if it can be one" in told(asked)


async def test_where_nobody_knows_nothing_is_demanded() -> None:
    assert await CallContext().wanted() is None


async def test_any_tool_may_ask_what_is_demanded_of_its_output() -> None:
    found: list[Mapping[str, Any] | None] = []

    @tool
    async def look(call: CallContext) -> float:
        """Looks."""
        found.append(await call.wanted())
        return 1.5

    await run(ScriptedModel(plan("1. look()", "2. halve($1)", "3. join($2)")), ScriptedModel(), look)

    assert [None if one is None else one["type"] for one in found] == ["number"]


# Outputs that are used again -----------------------------------------------------------------------------------


REPLAN = "Thought: more.\nAction: Replan(more)"


def again(line: str, join: str = "4. join($3)") -> str:
    return plan(ASK.replace("1.", "2."), line, join)


async def test_an_answer_is_used_again_where_it_fits() -> None:
    asked = ScriptedModel('{"value": 8849}')
    planner = ScriptedModel(plan(ASK, "2. halve($1)", "3. join()"), REPLAN, plan('3. ask("the height", "8,849 m")'))
    planner = ScriptedModel(
        plan(ASK, "2. join()"),
        REPLAN,
        again("3. halve($2)", "4. join()"),
        REPLAN,
        plan('4. ask("the height", "8,849 m")', '5. repeat("a", times=$4)', "6. join($5)"),
    )

    events = await run(planner, asked)

    assert len(asked.asked) == 1
    assert {fact.task_id: fact.reused_task_id for fact in facts(events, "task_succeeded") if fact.reused_task_id} == {
        2: 1,
        4: 1,
    }


async def test_an_answer_is_not_used_again_where_it_does_not_fit() -> None:
    asked = ScriptedModel('{"value": 8849}', '{"value": "km"}')
    planner = ScriptedModel(
        plan(ASK, "2. halve($1)", "3. join()"),
        REPLAN,
        plan('3. ask("the height", "8,849 m")', "4. convert($3)", "5. join($4)"),
    )

    events = await run(planner, asked)

    assert outputs(events) == {1: "8849", 2: "4424.5", 3: '"km"', 4: '"in km"'}
    assert not facts(events, "task_failed")


async def test_a_repeated_question_waits_for_the_line_that_takes_its_answer() -> None:
    """Whether an earlier answer fits is known only then."""
    asked = ScriptedModel('{"value": 8849}')
    second = Paused('3. ask("the height", "8,849 m")\n', "4. halve($3)\n5. join($4)")
    planner = ScriptedModel(plan(ASK, "2. halve($1)", "3. join()"), REPLAN, second._write)
    events = []
    async with asyncio.timeout(PATIENCE), Engine([*TOOLS, ask_tool(asked)], planner) as engine:
        async for event in engine.start("why?").events():
            events.append(event)
            if event.WhichOneof("fact") == "task_planned" and event.task_planned.task_id == 3:
                second.seen.set()

    assert len(asked.asked) == 1
    assert outputs(events)[4] == "4424.5"
    ready = [fact.task_id for fact in facts(events, "task_ready")]
    assert ready == [1, 2, 3, 4]


async def test_a_question_that_is_out_is_not_shared_with_a_place_that_takes_something_else() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncGenerator[str | Completion, None]:
        begun.set()
        await go_on.wait()
        yield '{"value": 8849}'

    asked = ScriptedModel(slowly, '{"value": "km"}')
    broken = plan(ASK, "2. halve($1)", "3. halv($1)", "4. join()")
    planner = ScriptedModel(broken, plan('4. ask("the height", "8,849 m")', "5. convert($4)", "6. join($5)"))
    events = []
    async with asyncio.timeout(PATIENCE), Engine([*TOOLS, ask_tool(asked)], planner) as engine:
        async for event in engine.start("why?").events():
            events.append(event)
            if event.WhichOneof("fact") == "task_succeeded" and event.task_succeeded.task_id == 5:
                go_on.set()

    assert outputs(events) == {1: "8849", 2: "4424.5", 4: '"km"', 5: '"in km"'}


async def test_an_answer_for_a_place_is_not_kept_for_other_runs() -> None:
    asked = ScriptedModel('{"value": 8849}', '{"value": "km"}')
    cached = replace(ask_tool(asked), policy=Policy(cache=60))
    planner = ScriptedModel(plan(ASK, "2. halve($1)", "3. join($2)"), plan(ASK, "2. convert($1)", "3. join($2)"))
    async with asyncio.timeout(PATIENCE), Engine([*TOOLS, cached], planner) as engine:
        assert await engine.start("why?").answer() == "4424.5"
        assert await engine.start("why?").answer() == "in km"


async def test_a_grammar_holds_the_answer_to_its_place() -> None:
    class Held(ScriptedModel):
        grammar_dialects = ("lark",)

        async def stream(self, messages: Any, *, grammar: Any = None, **how: Any) -> AsyncGenerator[Any, None]:
            grammars.append(grammar)
            async for piece_ in super().stream(messages, **how):
                yield piece_

    grammars: list[Any] = []

    await run(ScriptedModel(plan(ASK, "2. convert($1)", "3. join($2)")), Held('{"value": "km"}'))

    assert grammars[0].dialect == "lark"
    assert '"km"|"mi"' in grammars[0].text
