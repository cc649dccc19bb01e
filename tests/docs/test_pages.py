"""The examples in the README and the docs run as they stand; only the model is one that needs no key."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from dovetail.prompts.examples import Example
from scripted import PATIENCE, ScriptedModel, finish, plan

ROOT = Path(__file__).parents[2]

EVEREST = plan('1. math("8849 / 828")', "2. join($1)")
HEIGHTS = plan('1. height("Everest")', '2. height("K2")', "3. join()")


def blocks(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture
def model_for(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Whatever model is named, it answers with these scripts."""

    def use(*scripts: str) -> None:
        monkeypatch.setattr("dovetail.engine.open_model", lambda name: ScriptedModel(*scripts))

    return use


def test_the_readme_asks_a_question_from_synchronous_code(model_for: Any) -> None:
    model_for(EVEREST)
    names: dict[str, Any] = {}
    exec(blocks("README.md")[0], names)
    assert names["answer"].startswith("10.68")


def test_the_readme_follows_the_events_of_a_run(model_for: Any, capsys: pytest.CaptureFixture[str]) -> None:
    model_for(HEIGHTS, finish("238 m"))
    names: dict[str, Any] = {}
    exec(blocks("README.md")[1], names)
    asyncio.run(asyncio.wait_for(names["main"](), PATIENCE))
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "1 run_started"
    assert printed[-1] == "238 m"


@pytest.mark.parametrize("page", sorted(path.name for path in (ROOT / "docs").glob("*.md")))
def test_every_python_example_of_the_docs_runs(page: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "no key")
    (tmp_path / "calls.jsonl").write_text('{"pieces": [[0, "1. join()"]]}\n', encoding="utf-8")
    # A module, as for those who follow them: some examples are found by their names.
    module = ModuleType(f"docs_{page.removesuffix('.md')}")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    names = vars(module)
    names["Example"] = Example
    for block in blocks(f"docs/{page}"):
        exec(compile(block, page, "exec", flags=0, dont_inherit=True), names)


@pytest.mark.parametrize("page", ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))])
def test_every_link_inside_the_project_leads_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", text)
    missing = [link for link in links if not (ROOT / page).parent.joinpath(link).exists()]
    assert missing == []
