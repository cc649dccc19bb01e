"""Tools chosen by their names: namespaces, patterns, what is allowed and what is denied."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dovetail.errors import ToolDefinitionError, UsageError
from dovetail.prompts.examples import gather_examples
from dovetail.settings import load_settings
from dovetail.tools.definition import Tool
from dovetail.tools.tool_names import ToolFilter
from dovetail.tools.tool_set import ToolSet

if TYPE_CHECKING:
    from pathlib import Path


def tools(*names: str) -> ToolSet:
    return ToolSet(Tool(name, "", {"type": "object"}) for name in names)


EVERY = tools("db.query", "db.drop", "search", "mail.send")


def test_a_namespace_stands_before_the_name_and_changes_nothing_else() -> None:
    async def query(sql: str) -> str:
        """Asks."""
        return sql

    (made,) = ToolSet.of([query]).under("db")
    assert (made.name, made.description, made.function) == ("db.query", "Asks.", query)
    assert ToolSet([made]).under("eu").names == ["eu.db.query"]


@pytest.mark.parametrize("namespace", ["", "1", "a b", "x" * 128])
def test_a_namespace_that_makes_no_name_is_refused(namespace: str) -> None:
    with pytest.raises(ToolDefinitionError, match="the name must be"):
        tools("query").under(namespace)


def test_what_is_denied_is_denied_in_whatever_order_it_is_said() -> None:
    expected = ["db.query", "search"]
    assert EVERY.allow("db.*", "search").deny("db.drop").names == expected
    assert EVERY.deny("db.drop").allow("db.*", "search").names == expected
    assert EVERY.deny("db.drop").allow("db.drop").names == []
    assert ToolFilter(("db.drop",), ("db.*",)).passes("db.drop") is False


def test_patterns_are_those_of_shells_and_mind_the_case() -> None:
    assert EVERY.allow("?b.*").names == ["db.query", "db.drop"]
    assert EVERY.allow("[ms]*").names == ["search", "mail.send"]
    assert EVERY.allow("DB.*").names == []
    assert EVERY.deny("nothing.*").names == EVERY.names
    assert EVERY.allow().names == []


def test_a_name_that_does_not_exist_is_an_error_that_names_those_that_are_near() -> None:
    with pytest.raises(UsageError, match=r"deny: there is no tool 'db\.dorp'; did you mean db\.drop"):
        EVERY.deny("db.dorp")
    with pytest.raises(UsageError, match=r"allow: there is no tool 'zzz'; there are db\.query, db\.drop, search"):
        EVERY.allow("zzz")


def test_a_name_that_was_left_out_already_is_no_slip() -> None:
    assert EVERY.allow("search").deny("db.drop").names == ["search"]


def test_a_spec_may_have_a_namespace(tmp_path: Path) -> None:
    file = tmp_path / "far.json"
    file.write_text('[{"name": "far", "inputSchema": {"type": "object"}}]')
    assert ToolSet.of([f"db={file}"]).names == ["db.far"]
    assert ToolSet.of([f"db={file}", str(file)]).names == ["db.far", "far"]


def test_a_file_with_an_equals_sign_in_its_name_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a=b.json").write_text('[{"name": "far", "inputSchema": {"type": "object"}}]')
    assert ToolSet.of("a=b.json").names == ["far"]


def test_in_a_file_of_settings_the_path_behind_the_namespace_is_relative_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "d.toml").write_text('tools = ["db=t.py", "w=demo"]\n')
    assert load_settings(config="there/d.toml").tools == ("db=there/t.py", "w=demo")


def test_the_plans_of_a_module_are_not_shown_where_its_tools_have_other_names() -> None:
    assert gather_examples(["demo"], [])
    assert gather_examples(["d=demo"], []) == []
