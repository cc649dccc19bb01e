from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from dovetail.errors import UsageError
from dovetail.models import FallbackModel, OpenAIModel, ReplayModel, open_model
from dovetail.models.provider import open_beside
from dovetail.setting_layers import split_models
from dovetail.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path


def test_each_provider_is_found_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    path.write_text('{"pieces": [[0, "a"]]}\n')
    replay = open_model(f"replay:{path}", speed=0)
    assert isinstance(replay, ReplayModel)
    assert replay.name == f"replay:{path}"
    openai = open_model("openai:gpt-5", api_key="k", timeout=3, grammar_dialect="gbnf")
    assert isinstance(openai, OpenAIModel)
    assert (openai.name, openai.grammar_dialects) == ("openai:gpt-5", ("gbnf",))
    assert openai._endpoint.address.url == "https://api.openai.com/v1"
    vllm = open_model("vllm:org/name:v1")
    assert isinstance(vllm, OpenAIModel)
    assert (vllm.name, vllm._endpoint.address.url) == ("vllm:org/name:v1", "http://localhost:8000/v1")


def test_the_key_of_openai_is_not_sent_to_vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://elsewhere/v1")
    vllm = open_model("vllm:m")
    assert isinstance(vllm, OpenAIModel)
    assert (vllm._api_key, vllm._endpoint.address.url) == ("none", "http://localhost:8000/v1")


@pytest.mark.parametrize("spec", ["gpt-4", "claude:x", "", ":", "openai"])
def test_an_unknown_provider_is_a_usage_error_that_lists_the_known_ones(spec: str) -> None:
    with pytest.raises(UsageError, match="openai:, azure:, friendli:, vllm:, vllm-engine:, replay:, local:"):
        open_model(spec)


@pytest.mark.parametrize("spec", ["openai:", "vllm:", "vllm-engine:", "replay:"])
def test_a_provider_without_a_name_is_a_usage_error(spec: str) -> None:
    with pytest.raises(UsageError, match="lacks what follows the colon"):
        open_model(spec)


def test_importing_the_models_does_not_import_the_sdk() -> None:
    code = "import dovetail.models, sys; print('openai' in sys.modules, 'httpx2' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.parametrize(
    ("value", "models"),
    [
        ("openai:a,vllm:b", ["openai:a", "vllm:b"]),
        ("openai:a, then vllm:b, local:", ["openai:a, then vllm:b", "local:"]),
        ("openai:then,thenable:x", ["openai:then", "thenable:x"]),
        (["openai:a, then vllm:b"], ["openai:a, then vllm:b"]),
    ],
)
def test_a_chain_among_models_separated_by_commas_stays_one(value: object, models: list[str]) -> None:
    assert split_models(value) == models


def test_settings_of_one_provider_are_not_given_to_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "own")
    settings = Settings(base_url="http://gpu/v1", api_key=SecretStr("k"), timeout=3, max_in_flight=2)
    joiner = open_beside("openai:b, then vllm:c", "vllm:a, then openai:b", settings)
    assert isinstance(joiner, FallbackModel)
    first, second = (vars(model)["_endpoint"].address.url for model in joiner.models)
    assert (first, second) == ("https://api.openai.com/v1", "http://gpu/v1")
