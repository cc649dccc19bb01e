"""A grammar from a tool set: plans in which only values, references and the order of tools are the model's to choose.

Ids are unrolled, one rule per task, so that a bare reference can only name an earlier task. A string is one opaque,
bounded terminal: without a bound a small model writes on until it is cut off. What a schema says and a grammar cannot
is left to the plan machine, which checks every argument anyway.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, TypeAlias

from dovetail.models.protocol import Grammar

__all__ = ["ToolShape", "plan_grammar"]

ToolShape: TypeAlias = Mapping[str, Any]
"""A tool in MCP's shape: ``name``, ``description``, ``inputSchema`` and perhaps ``outputSchema``."""

_MAX_STRING: Final = 120
_MAX_ITEMS: Final = 8
_MAX_DEPTH: Final = 4
_ANY: Final = frozenset({"string", "integer", "number", "boolean", "null", "array", "object"})

# Nesting of free literals is unrolled like the ids: with a recursive rule a small model opens brackets for ever.
_TERMINALS: Final = rf"""string ::= "\"" char{{0,{_MAX_STRING}}} "\""
char ::= [^"\\\x00-\x1F\x7F] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{{4}})
natural ::= "0" | [1-9] [0-9]{{0,17}}
integer ::= "-"? natural
number ::= integer ("." [0-9]{{1,15}})? ([eE] [-+]? [0-9]{{1,2}})?
boolean ::= "true" | "false"
null ::= "null"
scalar ::= string | number | boolean | null
list ::= "[" (scalar (", " scalar){{0,{_MAX_ITEMS - 1}}})? "]"
pair ::= string ": " (scalar | list)
object ::= "{{" (pair (", " pair){{0,{_MAX_ITEMS - 1}}})? "}}"
item ::= scalar | list | object
member ::= string ": " item
items ::= "[" (item (", " item){{0,{_MAX_ITEMS - 1}}})? "]"
members ::= "{{" (member (", " member){{0,{_MAX_ITEMS - 1}}})? "}}"
json ::= scalar | items | members
path ::= ("." [a-zA-Z_] [a-zA-Z0-9_]{{0,39}} | "[" [0-9]{{1,3}} "]"){{0,3}}
"""


def plan_grammar(
    tools: Sequence[ToolShape],
    *,
    max_tasks: int = 16,
    first_id: int = 1,
    earlier_ids: Iterable[int] = (),
    thought: bool = False,
) -> Grammar:
    """The grammar of the plans that may be written with these tools.

    Required arguments are positional and in the schema's order, optional ones follow as ``name=value``. The plan ends
    with ``join()`` or ``join($k)``. The same tool set gives the same text, and is compiled once.

    Args:
        tools: the tools, in MCP's shape.
        max_tasks: how many tasks the plan may have.
        first_id: the id of its first task.
        earlier_ids: tasks of earlier plans that may be referred to.
        thought: whether one line ``Thought: …`` may come first.

    Raises:
        ValueError: there is no tool, ``max_tasks`` is less than 1, or an earlier id is not less than ``first_id``.
    """
    earlier = tuple(sorted(set(earlier_ids)))
    if not tools:
        raise ValueError("a plan grammar needs at least one tool")
    if max_tasks < 1:
        raise ValueError(f"max_tasks must be at least 1, not {max_tasks}")
    if earlier and earlier[-1] >= first_id:
        raise ValueError(f"earlier task {earlier[-1]} is not earlier than the first id {first_id}")
    # Arguments are positional in the order of their properties: keys keep the order in which the schema has them.
    canonical = json.dumps(
        [{key: tool[key] for key in ("name", "inputSchema", "outputSchema") if key in tool} for tool in tools],
        separators=(",", ":"),
    )
    return _compile(canonical, max_tasks, first_id, earlier, thought)


