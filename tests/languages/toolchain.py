"""The examples in other languages, generated and built as their READMEs say, once for each state of their sources."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".make" / "languages"
BUILD_SECONDS = 600.0
"""How long a toolchain may take that has to fetch and compile everything, on a busy machine."""

GRPCURL = "github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4"

# What a build makes inside the sources of an example, should somebody have built it there.
_MADE = shutil.ignore_patterns("bin", "dovetailv1", "build", "node_modules", "generated", "target")


@dataclass(frozen=True)
class Language:
    """How an example is built, and the commands of its two programs, relative to its folder."""

    name: str
    needs: tuple[str, ...]
    build: tuple[tuple[str, ...], ...]
    ask: tuple[str, ...]
    serve: tuple[str, ...]


# Short programs begin faster without the optimising compiler.
_JAVA = ("java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", "target/classes:target/dependency/*")

LANGUAGES = {
    language.name: language
    for language in (
        Language(
            "go",
            ("go",),
            (("./generate",), ("go", "build", "-o", "bin/", "./cmd/...")),
            ("bin/ask",),
            ("bin/serve",),
        ),
        Language(
            "node",
            ("node", "npm"),
            (("npm", "ci"), ("npm", "run", "build")),
            ("node", "build/ask.js"),
            ("node", "build/serve.js"),
        ),
        Language(
            "java",
            ("java", "mvn"),
            (("mvn", "-q", "-B", "process-classes"),),
            (*_JAVA, "example.Ask"),
            (*_JAVA, "example.Serve"),
        ),
    )
}


@dataclass(frozen=True)
class Example:
    """An example that is built."""

    folder: Path
    language: Language

    @property
    def ask(self) -> tuple[str, ...]:
        """The command of the client."""
        return self._command(self.language.ask)

    @property
    def serve(self) -> tuple[str, ...]:
        """The command of the executor."""
        return self._command(self.language.serve)

    def _command(self, relative: tuple[str, ...]) -> tuple[str, ...]:
        # Programs are started in folders of their tests.
        def placed(word: str) -> str:
            return ":".join(str(self.folder / part) for part in word.split(":")) if "/" in word else word

        return tuple(placed(word) for word in relative)


def built(language: Language) -> Example:
    """Build an example, unless it was built from these sources before.

    It is built in a copy, beside a copy of the protos as in the repository: a build leaves nothing in the sources.
    """
    _require(*language.needs)
    house = CACHE / language.name
    folder = house / "examples" / language.name
    with _alone(language.name):
        stamp = house / "built"
        state = _state_of(ROOT / "proto", ROOT / "examples" / language.name)
        if not stamp.exists() or stamp.read_text(encoding="utf-8") != state:
            shutil.rmtree(house, ignore_errors=True)
            shutil.copytree(ROOT / "proto", house / "proto")
            shutil.copytree(ROOT / "examples" / language.name, folder, ignore=_MADE)
            for command in language.build:
                _run(folder, *command)
            stamp.write_text(state, encoding="utf-8")
    return Example(folder, language)


def installed_node(sources: Path) -> Path:
    """Install what a program for Node needs, in a copy of its folder, unless these sources were installed before."""
    _require("node", "npm")
    house = CACHE / f"node-{sources.parent.name}"
    with _alone(house.name):
        stamp = house / "built"
        state = _state_of(sources)
        if not stamp.exists() or stamp.read_text(encoding="utf-8") != state:
            shutil.rmtree(house, ignore_errors=True)
            shutil.copytree(sources, house / "program", ignore=_MADE)
            _run(house / "program", "npm", "ci")
            stamp.write_text(state, encoding="utf-8")
    return house / "program"


def built_grpcurl() -> Path:
    """Build grpcurl, unless this version was built before."""
    _require("go")
    house = CACHE / "grpcurl" / GRPCURL.rpartition("@")[2]
    with _alone("grpcurl"):
        if not (house / "grpcurl").exists():
            house.mkdir(parents=True, exist_ok=True)
            _run(house, "go", "install", GRPCURL, GOBIN=str(house))
    return house / "grpcurl"


def _require(*commands: str) -> None:
    missing = [command for command in commands if shutil.which(command) is None]
    if not missing:
        return
    message = f"needed for the examples in other languages and not found: {', '.join(missing)}"
    if os.environ.get("CI"):
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


def _state_of(*folders: Path) -> str:
    digest = hashlib.sha256()
    for folder in folders:
        for path, names, files in os.walk(folder):
            ignored = _MADE(path, names)
            names[:] = sorted(name for name in names if name not in ignored)
            for name in sorted(files):
                file = Path(path, name)
                digest.update(f"{file.relative_to(ROOT)} {file.stat().st_mode}\n".encode())
                digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """Only one process of a parallel test run builds; the others wait for it."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(folder: Path, *command: str, **variables: str) -> None:
    environment = {**os.environ, "PROTOC": f"{sys.executable} -m grpc_tools.protoc", **variables}
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=BUILD_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        said = done.stdout.decode(errors="replace")[-4_000:]
        pytest.fail(f"`{' '.join(command)}` in {folder} ended with status {done.returncode}:\n{said}", pytrace=False)
