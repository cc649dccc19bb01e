"""SPECs: the tools that a name on the command line stands for.

``demo`` · ``package.module`` · ``package.module:name`` · ``tools.py`` · ``tools.py:name`` · ``tools.json`` ·
``mcp:COMMAND`` · ``mcp:URL`` · ``servers.toml``

Each may have a namespace before it: ``db=tools.py`` makes ``db.query`` of ``query``.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dovetail.errors import ToolDefinitionError, UsageError
from dovetail.processes.address import FILE_MODULE
from dovetail.tools.definition import Tool, tool
from dovetail.tools.tool_file import read_tools

if TYPE_CHECKING:
    from types import ModuleType

    from dovetail.mcp.tools import McpTools

__all__ = ["is_mcp", "load", "load_live", "load_module", "reach_live", "split_namespace", "tools_in"]

_SHORT = {"demo": "dovetail.demo"}
_NAMESPACED = re.compile(r"([A-Za-z_][A-Za-z0-9_.-]*)=(.+)")


def load(spec: str | Path) -> list[Tool]:
    """The tools that a SPEC stands for, in the order in which they were written.

    Args:
        spec: ``demo``; a module; ``module:name``, where the name is that of a tool, a function, or a list of
            them; a path to a ``.py`` file, with or without ``:name``; a path to a ``.json`` file in MCP's
            Tool shape; any of these behind a namespace and ``=``. Those of MCP servers are for `load_live`.

    Raises:
        UsageError: there is no such module, file or name, importing it fails, or it has no tools; the message
            names the SPEC and the remedy.
        ToolDefinitionError: a function or an entry of the file cannot be a tool.
    """
    text = str(spec)
    namespace, text = split_namespace(text)
    if namespace is not None:
        return [replace(one, name=f"{namespace}.{one.name}") for one in load(text)]
    if text.endswith(".json"):
        return read_tools(Path(text))
    place, name = _split(text)
    module = load_module(place, text)
    return tools_in(module, text) if name is None else _named(module, name, text)


def load_live(spec: str) -> list[McpTools]:
    """The MCP servers that a SPEC stands for, their tools listed: ``mcp:COMMAND``, ``mcp:URL``, a ``.toml`` file.

    Blocks until they are.

    Raises:
        UsageError: the SPEC cannot be read, a server cannot be reached, or the extra is not installed.
    """
    return _mcp(spec).load_mcp(spec)  # type: ignore[no-any-return]  # imported late


async def reach_live(spec: str) -> list[McpTools]:
    """What `load_live` gives, without blocking the event loop.

    Raises:
        UsageError: the SPEC cannot be read, a server cannot be reached, or the extra is not installed.
    """
    return await _mcp(spec).reach_mcp(spec)  # type: ignore[no-any-return]  # imported late


def _mcp(spec: str) -> ModuleType:
    # Imported here because most do without, and it is an extra.
    try:
        return importlib.import_module("dovetail.mcp.tools")
    except ModuleNotFoundError as error:
        raise UsageError(f"tools {spec}: MCP needs the extra mcp: pip install 'dovetail[mcp]' ({error})") from error


def is_mcp(spec: str) -> bool:
    """Whether a SPEC names MCP servers."""
    return spec.startswith("mcp:") or spec.endswith(".toml")


def split_namespace(spec: str) -> tuple[str | None, str]:
    """The namespace of a SPEC, if it has one, and the rest of it."""
    found = _NAMESPACED.fullmatch(spec)
    return (found[1], found[2]) if found and not Path(spec).exists() else (None, spec)


def load_module(place: str, spec: str | None = None) -> ModuleType:
    """Import the module or the ``.py`` file that a SPEC names, without its ``:name``.

    A file is imported once, under a name of its own; its imports are looked for in its folder first.

    Raises:
        UsageError: there is none, or importing it fails; the message says where.
    """
    spec = spec or place
    if place.endswith(".py"):
        return _import_file(Path(place), spec)
    if not place or not all(part.isidentifier() for part in place.split(".")):
        raise UsageError(
            f"tools {spec}: neither a module nor a path that ends in .py or .json; give "
            "'demo', 'package.module', 'package.module:name', 'tools.py', 'tools.json' or 'mcp:COMMAND'"
        )
    return _import_module(_SHORT.get(place, place), spec)


def tools_in(module: ModuleType, spec: str) -> list[Tool]:
    """The tools of a module: those in its ``TOOLS``, or else each one at its top level.

    Args:
        module: the module.
        spec: what it was asked for by, for error messages.

    Raises:
        UsageError: it has none.
        ToolDefinitionError: something in ``TOOLS`` cannot be a tool.
    """
    if hasattr(module, "TOOLS"):
        return _as_tools(module.TOOLS, spec, "TOOLS")
    # One tool under two names is one tool.
    found = list({id(value): value for value in vars(module).values() if isinstance(value, Tool)}.values())
    if not found:
        raise UsageError(
            f"tools {spec}: the module {module.__name__} has no tools; put @tool above its functions, "
            f"or name one: {spec}:function"
        )
    return found


def _split(text: str) -> tuple[str, str | None]:
    place, colon, name = text.rpartition(":")
    # The colon of a drive is followed by a path, and a name is an identifier.
    if colon and name.isidentifier():
        return place, name
    return text, None


def _named(module: ModuleType, name: str, spec: str) -> list[Tool]:
    if not hasattr(module, name):
        public = [key for key in vars(module) if not key.startswith("_")]
        tools = [key for key in public if isinstance(getattr(module, key), Tool)]
        near = difflib.get_close_matches(name, public, n=3) or tools
        remedy = f"; did you mean {' or '.join(near)}?" if near else ""
        raise UsageError(f"tools {spec}: {module.__name__} has no {name!r}{remedy}")
    return _as_tools(getattr(module, name), spec, name)


def _as_tools(value: Any, spec: str, name: str) -> list[Tool]:
    if isinstance(value, Tool):
        return [value]
    if callable(value):
        return [tool(value)]
    if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping):
        return [one for item in value for one in _as_tools(item, spec, name)]
    raise UsageError(
        f"tools {spec}: {name} is or holds a {type(value).__name__}, which is no tool; "
        "a tool, a function or a list of them is needed"
    )


def _import_module(name: str, spec: str) -> ModuleType:
    def find() -> ModuleType:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if not _is_part(error.name, name) or (here := str(Path.cwd())) in sys.path:
                raise
            # A console script does not have the current folder on its path; who names a module expects it.
            sys.path.append(here)
            importlib.invalidate_caches()
            return importlib.import_module(name)

    try:
        return _importing(find, spec, name)
    except ModuleNotFoundError as error:
        file = name.replace(".", "/") + ".py"
        remedy = f"; for a file, give its path: {file}" if Path(file).exists() else ""
        raise UsageError(
            f"tools {spec}: there is no module {error.name!r}; install it, or run where it is{remedy}"
        ) from error


def _import_file(path: Path, spec: str) -> ModuleType:
    if not path.is_file():
        raise UsageError(f"tools {spec}: there is no file {path}")
    path = path.resolve()
    name = f"{FILE_MODULE}{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    found = importlib.util.spec_from_file_location(name, path)
    if found is None or found.loader is None:
        raise UsageError(f"tools {spec}: {path} is no Python file")
    loader = found.loader
    module = importlib.util.module_from_spec(found)
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))

    def run() -> ModuleType:
        loader.exec_module(module)
        return module

    # Types are resolved through here, by pydantic and by pickle.
    sys.modules[name] = module
    try:
        return _importing(run, spec, None)
    except BaseException:
        del sys.modules[name]
        raise


def _importing(action: Callable[[], ModuleType], spec: str, wanted: str | None) -> ModuleType:
    try:
        return action()
    except ModuleNotFoundError as error:
        if wanted is not None and _is_part(error.name, wanted):
            raise
        raise _import_error(error, spec) from error
    except UsageError as error:  # a tool in it cannot be one: its message is good, only the place is missing
        raise ToolDefinitionError(f"tools {spec}: {_place(error)}{error}") from error
    except (Exception, SystemExit) as error:
        raise _import_error(error, spec) from error


def _is_part(missing: str | None, wanted: str) -> bool:
    """Whether the module that is missing is the one asked for, or a package that it is in."""
    return missing is not None and (wanted == missing or wanted.startswith(missing + "."))


def _import_error(error: BaseException, spec: str) -> UsageError:
    return UsageError(f"tools {spec}: importing it fails: {_place(error)}{type(error).__name__}: {error}")


def _place(error: BaseException) -> str:
    """Where in the user's code an import failed."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}, line {error.lineno}: "
    ours = str(Path(__file__).parent)
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(("<frozen", ours)) and frame.filename != importlib.__file__
    ]
    return f"{frames[-1].filename}, line {frames[-1].lineno}: " if frames else ""
