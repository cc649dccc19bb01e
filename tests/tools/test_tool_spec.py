"""A SPEC leads to tools, or to an error that says what to do."""

from __future__ import annotations

import sys
import uuid
from typing import TYPE_CHECKING

import pytest

from dovetail.errors import ToolDefinitionError, UsageError
from dovetail.tools import tool_spec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.anyio

_TOOLS = """
from dovetail.tools.definition import tool
from dovetail.builtin import math

@tool
def zebra(x: int) -> int:
    return x

@tool
async def ant() -> None: ...

def plain(word: str) -> str:
    return word

both = [ant, plain]
number = 5
"""


@pytest.fixture(autouse=True)
def _path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith(("dovetail_tools_", "mod_")):
            del sys.modules[name]


def _write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def _module(tmp_path: Path, text: str) -> str:
    """A module in the current folder, under a name that no other test has."""
    name = f"mod_{uuid.uuid4().hex}"
    _write(tmp_path / f"{name}.py", text)
    return name


def _names(spec: str) -> list[str]:
    return [each.name for each in tool_spec.load(spec)]


def test_a_file_gives_every_tool_at_its_top_level_in_order(tmp_path: Path) -> None:
    assert _names(_write(tmp_path / "tools.py", _TOOLS)) == ["math", "zebra", "ant"]


def test_a_file_is_imported_once_and_beside_another_of_the_same_name(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    one = _write(tmp_path / "tools.py", _TOOLS)
    two = _write(tmp_path / "other" / "tools.py", _TOOLS.replace("zebra", "yak"))
    assert tool_spec.load(one)[1] is tool_spec.load(one)[1]
    assert _names(two)[1] == "yak"
    assert "tools" not in sys.modules


def test_a_file_finds_what_lies_beside_it_and_types_of_its_own(tmp_path: Path) -> None:
    name = _module(tmp_path, "LIMIT = 7")
    spec = _write(
        tmp_path / "tools.py",
        "from __future__ import annotations\n"
        "from pydantic import BaseModel\nfrom dovetail.tools.definition import tool\n"
        f"import {name}\n"
        "class Trip(BaseModel):\n    to: str\n"
        "@tool\ndef go(trip: Trip) -> int:\n"
        f"    return {name}.LIMIT\n",
    )
    assert _names(spec) == ["go"]


def test_a_module_of_the_current_folder_is_found(tmp_path: Path) -> None:
    assert _names(_module(tmp_path, _TOOLS)) == ["math", "zebra", "ant"]


def test_a_module_with_a_list_of_tools_gives_that_list(tmp_path: Path) -> None:
    assert _names(_module(tmp_path, _TOOLS + "\nTOOLS = [plain, zebra]")) == ["plain", "zebra"]


@pytest.mark.parametrize(("name", "names"), [("zebra", ["zebra"]), ("plain", ["plain"]), ("both", ["ant", "plain"])])
def test_a_name_is_a_tool_a_function_or_a_list(tmp_path: Path, name: str, names: list[str]) -> None:
    assert _names(f"{_module(tmp_path, _TOOLS)}:{name}") == names
    assert _names(f"{_write(tmp_path / 'tools.py', _TOOLS)}:{name}") == names


def test_the_builtin_tools_are_a_module() -> None:
    assert _names("dovetail.builtin") == ["ask", "math", "search"]
    assert _names("dovetail.builtin:search") == ["search"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("no_such_module", r"^tools no_such_module: there is no module 'no_such_module'; install it"),
        ("dovetail.nowhere", r"there is no module 'dovetail.nowhere'"),
        ("nowhere.py", r"^tools nowhere.py: there is no file nowhere.py"),
        ("nowhere.json", r"^nowhere.json: the file cannot be read: No such file"),
        ("two words", r"neither a module nor a path"),
        ("", r"neither a module nor a path"),
        ("json", r"the module json has no tools; put @tool above its functions, or name one: json:function"),
        ("dovetail.builtin:serch", r"dovetail.builtin has no 'serch'; did you mean search or search_in\?"),
        ("dovetail.builtin:zzz", r"dovetail.builtin has no 'zzz'; did you mean ask or math or search"),
    ],
)
def test_what_leads_nowhere_is_a_usage_error_with_a_remedy(spec: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        tool_spec.load(spec)


def test_a_file_named_as_a_module_is_pointed_at(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    _write(tmp_path / "sub" / "thing.py", _TOOLS)
    assert _names("sub/thing.py")
    with pytest.raises(UsageError, match="neither a module nor a path"):
        tool_spec.load("sub/thing")


def test_a_name_that_is_no_tool_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="number is or holds a int, which is no tool"):
        tool_spec.load(f"{_module(tmp_path, _TOOLS)}:number")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "x = 1\nx = 1 / 0\n",
            r"importing it fails: .*tools.py, line 2: ZeroDivisionError: division by zero",
        ),
        ("x = 1\n\ndef (:\n", r"importing it fails: .*tools.py, line 3: SyntaxError"),
        ("\nimport not_there_at_all\n", r"tools.py, line 2: ModuleNotFoundError: .*not_there_at_all"),
        ("import sys\nsys.exit(2)\n", r"tools.py, line 2: SystemExit: 2"),
        (
            "from dovetail.tools.definition import tool\n\n@tool\ndef f(x): ...\n",
            r"tools.py, line 3: tool 'f': parameter 'x'",
        ),
    ],
)
def test_what_fails_while_it_is_imported_names_the_file_and_the_line(tmp_path: Path, text: str, message: str) -> None:
    for _ in range(2):  # the second time, nothing half-imported is found
        with pytest.raises(UsageError, match=message):
            tool_spec.load(_write(tmp_path / "tools.py", text))


