"""What a file of weights says of its model, and which model is opened for it."""

from __future__ import annotations

import asyncio
import importlib.util
import struct
from pathlib import Path

import pytest

from dovetail import Engine, UsageError, tool
from dovetail.models import open_model, tool_calling_model
from dovetail.models.local import LocalCallingModel, LocalModel
from dovetail.models.weights import chat_templates, knows_tools

WITHOUT = "{% for message in messages %}{{ message.content }}{% endfor %}"
WITH = "{% if tools %}{{ tools | tojson }}{% endif %}" + WITHOUT

needs_llama = pytest.mark.skipif(importlib.util.find_spec("xllamacpp") is None, reason="needs llama.cpp")


@tool(read_only=True)
async def length(text: str) -> int:
    """Measures a text."""
    return len(text)


def _text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def weights(path: Path, **templates: str) -> Path:
    """A file that begins as weights do: a few things that are said of a model, and the name of a tensor."""
    said = {
        "general.name": "tokenizer.chat_template",
        **{f"tokenizer.chat_template{key}": text for key, text in templates.items()},
    }
    pairs = b"".join(_text(key) + struct.pack("<I", 8) + _text(value) for key, value in said.items())
    vocabulary = _text("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 2) + _text("tools") + _text("hello")
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, len(said) + 1)
    path.write_bytes(head + vocabulary + pairs + _text("token_embd.weight") + bytes(64))
    return path


def test_a_template_is_found_among_what_is_said_of_a_model(tmp_path: Path) -> None:
    assert chat_templates(weights(tmp_path / "a.gguf", **{"": WITHOUT})) == [WITHOUT]
    assert chat_templates(weights(tmp_path / "b.gguf", **{"": "größe", ".tool_use": WITH})) == ["größe", WITH]
    assert chat_templates(weights(tmp_path / "c.gguf")) == []


@pytest.mark.parametrize("content", [b"", b"GGUF", b"no weights", b"GGUF" + b"\xff" * 100])
def test_a_file_that_is_none_says_nothing(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(content)
    assert chat_templates(path) == []
    assert chat_templates(tmp_path / "absent.gguf") == []
    assert chat_templates(tmp_path) == []


def test_a_model_knows_tools_if_one_of_its_templates_has_a_place_for_them(tmp_path: Path) -> None:
    assert knows_tools(weights(tmp_path / "a.gguf", **{"": WITH}))
    assert knows_tools(weights(tmp_path / "b.gguf", **{"": WITHOUT, ".tool_use": WITH}))
    assert not knows_tools(weights(tmp_path / "c.gguf", **{"": WITHOUT}))
    assert not knows_tools(weights(tmp_path / "d.gguf", **{"": "{{ toolset }}"}))


@needs_llama
def test_a_local_model_has_tool_calls_if_its_weights_know_tools(tmp_path: Path) -> None:
    able = open_model(f"local:{weights(tmp_path / 'able.gguf', **{'': WITH})}")
    assert isinstance(able, LocalCallingModel)
    assert tool_calling_model(able) is able
    unable = open_model(f"local:{weights(tmp_path / 'unable.gguf', **{'': WITHOUT})}")
    assert isinstance(unable, LocalModel)
    with pytest.raises(
        UsageError, match=r"local:unable has no tool calls of its own; take weights whose chat template"
    ):
        tool_calling_model(unable)


@needs_llama
@pytest.mark.anyio
async def test_a_run_by_tool_calls_with_weights_that_know_none_fails_before_it_begins(tmp_path: Path) -> None:
    unable = open_model(f"local:{weights(tmp_path / 'unable.gguf', **{'': WITHOUT})}")
    async with asyncio.timeout(60), Engine([length], unable, strategy="tool-calls") as engine:
        with pytest.raises(UsageError, match=r"'tool-calls' cannot be used: .*take weights .* 'react' or 'compile'"):
            engine.start("why?")
