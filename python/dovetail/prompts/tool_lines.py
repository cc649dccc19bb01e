"""Tools as models that write calls are shown them: a line for each, short, but with all that a call needs."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from dovetail.prompts.observations import bounded_line
from dovetail.tool_arguments import arguments_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dovetail.grammar import ToolShape

__all__ = ["tool_line", "tools_text"]

_MAX_CHOICES: Final = 12
_MAX_DEPTH: Final = 4
_MOST_TOLD: Final = 300

_WORD: Final = re.compile(r"[^\W_]+")
_FILLERS: Final = frozenset({"a", "an", "and", "for", "in", "is", "of", "or", "that", "the", "this", "to", "which"})
# What the type of a default says, so that it need not be written beside it.
_TOLD_BY_DEFAULT: Final = {"integer": int, "number": float, "boolean": bool, "string": str}
# Outputs of which these are the types say nothing that a plan could use.
_SAYS_NOTHING: Final = ("any", "object")
_LIST: Final = "list"
# As arguments are strings where nothing is said, so are the items of a list.
_LISTED: Final = ("any", "string")


def tools_text(tools: Sequence[ToolShape]) -> str:
    """The lines of the tools, in MCP's shape here. An argument without a type is a string, or like its default."""
    choices: dict[str, str] = {}
    lines = [tool_line(tool, choices) for tool in tools]
    lines += [f"{name} is one of {values[1:-1]}" for values, name in choices.items()]
    return "\n".join(lines)


def tool_line(tool: ToolShape, choices: dict[str, str] | None = None) -> str:
    """A tool on one line: ``search(query, limit=5): list. Finds pages. limit: the most to find``.

    Args:
        tool: the tool, in MCP's shape.
        choices: long enumerations (as JSON) and the names that stand for them; names are added to it. Without it a
            long enumeration is cut off.
    """
    schema = tool.get("inputSchema")
    root: dict[str, Any] = schema if isinstance(schema, dict) else {}
    properties, required, _ = arguments_of(root)
    arguments = [
        _argument(name, value, _Types(root, name, choices), name in required) for name, value in properties.items()
    ]
    output = tool.get("outputSchema")
    returned = _Types(output, "output", choices).text(output) if isinstance(output, dict) else "any"
    line = f"{tool['name']}({', '.join(arguments)})" + ("" if returned in _SAYS_NOTHING else f": {returned}")
    described = " ".join(str(tool.get("description") or "").split())
    told = "; ".join(_told(f"{tool['name']} {described}", properties, output))
    # A line ends without a full stop: each is a token.
    return ". ".join(part.removesuffix(".") for part in (line, described, told) if part)


def _told(known: str, properties: Mapping[str, Any], output: Any) -> list[str]:
    """What schemas say of arguments and of the output, but for what is known of the tool without them."""
    words = _words(known) | _FILLERS
    told: dict[str, list[str]] = {}
    for name, schema in properties.items():
        said = _said(schema)
        # "The name of the city", of the name of get_city, tells nothing.
        if not _words(said) <= words | _words(name):
            told.setdefault(said, []).append(name)
    returned = _said(output)
    if not _words(returned) <= words.union(*map(_words, told)):
        told.setdefault(returned, []).append("returns")
    return [f"{', '.join(names)}: {said}" for said, names in told.items()]


def _said(schema: Any) -> str:
    said = schema.get("description") if isinstance(schema, dict) else None
    return bounded_line(said, _MOST_TOLD).removesuffix(".") if isinstance(said, str) else ""


def _words(text: str) -> set[str]:
    return {word.lower() for word in _WORD.findall(text)}


def _argument(name: str, schema: Any, types: _Types, required: bool) -> str:
    if required:
        return _typed(name, types.text(schema))
    default = schema.get("default") if isinstance(schema, dict) else None
    if default is None:
        return _typed(name, types.text(schema).removesuffix("|null")) + "=null"
    if (choices := types.choices_from(schema, default)) is not None:
        return f"{name}={choices}"
    kind = types.text(schema)
    written = json.dumps(default, ensure_ascii=False)
    if type(default) is _TOLD_BY_DEFAULT.get(kind):
        return f"{name}={written}"
    return f"{name}: {kind}={written}"


def _typed(name: str, kind: str) -> str:
    return name if kind == "string" else f"{name}: {kind}"


class _Types:
    """Says in short what a schema takes."""

    def __init__(self, root: dict[str, Any], place: str, choices: dict[str, str] | None) -> None:
        self._definitions = {**(root.get("definitions") or {}), **(root.get("$defs") or {})}
        self._place = place
        self._choices = choices

    def text(self, schema: Any, depth: int = 0) -> str:
        if not isinstance(schema, dict) or depth > _MAX_DEPTH:
            return "any"
        if isinstance(schema.get("$ref"), str):
            return self.text(self._definitions.get(schema["$ref"].rsplit("/", 1)[-1]), depth + 1)
        if isinstance(schema.get("enum"), list):
            return self._enumeration(schema["enum"])
        if "const" in schema:
            return json.dumps(schema["const"], ensure_ascii=False)
        if isinstance(schema.get("allOf"), list) and len(schema["allOf"]) == 1:
            return self.text(schema["allOf"][0], depth + 1)
        for key in ("anyOf", "oneOf"):
            if isinstance(schema.get(key), list):
                return _alternatives([self.text(branch, depth + 1) for branch in schema[key][:_MAX_CHOICES]])
        kind = schema.get("type")
        if isinstance(kind, list):
            return _alternatives([_LIST if name == "array" else str(name) for name in kind])
        if kind == "array":
            items = self.text(schema.get("items"), depth + 1)
            return _LIST if items in _LISTED else f"[{items}]"
        if kind == "object" and isinstance(schema.get("properties"), dict):
            members = (f"{name}: {self.text(value, depth + 1)}" for name, value in schema["properties"].items())
            return "{" + ", ".join(members) + "}"
        return kind if isinstance(kind, str) else "any"

    def choices_from(self, schema: Any, default: Any) -> str | None:
        """The constants of a short enumeration, its default first; None if it is none."""
        values = schema.get("enum")
        if not isinstance(values, list) or not 1 < len(values) <= _MAX_CHOICES or default not in values:
            return None
        at = values.index(default)
        return _constants([values[at], *values[:at], *values[at + 1 :]])

    def _enumeration(self, values: list[Any]) -> str:
        if len(values) > _MAX_CHOICES and self._choices is not None:
            # Said once, however many arguments take it: a list of countries would bury the tools.
            name = "".join(word.capitalize() for word in self._place.split("_"))
            taken = sum(used.rstrip("0123456789") == name for used in self._choices.values())
            return self._choices.setdefault(
                json.dumps(values, ensure_ascii=False), f"{name}{taken + 1 if taken else ''}"
            )
        return _constants(values[:_MAX_CHOICES]) + ("|…" if len(values) > _MAX_CHOICES else "")


def _constants(values: Sequence[Any]) -> str:
    return "|".join(json.dumps(value, ensure_ascii=False) for value in values)


def _alternatives(names: Sequence[str]) -> str:
    """What may stand there; an integer is a number and need not be said beside it."""
    return "|".join(dict.fromkeys(name for name in names if name != "integer" or "number" not in names))