def test_a_module_that_imports_what_is_missing_is_not_itself_missing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"importing it fails: .*line 1: ModuleNotFoundError.*not_there_at_all"):
        tool_spec.load(_module(tmp_path, "import not_there_at_all\n"))


# --- JSON files -------------------------------------------------------------------------------------

_MCP = """{"tools": [{"name": "far", "description": "Far away.",
 "inputSchema": {"type": "object", "properties": {"x": {"type": "integer"}}},
 "outputSchema": {"type": "string"},
 "annotations": {"readOnlyHint": true, "idempotentHint": false, "title": "Far"},
 "_meta": {"dovetail/sequential": true, "other": 1}}]}"""


async def test_a_json_file_gives_specs_without_functions(tmp_path: Path) -> None:
    (far,) = tool_spec.load(_write(tmp_path / "tools.json", _MCP))
    assert (far.name, far.description, far.read_only, far.idempotent, far.destructive, far.sequential) == (
        "far", "Far away.", True, False, False, True,
    )  # fmt: skip
    assert far.to_mcp()["outputSchema"] == {"type": "string"}
    with pytest.raises(UsageError, match="'far' is a spec without a function"):
        await far.call("{}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "the file is no JSON"),
        ("5", "a list of tools is needed, or an object with such a list under 'tools'"),
        ('{"tools": {}}', "a list of tools is needed"),
        ("[]", "the list of tools is empty"),
        ("[5]", "tool 1 is a int; an object is needed"),
        ('[{"inputSchema": {}}]', "tool 1 has no 'name'"),
        ('[{"name": 5}]', "tool 1: 'name' is a int; a str is needed"),
        (
            '[{"name": "a", "inputSchema": {"type": "object"}}, {"name": "b"}]',
            r"tool 2 \(b\) has no 'inputSchema'",
        ),
        ('[{"name": "a", "inputSchema": []}]', r"tool 1 \(a\): 'inputSchema' is a list; a dict is needed"),
        ('[{"name": "a b", "inputSchema": {"type": "object"}}]', r"tool 1 \(a b\): tool 'a b': the name"),
    ],
)
def test_a_json_file_that_has_no_tools_says_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        tool_spec.load(_write(tmp_path / "tools.json", text))


def test_a_broken_entry_is_a_tool_definition_error(tmp_path: Path) -> None:
    with pytest.raises(ToolDefinitionError):
        tool_spec.load(_write(tmp_path / "tools.json", "[5]"))
