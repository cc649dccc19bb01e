"""How a server asks for plans: its template, and how many examples are shown, and where."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from commandline import dovetail, recording

from dovetail import UsageError
from dovetail.models.protocol import Message, ModelStream
from dovetail.tools.definition import tool
from dovetail_server.server import Server
from dovetail_server.settings import ServerSettings
from live import Echo, serving

pytestmark = pytest.mark.anyio

QUESTION = "1. double(4)\n2. join($1)"
EXAMPLES = "\n".join(f"Question: How much is twice {n}?\n1. double({n})\n2. join($1)" for n in range(4))


@tool(read_only=True)
async def double(n: int) -> int:
    """Twice the number."""
    return 2 * n


class Kept(Echo):
    """Plans what it is asked, and keeps what it was asked with."""

    def __init__(self) -> None:
        self.asked: list[Sequence[Message]] = []

    async def stream(self, messages: Sequence[Message], **given: Any) -> ModelStream:
        self.asked.append(messages)
        async for piece in super().stream(messages, **given):
            yield piece


async def asked_with(folder: Path, **settings: Any) -> Sequence[Message]:
    """What a server with these settings asks its model for a plan with."""
    (folder / "plans.txt").write_text(EXAMPLES, encoding="utf-8")
    model = Kept()
    examples = (str(folder / "plans.txt"),)
    async with serving([double], models={"echo:plan": model}, examples=examples, **settings) as live:
        assert await live.answer(QUESTION) == "8"
    return model.asked[0]


async def test_so_many_examples_are_shown_as_the_settings_say(tmp_path: Path) -> None:
    assert [len(await asked_with(tmp_path, **given)) for given in ({}, {"max_examples": 1}, {"max_examples": 9})] == [
        2 + 2 * 2,
        2 + 2 * 1,
        2 + 2 * 4,
    ]


async def test_examples_stand_in_the_system_prompt_where_the_settings_say_so(tmp_path: Path) -> None:
    system, question = await asked_with(tmp_path, examples_as="system", max_examples=3)
    assert system["content"].count("Question: How much is twice ") == 3
    assert question["content"] == QUESTION


async def test_a_template_is_the_system_prompt_of_every_run(tmp_path: Path) -> None:
    (tmp_path / "planner.txt").write_text("For the harbour.\n$tools\n---\n$examples\n", encoding="utf-8")
    system, _ = await asked_with(tmp_path, prompt=tmp_path / "planner.txt")
    assert system["content"].startswith("For the harbour.\ndouble(n: integer)")
    assert "\n---\nExamples:\n\nQuestion: How much is twice " in system["content"]


async def test_a_template_of_the_joiners_is_what_it_is_told_first(tmp_path: Path) -> None:
    (tmp_path / "joiner.txt").write_text("For the harbour.\n$reply\n$notes\n", encoding="utf-8")
    model = Kept()
    async with serving([double], models={"echo:plan": model}, joiner_prompt=tmp_path / "joiner.txt") as live:
        assert await live.answer("1. double(4)\n2. join()", notes="Be brief.") == "done"
    system, _ = model.asked[1]
    assert system["content"].startswith("For the harbour.\nReply in exactly two lines:\n")
    assert system["content"].endswith("\nBe brief.")


@pytest.mark.parametrize(
    ("template", "given", "message"),
    [
        ("$tools\nand  $toolz\n", {}, r"planner\.txt:2:6: there is no \$toolz; there are \$tools, \$examples, \$notes"),
        ("No place.\n", {}, r"planner\.txt:1: the prompt ends without \$tools"),
        ("$tools $examples", {"examples_as": "turns"}, r"planner\.txt: \$examples is no place for examples that are"),
        (None, {}, r"the prompt file .*planner\.txt cannot be read"),
    ],
)
async def test_a_template_that_cannot_be_used_ends_the_start(
    tmp_path: Path, template: str | None, given: dict[str, Any], message: str
) -> None:
    if template is not None:
        (tmp_path / "planner.txt").write_text(template, encoding="utf-8")
    settings = ServerSettings(listen=("127.0.0.1:0",), prompt=tmp_path / "planner.txt", **given)
    with pytest.raises(UsageError, match=message):
        async with Server(settings, models={"echo:plan": Echo()}):
            pass


def test_the_command_takes_them_as_options_from_the_environment_and_from_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dovetail.toml").write_text('[serve]\nprompt = "planner.txt"\nmax_examples = 5\n', encoding="utf-8")
    (tmp_path / "planner.txt").write_text("$tool\n", encoding="utf-8")
    monkeypatch.setenv("DOVETAIL_EXAMPLES_AS", "system")
    settings = ServerSettings.load({"max_examples": "7"}, config=tmp_path / "dovetail.toml")
    assert (settings.max_examples, settings.examples_as) == (7, "system")
    assert settings.prompt == tmp_path / "planner.txt"
    (tmp_path / "joiner.txt").write_text("Answer.\n", encoding="utf-8")
    (tmp_path / "right.txt").write_text("$tools\n", encoding="utf-8")
    joiner = ("--prompt", "right.txt", "--joiner-prompt", "joiner.txt")
    for wrong, complaint in (
        ((), "planner.txt:1:1: there is no $tool; "),
        (joiner, "joiner.txt:1: the prompt ends without $reply; "),
        (("--max-examples", "0"), "--max-examples: input should be greater than 0"),
        (("--examples-as", "songs"), "--examples-as: input should be 'turns' or 'system'"),
    ):
        done = dovetail(tmp_path, "serve", "--model", recording(tmp_path, "1. join()"), *wrong)
        assert (done.returncode, done.stdout) == (2, b"")
        assert done.stderr.decode().startswith(f"dovetail: {complaint}")
