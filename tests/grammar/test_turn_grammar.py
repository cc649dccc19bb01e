"""The grammar of a turn: whatever it accepts is read as a call without an error, or as an answer."""

from __future__ import annotations

import asyncio
import json
import random
import re
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from gbnf import Gbnf
from outputs import output_of
from sentences import sentence
from tool_sets import LOOKUP, NASTY, RATIO, RICH, random_tools, tool

from dovetail import ToolSet, UsageError, _core
from dovetail.grammar import uncallable
from dovetail.grammar.away import turn_grammar_away
from dovetail.grammar.plan import callable_tools
from dovetail.grammar.turn import TURN_DIALECTS, turn_grammar, turn_rules
from dovetail.grammar.words import in_words
from dovetail.models.local import LocalModel
from dovetail.strategies.react_reply import ReactReply
from dovetail.tools.definition import Tool

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dovetail.grammar.expression import Rules
    from dovetail.models import Grammar, GrammarDialect, Message

PATIENCE = 20.0
HEIGHT = json.dumps(
    {
        "type": "object",
        "properties": {"metres": {"type": "integer"}, "name": {"type": "string", "maxLength": 120}, "more": {}},
        "required": ["metres"],
    }
)


def rules_of(tools: Sequence[Any], referable: Sequence[int] = (), answer_schema: str = "") -> Rules:
    return turn_rules(callable_tools(tools, "gbnf"), referable, answer_schema)


class Reader:
    """Reads turn after turn of one run, as the strategy does."""

    def __init__(self, tools: Sequence[Any]) -> None:
        self.names = {tool["name"] for tool in tools}
        self.machine = _core.Machine(_core.ToolSet(json.dumps(tools)))
        self.ready: list[_core.Ready] = []
        self.planned: list[_core.Planned] = []
        self.errors: list[str] = []

    def turn(self, text: str, source: random.Random) -> str | None:
        """What the turn was: the answer, if it was that."""
        reply, action = ReactReply(self.names), ""
        for piece in _cut(text, source):
            action += reply.feed(piece)
        action += reply.finish()
        assert reply.thought == " ".join(text.partition("\n")[0].removeprefix("Thought: ").lstrip(" *").split())
        assert reply.mended == ""
        if reply.kind == "answer":
            verdict = [one for one in _verdicts(action) if one.kind == "finish" and not one.mended]
            assert len(verdict) == 1, text
            return verdict[0].text
        assert reply.kind == "call", text
        before = len(self.planned)
        self.follow(self.machine.feed(f"Thought: {reply.thought}\n{self.machine.next_id}. "))
        for part in re.findall(r"[^)]*\)|[^)]+$", action):
            assert len(self.planned) == before, f"more than one call: {text}"
            self.follow(self.machine.feed(part))
        self.follow(self.machine.finish())
        assert len(self.planned) == before + 1, text
        return None

    def follow(self, steps: Sequence[_core.Step]) -> None:
        """What the plan machine says."""
        self.planned += [step for step in steps if isinstance(step, _core.Planned)]
        self.ready += [step for step in steps if isinstance(step, _core.Ready)]
        found = [step for step in steps if isinstance(step, _core.Diagnostic) and step.severity == "error"]
        self.errors += [f"{one.code}: {one.message}" for one in found if one.code != "empty_plan"]


def _cut(text: str, source: random.Random) -> list[str]:
    size = source.choice([1, 3, 17, 10_000])
    return [text[at : at + size] for at in range(0, len(text), size)]


def _verdicts(text: str) -> list[_core.Verdict]:
    reader = _core.ReplyReader()
    return [step for step in [*reader.feed(text), *reader.finish()] if isinstance(step, _core.Verdict)]


@pytest.mark.parametrize("name", NASTY)
def test_turns_with_tool_sets_that_fight_the_grammar_are_read_without_an_error(name: str) -> None:
    tools = NASTY[name]
    rules = rules_of(tools)
    for seed in range(40):
        source, reader = random.Random(seed), Reader(tools)
        text = sentence(rules, source)
        reader.turn(text, source)
        assert reader.errors == [], text


@pytest.mark.parametrize("seed", range(0, 200, 20))
def test_turns_with_random_tool_sets_are_read_without_an_error_and_leave_nothing_hanging(seed: int) -> None:
    for one in range(seed, seed + 20):
        source = random.Random(one)
        tools = random_tools(source)
        if len(uncallable(tools)) == len(tools):
            continue
        reader = Reader(tools)
        for _ in range(6):
            text = sentence(rules_of(tools, [task.task_id for task in reader.planned]), source)
            reader.turn(text, source)
            assert reader.errors == [], text
        outputs = {shape["name"]: shape.get("outputSchema") for shape in tools}
        while reader.ready:
            task = reader.ready.pop()
            reader.follow(reader.machine.succeed(task.task_id, json.dumps(output_of(outputs[task.tool], source))))
        # What an output turns out not to have fails the task that wants it.
        assert reader.machine.unsettled == 0


def test_both_actions_and_references_are_among_what_can_be_written() -> None:
    rules, kinds, referring = rules_of(NASTY["rich"], [1, 3]), set(), set()
    for seed in range(200):
        text = sentence(rules, random.Random(seed))
        kinds.add("Finish(" in text.partition("\n")[2])
        referring |= set(re.findall(r"[(\[ ]\$(\d)", text.partition("\n")[2]))
    assert kinds == {True, False}
    assert referring >= {"1", "3"}


@pytest.mark.parametrize("seed", range(40))
def test_an_answer_by_schema_is_read_as_what_fits_it(seed: int) -> None:
    source = random.Random(seed)
    rules, reader = rules_of([LOOKUP], answer_schema=HEIGHT), Reader([LOOKUP])
    for _ in range(4):
        answer = reader.turn(sentence(rules, source), source)
        assert reader.errors == []
        if answer is not None:
            assert isinstance(json.loads(answer)["metres"], int)


