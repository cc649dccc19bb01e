"""Joiners whose verdicts are held to a form: by a grammar, or by a JSON schema where their model takes nothing else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from dovetail import Engine, Limits, UsageError
from dovetail.prompts.joiner_prompt import JoinerPrompt
from dovetail.tools.definition import tool
from dovetail.v1 import Event
from scripted import PATIENCE, GrammarModel, Script, ScriptedModel, facts, finish, plan

pytestmark = pytest.mark.anyio

HEIGHT = {
    "type": "object",
    "properties": {"metres": {"type": "integer"}, "name": {"type": "string"}},
    "required": ["metres"],
    "additionalProperties": False,
}


@tool(read_only=True)
async def look(what: str) -> dict[str, Any]:
    """Looks something up."""
    return {"metres": 8849} if what == "height" else {"metres": "high"}


TO_JOIN = plan('1. look("height")', '2. look("name")', "3. join()")
AGAIN = plan('4. look("height")', "5. join()")


async def run(model: ScriptedModel, **options: Any) -> list[Event]:
    async with asyncio.timeout(PATIENCE), Engine([look], model, **options) as engine:
        return [event async for event in engine.start("how high?").events()]


def constrained(*scripts: Script, refused: Sequence[str] = ()) -> GrammarModel:
    """A model that refuses grammars in some notations."""
    return GrammarModel(*scripts, dialects=("lark", "gbnf"), refuses=lambda grammar: grammar.dialect in refused)


async def test_the_verdict_is_constrained_where_the_joiner_takes_a_grammar() -> None:
    joiner = constrained(finish("x"))
    await run(ScriptedModel(TO_JOIN), joiner=joiner)
    grammar = joiner.grammars[0]
    assert grammar is not None
    assert grammar.dialect == "lark"
    assert "Replan(" in grammar.text


async def test_a_joiner_that_must_answer_cannot_write_replan() -> None:
    joiner = constrained("Action: Replan(more)", finish("x"))
    model = ScriptedModel(TO_JOIN)
    await run(model, joiner=joiner, limits=Limits(max_replans=0))
    assert ["Replan(" in grammar.text for grammar in joiner.grammars if grammar] == [True, False]


async def test_the_answer_is_constrained_by_its_schema() -> None:
    joiner = constrained(finish('{"metres":1}'))
    await run(ScriptedModel(TO_JOIN), joiner=joiner, answer_schema=HEIGHT)
    assert joiner.grammars[0] is not None
    assert "metres" in joiner.grammars[0].text


async def test_a_joiner_that_takes_a_json_schema_alone_is_asked_to_reply_in_json() -> None:
    joiner = constrained('{"thought": "known.", "action": "finish", "answer": "8,849 m", "reason": null}')
    joiner.grammar_dialects = ("json_schema",)
    events = await run(ScriptedModel(TO_JOIN), joiner=joiner, cite=True)
    assert facts(events, "run_answered")[0].answer == "8,849 m"
    assert "".join(fact.text for fact in facts(events, "answer_text")) == "8,849 m"
    assert len(facts(events, "answer_text")) > 1
    assert joiner.grammars[0] is not None
    assert joiner.grammars[0].dialect == "json_schema"
    system, user = (message["content"] for message in joiner.asked[0])
    assert system.startswith("You answer a question from what tools returned. Reply with JSON alone:")
    assert "Finish(" not in system + user


async def test_a_joiner_that_replies_in_json_may_ask_for_another_plan() -> None:
    joiner = constrained('{"thought": "no.", "action": "replan", "answer": null, "reason": "the height"}', finish("x"))
    joiner.grammar_dialects = ("json_schema",)
    events = await run(ScriptedModel(TO_JOIN, AGAIN), joiner=joiner)
    assert facts(events, "replan_requested")[0].reason == "the height"


async def test_an_answer_by_schema_stands_in_json_as_it_is_without_what_is_not_wanted() -> None:
    joiner = constrained(
        '{"thought": "k", "action": "finish", "answer": {"metres": 8849, "name": null}, "reason": null}'
    )
    joiner.grammar_dialects = ("json_schema",)
    events = await run(ScriptedModel(TO_JOIN), joiner=joiner, answer_schema=HEIGHT)
    assert facts(events, "run_answered")[0].answer == '{"metres":8849}'
    assert facts(events, "answer_text") == []
    assert "The answer is a value that fits this JSON Schema: {" in joiner.asked[0][-1]["content"]


async def test_an_answer_whose_schema_cannot_be_held_to_is_a_string_in_json_and_checked() -> None:
    replies = [
        json.dumps({"thought": "k", "action": "finish", "answer": answer, "reason": None})
        for answer in ('{"K2": "high"}', '{"K2": 8611}')
    ]
    joiner = constrained(*replies)
    joiner.grammar_dialects = ("json_schema",)
    heights = {"type": "object", "additionalProperties": {"type": "integer"}}
    events = await run(ScriptedModel(TO_JOIN), joiner=joiner, answer_schema=heights)
    assert facts(events, "run_answered")[0].answer == '{"K2":8611}'
    assert "The answer is a string that holds JSON, which fits this" in joiner.asked[0][-1]["content"]
    said, told = (message["content"] for message in joiner.asked[1][-2:])
    assert json.loads(said) == {"action": "finish", "answer": '{"K2": "high"}'}
    assert told.endswith('Reply again, with "finish".')


async def test_an_answer_in_json_carries_its_citations_beside_it() -> None:
    answer = {"answer": {"metres": 8849, "name": None}, "cited_tasks": [1]}
    joiner = constrained(json.dumps({"thought": "k", "action": "finish", "answer": answer, "reason": None}))
    joiner.grammar_dialects = ("json_schema",)
    answered = facts(await run(ScriptedModel(TO_JOIN), joiner=joiner, answer_schema=HEIGHT, cite=True), "run_answered")
    assert (answered[0].answer, list(answered[0].cited_tasks)) == ('{"metres":8849}', [1])


async def test_a_joiner_that_refuses_the_grammar_is_asked_in_its_next_notation_and_remembered() -> None:
    joiner = constrained(finish("x"), finish("y"), finish("z"), finish("z"), refused=["lark", "gbnf"])
    async with asyncio.timeout(PATIENCE):
        async with Engine([look], ScriptedModel(TO_JOIN, TO_JOIN), joiner=joiner) as engine:
            first = await engine.start("how high?").answer()
            await engine.start("how high?").answer()
    assert first == "x"
    assert [grammar and grammar.dialect for grammar in joiner.grammars] == ["lark", "gbnf", None, None]


# A prompt of one's own ----------------------------------------------------------------------------------------


async def test_a_joiner_is_asked_by_the_template_that_the_engine_is_given(tmp_path: Path) -> None:
    file = tmp_path / "joiner.txt"
    file.write_text("You answer for the harbour office.\n$reply")
    for given in (file, str(file), JoinerPrompt(file)):
        model = ScriptedModel(TO_JOIN, finish("8,849 m"))
        await run(model, joiner_prompt=given)
        assert model.asked[1][0]["content"].startswith(
            "You answer for the harbour office.\nReply in exactly two lines:"
        )
        assert "harbour" not in model.asked[0][0]["content"]


async def test_a_template_that_cannot_be_used_is_refused_at_once(tmp_path: Path) -> None:
    file = tmp_path / "joiner.txt"
    file.write_text("You answer for the harbour office.")
    with pytest.raises(UsageError, match=r"joiner.txt:1: the prompt ends without \$reply"):
        Engine([look], ScriptedModel(), joiner_prompt=file)