@lru_cache(maxsize=64)
def _compile(tools: str, max_tasks: int, first_id: int, earlier: tuple[int, ...], thought: bool) -> Grammar:
    shapes: list[dict[str, Any]] = json.loads(tools)
    produced = frozenset[str]().union(*(_output_types(shape) for shape in shapes))
    path = " path" if produced & {"array", "object"} else ""
    rules = [f"root ::= {_THOUGHT if thought else ''}plan"]
    # A first plan without a task would answer nothing; a later one may find that the outputs suffice.
    rules.append(f"plan ::= t{first_id}" + (f" | join{first_id}" if earlier else ""))
    if earlier:
        rules.append(_join(first_id, earlier))
    writer = _Writer(produced)
    referable = list(earlier)
    last_id = first_id + max_tasks - 1
    for task_id in range(first_id, last_id + 1):
        writer.reference = f"ref{task_id}" if referable else None
        if referable:
            rules.append(f"ref{task_id} ::= {_reference(referable)}{path}")
        rules.append(f"call{task_id} ::= {' | '.join(writer.call(shape) for shape in shapes)}")
        referable.append(task_id)
        goes_on = f"t{task_id + 1} | " if task_id < last_id else ""
        rules.append(f't{task_id} ::= "{task_id}. " call{task_id} "\\n" ({goes_on}join{task_id + 1})')
        rules.append(_join(task_id + 1, referable))
    rules.extend(f"{name} ::= {text}" for text, name in writer.shared.items())
    return Grammar("gbnf", "\n".join(rules) + "\n" + _TERMINALS)


_THOUGHT: Final = r'("Thought: " [^\n]{1,120} "\n")? '


def _join(task_id: int, referable: Sequence[int]) -> str:
    return f'join{task_id} ::= "{task_id}. join(" ({_reference(referable)})? ")"'


def _reference(ids: Sequence[int]) -> str:
    return f'"$" ({" | ".join(_literal(str(task_id)) for task_id in ids)})'


def _output_types(shape: Mapping[str, Any]) -> frozenset[str]:
    schema = shape.get("outputSchema")
    return _types(schema, schema, 0) if isinstance(schema, dict) else _ANY