@cache
def _tokenizer() -> Any:
    return pytest.importorskip("llguidance").LLTokenizer("byte")


def _takes(grammar: Grammar, text: str) -> bool:
    llguidance = pytest.importorskip("llguidance")
    matcher = llguidance.LLMatcher(_tokenizer(), llguidance.grammar_from(grammar.dialect, grammar.text))
    tokens = _tokenizer().tokenize_str(text)
    return bool(matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting())


@pytest.mark.parametrize("dialect", TURN_DIALECTS)
@pytest.mark.parametrize(
    ("action", "is_turn"),
    [
        ('lookup("Peru")', True),
        ("ratio($2, 3.5)", True),
        ('search("x", limit=3, unit="km")', True),
        ("Finish(8,849 m (29,032 ft), says [2])", True),
        ("ratio($1, 3.5)", False),
        ("ratio(3.5)", False),
        ('find("Peru")', False),
        ('1. lookup("Peru")', False),
        ('lookup("Peru") and lookup("Chile")', False),
        ('lookup("Peru")\nObservation: 3', False),
        ('lookup("Peru"', False),
        ("join()", False),
        ("Finish()", False),
        ("Finish(a", False),
        ("Replan(more)", False),
    ],
)
def test_an_engine_tells_turns_from_what_is_none(action: str, is_turn: bool, dialect: GrammarDialect) -> None:
    grammar = turn_grammar(RICH, dialect=dialect, earlier_ids=[2])
    assert _takes(grammar, f"Thought: so.\nAction: {action}") is is_turn
    assert not _takes(grammar, f"Action: {action}")
    assert not _takes(grammar, f"Thought: a\nb\nAction: {action}")


@pytest.mark.parametrize("dialect", TURN_DIALECTS)
@pytest.mark.parametrize("name", NASTY)
def test_every_notation_of_a_turn_accepts_what_the_rules_say(name: str, dialect: GrammarDialect) -> None:
    tools = NASTY[name]
    grammar, rules = turn_grammar(tools, dialect=dialect, earlier_ids=[1, 4]), rules_of(tools, [1, 4])
    rules = in_words(rules) if dialect == "ebnf" else rules
    for seed in range(4):
        text = sentence(rules, random.Random(seed))
        assert _takes(grammar, text), text


def test_who_must_answer_can_only_finish() -> None:
    grammar = Gbnf(turn_grammar([LOOKUP], must_answer=True).text)
    assert grammar.accepts("Thought: x\nAction: Finish(3)")
    assert not grammar.accepts('Thought: x\nAction: lookup("Peru")')
    assert not grammar.accepts("Thought: x\nAction: Replan(more)")


def test_an_answer_by_schema_is_held_to_it_and_calls_to_their_own_schemas() -> None:
    grammar = Gbnf(turn_grammar([RATIO], answer_schema=HEIGHT).text)
    assert grammar.accepts('Thought: x\nAction: Finish({"metres": 8849, "name": "K2"})')
    assert grammar.accepts("Thought: x\nAction: ratio(1, 2)")
    assert not grammar.accepts('Thought: x\nAction: Finish({"metres": "high"})')
    assert not grammar.accepts("Thought: x\nAction: Finish(8849)")
    with pytest.raises(UsageError, match="no answer can be written"):
        turn_grammar([RATIO], answer_schema="false")


def test_the_same_turn_has_the_same_grammar_and_its_own_ids_another() -> None:
    assert turn_grammar([LOOKUP, RATIO]) is turn_grammar(json.loads(json.dumps([LOOKUP, RATIO])))
    assert turn_grammar([RATIO], earlier_ids=[2, 1]) is turn_grammar([RATIO], earlier_ids=[1, 2, 2])
    assert turn_grammar([RATIO], earlier_ids=[1]).text != turn_grammar([RATIO], earlier_ids=[2]).text


def test_tools_that_no_arguments_fit_are_left_out_and_named_if_there_are_no_others() -> None:
    stuck = tool("stuck", x={"type": "string", "minLength": 3, "maxLength": 2})
    assert "stuck" not in turn_grammar([LOOKUP, stuck]).text
    with pytest.raises(UsageError, match="tool 'stuck'"):
        turn_grammar([stuck])


@pytest.mark.anyio
async def test_the_grammar_of_a_turn_is_made_away_from_the_event_loop_once() -> None:
    tools = ToolSet([Tool("turning", "", {"type": "object", "properties": {"x": {"type": "string"}}})])

    async def wanted() -> Grammar:
        return await turn_grammar_away(tools, dialect="gbnf", earlier_ids=(1,), must_answer=False, answer_schema="")

    async with asyncio.timeout(PATIENCE):
        made = await asyncio.gather(*(wanted() for _ in range(20)))
        assert made == [await wanted()] * 20
    assert made[0] is turn_grammar(tools, earlier_ids=(1,))


@pytest.mark.local_model
@pytest.mark.anyio
@pytest.mark.timeout(300)
async def test_llama_cpp_takes_turns_with_every_tool_set() -> None:
    chat: list[Message] = [{"role": "user", "content": "Take a turn: call a tool."}]
    model = LocalModel(temperature=1.0)
    try:
        for name, tools in NASTY.items():
            grammar = turn_grammar(tools, earlier_ids=[1])
            pieces = [piece async for piece in model.stream(chat, grammar=grammar, max_tokens=60)]
            assert "".join(piece for piece in pieces if isinstance(piece, str)).startswith("Thought: "), name
    finally:
        await model.aclose()
