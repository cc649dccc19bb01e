"""A value that a model is asked for because a later task takes it: it has to fit the schema of that place."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from dovetail.answer_schema import AnswerError, AnswerSchema, moved
from dovetail.builtin.value_reply import ValueReplyError, in_reply
from dovetail.errors import UsageError
from dovetail.grammar.answer_form import answer_form
from dovetail.grammar.value import value_grammar
from dovetail.models.protocol import Grammar
from dovetail.prompts.observations import cut_middle

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dovetail.builtin.value_reply import ValueKind
    from dovetail.models.protocol import GrammarDialect

__all__ = ["WantedValue"]

_NULL: Final[dict[str, Any]] = {"type": "null"}
_MOST_SHOWN: Final = 2_000
_KINDS: Final[dict[str, tuple[ValueKind, str]]] = {
    "number": ("number", "The value is a number."),
    "integer": ("number", "The value is a whole number."),
    "string": ("string", "The value is a string."),
    "boolean": ("boolean", "The value is true or false."),
}
# What plans take for a reference is written otherwise in their grammar, and so not in values.
_DOLLAR: Final = re.compile(r"\$[$0-9{]")


class WantedValue:
    """What the value has to be.

    Args:
        schema: the JSON Schema that it has to fit.

    Attributes:
        kind: what it is, if it can only be of one kind.
        words: that, as a model is told.
        json: the schema, as text.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = AnswerSchema(dict(schema))
        self.json = self._schema.json
        types = _types(schema)
        name = types[0] if len(types) == 1 else None
        self.kind: ValueKind | None = _KINDS[name][0] if name in _KINDS else None
        is_plain = not schema.keys() - {"type", "title", "description", "default", "$defs"}
        if is_plain and name in _KINDS:
            self.words = _KINDS[name][1]
        elif "enum" in schema and len(shown := _written(schema["enum"])) <= _MOST_SHOWN:
            self.words = f"The value is one of these: {shown[1:-1]}"
        else:
            self.words = f"The value is JSON that fits this schema: {cut_middle(self.json, _MOST_SHOWN)}"

    def grammar(self, dialect: GrammarDialect) -> Grammar:
        """The grammar of a reply with such a value, or with null.

        Raises:
            UsageError: it cannot be written in this notation.
        """
        if dialect == "json_schema":
            form = answer_form(self.json)
            if form.is_quoted:
                raise UsageError("the schema of the value cannot be said in the subset that strict modes take")
            options = form.schema.get("anyOf", [form.schema])
            return Grammar(dialect, in_reply([*options, *([] if _NULL in options else [_NULL])]))
        if _DOLLAR.search(self.json):
            raise UsageError("the schema of the value has dollars, which grammars write as plans do")
        here = moved(self._schema.schema, "#/properties/value/anyOf/0")
        return value_grammar(dialect, in_reply([here, _NULL]))

    def read(self, value: Any) -> Any:
        """The value, checked.

        Raises:
            ValueReplyError: it does not fit; the message names the place.
        """
        text = json.dumps(value, ensure_ascii=False)
        try:
            return json.loads(self._schema.check(text))
        except AnswerError as error:
            first = error
        try:  # without the nulls that a strict schema makes a model write
            return json.loads(self._schema.check(answer_form(self.json).json(text)))
        except AnswerError:
            what = str(first).removeprefix("answer")
            raise ValueReplyError(f"the value does not fit where it goes{what}") from None


def _types(schema: Mapping[str, Any]) -> list[str]:
    """The types that a schema names, null aside; none if it names none."""
    named = schema.get("type")
    if named is None:
        options = schema.get("anyOf", schema.get("oneOf", []))
        found = [_types(option) for option in options if isinstance(option, dict)]
        return list(dict.fromkeys(name for one in found for name in one)) if all(map(_says, options)) else []
    return [name for name in ([named] if isinstance(named, str) else named) if name != "null"]


def _says(option: Any) -> bool:
    return isinstance(option, dict) and "type" in option


def _written(values: Any) -> str:
    return json.dumps(values, ensure_ascii=False)
