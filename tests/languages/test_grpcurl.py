"""grpcurl, which knows nothing of Dovetail's protos, finds its way by reflection."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from program import Program, running, serving
from toolchain import BUILD_SECONDS

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(BUILD_SECONDS)]

TOOLS = '''
from dovetail import tool

@tool(read_only=True)
def shout(text: str) -> str:
    """The text, loudly."""
    return text.upper()
'''


async def said(folder: Path, grpcurl: Path, *arguments: str) -> Program:
    async with running(folder, str(grpcurl), "-plaintext", *arguments) as program:
        await program.end()
    return program


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tools.py").write_text(TOOLS, encoding="utf-8")
    return tmp_path


async def test_grpcurl_lists_and_describes_the_services(grpcurl: Path, folder: Path) -> None:
    async with serving(folder, "", options=("--tools", "tools.py")) as address:
        listed = await said(folder, grpcurl, address, "list")
        described = await said(folder, grpcurl, address, "describe", "dovetail.v1.RunService")
    assert {
        "dovetail.v1.ExecutorService",
        "dovetail.v1.PlanService",
        "dovetail.v1.RunService",
        "dovetail.v1.ToolService",
        "grpc.health.v1.Health",
    } <= set(listed.out.read)
    watch = "rpc WatchRun ( .dovetail.v1.WatchRunRequest ) returns ( stream .dovetail.v1.WatchRunResponse );"
    assert watch in [line.strip() for line in described.out.read]


async def test_grpcurl_lists_tools_and_asks_a_question(grpcurl: Path, folder: Path) -> None:
    request = json.dumps({"run_id": "by-hand", "question": "How does it sound?"})
    plan = '1. shout("hi")\n2. join($1)'
    async with serving(folder, plan, options=("--tools", "tools.py")) as address:
        tools = await said(folder, grpcurl, address, "dovetail.v1.ToolService/ListTools")
        created = await said(folder, grpcurl, "-d", request, address, "dovetail.v1.RunService/CreateRun")
        watched = await said(folder, grpcurl, "-d", '{"run_id": "by-hand"}', address, "dovetail.v1.RunService/WatchRun")
    assert [tool["spec"]["name"] for tool in json.loads("".join(tools.out.read))["tools"]] == ["shout"]
    assert json.loads("".join(created.out.read))["run"]["run_id"] == "by-hand"
    assert any('"answer": "HI"' in line for line in watched.out.read)


async def test_grpcurl_shows_why_a_request_was_refused(grpcurl: Path, folder: Path) -> None:
    async with serving(folder, "", options=("--tools", "tools.py")) as address:
        refused = await said(folder, grpcurl, "-d", '{"run_id": "none"}', address, "dovetail.v1.RunService/GetRun")
    shown = "\n".join(refused.err.read)
    assert "Code: NotFound" in shown
    assert '"reason": "RUN_NOT_FOUND"' in shown