@dataclass(slots=True)
class _Writer:
    """Writes calls and values as GBNF expressions."""

    produced: frozenset[str]
    """The JSON types that the outputs of these tools can have."""
    reference: str | None = None
    """The rule of the references that may be written at present."""
    shared: dict[str, str] = field(default_factory=dict)
    """Expressions that are the same for every task, and the names of their rules."""

    def call(self, shape: Mapping[str, Any]) -> str:
        schema = shape.get("inputSchema")
        root = schema if isinstance(schema, dict) else {}
        required, optional = _properties(root)
        # Positions count all properties: behind an optional one, a required one must be named.
        order = list(root.get("properties", {}))
        leading = [pair for index, pair in enumerate(required) if order[index] == pair[0]]
        behind = required[len(leading) :]
        positional = [self.value(value, root, 0) for _, value in leading]
        positional += [self._named(name, value, root) for name, value in behind]
        named = [self._named(name, value, root) for name, value in optional if name.isidentifier()]
        arguments = _sequence(positional, named)
        return " ".join(part for part in (_literal(f"{shape['name']}("), arguments, '")"') if part)

    def _named(self, name: str, schema: Any, root: Mapping[str, Any]) -> str:
        return f"{_literal(name + '=')} {self.value(schema, root, 0)}"

    def value(self, schema: Any, root: Mapping[str, Any], depth: int) -> str:
        """An expression for the values of a schema, references among them where an output can fit."""
        literal = self._literal_value(schema, root, depth)
        if self.reference is None or not self._may_refer(_types(schema, root, 0)):
            return literal
        return f"({self.reference} | {literal})"

    def _may_refer(self, accepted: frozenset[str]) -> bool:
        # Where only a string fits, a reference is written inside it ("$1"): the machine knows what that means, and a
        # small model that is offered a bare one there takes it too readily.
        accepted -= {"string"}
        if "number" in accepted:
            accepted |= {"integer"}
        # What is inside an array or an object is reached by a path: it can be of any type.
        return bool(accepted) and bool(self.produced & (accepted | {"array", "object"}))

    def _literal_value(self, schema: Any, root: Mapping[str, Any], depth: int) -> str:
        schema = _resolved(schema, root)
        if not isinstance(schema, dict) or depth > _MAX_DEPTH:
            return "json"
        if "const" in schema:
            return self._choice([schema["const"]])
        if isinstance(schema.get("enum"), list) and schema["enum"]:
            return self._choice(schema["enum"])
        branches = _branches(schema)
        if branches is not None:
            return f"({' | '.join(self._literal_value(branch, root, depth + 1) for branch in branches)})"
        match schema.get("type"):
            case "string" | "boolean" | "null" as name:
                return self._string(schema) if name == "string" else name
            case "integer" | "number" as name:
                whole = name == "integer" and isinstance(schema.get("minimum"), int) and schema["minimum"] >= 0
                return "natural" if whole else name
            case "array" if isinstance(schema.get("items"), dict):
                return self._array(schema, root, depth)
            case "object" if isinstance(schema.get("properties"), dict):
                return self._object(schema, root, depth)
            case _:
                return "json"

    def _choice(self, values: Sequence[Any]) -> str:
        text = " | ".join(_literal(json.dumps(value, ensure_ascii=False)) for value in values)
        return self.shared.setdefault(text, f"choice{len(self.shared) + 1}")

    def _string(self, schema: Mapping[str, Any]) -> str:
        least, most = _bounds(schema, "minLength", "maxLength", _MAX_STRING)
        if (least, most) == (0, _MAX_STRING):
            return "string"
        text = rf'"\"" char{{{least},{most}}} "\""'
        return self.shared.setdefault(text, f"string{len(self.shared) + 1}")

    def _array(self, schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> str:
        least, most = _bounds(schema, "minItems", "maxItems", _MAX_ITEMS)
        if most == 0:
            return '"[]"'
        item = self.value(schema["items"], root, depth + 1)
        items = f'{item} (", " {item}){{{max(least - 1, 0)},{most - 1}}}'
        return f'("[" {items} "]")' if least else f'("[" ({items})? "]")'

    def _object(self, schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> str:
        required, optional = _properties(schema)
        members = [
            f"{_literal(json.dumps(name, ensure_ascii=False) + ': ')} {self.value(value, root, depth + 1)}"
            for name, value in (*required, *optional)
        ]
        inner = _sequence(members[: len(required)], members[len(required) :])
        return f'("{{" {inner} "}}")' if inner else '"{}"'


def _sequence(required: Sequence[str], optional: Sequence[str]) -> str:
    """Items between commas: the required ones, then any of the optional ones, all in their order."""
    text = ' ", " '.join(required)
    if required:
        return text + "".join(f' (", " {item})?' for item in optional)
    for index in range(len(optional) - 1, -1, -1):
        # Written from the back: each optional item may be the first, and then needs no comma before it.
        rest = "".join(f' (", " {item})?' for item in optional[index + 1 :])
        text = f"{optional[index]}{rest}" + (f" | {text}" if text else "")
    return f"({text})?" if text else ""


def _properties(schema: Mapping[str, Any]) -> tuple[list[tuple[str, Any]], list[tuple[str, Any]]]:
    properties = schema.get("properties")
    needed = schema.get("required", ())
    required: list[tuple[str, Any]] = []
    optional: list[tuple[str, Any]] = []
    for name, value in properties.items() if isinstance(properties, dict) else ():
        (required if name in needed else optional).append((name, value))
    return required, optional


def _branches(schema: Mapping[str, Any]) -> list[Any] | None:
    for key in ("anyOf", "oneOf"):
        if isinstance(schema.get(key), list) and 0 < len(schema[key]) <= _MAX_ITEMS:
            return list(schema[key])
    if isinstance(schema.get("allOf"), list) and len(schema["allOf"]) == 1:
        return list(schema["allOf"])
    if isinstance(schema.get("type"), list) and schema["type"]:
        return [{**schema, "type": name} for name in schema["type"]]
    return None


def _resolved(schema: Any, root: Mapping[str, Any]) -> Any:
    for _ in range(_MAX_DEPTH):
        if not isinstance(schema, dict) or not isinstance(schema.get("$ref"), str):
            return schema
        found: Any = root
        for part in schema["$ref"].removeprefix("#").strip("/").split("/"):
            found = found.get(part) if isinstance(found, dict) else None
        schema = found
    return None


def _types(schema: Any, root: Mapping[str, Any], depth: int) -> frozenset[str]:
    """The JSON types that a schema takes; all of them where it does not say."""
    schema = _resolved(schema, root)
    if not isinstance(schema, dict) or depth > _MAX_DEPTH:
        return _ANY
    literals = [schema["const"]] if "const" in schema else schema.get("enum")
    if isinstance(literals, list):
        return frozenset(_type_of(value) for value in literals)
    branches = _branches(schema)
    if branches is not None:
        return frozenset[str]().union(*(_types(branch, root, depth + 1) for branch in branches))
    name = schema.get("type")
    return frozenset({name}) if name in _ANY else _ANY


def _type_of(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def _bounds(schema: Mapping[str, Any], least: str, most: str, limit: int) -> tuple[int, int]:
    low, high = (schema.get(key) for key in (least, most))
    lower = low if isinstance(low, int) and 0 <= low <= limit else 0
    upper = high if isinstance(high, int) and 0 <= high <= limit else limit
    return lower, max(lower, upper)


def _literal(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'
