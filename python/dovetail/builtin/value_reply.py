"""A model asked for one value: the reply is JSON, by a grammar where the model takes one, and checked in any case."""

from __future__ import annotations

import json
import re
from contextlib import aclosing, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from pydantic_core import from_json

from dovetail.errors import DovetailError, ModelError
from dovetail.grammar.value import value_grammar
from dovetail.prompts.observations import bounded_line, cut_middle
from dovetail.runs.constrained import GRAMMAR_REFUSED, Constrained, Refusal
from dovetail.tools.call_failure import CallFailedError
from dovetail.v1 import Purpose

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from dovetail.builtin.wanted_value import WantedValue
    from dovetail.models.protocol import Grammar, GrammarDialect, Message, Model
    from dovetail.runs.dialects import Dialects

__all__ = ["NotSaidError", "ValueKind", "ValueReplyError", "asked_value", "in_reply"]

ValueKind = Literal["number", "string", "boolean", "list"]
"""What a value may be asked to be."""

_Read = TypeVar("_Read")

_TRIES: Final = 2
_MOST_TOKENS: Final = 1_024
_LONGEST_SHOWN: Final = 300
_SCALARS: Final = ["number", "string", "boolean"]
_TYPES: Final[dict[str | None, list[dict[str, Any]]]] = {
    "number": [{"type": "number"}],
    "string": [{"type": "string"}],
    "boolean": [{"type": "boolean"}],
    "list": [{"type": "array", "items": {"anyOf": [{"type": one} for one in _SCALARS]}}],
}
_TYPES[None] = [*({"type": one} for one in _SCALARS), *_TYPES["list"]]


def in_reply(options: Sequence[Any]) -> str:
    """The schema of a reply whose value fits one of these schemas, as text."""
    return json.dumps(
        {
            "type": "object",
            "properties": {"value": {"anyOf": list(options)}},
            "required": ["value"],
            "additionalProperties": False,
        }
    )


_SCHEMAS: Final = {kind: in_reply([*types, {"type": "null"}]) for kind, types in _TYPES.items()}
_NUMBER: Final = re.compile(r"[-\u2212+]?\d+(?:,\d{3})*(?:\.\d+)?(?:[eE][-+]?\d+)?")
_WORDS: Final = {"true": True, "yes": True, "false": False, "no": False}


class ValueReplyError(DovetailError):
    """A model did not give the value that it was asked for."""


class NotSaidError(DovetailError):
    """What the model was given does not say the value."""


async def asked_value(
    model: Model,
    messages: Sequence[Message],
    kind: ValueKind | WantedValue | None,
    read: Callable[[Any], _Read],
    known: Dialects | None = None,
) -> _Read:
    """Ask a model for a value; once more, if the reply is wrong.

    Args:
        model: the model.
        messages: what is asked; the reply has to be ``{"value": …}``, with null for what cannot be said.
        kind: what the value is, or has to fit; None for whichever of the kinds fits.
        read: makes what is wanted of the value, or raises a `ValueReplyError` that says what is wrong with it.
        known: which grammars the model takes, if nobody else remembers it: of the run's own model, the run does.

    Raises:
        NotSaidError: the model says that it cannot say.
        ValueReplyError: the model did not give such a value.
        CallFailedError: the model failed, or a budget of the run is used up.
        ModelError: the model failed, and is none of the run's.
    """
    chat = list(messages)
    grammar: Callable[[GrammarDialect], Grammar]
    value_in: Callable[[str], Any]
    if kind is None or isinstance(kind, str):
        schema, value_in = _SCHEMAS[kind], partial(_value_in, kind=kind)
        grammar = partial(value_grammar, schema=schema)
    else:
        schema, value_in = kind.json, partial(_fitting, wanted=kind)
        grammar = kind.grammar
    for tried in range(1, _TRIES + 1):
        reply = await _AskedReply(model, chat, grammar, known, schema).text()
        try:
            return read(value_in(reply))
        except ValueReplyError as error:
            if tried == _TRIES:
                raise
            chat += [
                {"role": "assistant", "content": cut_middle(reply, _LONGEST_SHOWN) or "…"},
                {"role": "user", "content": f"That is wrong: {bounded_line(str(error), _LONGEST_SHOWN)}. Reply again."},
            ]
    raise AssertionError("the last try returns or raises")


