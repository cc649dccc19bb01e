from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import pytest

from dovetail import Engine
from dovetail.errors import UsageError
from dovetail.models import Grammar, open_model, tool_calling_model
from dovetail.models.vllm import VllmModel
from dovetail.models.vllm_engine import VllmEngineModel
from dovetail.models.vllm_engine_turns import VllmEngineCallingModel

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def _without_vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    _say_where_vllm_is(monkeypatch, None)


@pytest.fixture
def _with_vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    _say_where_vllm_is(monkeypatch, importlib.util.find_spec("json"))


def _say_where_vllm_is(monkeypatch: pytest.MonkeyPatch, where: object) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, *rest: where if name == "vllm" else find_spec(name, *rest)
    )


def test_vllm_takes_grammars_and_schemas_unless_told_which() -> None:
    assert VllmModel("m").grammar_dialects == ("ebnf", "json_schema")
    assert VllmModel("m", grammar_dialect="lark").grammar_dialects == ("lark",)


@pytest.mark.parametrize(
    ("grammar", "field"),
    [
        (Grammar("ebnf", 'root ::= "x"'), {"grammar": 'root ::= "x"'}),
        (Grammar("json_schema", '{"type": "object"}'), {"json": {"type": "object"}}),
    ],
)
def test_a_grammar_is_sent_in_the_field_that_vllm_reads(grammar: Grammar, field: dict[str, object]) -> None:
    assert VllmModel("m")._constraint(grammar) == {"structured_outputs": field}


@pytest.mark.usefixtures("_without_vllm")
def test_an_engine_without_vllm_is_a_usage_error_with_the_command_that_installs_it() -> None:
    with pytest.raises(UsageError, match=r"vllm-engine:weights needs vLLM: pip install 'dovetail\[vllm\]'"):
        open_model("vllm-engine:weights")


@pytest.mark.usefixtures("_with_vllm")
def test_an_engine_is_named_for_its_target_and_started_by_nobody_but_its_first_stream() -> None:
    model = open_model("vllm-engine:Qwen/Qwen3-8B", temperature=0.2, max_tokens=9)
    assert isinstance(model, VllmEngineModel)
    assert (model.name, model.grammar_dialects) == ("vllm-engine:Qwen/Qwen3-8B", ("ebnf", "json_schema"))
    assert (model._temperature, model._max_tokens, model._started) == (0.2, 9, None)


@pytest.mark.usefixtures("_with_vllm")
def test_a_file_of_arguments_must_be_there_and_takes_no_others_beside_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no file"):
        VllmEngineModel(str(tmp_path / "engine.yaml"))
    path = tmp_path / "engine.yml"
    path.write_text("model: m\n")
    with pytest.raises(UsageError, match="options belong into"):
        VllmEngineModel(str(path), options={"dtype": "float32"})


@pytest.mark.usefixtures("_with_vllm")
def test_an_engine_has_tool_calls_if_the_file_of_its_arguments_names_their_parser(tmp_path: Path) -> None:
    path = tmp_path / "engine.yaml"
    path.write_text("model: m\nenable-auto-tool-choice: true\ntool-call-parser: hermes\n")
    model = open_model(f"vllm-engine:{path}")
    assert tool_calling_model(model) is model
    assert isinstance(model, VllmEngineCallingModel)
    assert model._tool_call_parser == "hermes"


@pytest.mark.usefixtures("_with_vllm")
@pytest.mark.anyio
async def test_a_run_of_tool_calls_with_an_engine_that_has_none_is_refused_at_once_with_the_remedy(
    tmp_path: Path,
) -> None:
    path = tmp_path / "engine.yaml"
    path.write_text("model: m\n# tool-call-parser: hermes\n")
    for target in ("weights", str(path)):
        model = open_model(f"vllm-engine:{target}")
        async with Engine([], model) as engine:
            with pytest.raises(UsageError, match=r"name the parser of its tool calls \(tool-call-parser.*or 'compile'"):
                engine.start("How high is it?", strategy="tool-calls")


@pytest.mark.usefixtures("_with_vllm")
def test_a_chat_template_that_cannot_be_read_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"its chat template .*none\.jinja cannot be read"):
        VllmEngineModel("weights", chat_template=tmp_path / "none.jinja")
