"""Replies in JSON: the schema that holds them, how an answer stands in them, and what its reader makes of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Literal

import jsonschema
import pytest
from pydantic import BaseModel

from dovetail import _core
from dovetail.answer_schema import AnswerSchema
from dovetail.grammar.answer_form import AnswerForm, answer_form
from dovetail.grammar.compilation import can_compile, fault_in
from dovetail.grammar.reply import reply_grammar
from dovetail.models.protocol import Grammar

# What OpenAI's strict mode knows, and the modes that know less.
_KEYWORDS = {"type", "enum", "anyOf", "properties", "required", "additionalProperties", "items"}

INTEGER = {"type": "integer"}
STRING = {"type": "string"}


class Peak(BaseModel):
    """A mountain."""

    name: str
    metres: float | None = None
    climbed: bool = False
    kind: Literal["rock", "ice"] = "rock"


class Range(BaseModel):
    """Mountains."""

    peaks: list[Peak]
    highest: Peak | None = None


def of(schema: Any) -> AnswerForm:
    return AnswerForm(AnswerSchema(schema).schema)


def reply(schema: Any, *, must_answer: bool = False) -> dict[str, Any]:
    text = AnswerSchema(schema).json if schema is not None else ""
    found: dict[str, Any] = json.loads(reply_grammar("json_schema", must_answer=must_answer, answer_schema=text).text)
    return found


def schemas_in(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield schema
    for one in (*schema.get("properties", {}).values(), *schema.get("anyOf", ())):
        yield from schemas_in(one)
    if "items" in schema:
        yield from schemas_in(schema["items"])


def verdict(said: dict[str, Any]) -> _core.Verdict:
    reader = _core.ReplyReader()
    steps = [*reader.feed(json.dumps(said)), *reader.finish()]
    return next(step for step in steps if isinstance(step, _core.Verdict))


def finished(answer: Any) -> dict[str, Any]:
    return {"thought": "known.", "action": "finish", "answer": answer, "reason": None}


@pytest.mark.parametrize("schema", [None, STRING, {"type": "object"}, {"enum": ["a", 1]}, Peak, Range, list[int]])
@pytest.mark.parametrize("must_answer", [False, True])
def test_a_reply_has_only_what_strict_modes_know(schema: Any, must_answer: bool) -> None:
    whole = reply(schema, must_answer=must_answer)
    assert list(whole["properties"]) == ["thought", "action", "answer", "reason"]
    for one in schemas_in(whole):
        assert one.keys() <= _KEYWORDS
        if one.get("type") == "object":
            assert one["required"] == list(one["properties"])
            assert one["additionalProperties"] is False
    if can_compile():
        assert fault_in(Grammar("json_schema", json.dumps(whole))) is None


def test_who_must_answer_can_neither_ask_for_another_plan_nor_be_silent() -> None:
    replan = {"thought": "no.", "action": "replan", "answer": None, "reason": "more"}
    assert jsonschema.Draft202012Validator(reply(None)).is_valid(replan)
    bound = jsonschema.Draft202012Validator(reply(None, must_answer=True))
    assert bound.is_valid(finished("8,849 m"))
    assert not bound.is_valid(replan)
    assert not bound.is_valid(finished(None))


def test_a_reply_in_json_is_read_without_mending() -> None:
    read = verdict(finished('8,849 m (29,032 ft): "high"'))
    assert (read.kind, read.text, read.mended) == ("finish", '8,849 m (29,032 ft): "high"', False)
    read = verdict({"thought": "no.", "action": "replan", "answer": None, "reason": "the height of K2"})
    assert (read.kind, read.text, read.mended) == ("replan", "the height of K2", False)


ANSWERS: list[tuple[Any, Any, Any]] = [
    # The schema, what stands at "answer", and the answer that this is.
    (STRING, "Everest", "Everest"),
    (STRING, "8849", "8849"),
    (STRING, 'she said "no"', 'she said "no"'),
    ({"enum": ["rock", "ice"]}, "ice", "ice"),
    (INTEGER, 8849, 8849),
    ({"type": "boolean"}, False, False),
    (list[int], [1, 2], [1, 2]),
    (
        Peak,
        {"name": "K2", "metres": None, "climbed": None, "kind": None},
        {"name": "K2", "metres": None},
    ),
    (
        Range,
        {"peaks": [{"name": "K2", "metres": 8611, "climbed": True, "kind": None}], "highest": None},
        {"peaks": [{"name": "K2", "metres": 8611, "climbed": True}], "highest": None},
    ),
    (
        {
            "oneOf": [
                {"type": "object", "properties": {"a": INTEGER}, "required": ["a"]},
                {"type": "object", "properties": {"b": STRING, "c": INTEGER}, "required": ["b"]},
            ]
        },
        {"b": "x", "c": None},
        {"b": "x"},
    ),
]


@pytest.mark.parametrize(("schema", "said", "answer"), ANSWERS)
def test_an_answer_stands_in_its_reply_as_it_is(schema: Any, said: Any, answer: Any) -> None:
    form = of(schema)
    assert not form.is_quoted
    jsonschema.Draft202012Validator(reply(schema)).validate(finished(said))
    checked = AnswerSchema(schema).check(form.json(verdict(finished(said)).text))
    assert json.loads(checked) == answer


UNSAYABLE: list[Any] = [
    True,
    {"type": "object"},
    {"type": "object", "additionalProperties": INTEGER},
    dict[str, int],
    {"type": "array"},
    tuple[int, str],
    {"type": ["string", "null"]},
    {"type": ["string", "integer"]},
    {"allOf": [{"type": "object", "properties": {"a": INTEGER}}, {"required": ["a"]}]},
    {"type": "object", "properties": {"next": {"$ref": "#"}}},
    {"type": "object", "properties": {f"p{number}": INTEGER for number in range(91)}},
    {"type": "object", "properties": {"a": INTEGER}, "required": ["b"]},
    {"type": "object", "patternProperties": {"^a": INTEGER}, "properties": {"a": INTEGER}},
    {"enum": [[1], [2]]},
    list[list[list[list[list[int]]]]],
]


@pytest.mark.parametrize("schema", UNSAYABLE)
def test_an_answer_that_the_subset_cannot_say_is_a_string_that_holds_its_json(schema: Any) -> None:
    form = of(schema)
    assert form.is_quoted
    assert form.schema == STRING
    text = '{"a": [1, 2.50]}'
    assert form.json(verdict(finished(text)).text) == text


def test_numbers_stay_as_they_are_written() -> None:
    form = of({"type": "object", "properties": {"n": INTEGER, "m": {"type": "number"}}, "required": ["n"]})
    assert form.json('{"n": 123456789012345678901234567890, "m": 1.50}') == (
        '{"n":123456789012345678901234567890,"m":1.50}'
    )
    assert form.json('{"n": 1, "m": null}') == '{"n":1}'


@pytest.mark.parametrize("text", ["", "{", "8849 metres", "[" * 10_000, '{"n": NaN, "m": 1}'])
def test_what_is_no_answer_is_left_to_whoever_checks_it(text: str) -> None:
    form = of({"type": "object", "properties": {"n": INTEGER, "m": INTEGER}, "required": ["n"]})
    assert form.json(text).replace(" ", "") == text.replace(" ", "")


def test_an_answer_in_words_is_a_string() -> None:
    form = answer_form("")
    assert (form.schema, form.is_quoted, form.json("8,849 m")) == (STRING, False, "8,849 m")
    assert answer_form("") is form