class _AskedReply(Constrained):
    """The reply of a model, in a notation of grammars that it takes, in the end without one."""

    def __init__(
        self,
        model: Model,
        messages: Sequence[Message],
        grammar: Callable[[GrammarDialect], Grammar],
        known: Dialects | None,
        about: str,
    ) -> None:
        dialects = model.grammar_dialects
        super().__init__(known.taken(model, dialects, Purpose.PURPOSE_TOOL, about) if known else dialects)
        self._known = known
        self._about = about
        self._model = model
        self._messages = messages
        self._grammar = grammar
        self._error: CallFailedError | ModelError | None = None

    async def text(self) -> str:
        """The whole of it.

        Raises:
            CallFailedError: the model failed, or a budget of the run is used up.
            ModelError: the model failed, and is none of the run's.
        """
        async with aclosing(self.pieces(self._ask)) as pieces:
            text = "".join([piece async for piece in pieces])
        error, self._error = self._error, None
        if error is not None:
            raise error
        return text

    async def _ask(self, dialect: GrammarDialect | None) -> AsyncGenerator[str, None]:
        return self._stream(None if dialect is None else self._grammar(dialect))

    async def _stream(self, grammar: Grammar | None) -> AsyncGenerator[str, None]:
        self._error = None
        try:
            stream = self._model.stream(self._messages, grammar=grammar, max_tokens=_MOST_TOKENS)
            async with aclosing(stream) as pieces:
                async for piece in pieces:
                    if isinstance(piece, str):
                        yield piece
        except (CallFailedError, ModelError) as error:
            self._error = error

    def _why_refused(self) -> str | None:
        error = self._error
        return str(error) if error is not None and error.reason == GRAMMAR_REFUSED else None

    def _begun(self) -> None:
        if self._known and self.dialect is not None:
            self._known.take(self._model, self.dialect, Purpose.PURPOSE_TOOL)

    def _refused(self, refusal: Refusal) -> None:
        if self._known and refusal.by_server:
            self._known.refuse(self._model, refusal.dialect, Purpose.PURPOSE_TOOL, self._about)


def _value_in(reply: str, kind: ValueKind | None) -> Any:
    """The value of a reply, of its kind.

    Raises:
        NotSaidError: it is null.
        ValueReplyError: there is none, or it is of another kind.
    """
    value = _read_as(kind, _said(reply))
    fits = {
        "number": isinstance(value, int | float) and not isinstance(value, bool),
        "string": isinstance(value, str),
        "boolean": isinstance(value, bool),
        "list": isinstance(value, list) and all(isinstance(one, str | int | float) for one in value),
    }
    if not (fits[kind] if kind is not None else any(fits.values())):
        raise ValueReplyError(f"the value has to be a {kind or 'number, a string, a boolean or a list of such'}")
    return value


def _fitting(reply: str, wanted: WantedValue) -> Any:
    """The value of a reply, which fits where it is wanted.

    Raises:
        NotSaidError: it is null.
        ValueReplyError: there is none, or it does not fit.
    """
    return wanted.read(_read_as(wanted.kind, _said(reply)))


def _said(reply: str) -> Any:
    value = _written(reply)
    if value is None:
        raise NotSaidError("the model says that it cannot be told from what it was given")
    return value


def _read_as(kind: ValueKind | None, value: Any) -> Any:
    match kind:
        case "number":
            return _number(value)
        case "string":
            return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        case "boolean":
            return _WORDS.get(value.strip(" .").lower(), value) if isinstance(value, str) else value
    return value


def _written(reply: str) -> Any:
    text = reply.strip()
    start, end = text.find("{"), text.rfind("}")
    if 0 <= start < end:
        with suppress(ValueError):
            found = from_json(text[start : end + 1], allow_inf_nan=False)
            if isinstance(found, dict) and "value" in found:
                return found["value"]
    with suppress(ValueError):
        found = from_json(text, allow_inf_nan=False)
        if not isinstance(found, dict):
            return found
    # A small model without a grammar writes the value alone.
    if not text or start >= 0 or "\n" in text:
        raise ValueReplyError('the reply has to be JSON: {"value": …}')
    return text


def _number(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    numbers = _NUMBER.findall(value)
    if len(numbers) != 1:
        return value
    text = numbers[0].replace(",", "").replace("\u2212", "-").lstrip("+")
    return float(text) if set(text) & set(".eE") else int(text)
