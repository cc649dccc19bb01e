"""What is left of vLLM's engine once the command or the model that started it has ended: nothing."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import select
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from vllm_place import DUMMY, ENGINE_OPTIONS, ENVIRONMENT

from dovetail.errors import ModelError, UsageError
from dovetail.models.vllm_engine import VllmEngineModel

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]

ENGINE = f"""\
model: {DUMMY}
load-format: dummy
dtype: float32
max-model-len: 2048
enforce-eager: true
"""
# The engine hears of nothing any more, and then the user is tired of it.
FREEZING = """\
import os
import signal

from vllm_process import engine_of

from dovetail import tool


@tool
async def freeze() -> str:
    "Stops everything."
    os.kill(engine_of(os.getpid()), signal.SIGSTOP)
    os.kill(os.getpid(), signal.SIGINT)
    return "stopped"
"""
INTERRUPTED = 130
PATIENCE = 400.0
DYING_SECONDS = 15.0


def test_an_engine_that_does_not_end_by_itself_is_gone_when_its_command_is_interrupted(tmp_path: Path) -> None:
    (tmp_path / "tools.py").write_text(FREEZING)
    with _command(tmp_path) as command:
        _read(command)
        assert command.wait(PATIENCE) == INTERRUPTED
        assert _left_behind(command) == []


def test_an_engine_that_is_being_started_is_gone_when_its_command_is_interrupted(tmp_path: Path) -> None:
    (tmp_path / "tools.py").write_text("from dovetail.demo.facts import area\n")
    with _command(tmp_path) as command:
        assert command.stderr is not None
        assert any(b"(EngineCore pid=" in line for line in command.stderr), "the engine said nothing"
        command.send_signal(signal.SIGINT)
        _read(command)
        assert command.wait(PATIENCE) == INTERRUPTED
        assert _left_behind(command) == []


@pytest.mark.anyio
@pytest.mark.filterwarnings("default")  # what torch and vLLM warn of while they are imported is not ours to mend
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_stream_that_waits_for_an_engine_fails_when_its_model_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    before = set(multiprocessing.active_children())
    model = VllmEngineModel(str(DUMMY), options={**ENGINE_OPTIONS, "load_format": "dummy"})
    stream = model.stream([{"role": "user", "content": "Say hello."}])
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    assert model._started is not None
    async with asyncio.timeout(PATIENCE):
        await model.aclose()
        with pytest.raises((ModelError, UsageError), match=r"is closed|did not start"):
            await waiting
    await stream.aclose()
    assert set(multiprocessing.active_children()) <= before


@contextmanager
def _command(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A command with an engine and the tools of a folder, in a group of processes that ends with the block."""
    (folder / "engine.yaml").write_text(ENGINE)
    here = Path(__file__)
    folders = [str(here.parents[2] / "python"), str(here.parent)]
    environment = ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(folders), "VLLM_LOGGING_LEVEL": "INFO"}
    arguments = ["run", "--model", "vllm-engine:engine.yaml", "--tools", "tools.py", "Stop, please."]
    with subprocess.Popen(
        [sys.executable, "-m", "dovetail.cli.main", *arguments],
        cwd=folder,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as command:
        try:
            yield command
        finally:
            with suppress(ProcessLookupError):
                os.killpg(command.pid, signal.SIGKILL)


def _read(command: subprocess.Popen[bytes]) -> None:
    """Read what a command says from now on, in a thread: what it leaves behind holds the pipe open."""
    assert command.stderr is not None
    threading.Thread(target=command.stderr.read, daemon=True).start()


def _left_behind(command: subprocess.Popen[bytes]) -> list[str]:
    return [_command_line(pid) for pid in _group(command.pid) if not _ends(pid)]


def _group(leader: int) -> list[int]:
    """The processes of a group."""
    found = []
    for pid in (int(place.name) for place in Path("/proc").iterdir() if place.name.isdecimal()):
        with suppress(ProcessLookupError):
            if os.getpgid(pid) == leader:
                found.append(pid)
    return found


def _ends(pid: int) -> bool:
    """Wait for the end of a process that is on its way there."""
    try:
        place = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        ended, _, _ = select.select([place], [], [], DYING_SECONDS)
        return bool(ended)
    finally:
        os.close(place)


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return f"process {pid}"
