"""The schema that an answer must fit: the answer is then JSON, and checked by the same validator as arguments."""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, cast

from pydantic import PydanticSchemaGenerationError, PydanticUserError, TypeAdapter, ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic_core import from_json

from dovetail import _core
from dovetail.errors import UsageError
from dovetail.failure_text import bounded

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["AnswerError", "AnswerSchema", "member_text", "moved", "read_answer_schema"]

MAX_SCHEMA_BYTES: Final = 64 * 1024

_TOOL: Final = "answer"
_MOST_MESSAGE: Final = 500
# What stands there is data and not a schema.
_DATA: Final = frozenset({"const", "default", "enum", "examples"})


class AnswerError(Exception):
    """An answer does not fit; the message names the path, and says what was found there."""


class AnswerSchema:
    """A schema of answers.

    Args:
        schema: a JSON Schema, as a mapping or as text; or a type, which answers are then given back as: a pydantic
            model, a dataclass, a ``TypedDict``, ``list[int]``.

    Attributes:
        json: the JSON Schema, as compact text.

    Raises:
        UsageError: it is no JSON Schema, does not compile, or is larger than 64 KiB; or the type has no schema.
    """

    __slots__ = ("__dict__", "_type", "json", "schema")

    def __init__(self, schema: Mapping[str, Any] | str | bool | type | Any) -> None:
        self._type: TypeAdapter[Any] | None = None
        if isinstance(schema, str):
            try:
                schema = json.loads(schema)
            except ValueError as error:
                raise UsageError(f"the answer schema is no JSON: {error}") from None
            if not isinstance(schema, dict | bool):
                raise UsageError("the answer schema is no JSON Schema: it must be an object or a boolean")
        if not isinstance(schema, dict | bool):
            try:
                self._type = TypeAdapter[Any](cast("Any", schema))
                schema = self._type.json_schema()
            except (PydanticSchemaGenerationError, PydanticUserError, PydanticInvalidForJsonSchema) as error:
                reason = str(error).partition("\n")[0]
                raise UsageError(f"the answer schema {schema!r} is no type with a JSON Schema: {reason}") from None
        self.schema: dict[str, Any] | bool = schema
        self.json = json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
        if (size := len(self.json.encode(errors="replace"))) > MAX_SCHEMA_BYTES:
            raise UsageError(f"the answer schema has {size:,} bytes; at most {MAX_SCHEMA_BYTES:,}")
        _ = self._checker

    @cached_property
    def _checker(self) -> _core.ToolSet:
        """A tool that takes an answer: the core's validator is that of arguments."""
        wrapped = {
            "type": "object",
            "properties": {_TOOL: moved(self.schema, f"#/properties/{_TOOL}")},
            "required": [_TOOL],
        }
        try:
            return _core.ToolSet(json.dumps([{"name": _TOOL, "inputSchema": wrapped}]))
        except ValueError as error:
            message = (
                str(error).rpartition("is no schema that can be compiled: ")[2].replace(f"/properties/{_TOOL}", "#")
            )
            raise UsageError(f"the answer schema does not compile: {bounded(message)}") from None

    def check(self, text: str) -> str:
        """Check an answer; returns it as compact JSON.

        Args:
            text: the answer, as JSON; a code fence around it is taken off.

        Raises:
            AnswerError: it is no JSON, or does not fit.
        """
        text = _without_code_fence(text)
        try:
            from_json(text, allow_inf_nan=False)
        except ValueError as error:
            raise AnswerError(f"the answer is no JSON: {error}") from None
        try:
            self._checker.check(_TOOL, f'{{"{_TOOL}":{text}}}')
        except ValueError as error:
            raise AnswerError(bounded(str(error).removeprefix("argument "), _MOST_MESSAGE)) from None
        if self._type is not None:
            try:
                self._type.validate_json(text)
            except ValidationError as error:  # a type may demand what a schema cannot say
                found = error.errors(include_url=False, include_input=False)[0]
                path = ".".join([_TOOL, *map(str, found["loc"])])
                raise AnswerError(bounded(f"{path}: {found['msg']}", _MOST_MESSAGE)) from None
        return _compact(text)

    def with_citations(self) -> AnswerSchema:
        """The schema of an answer and the tasks that it cites, beside it: ``{"answer": …, "cited_tasks": [1, 3]}``."""
        cited = {"type": "array", "items": {"type": "integer"}}
        properties = {_TOOL: moved(self.schema, f"#/properties/{_TOOL}"), "cited_tasks": cited}
        return AnswerSchema({"type": "object", "properties": properties, "required": list(properties)})

    def read(self, answer: str) -> Any:
        """A checked answer as a Python value: of the type, if the schema was made from one."""
        return json.loads(answer) if self._type is None else self._type.validate_json(answer)


def read_answer_schema(file: Path) -> AnswerSchema:
    """Read the JSON Schema of a file.

    Raises:
        UsageError: the file cannot be read, or what it holds cannot be used.
    """
    try:
        return AnswerSchema(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file}: the file cannot be read: {error}") from error
    except UsageError as error:
        raise UsageError(f"{file}: {error}") from error


def member_text(text: str, name: str) -> str:
    """The text of a member of a JSON object without spaces, as it is written there.

    Raises:
        KeyError: the object has no such member.
    """
    decoder, place = json.JSONDecoder(), 1
    while place < len(text):
        key, colon = decoder.raw_decode(text, place)
        _, end = decoder.raw_decode(text, colon + 1)
        if key == name:
            return text[colon + 1 : end]
        place = end + 1
    raise KeyError(name)


def moved(schema: Any, root: str) -> Any:
    """The schema, to stand elsewhere in another: references to its own root lead there."""
    if isinstance(schema, list):
        return [moved(one, root) for one in schema]
    if not isinstance(schema, dict) or isinstance(schema.get("$id"), str):
        return schema  # one with a name of its own is a root wherever it stands
    return {
        key: root + value[1:]
        if key == "$ref" and isinstance(value, str) and value.startswith("#")
        else (value if key in _DATA else moved(value, root))
        for key, value in schema.items()
    }


def _without_code_fence(text: str) -> str:
    text = text.strip()
    if text.startswith("```") and text.endswith("```") and len(text) > len("``````"):
        first, newline, rest = text.removesuffix("```").partition("\n")
        return rest.strip() if newline else first.removeprefix("```").strip()
    return text


def _compact(text: str) -> str:
    """JSON without spaces between its parts; numbers stay as they are written."""
    parts: list[str] = []
    in_string = escaped = False
    for character in text:
        if in_string:
            in_string = escaped or character != '"'
            escaped = character == "\\" and not escaped
        elif character in " \t\r\n":
            continue
        else:
            in_string = character == '"'
        parts.append(character)
    return "".join(parts)
