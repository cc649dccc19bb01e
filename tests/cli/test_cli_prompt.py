"""`dovetail prompt`: the messages on standard output, their size on standard error."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
from commandline import BOUND, SPECS, dovetail

from dovetail import Engine, ToolSet
from dovetail.answer_schema import AnswerSchema
from dovetail.prompts.joiner_prompt import JoinerPrompt
from dovetail.prompts.observations import Observation
from dovetail.prompts.planner_prompt import PlannerPrompt
from dovetail.prompts.replan_prompt import ReplanContext
from scripted import ScriptedModel

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Any

    from dovetail.models.protocol import TurnStream
    from dovetail.runs.run_options import StrategyName


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tools.json").write_text(json.dumps(SPECS))
    (tmp_path / "bad.txt").write_text("Question: a?\n\n1. nothing(\n2. join()\n")
    (tmp_path / "own.txt").write_text("Notes: $notes\n$tools\nUse $1, not $$2.\n")
    (tmp_path / "wrong.txt").write_text("$tools\n  $tool\n")
    (tmp_path / "bare.txt").write_text("Plan.\nNow.\n")
    (tmp_path / "earlier.txt").write_text('1. search("K2")\n-> 8611\n2. search("Kay two")\nfailed: no such page\n')
    (tmp_path / "untold.txt").write_text('1. search("K2")\n')
    (tmp_path / "answer.json").write_text('{"type": "number"}')
    return tmp_path


def test_the_messages_are_those_that_the_planner_is_asked_with(folder: Path) -> None:
    done = dovetail(folder, "prompt", "--tools", "tools.json", "--question", "How?", "--json")
    assert json.loads(done.stdout) == PlannerPrompt().messages("How?", SPECS)
    assert done.returncode == 0
    assert b" characters, about " in done.stderr


def test_the_joiner_is_asked_without_tools(folder: Path) -> None:
    done = dovetail(folder, "prompt", "--joiner", "--question", "How?", "--notes", "Be brief.", "--json")
    assert json.loads(done.stdout) == JoinerPrompt().messages("How?", (), notes="Be brief.")


def test_a_template_of_ones_own_is_filled_in_and_what_is_filled_in_is_not_read_again(folder: Path) -> None:
    done = dovetail(
        folder, "prompt", "--tools", "tools.json", "--template", "own.txt", "--notes", "$tools $1", "--json"
    )
    system = json.loads(done.stdout)[0]["content"]
    assert system.startswith("Notes: $tools $1\n")
    assert system.endswith("\nUse $1, not $2.")


def test_the_examples_that_are_near_are_shown(folder: Path) -> None:
    asked = ("prompt", "--tools", "demo", "--question", "How many people live in Peru?", "--max-examples", "1")
    turns = json.loads(dovetail(folder, *asked, "--json").stdout)
    assert [turn["role"] for turn in turns] == ["system", "user", "assistant", "user"]
    assert "How many people live in" in turns[1]["content"]
    system, question = json.loads(dovetail(folder, *asked, "--examples-as", "system", "--json").stdout)
    assert turns[2]["content"] in system["content"]
    assert question == turns[3]


EARLIER = (
    Observation(1, "search", '{"query":"K2"}', "8611"),
    Observation(2, "search", '{"query":"Kay two"}', failure="no such page"),
)


def test_another_plan_is_asked_for_behind_earlier_tasks(folder: Path) -> None:
    asked = ("prompt", "--tools", "tools.json", "--earlier", "earlier.txt", "--question", "How?", "--json")
    known = ReplanContext(EARLIER, "the height of Kay two", 3)
    done = dovetail(folder, *asked, "--missing", known.reason)
    assert json.loads(done.stdout) == PlannerPrompt().messages("How?", SPECS, replan=known)
    assert b"That was not enough: MISSING" in dovetail(folder, *asked).stdout


def test_of_a_model_that_takes_json_schemas_alone_plans_are_asked_for_in_json(folder: Path) -> None:
    asked = ("prompt", "--tools", "tools.json", "--question", "How?", "--json")
    in_json, in_lines = (dovetail(folder, *asked, "--dialect", name).stdout for name in ("json_schema", "gbnf"))
    assert json.loads(in_json) == PlannerPrompt().messages("How?", SPECS, form="json")
    assert json.loads(in_lines) == PlannerPrompt().messages("How?", SPECS)


def test_examples_too_are_in_json_for_a_model_whose_plans_are(folder: Path) -> None:
    demo = ("prompt", "--tools", "demo", "--question", "How many people live in Peru?", "--dialect", "json_schema")
    turns = json.loads(dovetail(folder, *demo, "--json").stdout)
    assert all(json.loads(turn["content"])["tasks"] for turn in turns if turn["role"] == "assistant")
    assert len(turns) == 2 + 2 * 2


def test_the_joiner_is_asked_about_earlier_tasks_with_what_the_answer_must_be_like(folder: Path) -> None:
    asked = ("prompt", "--joiner", "--question", "How?", "--json", "--cite", "--answer-schema", "answer.json")
    done = dovetail(folder, *asked, "--tools", "tools.json", "--earlier", "earlier.txt")
    schema = AnswerSchema({"type": "number"}).with_citations().json
    assert json.loads(done.stdout) == JoinerPrompt().messages("How?", EARLIER, answer_schema=schema, cite=True)


def test_a_joiner_that_is_held_to_a_json_schema_is_asked_to_reply_in_json(folder: Path) -> None:
    (folder / "joiner.txt").write_text("For the harbour.\n$reply\n")
    asked = ("prompt", "--joiner", "--question", "How?", "--json", "--dialect", "json_schema")
    assert json.loads(dovetail(folder, *asked).stdout) == JoinerPrompt().messages("How?", (), form="json")
    done = dovetail(folder, *asked, "--template", "joiner.txt", "--answer-schema", "answer.json")
    schema = AnswerSchema({"type": "number"}).json
    own = JoinerPrompt(folder / "joiner.txt").messages("How?", (), form="json", answer_schema=schema)
    assert json.loads(done.stdout) == own
    assert own[0]["content"].startswith("For the harbour.\nReply with JSON alone:")


@pytest.mark.parametrize("strategy", ["react", "tool-calls"])
def test_the_first_turn_is_that_of_a_run(folder: Path, strategy: StrategyName) -> None:
    class Kept(ScriptedModel):
        async def stream_turn(self, messages: Sequence[Any], _: Sequence[Any], **given: Any) -> TurnStream:
            async for piece in self.stream(messages, **given):
                yield piece

    async def ask() -> Sequence[Any]:
        model = Kept("Action: Finish(1)")
        async with Engine(ToolSet.of([folder / "tools.json"]), model, strategy=strategy, notes="Be brief.") as engine:
            await asyncio.wait_for(engine.start("How?").wait(), BOUND)
        return model.asked[0]

    done = dovetail(
        folder, "prompt", "--tools", "tools.json", "--question", "How?", "--json", "--strategy", strategy,
        "--notes", "Be brief.",
    )  # fmt: skip
    assert json.loads(done.stdout) == asyncio.run(ask())


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--tools", "tools.json", "--earlier", "untold.txt"], b"untold.txt:1:1: what became of task 1 is not told"),
        (["--tools", "tools.json", "--earlier", "none.txt"], b"none.txt: the file cannot be read"),
        (["--tools", "tools.json", "--missing", "it"], b"add --earlier FILE"),
        (["--tools", "tools.json", "--dialect", "json"], b"--dialect is 'json'; it can be gbnf, ebnf, lark, json_sc"),
        (["--tools", "tools.json", "--strategy", "guess"], b"there is no strategy 'guess'"),
        (["--tools", "tools.json", "--strategy", "react", "--example", "a"], b"--example has no part in what the mod"),
        (["--joiner", "--max-tools", "3"], b"--max-tools has no part in what a joiner is asked with"),
        (["--joiner", "--earlier", "earlier.txt"], b"no tools are given; add --tools SPEC"),
        ([], b"add --tools SPEC"),
        (["--tools", "tools.json", "--template", "wrong.txt"], b"wrong.txt:2:3: there is no $tool;"),
        (["--tools", "tools.json", "--template", "bare.txt"], b"bare.txt:2: the prompt ends without $tools"),
        (["--tools", "tools.json", "--template", "none.txt"], b"none.txt cannot be read"),
        (["--tools", "tools.json", "--examples-as", "songs"], b"'songs'"),
        (["--tools", "tools.json", "--example", "bad.txt"], b"bad.txt:3:1: example 1: "),
    ],
)
def test_a_wrong_call_is_complained_about_in_one_line(folder: Path, arguments: list[str], complaint: bytes) -> None:
    done = dovetail(folder, "prompt", *arguments)
    assert (done.returncode, done.stdout) == (2, b"")
    assert complaint in done.stderr
    assert len(done.stderr.splitlines()) == 1
